"""Clips: the parts that the video modality registers.

A clip is a uint8 tensor (frame, 3, height, width). Its positions are normalised by its size and its
length, so that every clip spans the same interval on all three axes.
"""

from math import ceil, log2
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core import (
    FramewiseAutoencoder,
    Given,
    Grid,
    LuminaError,
    PatchTokenizer,
    SizeLimits,
    fit_frames,
)
from lumina_video.options import VideoCondition, VideoOptions
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

NUM_CHANNELS = 3
EXTENT = 8.0  # a clip spans [-4, 4] on each axis
MAX_LEVEL = 255
USUAL_FPS = 8.0  # where the feature of the rate is 0

Clip = UInt8[Tensor, "frame 3 height width"]
Fitted = UInt8[Tensor, "frame 3 fitted_height fitted_width"]


def normalised_step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring patches: every clip spans EXTENT on all axes."""
    return EXTENT / frames, EXTENT / rows, EXTENT / columns


class VideoVAE:
    """Clip <-> latent (channels, frames, height / stride, width / stride), frame by frame."""

    def __init__(self, folder: Path) -> None:
        self.autoencoder = FramewiseAutoencoder(folder)

    @property
    def folder(self) -> Path:
        """Where the weights are; a checkpoint takes a copy."""
        return self.autoencoder.folder

    def to(self, device: torch.device) -> "VideoVAE":
        """Use this device from now on."""
        self.autoencoder.to(device)
        return self

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the latent of a clip.

        Raises:
            LuminaError: a side is not a multiple of the stride; names the nearest legal sizes.
        """
        frames, _, height, width = media_shape
        stride = self.autoencoder.stride
        check_multiple(height, width, stride)
        return self.autoencoder.channels, frames, height // stride, width // stride

    def pixels(self, media: Clip) -> Float[Tensor, "frame 3 height width"]:
        """The frames as the autoencoder sees them, in [-1, 1]."""
        return media.float() / MAX_LEVEL * 2 - 1

    def whole_frames(self, count: int) -> int:
        """Frames of the latent that the first `count` frames of a clip decide."""
        return count

    def encode(self, media: Clip) -> Float[Tensor, "channel frame row column"]:
        """The latent of a clip."""
        return self.autoencoder.encode(self.pixels(media))

    def decode(self, latent: Float[Tensor, "channel frame row column"]) -> Clip:
        """The clip of a latent, rounded to whole grey levels."""
        levels = (self.autoencoder.decode(latent) + 1) / 2 * MAX_LEVEL
        return levels.round().clamp(0, MAX_LEVEL).to(torch.uint8).cpu()


class VideoModality:
    """The video modality: its options and its parts."""

    feature_dim = 1

    def __init__(self, options: VideoOptions, vae_folder: Path) -> None:
        self.options = options
        self.vae = VideoVAE(vae_folder)
        self.decoder = VideoDecoder(options.fps)
        self.world = VideoWorld()

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Patches of one or more frames."""
        return PatchTokenizer(self.vae.autoencoder.channels, self.options.patch, normalised_step)

    def media_shape(self, options: VideoOptions) -> tuple[int, ...]:
        """Shape of the clip that `options` ask for.

        Raises:
            LuminaError: a side or the length fits no latent; names the nearest legal ones.
        """
        frames, patch_height, patch_width = self.options.patch
        stride = self.vae.autoencoder.stride
        check_multiple(options.height, options.width, stride * patch_height, stride * patch_width)
        if options.num_frames % frames:
            raise LuminaError("TODO")
        return options.num_frames, NUM_CHANNELS, options.height, options.width

    def features(self, options: VideoOptions, grid: Grid) -> Float[Tensor, "frame 1"]:
        """The rate, in octaves from USUAL_FPS; positions, on which all clips span alike, do not."""
        return torch.full((grid.frames, self.feature_dim), log2(options.fps / USUAL_FPS))

    def read(self, path: Path, options: VideoOptions) -> Clip:
        """The first frames of a file, as many as the options ask for, at their rate.

        Raises:
            LuminaError: the file is missing, broken or no clip.
        """
        return self.decoder.read_at(path, options.fps, options.num_frames)

    def condition(self, wanted: VideoCondition, options: VideoOptions) -> Given:
        """The given first frames, the last of them held to the end, and which cells they fix.

        Raises:
            LuminaError: a file that is no clip, of another size, or longer than the clip to make.
        """
        frames, _, height, width = self.media_shape(options)
        wants = frames if wanted.num_frames is None else wanted.num_frames
        found = self.decoder.read_at(Path(wanted.frames), options.fps, wants + 1)
        if tuple(found.shape[2:]) != (height, width):
            raise LuminaError(
                f"condition.frames={wanted.frames} is {found.shape[3]} x {found.shape[2]} pixels, "
                f"the clip to make {width} x {height}; set modality.width={found.shape[3]} "
                f"modality.height={found.shape[2]}, or scale the file"
            )
        if wanted.num_frames is None and len(found) > frames:
            raise LuminaError(
                f"condition.frames={wanted.frames} has more than the {frames} frames of the clip "
                "to make; set condition.num_frames to how many of them are given, or a larger "
                "modality.frames"
            )
        if wanted.num_frames is not None and len(found) < wanted.num_frames:
            raise LuminaError(
                f"condition.num_frames={wanted.num_frames}, but {wanted.frames} has {len(found)} "
                f"frames at {options.fps} per second"
            )
        given = found[:wants]
        held = given[-1:].expand(frames - len(given), -1, -1, -1)
        canvas = torch.cat([given, held])
        _, latent_frames, rows, columns = self.vae.latent_shape(tuple(canvas.shape))
        known = torch.zeros(latent_frames, rows, columns, dtype=torch.bool)
        known[: self.vae.whole_frames(len(given))] = True
        return Given(canvas, known)

    def fit(self, media: Clip, limits: SizeLimits) -> Fitted:
        """A clip of any size at a legal one; its frames share the limits.

        Raises:
            LuminaError: it is too small or too long.
        """
        frames, height, width = self.options.patch
        if height != width:
            raise LuminaError("files are fitted to square tokens; use a patch with equal sides")
        count = (
            self.vae.latent_shape((len(media), NUM_CHANNELS, self._unit, self._unit))[1] // frames
        )
        if limits.max_tokens < count:
            raise LuminaError(
                f"its {len(media)} frames are more tokens than max_tokens={limits.max_tokens}"
            )
        each = SizeLimits(
            ceil(limits.min_tokens / count), limits.max_tokens // count, limits.max_aspect
        )
        return fit_frames(media, self._unit, each)

    @property
    def _unit(self) -> int:
        """Pixels of a token along a side."""
        return self.vae.autoencoder.stride * self.options.patch[1]


def check_multiple(height: int, width: int, unit: int, width_unit: int | None = None) -> None:
    """Refuse a side that is no multiple of its unit in pixels, naming the nearest legal ones."""
    sides = (("height", height, unit), ("width", width, width_unit or unit))
    for key, size, multiple in sides:
        if size % multiple:
            below = size // multiple * multiple
            legal = f"{below} or {below + multiple}" if below else f"{multiple}"
            raise LuminaError(
                f"modality.{key}={size} is not a multiple of {multiple} pixels; use {legal}"
            )
