"""Reads and writes cache.json, which says what a cache holds and how it was encoded.

It is written last, so a folder without it is unfinished, and it holds a hash of itself. It needs no
torch, for configurations read it, too.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lumina_core.data.caches.names import NAME, tables_in
from lumina_core.errors import MAX_NAME, MAX_REASON, LuminaError, printable
from lumina_core.files.reading import parse_json, read_regular
from lumina_core.files.seals import entries_fault, is_sealed, sealed
from lumina_core.files.writing import atomic_write
from lumina_core.plugins.entry_points import MODALITY_NAME
from lumina_core.records import flat, shown

MANIFEST = "cache.json"
FORMAT = 1
MAX_BYTES = 1 << 26  # half a million files
ENTRIES: dict[str, type] = {
    "format": int,
    "versions": dict,
    "modality": str,
    "encoding": dict,
    "token_dim": int,
    "feature_dim": int,
    "named": dict,
    "text_encoder": dict,
    "data": dict,
    "num_samples": int,
    "num_unusable": int,
    "num_texts": int,
    "latents": dict,
    "texts": dict,
    "index": dict,
    "lookup": dict,
    "sha256": str,
}
"""Every entry and its type.

`encoding` is all on which the tokens depend: `options` of the modality, `limits` of sizes, the
`autoencoder` with its hash and statistics (empty for a formula) and the `dtype` of the tokens.
`named` is what named the autoencoder and the text encoder, for trainings. `text_encoder` is empty
where no text was encoded. `data` is what was encoded. Of KINDS each holds files by their names,
with their hashes.
"""
KINDS = LATENTS, TEXTS, INDEX, LOOKUP = ("latents", "texts", "index", "lookup")


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest of a cache; `content` is every entry but the format and the seal.

    Raises:
        LuminaError: as `atomic_write`.
    """
    with atomic_write(folder / MANIFEST) as file:
        file.write(sealed({"format": FORMAT, **content}).encode())


def is_cache(path: Path) -> bool:
    """Whether there is the manifest of a cache in a folder."""
    return os.path.isfile(path / MANIFEST)  # Path.is_file may raise


def caches_at(path: Path) -> list[Path]:
    """A folder if it is a cache, else those in it that are; the folder itself where none is."""
    if is_cache(path):
        return [path]
    names = os.listdir(path) if os.path.isdir(path) else []
    return [path / name for name in sorted(names) if is_cache(path / name)] or [path]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a cache, its format, seal and types checked.

    Raises:
        LuminaError: no cache, an unfinished, broken or edited one, or one of a newer version.
    """
    path = folder / MANIFEST
    try:
        raw = read_regular(path, MAX_BYTES)
        manifest = parse_json(raw)
    except FileNotFoundError as error:
        is_begun = any(tables_in(folder, LATENTS))
        reason = (
            f"it is unfinished, for {MANIFEST} is missing; go on with the same `cache`"
            if is_begun
            else f"{MANIFEST} is missing; name a folder that `cache` wrote"
        )
        raise LuminaError(f"no cache in {folder}: {reason}") from error
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _damaged(path, f"it is no valid JSON ({error})") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT or isinstance(found, bool):
        raise LuminaError(
            f"{path} has the format {shown(found)}, this version reads {FORMAT}; upgrade "
            "lumina-core, or make the cache anew"
        )
    if not is_sealed(raw, manifest.get("sha256")):
        raise _damaged(path, "it was edited, or lost something")
    for fault in _faults(manifest):
        raise _damaged(path, fault)
    return dict(manifest)


def _damaged(path: Path, reason: str) -> LuminaError:
    return LuminaError(f"{path} is damaged: {reason}; go on with the same `cache`")


def _faults(manifest: Mapping[str, Any]) -> Iterator[str]:
    if (fault := entries_fault(manifest, ENTRIES)) is not None:
        yield fault
        return
    if not MODALITY_NAME.fullmatch(manifest["modality"]):
        name = printable(manifest["modality"], MAX_NAME)
        yield f"it names {name!r}, which cannot be a modality"
    if not isinstance(manifest["encoding"].get("options"), dict):
        yield "encoding has no options"
    for kind in KINDS:
        for name, sha256 in manifest[kind].items():
            match = NAME.fullmatch(name)
            if match is None or match["kind"] != kind or not isinstance(sha256, str):
                yield f"{kind} names {printable(name, MAX_NAME)!r}, which is no file of a cache"
                return


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two nested records, each as `KEY is X, not Y`.

    Another modality comes first, for all else follows from it, and a hash comes last.
    """
    made, own = flat(stored), flat(wanted)

    def rank(key: str) -> tuple[bool, bool, str]:
        return key != "modality", key.endswith("sha256"), key

    keys = sorted(made.keys() | own.keys(), key=rank)
    for key in keys:
        if made.get(key) != own.get(key):
            yield f"{key} is {_told(made, key)}, not {_told(own, key)}"


def _told(values: Mapping[str, Any], key: str) -> str:
    return printable(str(values[key]), MAX_REASON) if key in values else "missing"
