"""A file that is being written has a temporary name, and a lock, until it is whole.

The name starts with `.lumina-`, beside what it will become. A killed process may leave it behind;
nothing ever reads it, and the next process that writes there deletes it.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EBADF, EINVAL, ENOTSUP
from functools import lru_cache
from pathlib import Path
from secrets import token_hex

from lumina_core.errors import LuminaError, why
from lumina_core.files.locks import is_at, try_lock

UNFINISHED = ".lumina-"  # names of what nobody reads
DELETABLE = re.compile(r"\.lumina-[0-9a-f]{16}")  # names of what goes once its process is gone


@contextmanager
def unfinished(path: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """A temporary file or folder beside `path`, locked while this process uses it; none is left.

    Raises:
        LuminaError: it cannot be made or written, or the disk is full.
    """
    temporary = temporary_name(path)
    descriptor = None
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        _clean_once(temporary.parent)
        while descriptor is None:
            make(temporary)
            descriptor = _locked(temporary)
        yield temporary
    except Exception as error:
        if isinstance(error, OSError) or _is_of_safetensors(error):
            raise unwritable(path, error) from error
        raise
    finally:
        discard(temporary)
        if descriptor is not None:
            os.close(descriptor)


def _is_of_safetensors(error: Exception) -> bool:
    """Whether it is what safetensors raises where the disk is full; to list keys imports it not."""
    library = sys.modules.get("safetensors")
    return library is not None and isinstance(error, library.SafetensorError)


def _locked(temporary: Path) -> int | None:
    """Open what was just made and lock it; None if another process has cleaned it away."""
    try:
        descriptor = os.open(temporary, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) is not False and is_at(descriptor, temporary):
        return descriptor
    os.close(descriptor)
    discard(temporary)
    return None


def remove_unfinished(folder: Path) -> None:
    """Delete what killed processes left unfinished in a folder, but nothing that is being written.

    A process locks what it writes until it ends. Where the file system knows no locks nobody can
    tell, and everything stays; so does what cannot be deleted, and all behind a link.
    """
    if folder.is_symlink():
        return
    with suppress(OSError):  # no such folder, or one that is not ours
        for path in [path for path in folder.iterdir() if DELETABLE.fullmatch(path.name)]:
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if try_lock(descriptor):
                        discard(path)
                finally:
                    os.close(descriptor)


@lru_cache(maxsize=1024)
def _clean_once(folder: Path) -> None:
    remove_unfinished(folder)


def temporary_name(path: Path) -> Path:
    """A new name beside `path`, of what a later process may delete."""
    return path.absolute().with_name(f"{UNFINISHED}{token_hex(8)}")


def refuse_link(folder: Path) -> None:
    """Refuse to delete in a folder that lies somewhere else.

    Raises:
        LuminaError: it is a link.
    """
    if folder.is_symlink():
        raise LuminaError(
            f"{folder} is a link, and overwrite=true deletes nothing behind a link; remove the "
            f"link, or choose as out the folder that it leads to, {os.path.realpath(folder)}"
        )


def discard(temporary: Path) -> None:
    """Remove what is unfinished; there is nothing to remove after success."""
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary, ignore_errors=True)
    elif os.path.lexists(temporary):
        temporary.unlink()


def sync(path: Path) -> None:
    """Bring a file, or a folder with all in it, to the disk, so that a name never leads to less."""
    if not path.is_dir():
        _sync_one(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_one(Path(folder, name))
        sync_folder(Path(folder))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    try:
        _sync_one(folder)
    except OSError as error:
        if error.errno not in (EINVAL, EBADF, EACCES, ENOTSUP):  # not every system can
            raise


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: Exception) -> LuminaError:
    """What is said where `path` cannot be written."""
    return LuminaError(f"{path} cannot be written: {why(error)}")
