"""Files as every decoder and trainer needs them: written whole or not at all, read with limits."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EEXIST, EFBIG, EINVAL, ENOTDIR, ENOTEMPTY, ENOTSUP, EPERM
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG
from typing import Any, BinaryIO

from lumina_core.errors import LuminaError
from lumina_core.unfinished import (
    UNFINISHED,
    discard,
    sync,
    sync_folder,
    temporary_name,
    unfinished,
)

CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 20  # of a file of settings; the manifest of a checkpoint has 4000
MAX_LINES_BYTES = 1 << 30  # of a log of ours: millions of lines
MAX_DEPTH = 32  # levels of JSON; a manifest has 5, a request 3, and Python's stack 1000
TOO_DEEP = f"it has more than {MAX_DEPTH} levels"
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


def check_writable(folder: Path) -> None:
    """Make a folder, and refuse one in which no file can be written.

    Raises:
        LuminaError: it cannot be made or written, or the disk is full.
    """
    with unfinished(folder / "file", Path.touch) as temporary:
        temporary.write_bytes(b"0")  # an empty file fits on a full disk


def open_regular(path: Path) -> BinaryIO:
    """Open a file that others may have put there: no pipe and no device, which may never end.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115, the caller closes it
    if not S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(EINVAL, "it is no regular file", str(path))
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a small file that others may have put there.

    Raises:
        OSError: as `open_regular`, or it is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(EFBIG, f"it has more than {max_bytes} bytes", str(path))
    return content


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value in a JSON file that others may have put there; it may begin with a byte order mark.

    Raises:
        OSError: as `read_regular`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_regular(path, max_bytes))


def parse_json(content: bytes | str) -> Any:
    """A value of JSON that others wrote.

    Args:
        content: in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it is no JSON, no UTF-8, or has more than MAX_DEPTH levels.
    """
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    if is_deeply_nested(value):
        raise ValueError(TOO_DEEP)
    return value


def is_deeply_nested(value: Any) -> bool:
    """Whether a value from JSON has more than MAX_DEPTH levels, on which recursion could fail."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
    return bool(level)


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # without it, to open a pipe waits for a writer


def json_lines(path: Path) -> list[tuple[str, Any]]:
    """The lines of a file that are JSON, each with its value; none where there is no file.

    Others are left out: a killed process or a full disk cuts lines short.

    Raises:
        LuminaError: it cannot be read, or is no regular file.
    """
    try:
        content = read_regular(path, MAX_LINES_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {error.strerror}; move it away") from error
    found = []
    for line in content.split(b"\n"):
        try:
            text = line.decode()
            found.append((text, parse_json(text)))
        except ValueError:
            continue
    return found


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


def sha256_of(path: Path) -> str:
    """Hash of a file, or of a folder: that of what `sha256sum` prints of all files inside it.

    Args:
        path: the file or folder; hidden files in a folder do not count.

    Raises:
        OSError: it cannot be read, or there is something in it that is no regular file.
    """
    if not path.is_dir():
        return _file_sha256(path)
    names = sorted(item.relative_to(path) for item in path.rglob("*") if not item.is_dir())
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    listing = "".join(f"{_file_sha256(path / name)}  {name.as_posix()}\n" for name in visible)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """Hash of a file, remembered while its size and time of change stay."""
    status = path.stat()
    return _sha256_once(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _sha256_once(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)
