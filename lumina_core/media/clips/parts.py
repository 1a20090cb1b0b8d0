"""How many parts a picture file has: what reads it in Python takes a microsecond for each.

A file of 64 MB may have 64 million, and is then refused before Pillow sees it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from lumina_core.media.clips.gif_blocks import gif_blocks
from lumina_core.media.png_checksums import chunks

SCAN = 0xDA  # of JPEG: behind it are pixels, which no Python looks at
LONG = {*range(0xC0, 0xF0), 0xFE} - {0xC8, *range(0xD0, 0xDA)}
"""Marks of JPEG behind which Pillow reads a length; behind others it skips nothing."""


class CrowdedError(ValueError):
    """A picture of far more parts than its size explains."""


class _Kind(NamedTuple):
    walk: Callable[[BinaryIO], Iterator[Any]]
    most: int
    """Parts of any file."""
    num_bytes: int
    """For which there may be one more; usual files have a half or an eighth of that."""


def jpeg_segments(file: BinaryIO) -> Iterator[int]:
    """The marks of a JPEG before its pixels, and every byte that stands between two segments.

    Args:
        file: at its start.
    """
    file.seek(2)
    while byte := file.read(1):
        yield byte[0]
        if byte != b"\xff":
            continue
        mark = (file.read(1) or bytes([SCAN]))[0]
        if mark == SCAN:
            return
        if mark == 0xFF:  # fills, and the next byte may be a mark
            file.seek(-1, 1)
        elif mark in LONG:
            file.seek(max(0, int.from_bytes(file.read(2)) - 2), 1)


_KINDS = {
    b"GIF": _Kind(gif_blocks, 100_000, 128),
    b"\x89PNG": _Kind(chunks, 20_000, 1024),
    b"\xff\xd8": _Kind(jpeg_segments, 20_000, 1024),
}
"""By the bytes with which a file begins."""


def check_parts(file: BinaryIO) -> None:
    """Refuse a picture of far too many parts; other files pass, and damaged ones.

    Args:
        file: of any kind.

    Raises:
        CrowdedError: it has more than its size explains.
    """
    size = file.seek(0, 2)
    for mark, kind in _KINDS.items():
        file.seek(0)
        most = kind.most + size // kind.num_bytes
        if file.read(len(mark)) == mark:
            file.seek(0)
            if num_until(most, kind.walk(file)) > most:
                raise CrowdedError


def num_until(most: int, items: Iterable[Any]) -> int:
    """How many there are: at most one more than `most`, and none behind a damage."""
    count = 0
    with suppress(Exception):
        for _ in islice(items, most + 1):
            count += 1
    return count
