"""Files as every decoder and trainer needs them: written whole or not at all, read with limits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST, ENOTDIR, ENOTEMPTY, ENOTSUP, EPERM
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from lumina_core.errors import LuminaError
from lumina_core.files.unfinished import (
    UNFINISHED,
    discard,
    sync,
    sync_folder,
    temporary_name,
    unfinished,
)

READABLE = 0o666  # permissions of a file before the process's mask


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    Raises:
        LuminaError: the folder cannot be made or written, or the disk is full; nothing is left.
    """
    with unfinished(path, Path.touch) as temporary:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Make a temporary folder beside `path` that takes its place when the block ends well.

    Args:
        path: the folder.
        overwrite: replace one that is there; it is deleted once the new one has its place.

    Raises:
        LuminaError: `path` exists and is not to be replaced, its parent cannot be written, or the
            disk is full; nothing is left.
    """
    with unfinished(path, Path.mkdir) as temporary:
        yield temporary
        _make_readable(temporary)
        if os.path.lexists(path) and not overwrite:
            raise LuminaError(f"{path} exists already")
        sync(temporary)
        _take_place(temporary, path)
        sync_folder(path.parent)


def check_free(target: Path) -> None:
    """Refuse a name that is taken, before anything is read for it.

    Raises:
        LuminaError: it is.
    """
    if target.exists() or target.is_symlink():
        raise LuminaError(f"{target} exists already; name another one, or move it away")


def check_writable(folder: Path) -> None:
    """Make a folder, and refuse one in which no file can be written.

    Raises:
        LuminaError: as `unfinished`.
    """
    with unfinished(folder / "file", Path.touch) as temporary:
        temporary.write_bytes(b"0")  # an empty file fits on a full disk


@contextmanager
def new_output(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A place for a file or folder that gets the name `path` when the block ends well.

    Args:
        path: of the file or folder; what is made meanwhile has its suffix.
        overwrite: replace what is there.

    Raises:
        LuminaError: the name is taken, or it cannot be written; nothing is left.
    """
    with unfinished(path, Path.mkdir) as folder:
        temporary = folder / f"file{path.suffix}"
        try:
            yield temporary
        except LuminaError as error:  # the user knows the name that it was to have
            told = str(error).replace(str(temporary), str(path))
            raise LuminaError(told) from error
        try:
            publish(temporary, path, overwrite=overwrite)
        except FileExistsError as error:
            raise LuminaError(f"{path} exists already; use overwrite=true") from error


def publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a finished file or folder its name; both lie on one file system.

    It is one step, but for a folder that replaces another: for a moment neither has the name.

    Raises:
        FileExistsError: the name is taken and `overwrite` is false.
    """
    sync(temporary)
    if temporary.is_dir():
        _publish_folder(temporary, path, overwrite=overwrite)
    elif overwrite:
        temporary.replace(path)
    else:
        _publish_file(temporary, path)
    sync_folder(path.parent)


def _publish_file(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, it never replaces
        temporary.unlink()
    except OSError as error:
        if error.errno not in (EPERM, ENOTSUP):
            raise
        path.open("xb").close()  # a file system without links: claim the name, then fill it
        temporary.replace(path)


def _publish_folder(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        _take_place(temporary, path)
        return
    try:
        if os.path.lexists(path):
            raise FileExistsError(EEXIST, os.strerror(EEXIST), str(path))
        temporary.rename(path)  # replaces nothing but an empty folder
    except OSError as error:
        if error.errno not in (ENOTEMPTY, ENOTDIR):
            raise
        raise FileExistsError(EEXIST, os.strerror(EEXIST), str(path)) from error


def _take_place(temporary: Path, path: Path) -> None:
    """Rename a folder; one that has the name stays until then, and comes back if it fails.

    Of a link that has the name, what it leads to stays.
    """
    if not os.path.lexists(path):
        temporary.rename(path)
        return
    # a folder with content cannot be replaced in one step; between two steps a kill may come, and
    # then this is the only one that is whole for sure: it has no name that is cleaned away
    earlier = path.absolute().with_name(f"{UNFINISHED}earlier-{token_hex(8)}")
    path.rename(earlier)
    try:
        temporary.rename(path)
    except BaseException:
        earlier.rename(path)
        raise
    discard(earlier.rename(temporary_name(path)))


def _make_readable(folder: Path) -> None:
    """Give the files the permissions of their folder: safetensors keeps its own private."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(folder.stat().st_mode & READABLE)
