"""Vocoders by name: spectrogram to samples."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_audio.options import FrontEnd


class Vocoder(Protocol):
    """Spectrogram to samples."""

    def __call__(self, mel: Float[Tensor, "time mel"]) -> Float[Tensor, "sample"]:
        """Samples in about [-1, 1], hop_length per row of natural logarithms of mel amplitudes."""
        ...

    def to(self, device: torch.device) -> "Vocoder":
        """Use this device from now on; returns itself."""
        ...


def open_vocoder(name: str, front_end: FrontEnd) -> Vocoder:
    """The vocoder that `modality.vocoder` names."""
    if name == "griffin_lim":
        from lumina_audio.griffin_lim import GriffinLim

        return GriffinLim(front_end)
    raise NotImplementedError
