"""What every vocoder is, and what those that are networks share: their folders and their calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_audio.options import FrontEnd
from lumina_core import LuminaError, read_json, reason_of

GRIFFIN_LIM = "griffin_lim"

Mel = Float[Tensor, "time mel"]
Samples = Float[Tensor, "sample"]


class Vocoder(ABC):
    """Spectrogram to samples."""

    _device = torch.device("cpu")

    @abstractmethod
    def __call__(self, mel: Mel) -> Samples:
        """Samples in about [-1, 1], hop_length per row of natural logarithms of mel amplitudes."""

    def to(self, device: torch.device) -> "Vocoder":
        """Use this device from now on; returns itself."""
        self._device = device
        return self


class NeuralVocoder(Vocoder):
    """A network, and how it is fed."""

    def __init__(
        self, network: torch.nn.Module, hop_length: int, synthesise: Callable[[Mel], Samples]
    ) -> None:
        """Freeze the network.

        Args:
            network: with its weights.
            hop_length: samples per row.
            synthesise: calls the network with a spectrogram on its device; may give a few samples
                more than it should.
        """
        self._network = network.float().eval().requires_grad_(False)
        self._hop_length = hop_length
        self._synthesise = synthesise

    def to(self, device: torch.device) -> Vocoder:
        """As in Vocoder."""
        self._network.to(device)
        return super().to(device)

    @torch.no_grad()
    def __call__(self, mel: Mel) -> Samples:
        """As in Vocoder."""
        samples = self._synthesise(mel.to(self._device, torch.float32))
        return samples[: len(mel) * self._hop_length]


def read_settings(path: Path) -> dict[str, Any]:
    """What a JSON file of a vocoder holds.

    Raises:
        LuminaError: as `unreadable` says.
    """
    try:
        settings = read_json(path)
    except (OSError, ValueError) as error:
        raise unreadable(path.parent, f"{path.name}: {error}") from error
    if not isinstance(settings, dict):
        raise unreadable(path.parent, f"{path.name} holds no keys")
    return settings


@contextmanager
def opening(folder: Path, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Refuse the folder of a vocoder for what is raised inside.

    Args:
        folder: of the vocoder.
        kinds: of exceptions; unless given all, whatever a library meets there.
    """
    try:
        yield
    except kinds as error:
        raise unreadable(folder, reason_of(error)) from error


def unreadable(folder: Path, reason: str) -> LuminaError:
    """What to raise where a folder is no whole vocoder."""
    return LuminaError(
        f"modality.vocoder={folder} cannot be read: {reason}; give another folder or {GRIFFIN_LIM}"
    )


def check_front_end(folder: Path, made_for: Mapping[str, Any], front_end: FrontEnd) -> None:
    """Refuse a vocoder that is for other spectrograms.

    Args:
        folder: of the vocoder.
        made_for: what it says about them, by names of FrontEnd.
        front_end: ours.

    Raises:
        LuminaError: one of them differs.
    """
    for key, value in made_for.items():
        ours = getattr(front_end, key)
        if value != ours:
            raise LuminaError(
                f"modality.vocoder={folder} is for {key}={value}, and modality.{key} is {ours}; "
                f"use a vocoder for {key}={ours}, or {GRIFFIN_LIM}, which fits every spectrogram"
            )
