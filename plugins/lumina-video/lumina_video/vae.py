"""The VAE of clips: an autoencoder of any known kind, with durations rounded up."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumina_core import VAE, LuminaError
from lumina_core.autoencoder.networks import open_autoencoder
from lumina_core.media.pixels import NUM_COLOURS, check_multiple, levels_of, pixels_of
from lumina_video.temporal import Clip, Latent, Pixels


class VideoVAE(VAE):
    """Clip <-> latent, by an autoencoder of any kind of clips that a plugin brings.

    With t frames of the clip per latent frame, 1 + k t frames have 1 + k latent frames. With p
    latent frames per token, the first one stands alone, too: it fills a token p times, so that one
    frame can be given. A clip whose length is not 1 + k t p is made longer by repeating its last
    frame; `VideoModality.decode` cuts it again.
    """

    def __init__(self, folder: Path, patch_frames: int = 1) -> None:
        """Read nothing yet.

        Args:
            folder: of diffusers.
            patch_frames: latent frames of a token.
        """
        self.folder = folder
        self._patch = patch_frames
        self._device = torch.device("cpu")

    @cached_property
    def autoencoder(self) -> Any:
        """Of the folder, without weights yet."""
        autoencoder = open_autoencoder(self.folder, "clips", "video")
        autoencoder.to(self._device)
        return autoencoder

    def to(self, device: torch.device) -> "VideoVAE":
        """Use this device from now on."""
        self._device = device
        if "autoencoder" in vars(self):
            self.autoencoder.to(device)
        return self

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """As in VAE; the length of a clip is rounded up."""
        frames, _, height, width = media_shape
        stride = self.autoencoder.stride
        check_multiple(height, width, stride)
        tokens = 1 + -(-(frames - 1) // self.frames_per_token)
        return self.autoencoder.channels, tokens * self._patch, height // stride, width // stride

    def known_length(self, num_frames: int) -> int:
        """Latent frames, in whole tokens, that the first `num_frames` of a clip decide."""
        return self._patch * (1 + (num_frames - 1) // self.frames_per_token)

    def num_frames(self, length: int) -> int:
        """Frames of the clip that `length` latent frames hold, in whole tokens."""
        return 1 + (length // self._patch - 1) * self.frames_per_token

    @property
    def frames_per_token(self) -> int:
        """Frames of the clip along a token, but for the first token."""
        return self._patch * self.autoencoder.frame_stride

    def pixels(self, media: Clip) -> Pixels:
        """As in VAE."""
        return pixels_of(media)

    def encode(self, media: Clip) -> Latent:
        """The latent of a clip.

        Raises:
            LuminaError: the weights make latents of another shape than config.json says.
        """
        shape = self.latent_shape(tuple(media.shape))
        missing = self.num_frames(shape[1]) - len(media)
        latent = self.autoencoder.encode(torch.cat([media, *[media[-1:]] * missing]))
        latent = torch.cat([*[latent[:, :1]] * (self._patch - 1), latent], dim=1)
        self._check_shape(latent, shape)
        return latent

    def decode(self, latent: Latent) -> Clip:
        """The clip of a latent, rounded to whole grey levels; never all of it as floats.

        Raises:
            LuminaError: the weights make clips of another shape than config.json says.
        """
        _, length, rows, columns = latent.shape
        chunks = self.autoencoder.decode(latent[:, self._patch - 1 :])
        clip = torch.cat([levels_of(chunk).cpu() for chunk in chunks])
        stride = self.autoencoder.stride
        shape = (self.num_frames(length), NUM_COLOURS, rows * stride, columns * stride)
        self._check_shape(clip, shape)
        return clip

    def _check_shape(self, made: Tensor, wanted: tuple[int, ...]) -> None:
        if tuple(made.shape) != wanted:
            raise LuminaError(
                f"the autoencoder in {self.folder} made {tuple(made.shape)} where its config.json "
                f"promises {wanted}; give a folder whose files belong together"
            )
