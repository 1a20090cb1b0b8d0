"""How much a clip or a picture of others holds, found without decoding it.

What a head says of frames need not be so: those of a film and of a GIF are counted.
"""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.files.reading import open_regular
from lumina_core.media.clips.gif_blocks import gif_images
from lumina_core.media.clips.reading import MOVING, container_of, open_film, told_end, video_stream
from lumina_core.media.pictures import opened

PICTURES = ("PNG", "WEBP", "JPEG", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""Pillow's names of the pictures that are looked at."""


class Extent(NamedTuple):
    """How much a file holds."""

    width: int
    height: int
    frames: int
    seconds: float
    """As it says itself; 0 where it does not."""


def extent_of(path: Path, max_frames: int) -> Extent:
    """How much a film or a picture holds.

    Args:
        path: of the file.
        max_frames: behind which no more are counted.

    Raises:
        Image.DecompressionBombError: a picture of far too many pixels.
        Exception: it is neither, or damaged.
    """
    with open_regular(path) as file:
        kind = container_of(file)
        if kind is not None:
            with open_film(file, kind) as container:
                stream = video_stream(container)
                seconds = told_end(container, stream) or 0
                packets = (packet for packet in container.demux(stream) if packet.size)
                count = _num(packets, max_frames)
                return Extent(stream.width, stream.height, count, seconds)
    with opened(path, PICTURES, "no picture") as picture:
        width, height = picture.size
        if picture.format != "GIF":
            is_moving = picture.format in MOVING  # a TIFF of many pages is long looked through
            frames = getattr(picture, "n_frames", 1) if is_moving else 1
            return Extent(width, height, frames, 0)
    with open_regular(path) as file:
        return Extent(width, height, _num(gif_images(file), max_frames), 0)


def _num(items: Iterable[Any], most: int) -> int:
    """How many there are: at most one more than `most`, and none behind a damage."""
    count = 0
    with suppress(Exception):
        for _ in islice(items, most + 1):
            count += 1
    return count
