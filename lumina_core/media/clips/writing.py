"""Clips as files: how each kind of file is written, and what it cannot hold.

MP4 is H.264 in yuv420p, which every browser plays and which keeps colour at half the size; animated
WebP is lossless; GIF has 256 colours per frame and times of whole hundredths of a second; a folder
holds a PNG per frame. The request stands in the comment of MP4 and GIF, in the EXIF UserComment of
WebP, and in an iTXt chunk of the first PNG.
"""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lumina_core import LuminaError, atomic_folder, atomic_write
from lumina_core.media.containers import COMMENT_MARK
from lumina_core.media.pictures import as_image, exif_with, text_chunk

QUALITY = "12"  # x264's crf: 0 loses nothing, 18 is said to look like it
X264: dict[str, object] = {
    **{"crf": QUALITY, "preset": "medium", "threads": "1"},
    # without it x264's planning ahead reads memory that nothing wrote, for frames below 64 pixels
    "x264-params": "cpu-independent=1",
}
MAX_DENOMINATOR = 1001  # of a rate: 30000/1001 is what 29.97 stands for
BT709 = 1  # FFmpeg's number of the colour matrix, primaries and transfer that we write
LIMITED = 1  # FFmpeg's number of the range of brightness of ordinary video
MILLISECONDS = 1e3  # in a second
TICKS = 100  # in a second; the unit of a GIF's times
TICK = 10  # milliseconds
MIN_GIF_TICKS = 2  # of a frame; browsers show a shorter one for a tenth of a second
MAX_GIF_TICKS = 65_535  # 16 bits
MAX_WEBP_SIDE = 16_383  # 14 bits
FRAMES = ".frames"

Clip = UInt8[Tensor, "frame 3 height width"]


def write_clip(media: Clip, path: Path, fps: float, comment: str) -> None:
    """Write a file or folder by its suffix, whole or not at all.

    Args:
        media: the clip.
        path: its file; a folder if it ends in `.frames`.
        fps: frames per second.
        comment: with the request, to stand inside.

    Raises:
        LuminaError: the kind of file holds no such clip, or it cannot be written.
    """
    check_kind(path.suffix.lower(), tuple(media.shape), fps)
    if path.suffix.lower() == FRAMES:
        with atomic_folder(path) as folder:
            _save_frames(media, folder, comment.removeprefix(COMMENT_MARK))
        return
    with atomic_write(path) as file:
        _SAVERS[path.suffix.lower()](media, file, fps, comment)


def check_kind(suffix: str, shape: tuple[int, ...], fps: float) -> None:
    """Refuse what a kind of file cannot hold.

    Raises:
        LuminaError: names the nearest that would do.
    """
    sides = {"height": shape[2], "width": shape[3]}
    for name, size in sides.items():
        if suffix == ".mp4" and size % 2:
            nearest = f"{size - 1} or {size + 1}" if size > 1 else "2"
            raise LuminaError(
                f"{name}={size} is odd, which MP4 (H.264) does not take; use {nearest}, or another "
                "kind of file"
            )
        if suffix == ".webp" and size > MAX_WEBP_SIDE:
            raise LuminaError(
                f"{name}={size} is more than the {MAX_WEBP_SIDE} of WebP; make it smaller, or "
                "write an .mp4"
            )
    if suffix == ".gif" and TICKS / fps < MIN_GIF_TICKS:
        raise LuminaError(
            f"fps={fps} is more than the {TICKS / MIN_GIF_TICKS:g} frames per second of a GIF; "
            "write an .mp4 or a .webp"
        )


def _gif_ticks(count: int, fps: float) -> list[int]:
    times = [round(index * TICKS / fps) for index in range(count + 1)]
    return [after - before for before, after in pairwise(times)]


def _save_mp4(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    # by name: FFmpeg reads it again to move the index to the front, and tells of a full disk
    with av.open(f"file:{file.name}", "w", format="mp4", options={"movflags": "faststart"}) as out:
        out.metadata["comment"] = comment
        stream = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(MAX_DENOMINATOR))
        stream.height, stream.width = media.shape[2:]
        stream.pix_fmt = "yuv420p"
        stream.options = X264
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        for image in _images(media):
            frame = av.VideoFrame.from_image(image).reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _save_gif(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    durations = [tick * TICK for tick in _gif_ticks(len(media), fps)]
    try:
        # Pillow joins equal frames and adds their times
        _save_animation(media, file, durations, "GIF", comment=comment.encode("ascii"), disposal=1)
    except (OverflowError, struct.error) as error:  # the latter in older versions of Pillow
        raise LuminaError(
            f"nothing moves for longer than the {MAX_GIF_TICKS / TICKS:g} seconds that a GIF can "
            "show a frame; write an .mp4 or a .webp"
        ) from error


def _save_webp(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    exif = exif_with(comment)
    times = [round(index * MILLISECONDS / fps) for index in range(len(media) + 1)]
    durations = [after - before for before, after in pairwise(times)]
    _save_animation(media, file, durations, "WEBP", lossless=True, exact=True, exif=exif)


def _save_animation(
    media: Clip, file: BinaryIO, durations: list[int], kind: str, **settings: Any
) -> None:
    first, *rest = _images(media)
    if rest:
        settings |= {"append_images": rest, "duration": durations}
    else:
        settings["duration"] = durations[0]
    first.save(file, format=kind, save_all=True, loop=0, **settings)


def _save_frames(media: Clip, folder: Path, request: str) -> None:
    info = text_chunk(request)
    for number, image in enumerate(_images(media), start=1):
        image.save(folder / f"{number:04d}.png", pnginfo=info if number == 1 else None)


def _images(media: Clip) -> Iterator[Image.Image]:
    return map(as_image, media)


_SAVERS: dict[str, Callable[[Clip, BinaryIO, float, str], None]] = {
    ".mp4": _save_mp4,
    ".gif": _save_gif,
    ".webp": _save_webp,
}
SUFFIXES = (*_SAVERS, FRAMES)
