"""Clip files: written as MP4, GIF and WebP with the request inside; read from these and more.

MP4 is H.264 in yuv420p, which every browser plays and which keeps colour at half the size; animated
WebP is lossless; GIF has 256 colours and times of whole hundredths of a second. The request stands
in the comment of MP4 and GIF and in the EXIF UserComment of WebP. Files are told by their first
bytes, never by their name: FFmpeg would follow the links of a playlist that calls itself a film.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps, ImageSequence
from PIL.ExifTags import IFD, Base
from torch import Tensor
from torch.nn.functional import pad

from lumina_core import LuminaError, atomic_write
from lumina_video.options import MAX_PIXELS, num_frames

MARK = "lumina "  # begins our comments
EXIF_MARK = b"ASCII\0\0\0"  # EXIF 2.3: eight bytes that name the code, then the comment
QUALITY = "12"  # x264's crf: 0 loses nothing, 18 is said to look like it; docs/log.md
BT709 = 1  # FFmpeg's number of the colour matrix, primaries and transfer that we write
LIMITED = 1  # FFmpeg's number of the range of brightness of ordinary video
PICTURES = ("GIF", "WEBP", "PNG", "JPEG")  # read through Pillow
CONTAINERS = {"mp4": (4, b"ftyp"), "matroska": (0, b"\x1a\x45\xdf\xa3"), "avi": (8, b"AVI ")}
"""FFmpeg's name of a container, and the bytes that tell it, with their place. WebM is Matroska."""
MILLISECONDS, MICROSECONDS = 1e3, 1e6  # in a second; of Pillow and of FFmpeg
GIF_TICK = 10  # milliseconds: the unit of a GIF's times
SLOWEST_GIF_TICKS = 65_535
DEFAULT_DURATION = 0.1  # seconds of a frame whose file names none, as browsers take it
MAX_MISSING = 0.1  # of the duration that a file names, beyond one frame: else it is cut off
NUM_PREVIEW_FRAMES = 5
GAP = 2  # pixels between the frames of a preview
MAX_LEVEL = 255

Clip = UInt8[Tensor, "frame 3 height width"]


class Timed(NamedTuple):
    """A frame of a file as it is to be shown, and for how many seconds."""

    duration: float
    frame: UInt8[Tensor, "3 height width"]


