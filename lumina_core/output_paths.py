"""Where the files of `run` go; refuses what could not be written before anything is computed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lumina_core.errors import LuminaError
from lumina_core.modality import Decoder

if TYPE_CHECKING:
    from lumina_core.command_records import RunConfig

OUTPUTS = Path("outputs")


def check_target(path: Path, decoder: Decoder, *, overwrite: bool) -> None:
    """Refuse what could not be written, before anything is computed.

    Raises:
        LuminaError: wrong suffix, an existing file, a path that goes through a file, or a folder
            that cannot be written.
    """
    if path.suffix.lower() not in decoder.suffixes:
        raise LuminaError(
            f"out={path} ends in {path.suffix!r}; use {' or '.join(decoder.suffixes)}, or a folder"
        )
    check_new_file(path, overwrite=overwrite)


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that exists or could not be written, whatever its suffix.

    Raises:
        LuminaError: an existing file or folder, or no usable path.
    """
    if _exists(path) and path.is_dir():
        raise LuminaError(f"out={path} is a folder; use another name")
    if _exists(path) and not overwrite:
        raise LuminaError(f"out={path} exists already; use overwrite=true or another name")
    _check_folder(path.parent, path)


def check_new_folder(path: Path) -> None:
    """Refuse a folder that holds something, or whose place no finished folder could take.

    Raises:
        LuminaError: it is a file, holds files, is no usable path, or is there and cannot be
            replaced: the folder one is in, a link, the root of a file system.
    """
    if not _exists(path):
        _check_folder(path, path)
        return
    if not path.is_dir() or any(path.iterdir()):
        raise LuminaError(f"out={path} exists already; choose an empty or new folder")
    if path.is_symlink() or os.path.ismount(path) or path.resolve() == Path.cwd():
        raise LuminaError(f"out={path} would have to be replaced; name a new folder, maybe in it")
    _check_folder(path.absolute().parent, path)


def prompts_folder(config: "RunConfig", decoder: Decoder) -> Path:
    """Where the files of a prompt file go: `out`, or a folder in outputs/ with the file's name.

    Raises:
        LuminaError: `out` is the name of one file, or could not be written.
    """
    folder = OUTPUTS / Path(config.prompt_file or "").stem
    if config.out is not None:
        folder = Path(config.out)
    if folder.suffix.lower() in decoder.suffixes and not (_exists(folder) and folder.is_dir()):
        raise LuminaError(f"out={folder} is one file, prompt_file makes several; name a folder")
    _check_folder(folder, folder)
    return folder


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a name too long, a folder one may not enter
        reason = getattr(error, "strerror", None) or error
        raise LuminaError(f"out={path} is no usable path: {reason}") from error


def _check_folder(folder: Path, path: Path) -> None:
    existing = next(part for part in (folder, *folder.absolute().parents) if _exists(part))
    if not existing.is_dir():
        raise LuminaError(f"out={path} lies below {existing}, which is a file; choose a folder")
    if not os.access(existing, os.W_OK):
        raise LuminaError(f"out={path}: the folder {existing} cannot be written; choose another")


def targets(config: "RunConfig", decoder: Decoder) -> list[Path | None]:
    """Where each sample goes; None: the next default name in the folder.

    A path with a suffix is a file (with several samples, its stem and the seed); one without, with
    a slash at its end, or that is a folder already, is a folder.
    """
    out = out_path(config)
    is_folder = config.out is None or config.out.endswith("/") or not out.suffix
    if is_folder or (_exists(out) and out.is_dir()):
        _check_folder(out, out)
        return [None] * config.num_samples
    if config.num_samples == 1:
        check_target(out, decoder, overwrite=config.overwrite)
        return [out]
    seeds = range(config.seed, config.seed + config.num_samples)
    names = [out.with_stem(f"{out.stem}-s{seed}") for seed in seeds]
    for path in names:
        check_target(path, decoder, overwrite=config.overwrite)
    sheet = sheet_path(names[0])
    if sheet.exists() and not config.overwrite:
        raise LuminaError(f"{sheet} exists already; use overwrite=true or another name")
    return list(names)


def out_path(config: "RunConfig") -> Path:
    """The file or folder that the request names."""
    return OUTPUTS if config.out is None else Path(config.out)


def sheet_path(first: Path) -> Path:
    """The contact sheet beside several samples, the first of which is given."""
    return first.with_name(f"{first.stem}-sheet.png")
