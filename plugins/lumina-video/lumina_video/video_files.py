"""Clip files: written as MP4, GIF, WebP and folders of PNG with the request inside; read back.

How each kind is written and how frames are found stands in lumina_core.media.clips; here is what
the core sees, and the constant rate: each moment shows the frame of the file that holds then.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import pad

from lumina_core import Decoder
from lumina_core.media.clips.reading import Timed, comment_of, frames_of, held, is_webp
from lumina_core.media.clips.writing import FRAMES, SUFFIXES, Clip, check_kind, write_clip
from lumina_core.media.containers import comment_with, metadata_in, reading, writing
from lumina_core.media.pixels import MAX_LEVEL
from lumina_video.options import (
    FPS_LIMITS,
    MAX_FRAMES,
    MAX_PIXELS,
    VideoOptions,
    num_frames,
)

NUM_PREVIEW_FRAMES = 5
GAP = 2  # pixels between the frames of a preview


class VideoDecoder(Decoder):
    """Clip <-> file."""

    suffixes = SUFFIXES
    folder_suffixes = (FRAMES,)
    read_suffixes = (*SUFFIXES, ".webm", ".mkv", ".mov", ".m4v", ".qt", ".avi", ".png", ".apng",
                     ".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".heic", ".heif")  # fmt: skip
    has_preview_file = True
    noun = "clips"

    def __init__(self, fps: float) -> None:
        """Fix the rate at which files are read whose request names none.

        Args:
            fps: frames per second.
        """
        self.fps = fps

    def check_format(
        self, suffix: str, media_shape: tuple[int, ...], options: VideoOptions
    ) -> None:
        """As in Decoder: odd sides in MP4, high rates in GIF."""
        check_kind(suffix, media_shape, options.fps)

    def write(
        self, media: Clip, path: Path, metadata: Mapping[str, Any], options: VideoOptions
    ) -> None:
        """Write an MP4, GIF, WebP or a folder of PNG, by the suffix, the metadata inside.


        Raises:
            LuminaError: the suffix is another one, or the format takes no such size or rate.
        """
        self.check_suffix(path)
        with writing(path):
            write_clip(media, path, options.fps, comment_with(metadata))

    def read(self, path: Path) -> Clip:
        """Read a clip at the rate its request names, else at its mean rate; a picture is a frame.

        Raises:
            LuminaError: no such file, no clip, cut off or damaged, or more than MAX_PIXELS or
                MAX_FRAMES.
        """
        frames, fps = self._frames(path, self.fps)
        with reading(path, "a clip", folders=True):
            if fps is None:
                frames = list(_limited(frames, picture=lambda item: item.frame))
                mean = sum(item.duration for item in frames) / len(frames)
                fps = 1 / mean if mean else self.fps
            return torch.stack(list(_limited(held(frames, fps))))

    def read_at(self, path: Path, fps: float, max_frames: int) -> Clip:
        """Read the first frames of a clip at a rate; each moment shows the frame that holds then.

        A folder whose request names no rate has this one: a file is a frame.

        Args:
            path: of the file, which is read no further than needed.
            fps: frames per second of the result.
            max_frames: of the result; a shorter file gives fewer.

        Raises:
            LuminaError: as `read`.
        """
        frames, _ = self._frames(path, fps)
        with reading(path, "a clip", folders=True):
            first = islice(held(frames, fps), max_frames)
            return torch.stack(list(_limited(first, max_frames)))

    def _frames(self, path: Path, folder_fps: float) -> tuple[Iterable[Timed], float | None]:
        """The frames of a file, and the rate that its request names; else a folder has another."""
        fps, count = _told(self.read_metadata(path))
        frames = frames_of(path, fps or folder_fps, MAX_PIXELS)
        with reading(path, "a clip", folders=True):
            if fps is not None and is_webp(path):
                # of a clip in which nothing moves, WebP makes a picture, which has no duration
                frames = (Timed(item.duration or count / fps, item.frame) for item in frames)
        return frames, fps

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """As in Decoder; what is there and no JSON is refused."""
        with reading(path, "a clip", folders=True):
            comment = comment_of(path)
        return metadata_in(comment, path)

    def preview(self, media: Clip, options: object) -> UInt8[Tensor, "3 height total_width"]:
        """Frames from the first to the last, side by side."""
        count = min(NUM_PREVIEW_FRAMES, len(media))
        picked = np.linspace(0, len(media) - 1, count).round().astype(int)
        padded = pad(media[torch.from_numpy(picked)], (0, GAP), value=MAX_LEVEL)
        return rearrange(padded, "frame rgb height width -> rgb height (frame width)")[..., :-GAP]

    def array(self, media: Clip) -> UInt8[np.ndarray, "frame height width 3"]:
        """The clip, its colours last."""
        return rearrange(media, "f rgb height width -> f height width rgb").contiguous().numpy()


def _told(request: dict[str, Any] | None) -> tuple[float | None, int]:
    """Rate and number of frames that a request names; None and 1 unless it names a legal rate."""
    options = (request or {}).get("options")
    if not isinstance(options, dict):
        return None, 1
    fps = _number(options.get("fps"), *FPS_LIMITS)
    if fps is None:
        return None, 1
    frames = _number(options.get("frames"), 1, MAX_FRAMES)
    seconds = _number(options.get("seconds"), 0, MAX_FRAMES / fps)
    return fps, num_frames(frames and int(frames), seconds or None, fps)


def _number(found: Any, low: int | float, high: int | float) -> float | None:
    """A number of a range, else None: JSON may hold anything, NaN and endless digits, too."""
    is_number = isinstance(found, int | float)
    return float(found) if is_number and low <= found <= high else None


def _limited(
    items: Iterable[Any], max_frames: int = MAX_FRAMES, picture: Any = lambda item: item
) -> Iterator[Any]:
    """Items whose pictures fit into the memory together.

    Raises:
        ValueError: they are too many.
    """
    pixels = 0
    for count, item in enumerate(items, start=1):
        if count > max_frames:
            raise ValueError(f"it has more than {max_frames} frames; cut it or lower its rate")
        pixels += picture(item)[0].numel()
        if pixels > MAX_PIXELS:
            raise ValueError(
                f"it has more than {MAX_PIXELS} pixels in all; cut it or scale it down"
            )
        yield item
