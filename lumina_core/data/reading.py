"""Media of a data set by a path each, wherever they lie, and decoded.

Plugins read files. A medium in a shard is given to them as a file in memory, under the suffix of
its name and under no other part of it; so their checks of formats hold, and nothing is extracted.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from lumina_core.data.index import CONTENT_BYTES
from lumina_core.data.settings import SHARDS
from lumina_core.data.tar_shards import folder_files
from lumina_core.errors import NO_SPACE, LuminaError, why
from lumina_core.files.hashes import sha256_of
from lumina_core.files.reading import open_regular
from lumina_core.files.unfinished import discard, unfinished
from lumina_core.media.seal import check_undamaged
from lumina_core.modality import Media, Modality, SizeLimits

MEMORY = Path("/dev/shm")
MIN_FREE_BYTES = 1 << 30  # there; else files are written to the disk
OPEN_SHARDS = 64  # at a time
MEDIUM = "medium"  # what a file in memory is called
MAX_SUFFIX = 16  # characters
CHANGED = "its content is not that of the index; make the index again"


class Decoded(NamedTuple):
    """A medium as it is trained on, before it is encoded."""

    media: Media
    """Of a legal size."""
    options: Any
    """Of the modality, with what the file says of itself."""


def decoded(modality: Modality, path: Path, options: Any, limits: SizeLimits) -> Decoded:
    """Read a medium and bring it to a legal size.

    Raises:
        LuminaError: it cannot be used.
    """
    check_undamaged(path)
    media = modality.read(path, options)
    own = modality.described(path, media, options)
    return Decoded(modality.fit(media, limits), own)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for files that live for moments: in memory, where the system has room there.

    What a killed process leaves there the next one deletes.
    """
    is_roomy = os.access(MEMORY, os.W_OK) and _free_bytes(MEMORY) >= MIN_FREE_BYTES
    place = MEMORY if is_roomy else Path(tempfile.gettempdir())
    with unfinished(place / MEDIUM, lambda path: path.mkdir(0o700)) as folder:
        yield folder


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


class Located(NamedTuple):
    """A medium as it is given to a plugin."""

    path: Path
    content: bytes
    """First bytes of the SHA-256 of what it holds."""


class Place(NamedTuple):
    """Where a medium lies."""

    shard: str
    """From the folder of the data on."""
    name: str
    """In the shard, or from the folder of the data on; that of a folder in a shard ends with /."""
    offset: int
    size: int


class NoRoomError(LuminaError):
    """A file in memory has no room there: no fault of the medium."""


class MediaFiles:
    """The media of a data set as files."""

    def __init__(self, kind: str, folder: Path, scratch: Path) -> None:
        """Open nothing yet.

        Args:
            kind: of the data.
            folder: that of the data, where names start.
            scratch: takes files for moments; each process has a folder of its own in it.
        """
        self._is_sharded, self._folder, self._scratch = kind == SHARDS, folder, scratch
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(self._opened)

    def path_of(self, shard: str) -> Path:
        """Where a shard is."""
        return self._folder / shard

    def name_of(self, place: Place) -> str:
        """What messages and the quarantine call it."""
        return f"{place.shard}/{place.name}" if self._is_sharded else place.name

    @contextmanager
    def located(self, place: Place) -> Iterator[Located]:
        """A medium as a file or folder, within the block.

        Raises:
            NoRoomError: it does not fit in memory.
            LuminaError: it cannot be read, or whatever is raised inside, under its name.
        """
        if not self._is_sharded:
            path = self._folder / place.name
            yield Located(path, _hash_of(path))
            return
        suffix = PurePosixPath(place.name).suffix.lower()
        path = self._scratch / str(os.getpid()) / f"{MEDIUM}{suffix[:MAX_SUFFIX]}"
        try:
            content = self._content(place)
            _write(path, content, place.name)
            yield Located(path, hashlib.sha256(content).digest()[:CONTENT_BYTES])
        except LuminaError as error:
            told = str(error).replace(str(path), self.name_of(place))
            raise type(error)(told) from error
        finally:
            discard(path)

    def _content(self, place: Place) -> bytes:
        try:
            file = self._shard(place.shard)  # which all forks share, so that no one may seek in it
            end, content = os.fstat(file.fileno()).st_size, b""
            if min(place.offset, place.size) >= 0 and place.offset + place.size <= end:
                while more := os.pread(
                    file.fileno(), place.size - len(content), place.offset + len(content)
                ):
                    content += more  # one read gives 2 GiB at most
        except OSError as error:
            raise LuminaError(f"{place.shard} cannot be read: {why(error)}") from error
        if len(content) != place.size:
            raise LuminaError(f"{place.shard} ends within it; it was cut short")
        return content

    def _opened(self, shard: str) -> BinaryIO:
        return open_regular(self._folder / shard)


@contextmanager
def as_no_room(path: Path) -> Iterator[None]:
    """Say that a file cannot be written within the block, and whether it is for lack of room.

    Raises:
        NoRoomError: it is.
        LuminaError: it is not.
    """
    try:
        yield
    except OSError as error:
        kind = NoRoomError if error.errno in NO_SPACE else LuminaError
        raise kind(f"{path} cannot be written: {why(error)}") from error


def _write(path: Path, content: bytes, name: str) -> None:
    with as_no_room(path):
        path.parent.mkdir(exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
            return
        for inner, own in folder_files(content, name):
            (path / inner).parent.mkdir(parents=True, exist_ok=True)
            (path / inner).write_bytes(own)


def _hash_of(path: Path) -> bytes:
    try:
        return bytes.fromhex(sha256_of(path))[:CONTENT_BYTES]
    except (OSError, ValueError) as error:
        raise LuminaError(f"{path} cannot be read: {why(error)}") from error
