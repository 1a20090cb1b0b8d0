"""The frames of clip files, one after the other, each with the time for which it is shown.

Files are told by their first bytes, never by their name: FFmpeg would follow the links of a
playlist that calls itself a film. Films (MP4, MOV, WebM, Matroska, AVI) go through PyAV, everything
else through Pillow; a folder holds a PNG per frame. Frames are upright, transparency is shown over
white, sound is left alone. Pixels that are not square are not stretched.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageSequence
from torch import Tensor

from lumina_core.files.reading import open_regular
from lumina_core.media.clips.gif_blocks import gif_blocks
from lumina_core.media.clips.orientation import orientation_of, oriented
from lumina_core.media.clips.writing import MILLISECONDS
from lumina_core.media.pictures import as_rgb, comment_in, opened
from lumina_core.media.pixels import MAX_LEVEL

PICTURES = ("GIF", "WEBP", "PNG", "JPEG", "AVIF", "HEIF")  # through Pillow, where it has them
FOLDER_PICTURES = ("PNG",)  # the frames of a folder
MOVING = ("GIF", "WEBP", "PNG", "AVIF")  # a JPEG may hold further pictures, which are no frames
CONTAINERS = {
    "mp4": (4, (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    "matroska": (0, (b"\x1a\x45\xdf\xa3",)),
    "avi": (8, (b"AVI ",)),
}
"""FFmpeg's name of a container, and where its first bytes tell it. WebM is Matroska, MOV is MP4."""
PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")  # an MP4 that is none

KINDS = "MP4, WebM, Matroska, MOV, AVI, GIF, WebP, PNG, JPEG, AVIF"  # as users know them

MICROSECONDS = 1e6  # in a second
DEFAULT_DURATION = 0.1  # seconds of a frame whose file names none, as browsers take it
SHORT_DURATION, SHORT_KINDS = 0.01, ("GIF", "PNG")
"""Seconds that count as none, as in browsers; but a WebP of ours may hold 240 frames a second."""

MAX_MISSING = 0.1  # of the duration that a file names, beyond one frame: else it is cut off
SIGNATURE_BYTES = 16
FRAME_NAME = re.compile(r"(\d+)\.png")


class Timed(NamedTuple):
    """A frame of a file as it is to be shown, and for how many seconds; 0 for a picture."""

    duration: float
    frame: UInt8[Tensor, "3 height width"]


def frames_of(path: Path, folder_fps: float, max_pixels: int) -> Iterator[Timed]:
    """The frames of a file or folder, the first at time 0, all of one size.

    Args:
        path: of the file or folder.
        folder_fps: frames per second of a folder, which does not say it.
        max_pixels: of a frame of a film; what Pillow reads has its own limit.

    Raises:
        ValueError: it is none of the kinds that are read, cut off, empty, or of several sizes.
        Exception: whatever FFmpeg and Pillow raise for a file that is damaged.
    """
    shape = None
    for item in _any_frames(path, folder_fps, max_pixels):
        shape = shape or item.frame.shape
        if item.frame.shape != shape:
            raise ValueError("its frames have several sizes")
        yield item
    if shape is None:
        raise ValueError("it has no frames")


def held(frames: Iterable[Timed], fps: float) -> Iterator[UInt8[Tensor, "3 height width"]]:
    """What is shown in the middle of each frame of a constant rate; of a picture, the picture.

    Args:
        frames: of a file.
        fps: frames per second of the result.
    """
    count, end = 0, 0.0
    shown = None
    for item in frames:
        shown, end = item.frame, end + item.duration
        while (count + 0.5) / fps < end:
            yield shown
            count += 1
    if not count and shown is not None:  # a picture, or less than half a frame
        yield shown


def comment_of(path: Path) -> str:
    """The text that a file or folder carries; empty where there is none.

    Raises:
        Exception: as `frames_of`.
    """
    if path.is_dir():
        with _picture(_frame_files(path)[0], FOLDER_PICTURES) as image:
            return _comment_inside(image)
    with open_regular(path) as file:
        kind = container_of(file)
        if kind:
            with open_film(file, kind) as container:
                return container.metadata.get("comment", "")
    with _picture(path, PICTURES) as image:
        return _comment_inside(image)


def is_webp(path: Path) -> bool:
    """Whether a file says that it is WebP."""
    if path.is_dir():
        return False
    with open_regular(path) as file:
        return file.read(SIGNATURE_BYTES)[8:12] == b"WEBP"


def _any_frames(path: Path, folder_fps: float, max_pixels: int) -> Iterator[Timed]:
    if path.is_dir():
        for frame_path in _frame_files(path):
            for page in _pictures(frame_path, FOLDER_PICTURES):
                yield Timed(1 / folder_fps, page.frame)
        return
    with open_regular(path) as file:
        kind = container_of(file)
    yield from _film(path, kind, max_pixels) if kind else _pictures(path, PICTURES)


def _frame_files(folder: Path) -> list[Path]:
    """The frames of a folder in their order.

    Raises:
        ValueError: there is none, one is missing, or there is something else.
    """
    numbered = {}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        number = FRAME_NAME.fullmatch(path.name)
        if number is None or not path.is_file() or int(number[1]) in numbered:
            raise ValueError(f"{path.name!r} in it is no frame; they are 0001.png and so on")
        numbered[int(number[1])] = path
    if not numbered:
        raise ValueError("it is a folder without frames, which are 0001.png and so on")
    order = sorted(numbered)
    missing = next((a + 1 for a, b in pairwise(order) if b != a + 1), None)
    if missing is not None:
        raise ValueError(f"frame {missing:04d}.png is missing")
    return [numbered[number] for number in order]


