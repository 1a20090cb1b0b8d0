"""The request inside a file, read back by whichever installed modality wrote it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.files.reading import is_deeply_nested
from lumina_core.media.seal import DAMAGED, damaged, request_of, state_of
from lumina_core.modality import Decoder
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.program import command_line
from lumina_core.sampling.adapters import ADAPTERS, are_told

_BLOCKS = ("options", "solver", "guidance", "rope_scaling")
"""What must be a mapping in a request."""


class NoRequestError(LuminaError):
    """No installed modality finds a request in a file, and none says that it is broken."""


def read_request(path: Path) -> dict[str, Any]:
    """The request inside a file that any installed modality wrote.

    Raises:
        NoRequestError: it carries none.
        LuminaError: no such file, or one that is broken or has a broken request.
    """
    return request_inside(path, decoders())


def decoders() -> dict[str, Decoder | None]:
    """The decoder of each installed modality; None where the plugin is broken."""
    from lumina_core.config.compose import compose_options
    from lumina_core.plugins.parts import make_modality

    found: dict[str, Decoder | None] = {}
    for name in host.installed():
        try:
            decoder = make_modality(name, compose_options(name), Path()).decoder
            found[name] = decoder if decoder.suffixes else None
        except (Exception, SystemExit):  # a broken plugin does not keep the others from reading
            found[name] = None
    return found


def request_inside(path: Path, found: Mapping[str, Decoder | None]) -> dict[str, Any]:
    """The request inside a file, read by one of the `decoders`.

    Raises:
        LuminaError: as `read_request`.
    """
    if not path.is_file() and not is_media_folder(path, found):
        raise LuminaError(f"{path} is no file; give one that `run` made")
    broken = [name for name, decoder in found.items() if decoder is None]
    refusals = []
    for name, decoder in found.items():
        if decoder is None:
            continue
        is_readable = path.suffix.lower() in decoder.suffixes or _is_open_folder(path, decoder)
        try:
            request = decoder.read_metadata(path) if is_readable else None
        except LuminaError as error:
            refusals.append(error)
            continue
        except (Exception, SystemExit):
            broken.append(name)
            continue
        if request is not None:
            return request_of(path, check_request(path, request))
    if refusals:
        raise refusals[0]
    if path.is_dir() and state_of(path) == DAMAGED:  # the request lies in another file than it did
        raise damaged(path)
    faults = f"; {', '.join(broken)} could not look: {command_line('doctor')}" if broken else ""
    raise NoRequestError(
        f"{path} carries no request of an installed modality ({', '.join(found)}){faults}"
    )


def is_media_folder(path: Path, found: Mapping[str, Decoder | None]) -> bool:
    """Whether a path is a folder that one of the `decoders` keeps a medium in."""
    if not path.is_dir():
        return False
    there = [decoder for decoder in found.values() if decoder]
    suffixes = {suffix for each in there for suffix in each.folder_suffixes}
    return path.suffix.lower() in suffixes or any(_is_open_folder(path, each) for each in there)


def _is_open_folder(path: Path, decoder: Decoder) -> bool:
    """Whether a path is a folder of any name that holds a file which makes it a medium."""
    return any((path / name).is_file() for name in decoder.folder_files)


def check_request(path: Path, request: Any) -> dict[str, Any]:
    """A request that a file carries, refused unless it is the kind of thing that `run` wrote.

    Raises:
        LuminaError: it is no mapping, names no modality, or has a block that is no mapping.
    """
    is_request = isinstance(request, dict) and isinstance(request.get("modality"), str)
    is_request = is_request and (ADAPTERS not in request or are_told(request[ADAPTERS]))
    if not is_request or is_deeply_nested(request) or not _has_blocks(request):
        raise LuminaError(
            f"{path} carries a broken request; a modality, and its options and settings as blocks "
            "are wanted. Make the file again from its prompt."
        )
    return dict(request)


def _has_blocks(request: Mapping[str, Any]) -> bool:
    """Whether everything that is read as a block is one; a condition may also be null."""
    blocks = [request[key] for key in _BLOCKS if key in request]
    condition = request.get(CONDITION)
    if condition is not None:
        blocks.append(condition)
    if not all(isinstance(block, dict) for block in blocks):
        return False
    files = condition["files"] if condition and "files" in condition else {}
    return isinstance(files, dict) and all(isinstance(value, str) for value in files.values())
