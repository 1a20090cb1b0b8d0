"""Manifests in JSON that hold a hash of themselves, so that damage and edits are seen."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lumina_core.errors import MAX_REASON, printable

UNSEALED = "0" * 64  # stands in a manifest while its hash is computed


def sealed(content: Mapping[str, Any]) -> str:
    """The text of a manifest with its own hash inside, computed with UNSEALED in its place.

    Args:
        content: every entry but `sha256`.
    """
    text = json.dumps({**content, "sha256": UNSEALED}, indent=2, ensure_ascii=False) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest()
    head, _, tail = text.rpartition(UNSEALED)  # the last entry, whatever the others say
    return head + seal + tail


def is_sealed(raw: bytes, seal: Any) -> bool:
    """Whether the text of a manifest is as it was written; `seal` is its entry `sha256`."""
    if not (isinstance(seal, str) and len(seal) == len(UNSEALED)):
        return False
    head, found, tail = raw.rpartition(seal.encode(errors="replace"))
    return bool(found) and hashlib.sha256(head + UNSEALED.encode() + tail).hexdigest() == seal


def entries_fault(manifest: Mapping[str, Any], entries: Mapping[str, type]) -> str | None:
    """What is wrong with the names and types of the entries of a manifest, or None."""
    if manifest.keys() != entries.keys():
        names = ", ".join(sorted(manifest.keys() ^ entries.keys()))
        return f"entries are missing or unknown: {printable(names, MAX_REASON)}"
    for name, wanted in entries.items():
        if not isinstance(manifest[name], wanted):
            return f"{name} is {type(manifest[name]).__name__}, not {wanted.__name__}"
    return None
