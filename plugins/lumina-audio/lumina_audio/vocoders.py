"""Vocoders by name: spectrogram to samples.

`griffin_lim` needs no weights. A folder, or a model in the cache of the hub, is one of three kinds,
which its config.json tells: SpeechT5HifiGan and UnivNet of transformers, and BigVGAN as it is
released. Nothing is fetched from here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_audio.options import FrontEnd
from lumina_core import LuminaError, local_folder, nearest, read_json

GRIFFIN_LIM = "griffin_lim"

Mel = Float[Tensor, "time mel"]
Samples = Float[Tensor, "sample"]


@runtime_checkable
class Vocoder(Protocol):
    """Spectrogram to samples."""

    def __call__(self, mel: Mel) -> Samples:
        """Samples in about [-1, 1], hop_length per row of natural logarithms of mel amplitudes."""
        ...

    def to(self, device: torch.device) -> "Vocoder":
        """Use this device from now on; returns itself."""
        ...


class NeuralVocoder:
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
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> "NeuralVocoder":
        """Use this device from now on; returns itself."""
        self._device = device
        self._network.to(device)
        return self

    @torch.no_grad()
    def __call__(self, mel: Mel) -> Samples:
        """Samples of natural logarithms of mel amplitudes, hop_length per row."""
        samples = self._synthesise(mel.to(self._device, torch.float32))
        return samples[: len(mel) * self._hop_length]


def open_vocoder(name: str, front_end: FrontEnd) -> Vocoder:
    """The vocoder that `modality.vocoder` names.

    Raises:
        LuminaError: there is no such vocoder, it cannot be read, or it is for other spectrograms.
    """
    if name == GRIFFIN_LIM:
        from lumina_audio.griffin_lim import GriffinLim

        return GriffinLim(front_end)
    folder = vocoder_folder(name)
    config = read_settings(folder / "config.json")
    kind = _kind(config)
    if kind == "bigvgan":
        from lumina_audio.bigvgan import open_bigvgan

        return open_bigvgan(folder, config, front_end)
    if kind in ("hifigan", "univnet"):
        from lumina_audio.transformers_vocoders import open_hifigan, open_univnet

        return (open_hifigan if kind == "hifigan" else open_univnet)(folder, front_end)
    raise LuminaError(
        f"modality.vocoder={name}: its config.json describes no vocoder that is known; give a "
        f"folder of SpeechT5HifiGan, UnivNet or BigVGAN, or {GRIFFIN_LIM}"
    )


def _kind(config: Mapping[str, Any]) -> str | None:
    """hifigan, univnet, bigvgan or nothing."""
    kinds = {"SpeechT5HifiGan": "hifigan", "UnivNetModel": "univnet"}
    for name in config.get("architectures") or []:
        if name in kinds:
            return kinds[name]
    model_type = str(config.get("model_type"))
    if model_type in ("hifigan", "speecht5_hifigan"):  # before and since 2024
        return "hifigan"
    if model_type == "univnet":
        return "univnet"
    is_bigvgan = {"resblock", "upsample_initial_channel", "snake_logscale"} <= config.keys()
    return "bigvgan" if is_bigvgan else None


def vocoder_folder(name: str) -> Path:
    """The folder that `modality.vocoder` means: itself, or a model in the cache of the hub.

    Raises:
        LuminaError: it is neither.
    """
    try:
        return local_folder(name, download=False)
    except LuminaError as error:
        raise LuminaError(
            f"modality.vocoder={name} is neither {GRIFFIN_LIM} nor a folder nor a model in the "
            f"hub's cache (`hf download ID` puts one there).{nearest(name, [GRIFFIN_LIM])}"
        ) from error


def read_settings(path: Path) -> dict[str, Any]:
    """What a JSON file of a vocoder holds.

    Raises:
        LuminaError: there is none, or it holds no keys.
    """
    try:
        settings = read_json(path)
    except (OSError, ValueError) as error:
        raise unreadable(path.parent, f"{path.name}: {error}") from error
    if not isinstance(settings, dict):
        raise unreadable(path.parent, f"{path.name} holds no keys")
    return settings


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