class VideoDecoder:
    """Clip <-> file."""

    suffixes = (".mp4", ".gif", ".webp")
    read_suffixes = (*suffixes, ".webm", ".mkv", ".mov", ".m4v", ".avi", ".png", ".jpg", ".jpeg")

    def __init__(self, fps: float) -> None:
        """Fix the rate of files whose request names none.

        Args:
            fps: frames per second.
        """
        self.fps = fps

    def write(self, media: Clip, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write an MP4, GIF or WebP atomically, by the suffix, the metadata inside.

        Args:
            media: the clip.
            path: its file.
            metadata: the request; the rate is its `options.fps`.

        Raises:
            LuminaError: the suffix is another one, or the format takes no such size or rate.
        """
        save = {".mp4": _save_mp4, ".gif": _save_gif, ".webp": _save_webp}.get(path.suffix.lower())
        if save is None:
            raise LuminaError(
                f"out={path} ends in {path.suffix!r}; clips are written as "
                f"{', '.join(self.suffixes)}"
            )
        fps = metadata.get("options", {}).get("fps", self.fps)
        with _faults(path, "cannot be written"), atomic_write(path) as file:
            save(media, file, fps, MARK + json.dumps(metadata))

    def read(self, path: Path) -> Clip:
        """Read a clip at the rate its request names, else at its mean rate; a picture is a frame.

        Raises:
            LuminaError: no such file, no clip, cut off or damaged, or more than MAX_PIXELS.
        """
        options = (self.read_metadata(path) or {}).get("options", {})
        with _faults(path, "cannot be read as a clip"):
            frames = list(_limited(_frames(path)))
            mean = sum(item.duration for item in frames) / len(frames)
            if not mean and "fps" in options:  # nothing moves, of which WebP makes a picture
                count = num_frames(options.get("frames"), options.get("seconds"), options["fps"])
                return frames[0].frame.repeat(count, 1, 1, 1)
            fps = options.get("fps", 1 / mean if mean else self.fps)
            return torch.stack(list(_held(iter(frames), fps)))

    def read_at(self, path: Path, fps: float, max_frames: int) -> Clip:
        """Read the first frames of a clip at a rate; each moment shows the frame that holds then.

        Args:
            path: of the file, which is read no further than needed.
            fps: frames per second of the result.
            max_frames: of the result; a shorter file gives fewer.

        Raises:
            LuminaError: as `read`.
        """
        with _faults(path, "cannot be read as a clip"):
            return torch.stack(list(islice(_held(_limited(_frames(path)), fps), max_frames)))

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The metadata inside a file, or None where there is none.

        Raises:
            LuminaError: as `read`, or what is there is no JSON.
        """
        with _faults(path, "cannot be read as a clip"):
            text = _comment(path)
        if not text.startswith(MARK):
            return None
        try:
            return json.loads(text.removeprefix(MARK))
        except (ValueError, RecursionError) as error:
            raise LuminaError(f"{path} carries a broken request: {error}") from error

    def preview(self, media: Clip) -> UInt8[Tensor, "3 height width"]:
        """Frames from the first to the last, side by side."""
        count = min(NUM_PREVIEW_FRAMES, len(media))
        picked = np.linspace(0, len(media) - 1, count).round().astype(int)
        padded = pad(media[torch.from_numpy(picked)], (0, GAP), value=MAX_LEVEL)
        return rearrange(padded, "frame rgb height width -> rgb height (frame width)")[..., :-GAP]


def _save_mp4(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    _, _, height, width = media.shape
    for name, size in (("height", height), ("width", width)):
        if size % 2:
            raise LuminaError(
                f"{name}={size} is odd, which MP4 (H.264) does not take; use {size - 1 or 2} or "
                f"{size + 1}, or write a .webp"
            )
    with av.open(file, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = comment
        rate = Fraction(fps).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "medium", "threads": "1"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        for picture in media:
            array = rearrange(picture, "rgb height width -> height width rgb").contiguous().numpy()
            frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _save_gif(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    first, *rest = _images(media)
    times = [round(index * MILLISECONDS / fps / GIF_TICK) for index in range(len(media) + 1)]
    ticks = [after - before for before, after in pairwise(times)]
    if min(ticks) < 1 or max(ticks) > SLOWEST_GIF_TICKS:
        raise LuminaError(
            f"{fps} frames per second are too many or too few for a GIF, which has hundredths of a "
            "second; write an .mp4 or a .webp"
        )
    durations = [tick * GIF_TICK for tick in ticks]
    # equal frames would otherwise be joined, and the clip would lose its length
    first.save(
        file,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=durations if rest else durations[0],
        loop=0,
        comment=comment.encode("ascii"),
        disposal=1,
        optimize=False,
    )


def _save_webp(media: Clip, file: BinaryIO, fps: float, comment: str) -> None:
    first, *rest = _images(media)
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.UserComment] = EXIF_MARK + comment.encode("ascii")
    times = [round(index * MILLISECONDS / fps) for index in range(len(media) + 1)]
    durations = [after - before for before, after in pairwise(times)]
    first.save(
        file,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=durations if rest else durations[0],
        loop=0,
        lossless=True,
        exif=exif,
    )


def _images(media: Clip) -> list[Image.Image]:
    arrays = rearrange(media, "frame rgb height width -> frame height width rgb").contiguous()
    return [Image.fromarray(array) for array in arrays.numpy()]


def _frames(path: Path) -> Iterator[Timed]:
    """The frames of a file, the first at time 0.

    Raises:
        ValueError: it is none of the kinds that are read, or cut off.
    """
    with path.open("rb") as file:
        kind = _container(file)
        yield from _film(file, kind) if kind else _animation(file)


def _container(file: BinaryIO) -> str | None:
    """FFmpeg's name for the container of a file; None for what Pillow may read."""
    head = file.read(16)
    file.seek(0)
    for name, (place, mark) in CONTAINERS.items():
        if head[place : place + len(mark)] == mark:
            return name
    return None


@contextmanager
def _opened(file: BinaryIO, kind: str) -> Iterator[Any]:
    import av

    with av.open(file, "r", format=kind) as container:
        yield container


def _film(file: BinaryIO, kind: str) -> Iterator[Timed]:
    with _opened(file, kind) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures")
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        usual = 1 / float(stream.average_rate or 1)
        times: list[float] = []
        shown = None
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ValueError("a frame is damaged")
            times.append(len(times) * usual if frame.time is None else frame.time)
            if shown is not None:
                yield Timed(times[-1] - times[-2], shown)
            shown = _upright(frame)
        if shown is None:
            raise ValueError("it has no frames")
        yield Timed(usual, shown)
        missing = float(container.duration or 0) / MICROSECONDS - (times[-1] - times[0] + usual)
        is_cut = missing > usual + MAX_MISSING * (times[-1] - times[0])
        if len(times) < stream.frames or (is_cut and kind != "avi"):
            raise ValueError(f"it is cut off after {len(times)} frames")


def _upright(frame: Any) -> UInt8[Tensor, "3 height width"]:
    """A frame of FFmpeg as RGB, turned as its file says."""
    array = frame.to_ndarray(format="rgb24", src_colorspace=frame.colorspace or None)
    turns = round(frame.rotation / 90) % 4
    picture = rearrange(torch.from_numpy(array), "height width rgb -> rgb height width")
    return torch.rot90(picture, turns, (1, 2)).contiguous()


def _animation(file: BinaryIO) -> Iterator[Timed]:
    # what Pillow warns of, we refuse or accept; a filter per call, for tests and hosts reset them
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with Image.open(file, formats=PICTURES) as image:
        is_moving = getattr(image, "n_frames", 1) > 1
        for page in ImageSequence.Iterator(image):
            picture = _as_rgb(ImageOps.exif_transpose(page))  # before that, WebP knows no duration
            duration = page.info.get("duration", 0) / MILLISECONDS
            yield Timed(duration or is_moving * DEFAULT_DURATION, picture)


def _as_rgb(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _limited(frames: Iterator[Timed]) -> Iterator[Timed]:
    """Frames of one size that fit into the memory together.

    Raises:
        ValueError: there is none, they are too many, or their size changes.
    """
    shape, pixels = None, 0
    for item in frames:
        shape = shape or item.frame.shape
        if item.frame.shape != shape:
            raise ValueError("its frames have several sizes")
        pixels += shape[1] * shape[2]
        if pixels > MAX_PIXELS:
            raise ValueError(
                f"it has more than {MAX_PIXELS} pixels in all; cut it or scale it down"
            )
        yield item
    if shape is None:
        raise ValueError("it has no frames")


def _held(frames: Iterator[Timed], fps: float) -> Iterator[UInt8[Tensor, "3 height width"]]:
    """What is shown in the middle of each frame of a constant rate; of a picture, the picture."""
    count, end = 0, 0.0
    shown = None
    for item in frames:
        shown, end = item.frame, end + item.duration
        while (count + 0.5) / fps < end:
            yield shown
            count += 1
    if not count and shown is not None:  # a picture, or less than half a frame
        yield shown


def _comment(path: Path) -> str:
    """The text that a file carries; empty where there is none."""
    with path.open("rb") as file:
        kind = _container(file)
        if kind:
            with _opened(file, kind) as container:
                return container.metadata.get("comment", "")
        with Image.open(file, formats=PICTURES) as image:
            if image.format == "GIF":
                return image.info.get("comment", b"").decode("ascii", "replace")
            comment = image.getexif().get_ifd(IFD.Exif).get(Base.UserComment)
            is_text = isinstance(comment, bytes) and comment.startswith(EXIF_MARK)
            return comment.removeprefix(EXIF_MARK).decode("ascii", "replace") if is_text else ""


@contextmanager
def _faults(path: Path, what: str) -> Iterator[None]:
    """Say what Pillow and FFmpeg meet in a file as one line with the file's name."""
    if what.startswith("cannot be read") and not path.is_file():
        raise LuminaError(f"{path} is no file")
    try:
        yield
    except LuminaError as error:
        if str(path) in str(error) or what != "cannot be written":
            raise
        raise LuminaError(f"{path} {what}: {error}") from error
    except OSError as error:
        if what == "cannot be written" and error.errno:
            raise  # a full disk: whoever asked for the file knows what to do
        raise LuminaError(f"{path} {what}: {_reason(error)}") from error
    except Exception as error:  # a hostile file makes these libraries raise almost anything
        raise LuminaError(f"{path} {what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    return re.sub(r"<_io[^>]*>", "it", text) or type(error).__name__
