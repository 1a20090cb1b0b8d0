"""For plugins: whether a PNG is whole, by the checksums of its chunks.

Pillow compares those before the pixels, but not those of the pixels: a damaged bit gives another
picture. Any wrong one is refused, also of a chunk that only holds a text: it proves that the file
was damaged, and nobody can say that its neighbours were not.
"""

import os
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from struct import pack, unpack
from typing import BinaryIO, NamedTuple

from lumina_core.files.reading import open_regular

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LAST = b"IEND"
PIECE = 1 << 20  # bytes that are read at once


class Chunk(NamedTuple):
    """A part of a PNG (its specification, 5.3): length, name, content and checksum."""

    name: bytes
    start: int
    """Where its length stands."""
    end: int
    """Where the next chunk begins."""


def check_png(path: Path, name: str = "it") -> None:
    """Refuse a PNG that is damaged or cut off; a file of another kind passes.

    Args:
        path: of any file.
        name: what the message calls it.

    Raises:
        ValueError: a checksum is wrong, or the file ends before its last chunk.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return
        try:
            for chunk in chunks(file):
                file.seek(chunk.start + 4)
                if _checksum(file, chunk) != file.read(4):
                    kind = chunk.name.decode("ascii", "replace")
                    raise ValueError(f"the checksum of its chunk {kind!r} is wrong")
        except ValueError as error:
            raise ValueError(f"{name} is cut off or damaged: {error}") from error


def with_checksum(data: bytes, place: int) -> bytes:
    """A PNG whose checksum is right again after a byte of one chunk was changed; other files as is.

    Args:
        data: of a whole file.
        place: of the byte.

    Raises:
        ValueError: it is damaged otherwise.
    """
    if not data.startswith(SIGNATURE):
        return data
    file = BytesIO(data)
    chunk = next((each for each in chunks(file) if place < each.end), None)
    if chunk is None:
        raise ValueError("there is no chunk")
    file.seek(chunk.start + 4)
    return data[: chunk.end - 4] + _checksum(file, chunk) + data[chunk.end :]


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a PNG up to the last.

    Raises:
        ValueError: one goes beyond the end of the file, or the last is missing.
    """
    size = file.seek(0, os.SEEK_END)
    start = len(SIGNATURE)
    name = b""
    while name != LAST:
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            raise ValueError("its last chunk is missing")
        length, name = unpack(">I4s", header)
        end = start + 12 + length
        if end > size:
            raise ValueError(f"its chunk at byte {start} goes beyond its end")
        yield Chunk(name, start, end)
        start = end


def _checksum(file: BinaryIO, chunk: Chunk) -> bytes:
    """What the last four bytes of a chunk must be; the file stands at its name, then at these."""
    remaining, found = chunk.end - chunk.start - 8, 0
    while remaining:
        piece = file.read(min(remaining, PIECE))
        found, remaining = zlib.crc32(piece, found), remaining - len(piece)
    return pack(">I", found)
