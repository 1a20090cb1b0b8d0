"""Clips: the parts that the video modality registers.

A clip is a uint8 tensor (frame, 3, height, width). Its positions are normalised by its size and its
length, so that every clip spans the same interval on all three axes.
"""

from math import log2
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core import Given, Grid, LuminaError, Modality, PatchTokenizer, SizeLimits, fit_together
from lumina_core.media.fitting import Fitted, square_unit
from lumina_core.media.pixels import NUM_COLOURS, check_multiple
from lumina_video.options import VideoCondition, VideoOptions
from lumina_video.temporal import Clip, Latent
from lumina_video.vae import VideoVAE
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

EXTENT = 8.0  # a clip spans [-4, 4] on each axis
USUAL_FPS = 8.0  # where the feature of the rate is 0


def normalised_step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring patches: every clip spans EXTENT on all axes."""
    return EXTENT / frames, EXTENT / rows, EXTENT / columns


class VideoModality(Modality):
    """The video modality: its options and its parts."""

    feature_dim = 2

    def __init__(self, options: VideoOptions, vae_folder: Path) -> None:
        super().__init__(options)
        self.vae = VideoVAE(vae_folder, options.patch[0])
        self.decoder = VideoDecoder(options.fps)
        self.world = VideoWorld()

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Patches of one or more frames."""
        return PatchTokenizer(self.vae.autoencoder.channels, self.options.patch, normalised_step)

    def media_shape(self, options: VideoOptions) -> tuple[int, ...]:
        """As in Modality."""
        _, patch_height, patch_width = self.options.patch
        stride = self.vae.autoencoder.stride
        check_multiple(options.height, options.width, stride * patch_height, stride * patch_width)
        return options.num_frames, NUM_COLOURS, options.height, options.width

    def decode(self, latent: Latent, options: VideoOptions) -> Clip:
        """The frames that were asked for; a latent may hold more."""
        return self.vae.decode(latent)[: options.num_frames]

    def features(self, options: VideoOptions, grid: Grid) -> Float[Tensor, "frame 2"]:
        """The rate in octaves from USUAL_FPS, and the seconds from the middle of the clip.

        Positions, on which all clips span alike, tell neither.
        """
        places = torch.arange(grid.frames) - (grid.frames - 1) / 2
        seconds = places * self.vae.frames_per_token / options.fps
        return torch.stack([torch.full_like(seconds, log2(options.fps / USUAL_FPS)), seconds], 1)

    def read(self, path: Path, options: VideoOptions) -> Clip:
        """The first frames of a file, as many as the options ask for, at their rate.

        Raises:
            LuminaError: the file is missing, broken or no clip.
        """
        return self.decoder.read_at(path, options.fps, options.num_frames)

    def condition(self, wanted: VideoCondition, options: VideoOptions) -> Given:
        """The given first frames, the last of them held to the end, and which cells they fix.

        Raises:
            LuminaError: a file that is no clip, of another size, longer than the clip to make, or
                of a length that fills no tokens.
        """
        frames = options.num_frames
        given = self._first_frames(wanted, options)
        length = self.vae.known_length(len(given))
        if len(given) == frames:
            known_length = None  # all
        elif self.vae.num_frames(length) == len(given):
            known_length = length
        else:
            raise LuminaError(
                f"{len(given)} frames of {wanted.frames} are given, which end within a token; set "
                f"condition.num_frames={self.vae.num_frames(length)}"
            )
        canvas = torch.cat([given, given[-1:].expand(frames - len(given), -1, -1, -1)])
        _, latent_frames, rows, columns = self.vae.latent_shape(tuple(canvas.shape))
        known = torch.zeros(latent_frames, rows, columns, dtype=torch.bool)
        known[:known_length] = True
        return Given(canvas, known)

    def _first_frames(self, wanted: VideoCondition, options: VideoOptions) -> Clip:
        """The frames that are given, of the size of the clip to make, and no more than it has."""
        frames, _, height, width = self.media_shape(options)
        wants = frames if wanted.num_frames is None else wanted.num_frames
        if wants > frames:
            raise LuminaError(
                f"condition.num_frames={wants} is more than the {frames} frames of the clip to "
                "make; give fewer, or set a larger modality.frames"
            )
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
        return found[:wants]

    def fit(self, media: Clip, limits: SizeLimits) -> Fitted:
        """As in Modality; the frames of a clip share the limits."""
        _, height, width = self.options.patch
        unit = square_unit(self.vae.autoencoder.stride, height, width)
        count = self.vae.latent_shape((len(media), NUM_COLOURS, unit, unit))[1]
        count //= self.options.patch[0]
        return fit_together(media, unit, limits, num_layers=count)
