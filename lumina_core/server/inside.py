"""The request inside a file that somebody sends, with settings that a request takes again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.modality import Decoder
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import MAX_TEXT, NUM_SEEDS
from lumina_core.sampling.file_request import request_inside
from lumina_core.server.asked import settings_inside
from lumina_core.server.refusals import RefusedError, without_paths
from lumina_core.server.service import of_files

NAME = "the file that was sent"


def suffixes_read(decoders: Mapping[str, Decoder | None]) -> tuple[str, ...]:
    """Suffixes of the files that may carry a request."""
    there = [decoder for decoder in decoders.values() if decoder]
    found = (suffix for decoder in there for suffix in of_files(decoder, decoder.suffixes))
    return tuple(dict.fromkeys(found))


def told_inside(path: Path, decoders: Mapping[str, Decoder | None]) -> dict[str, Any]:
    """What a file says of how it was made.

    Args:
        path: of the file.
        decoders: of the installed modalities.

    Raises:
        RefusedError: it says nothing, or nothing that this server understands.
    """
    try:
        found = request_inside(path, decoders)
        settings = settings_inside(found)
    except LuminaError as error:
        text = without_paths(str(error), {str(path): NAME})
        raise RefusedError(text, code="no_request") from error
    prompt, seed = found.get("prompt"), found.get("seed")
    is_text = isinstance(prompt, str) and len(prompt) <= MAX_TEXT
    if not is_text or type(seed) is not int or not 0 <= seed < NUM_SEEDS:
        raise RefusedError(f"{NAME} carries a broken request", code="no_request")
    return {
        "modality": found["modality"],
        "prompt": prompt,
        "seed": seed,
        "settings": settings,
        "conditions": list((found.get(CONDITION) or {}).get("files", {})),
    }
