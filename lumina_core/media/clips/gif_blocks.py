"""The blocks of a GIF (GIF89a): Pillow does not tell how many frames there are before their end."""

from collections.abc import Iterator
from typing import BinaryIO

HEADER, IMAGE, EXTENSION, END = 13, b"\x2c", b"\x21", b"\x3b"


def gif_blocks(file: BinaryIO) -> Iterator[bool]:
    """For each block, and each part of one, whether a frame is whole behind it; decodes nothing.

    Args:
        file: at its start.

    Raises:
        ValueError: the blocks do not lead to the mark of its end.
    """
    flags = file.read(HEADER)[10]
    _skip_palette(file, flags)
    while (block := file.read(1)) != END:
        if block == IMAGE:
            _skip_palette(file, (file.read(9) or b"\0")[-1])
            file.read(1)
        elif block == EXTENSION:
            file.read(1)
        elif block != b"\0":  # some writers end a block twice
            raise ValueError("it is cut off or damaged after its last whole frame")
        while block != b"\0" and (size := file.read(1)) not in (b"", b"\0"):
            file.seek(size[0], 1)
            yield False
        yield block == IMAGE


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)
