"""Clips: the parts that the video modality registers.

A clip is a uint8 tensor (frame, 3, height, width). Its positions are normalised by its size and its
length, so that every clip spans the same interval on all three axes.
"""

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core import FramewiseAutoencoder, LuminaError, PatchTokenizer, SizeLimits
from lumina_video.options import VideoOptions
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

NUM_CHANNELS = 3
EXTENT = 8.0  # a clip spans [-4, 4] on each axis
MAX_LEVEL = 255

Clip = UInt8[Tensor, "frame 3 height width"]


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

    def encode(self, media: Clip) -> Float[Tensor, "channel frame row column"]:
        """The latent of a clip."""
        return self.autoencoder.encode(self.pixels(media))

    def decode(self, latent: Float[Tensor, "channel frame row column"]) -> Clip:
        """The clip of a latent, rounded to whole grey levels."""
        levels = (self.autoencoder.decode(latent) + 1) / 2 * MAX_LEVEL
        return levels.round().clamp(0, MAX_LEVEL).to(torch.uint8).cpu()


class VideoModality:
    """The video modality: its options and its parts."""

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

    def fit(self, media: Clip, limits: SizeLimits) -> Clip:
        """A clip of any size at a legal one.

        Raises:
            LuminaError: it is too small or too long.
        """
        raise NotImplementedError


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
