"""What the VAEs of sounds share: those of spectrograms and those of waveforms."""

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from lumina_audio.autoencoders import open_sound_autoencoder
from lumina_audio.options import AudioOptions
from lumina_audio.samples import Samples, Sound, sound_of
from lumina_core import VAE

Latent = Float[Tensor, "latent 1 row column"]


class SoundVAE(VAE):
    """Sound <-> latent; a duration is rounded up to whole tokens."""

    time_dim: ClassVar[int]
    """Axis of the latent along which time runs."""

    def __init__(self, folder: Path, options: AudioOptions) -> None:
        """Read nothing yet.

        Args:
            folder: of the autoencoder.
            options: of them, what a checkpoint fixes, and what a request leaves open.
        """
        self.folder = folder
        self._options = options
        self._device = torch.device("cpu")

    @cached_property
    def autoencoder(self) -> Any:
        """What its folder holds; its weights wait for their use."""
        return open_sound_autoencoder(self.folder).to(self._device)

    def to(self, device: torch.device) -> "SoundVAE":
        """As in VAE."""
        self._device = device
        if "autoencoder" in vars(self):
            self.autoencoder.to(device)
        return self

    @property
    @abstractmethod
    def samples_per_cell(self) -> int:
        """Samples along a cell of the latent, along time."""

    @property
    def samples_per_token(self) -> int:
        """Samples along a token."""
        return self.samples_per_cell * self._options.patch[self.time_dim - 2]

    @abstractmethod
    def sizes(self, cells: int) -> tuple[int, int]:
        """Rows and columns of a latent with so many cells along time.

        Raises:
            LuminaError: the options have no such latent.
        """

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """As in VAE.

        Raises:
            LuminaError: as `sizes`.
        """
        tokens = -(-media_shape[-1] // self.samples_per_token)
        rows, columns = self.sizes(tokens * self._options.patch[self.time_dim - 2])
        return self.autoencoder.channels, 1, rows, columns

    @abstractmethod
    def check(self, options: AudioOptions) -> None:
        """Refuse options of which no sound can be made.

        Raises:
            LuminaError: says which.
        """

    @abstractmethod
    def seen(self, media: Sound) -> Tensor:
        """A sound of whole tokens as the autoencoder takes it."""

    @abstractmethod
    def heard(self, made: Tensor, options: AudioOptions) -> Samples:
        """The samples of what the autoencoder makes of a latent."""

    def encode(self, media: Sound) -> Latent:
        """The latent of a sound and of the silence that fills its last token."""
        missing = -media.shape[-1] % self.samples_per_token
        return self.autoencoder.encode(self.seen(pad(media, (0, missing))))

    def decode(self, latent: Latent, options: AudioOptions | None = None) -> Sound:
        """The sound of a latent, softer where it would be cut off: see `sound_of`.

        Args:
            latent: of `encode`.
            options: vocoder, duration and format; None: those of the VAE, but all samples.
        """
        asked = options or self._options
        samples = self.heard(self.autoencoder.decode(latent), asked)
        return sound_of(samples[..., : options and options.num_samples], asked.sample_format)