def container_of(file: BinaryIO) -> str | None:
    """FFmpeg's name for the container of a file, from its start; None for what Pillow may read."""
    head = file.read(SIGNATURE_BYTES)
    file.seek(0)
    if head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS:
        return None
    for name, (place, marks) in CONTAINERS.items():
        if head[place : place + 4] in marks:
            return name
    return None


@contextmanager
def open_film(file: BinaryIO, kind: str) -> Iterator[Any]:
    """A film of a container that `container_of` tells, as PyAV has it."""
    import av

    with av.open(file, "r", format=kind, metadata_errors="replace") as container:
        yield container


def _film(path: Path, kind: str, max_pixels: int) -> Iterator[Timed]:
    with open_regular(path) as file, open_film(file, kind) as container:
        stream = video_stream(container)
        limits = {"err_detect": "explode", "max_pixels": str(max_pixels)}
        stream.codec_context.options = limits
        usual = 1 / float(stream.average_rate or 1)
        times: list[float] = []
        shown = None
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ValueError("a frame is damaged")
            times.append(len(times) * usual if frame.time is None else frame.time)
            if shown is not None:
                yield Timed(max(0.0, times[-1] - times[-2]), shown)
            shown = _upright(frame)
            last = float(frame.duration * frame.time_base) if frame.duration else usual
        if shown is None:
            raise ValueError("it has no frames")
        yield Timed(last, shown)
        end = times[-1] + last
        if kind == "mp4":
            _check_mp4_end(stream, path.stat().st_size)
        wanted = told_end(container, stream)
        if wanted is not None and wanted - end > usual + MAX_MISSING * wanted:
            raise ValueError(f"it is cut off after {end:.3g} of {wanted:.3g} seconds")


def _check_mp4_end(stream: Any, num_bytes: int) -> None:
    """Refuse an MP4 that is shorter than its table of frames says.

    The frames that were shown prove nothing: an edit list hides some, as trimming without encoding
    leaves them in the file.

    Raises:
        ValueError: frames lie beyond its end.
    """
    table = stream.index_entries
    num_whole = sum(entry.pos + entry.size <= num_bytes for entry in table)
    if num_whole < len(table):
        raise ValueError(f"it is cut off after {num_whole} of {len(table)} frames")


def video_stream(container: Any) -> Any:
    """The first stream of pictures that is no cover of a record."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ValueError("it has sound at best, and no pictures")


def told_end(container: Any, stream: Any) -> float | None:
    """When the pictures end, in seconds, as far as the file says it and not of its sound."""
    if stream.duration:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    told = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "").strip("\0"))
    if told:
        hours, minutes, seconds = (float(part) for part in told.groups())
        return (hours * 60 + minutes) * 60 + seconds
    is_alone = len(container.streams) == 1
    return container.duration / MICROSECONDS if is_alone and container.duration else None


def _upright(frame: Any) -> UInt8[Tensor, "3 height width"]:
    """A frame of FFmpeg as RGB, turned and mirrored as its file says."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    kind = "rgba" if has_alpha else "rgb24"
    array = frame.to_ndarray(format=kind, src_colorspace=frame.colorspace or None)
    if has_alpha:
        opacity = array[..., 3:] / MAX_LEVEL
        over = array[..., :3] * opacity + MAX_LEVEL * (1 - opacity)
        array = over.round().astype(np.uint8)
    picture = rearrange(torch.from_numpy(array), "height width rgb -> rgb height width")
    return oriented(picture, orientation_of(frame))


def _picture(path: Path, kinds: tuple[str, ...]) -> AbstractContextManager[Image.Image]:
    """A file of Pillow; a frame of a folder is called by its name."""
    if kinds == FOLDER_PICTURES:
        return opened(path, kinds, "broken, or no PNG", f"{path.name!r} in it")
    return opened(path, kinds, f"broken, or none of {KINDS}")


def _pictures(path: Path, kinds: tuple[str, ...]) -> Iterator[Timed]:
    with _picture(path, kinds) as image:
        if image.format not in MOVING or not getattr(image, "is_animated", False):
            moving = image.format in MOVING
            picture = as_rgb(image)
            yield Timed(image.info.get("duration", 0) / MILLISECONDS if moving else 0.0, picture)
        else:
            for number, page in enumerate(ImageSequence.Iterator(image)):
                if number == 0 and getattr(image, "default_image", False):
                    continue  # of a PNG: stands in for the animation where none is shown
                picture = as_rgb(page)  # before the pixels are read, WebP knows no duration
                yield Timed(_duration(page), picture)
        if image.format == "GIF":
            _check_gif_end(path)


def _duration(page: Image.Image) -> float:
    duration = page.info.get("duration", 0) / MILLISECONDS
    least = SHORT_DURATION if page.format in SHORT_KINDS else 0.0
    return duration if duration > least else DEFAULT_DURATION


def _check_gif_end(path: Path) -> None:
    """Refuse a GIF that breaks off between two frames, which Pillow takes for its end.

    Raises:
        ValueError: as `gif_blocks`.
    """
    with open_regular(path) as file:
        for _ in gif_blocks(file):
            pass


def _comment_inside(image: Image.Image) -> str:
    if image.format == "GIF":
        return image.info.get("comment", b"").decode("ascii", "replace")
    return comment_in(image)
