"""Where the files of `run` go; refuses what could not be written before anything is computed."""

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lumina_core.errors import LuminaError
from lumina_core.media.names import preview_path, sheet_path
from lumina_core.modality import Decoder
from lumina_core.sampling.settings import RunConfig

OUTPUTS = Path("outputs")
Saved = TypeVar("Saved")


def check_target(path: Path, decoder: Decoder, *, overwrite: bool) -> None:
    """Refuse what could not be written, before anything is computed.

    Raises:
        LuminaError: wrong suffix, an existing file, a path that goes through a file, or a folder
            that cannot be written; or in place of a folder of media something that is none.
    """
    if path.suffix.lower() not in decoder.suffixes:
        raise LuminaError(
            f"out={path} ends in {path.suffix!r}; use {' or '.join(decoder.suffixes)}, or a folder"
        )
    if _is_media_folder(path, decoder):
        _check_media_folder(path, decoder, overwrite=overwrite)
    else:
        check_new_file(path, overwrite=overwrite)


def _is_media_folder(path: Path, decoder: Decoder) -> bool:
    """Whether a path names one medium that is kept as a folder."""
    return path.suffix.lower() in decoder.folder_suffixes


def _check_media_folder(path: Path, decoder: Decoder, *, overwrite: bool) -> None:
    """Refuse to replace a folder unless it is a medium of ours: another may hold anything."""
    if not _exists(path):
        check_folder(path.parent, path)
        return
    if not path.is_dir():
        raise LuminaError(f"out={path} is a file; use another name")
    if not overwrite:
        raise LuminaError(f"out={path} exists already; use overwrite=true or another name")
    _check_replaceable(path)
    try:
        is_ours = decoder.read_metadata(path) is not None
    except LuminaError:
        is_ours = False
    if not is_ours:
        raise LuminaError(
            f"out={path} is a folder that holds more or other things than what `run` writes, and "
            "is not replaced; use another name"
        )


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that exists or could not be written, whatever its suffix.

    Raises:
        LuminaError: an existing file or folder, or no usable path.
    """
    if _exists(path) and path.is_dir():
        raise LuminaError(f"out={path} is a folder; use another name")
    if _exists(path) and not overwrite:
        raise LuminaError(f"out={path} exists already; use overwrite=true or another name")
    check_folder(path.parent, path)


def check_new_folder(path: Path) -> None:
    """Refuse a folder that holds something, or whose place no finished folder could take.

    Raises:
        LuminaError: it is a file, holds files, is no usable path, or is there and cannot be
            replaced: the folder one is in, a link, the root of a file system.
    """
    if not _exists(path):
        check_folder(path, path)
        return
    if not path.is_dir() or any(path.iterdir()):
        raise LuminaError(f"out={path} exists already; choose an empty or new folder")
    _check_replaceable(path)


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder whose place no other could take."""
    if folder.is_symlink() or os.path.ismount(folder) or folder.resolve() == Path.cwd():
        raise LuminaError(f"out={folder} would have to be replaced; name a new folder, maybe in it")
    check_folder(folder.absolute().parent, folder)


def prompts_folder(config: RunConfig, decoder: Decoder) -> Path:
    """Where the files of a prompt file go: `out`, or a folder in outputs/ with the file's name.

    Raises:
        LuminaError: `out` is the name of one file, or could not be written.
    """
    folder = OUTPUTS / Path(config.prompt_file or "").stem
    if config.out is not None:
        folder = Path(config.out)
    is_folder = _exists(folder) and folder.is_dir() and not _is_media_folder(folder, decoder)
    if folder.suffix.lower() in decoder.suffixes and not is_folder:
        raise LuminaError(f"out={folder} is one file, prompt_file makes several; name a folder")
    _check_outside_media(folder, decoder)
    check_folder(folder, folder)
    return folder


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a name too long, a folder one may not enter
        reason = getattr(error, "strerror", None) or error
        raise LuminaError(f"out={path} is no usable path: {reason}") from error


