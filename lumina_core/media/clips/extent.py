"""How much a clip or a picture of others holds, found without decoding it.

What a head says of frames need not be so: those of a film and of a GIF are counted.
"""

from pathlib import Path
from typing import NamedTuple

from lumina_core.files.reading import open_regular
from lumina_core.media.clips.gif_blocks import gif_blocks
from lumina_core.media.clips.parts import check_parts, num_until
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
        CrowdedError: a picture of far too many parts.
        Image.DecompressionBombError: one of far too many pixels.
        Exception: it is neither, or damaged.
    """
    with open_regular(path) as file:
        kind = container_of(file)
        if kind is not None:
            with open_film(file, kind) as container:
                stream = video_stream(container)
                seconds = told_end(container, stream) or 0
                packets = (packet for packet in container.demux(stream) if packet.size)
                count = num_until(max_frames, packets)
                return Extent(stream.width, stream.height, count, seconds)
        check_parts(file)
    with opened(path, PICTURES, "no picture") as picture:
        width, height = picture.size
        if picture.format != "GIF":
            is_moving = picture.format in MOVING  # a TIFF of many pages is long looked through
            frames = getattr(picture, "n_frames", 1) if is_moving else 1
            return Extent(width, height, frames, 0)
    with open_regular(path) as file:
        frames = num_until(max_frames, filter(None, gif_blocks(file)))
        return Extent(width, height, frames, 0)
