"""Files that this program made: the request inside, and the same medium as another kind of file.

The request has settings that a request takes again. Another kind is written once, and kept beside
the file of its job.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.media.seal import request_of, write_sealed
from lumina_core.modality import Decoder
from lumina_core.plugins.parts import make_modality
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import MAX_TEXT, NUM_SEEDS
from lumina_core.sampling.examples import NO_FOLDER
from lumina_core.sampling.file_request import request_inside
from lumina_core.server.asked import settings_inside
from lumina_core.server.catalogue import of_files
from lumina_core.server.jobs import Job
from lumina_core.server.refusals import GoneError, InvalidError, RefusedError, without_paths

NAME = "the file that was sent"
PNG = "png"


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


def other_kind(job: Job, index: int, kind: str) -> Path:
    """A file of a job as another kind that its modality writes, the request inside.

    Args:
        job: it has the file.
        index: of the file.
        kind: a suffix without its dot.

    Raises:
        RefusedError: there is no such kind, or it cannot hold the medium.
    """
    decoder = make_modality(job.config.modality, job.config.options, NO_FOLDER).decoder
    made, suffix = job.made[index], f".{kind}"
    path = job.folder / made.name
    known = of_files(decoder, decoder.suffixes)
    if suffix not in known:
        listed = dict.fromkeys((PNG, *(each.removeprefix(".") for each in known)))
        raise InvalidError(f"as takes {', '.join(listed)}", "as")
    target = path.with_suffix(suffix)
    if target.exists():
        return target
    new = path.with_name(f"new-{target.name}")
    try:
        request = request_of(path, decoder.read_metadata(path) or {})
        media = decoder.read(path)
        write_sealed(decoder, media, new, request, job.config.options, made.media_sha256)
        job.num_bytes += new.stat().st_size
        new.replace(target)
    except LuminaError as error:
        names = {str(new): f"a {suffix} file", str(path): f"the {job.suffix} file"}
        text = without_paths(str(error), {**job.names, **names})
        raise InvalidError(text, "as") from error
    except FileNotFoundError as error:  # the job was dropped meanwhile
        raise GoneError from error
    finally:
        new.unlink(missing_ok=True)  # what is not whole
    return target