def check_folder(folder: Path, path: Path) -> None:
    """Refuse a folder that is none, or could not be written.

    Args:
        folder: there or still to be made.
        path: in it, that the user named.

    Raises:
        LuminaError: it is or lies below a file, is no usable path, or is not writable.
    """
    existing = next(part for part in (folder, *folder.absolute().parents) if _exists(part))
    if not existing.is_dir():
        raise LuminaError(f"out={path} lies below {existing}, which is a file; choose a folder")
    if not os.access(existing, os.W_OK):
        raise LuminaError(f"out={path}: the folder {existing} cannot be written; choose another")


def targets(config: RunConfig, decoder: Decoder) -> list[Path | None]:
    """Where each sample goes; None: the next default name in the folder.

    A path with a suffix is a file (with several samples, its stem and the seed); one without, with
    a slash at its end, or that is a folder already, is a folder. A suffix that stands for a folder
    of one medium always names that medium.
    """
    out = out_path(config)
    is_folder = config.out is None or config.out.endswith("/") or not out.suffix
    _check_outside_media(out, decoder)
    if not _is_media_folder(out, decoder) and (is_folder or (_exists(out) and out.is_dir())):
        check_folder(out, out)
        return [None] * config.num_samples
    names = [out]
    if config.num_samples > 1:
        seeds = range(config.seed, config.seed + config.num_samples)
        names = [out.with_stem(f"{out.stem}-s{seed}") for seed in seeds]
        check_beside(sheet_path(names[0]), overwrite=config.overwrite)
    for path in names:
        check_target(path, decoder, overwrite=config.overwrite)
        check_preview(path, decoder, overwrite=config.overwrite)
    return list(names)


def _check_outside_media(path: Path, decoder: Decoder) -> None:
    """Refuse a path within one medium, there or still to be, which a further file would spoil."""
    full = path.absolute()
    for folder in (full, *full.parents):
        is_named_one = _is_media_folder(folder, decoder)
        if folder == full and is_named_one:  # what is to be made
            continue
        if is_named_one or any(_exists(folder / name) for name in decoder.folder_files):
            where = "is" if folder == full else f"lies in {folder.name}, which is"
            raise LuminaError(f"out={path} {where} one medium; choose another place")


def check_preview(path: Path, decoder: Decoder, *, overwrite: bool) -> None:
    """Refuse a file whose preview could not be written beside it.

    Raises:
        LuminaError: something has the preview's name.
    """
    preview = preview_path(path, decoder)
    if preview is not None:
        check_beside(preview, overwrite=overwrite)


def check_beside(path: Path, *, overwrite: bool) -> None:
    """Refuse a picture beside a result if it would replace what it should not.

    Raises:
        LuminaError: it exists already, or a folder has its name.
    """
    if _exists(path) and (path.is_dir() or not overwrite):
        way = "use another name" if path.is_dir() else "use overwrite=true or another name"
        raise LuminaError(f"{path} exists already; {way}")


def save_numbered(
    folder: Path, modality: str, end: str, save: Callable[[Path], Saved]
) -> tuple[Path, Saved]:
    """Save under the next free default name, which two runs at once never share.

    Args:
        folder: where the file goes.
        modality: begins its name.
        end: of its name, behind the number.
        save: writes it, if nothing is there.

    Returns:
        The path, and what `save` returned.
    """
    pattern = re.compile(rf"{re.escape(modality)}-(\d+)-.*")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    for number in itertools.count(max(taken, default=0) + 1):
        path = folder / f"{modality}-{number:04d}-{end}"
        try:
            return path, save(path)
        except LuminaError:
            if not path.exists():  # else another run was faster
                raise
    raise AssertionError("the numbers never end")


def out_path(config: RunConfig) -> Path:
    """The file or folder that the request names."""
    return OUTPUTS if config.out is None else Path(config.out)
