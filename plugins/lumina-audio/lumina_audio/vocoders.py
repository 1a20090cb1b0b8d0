"""Vocoders by name: spectrogram to samples.

`griffin_lim` needs no weights. A folder, or a model in the cache of the hub, is one of three kinds,
which its config.json tells: SpeechT5HifiGan and UnivNet of transformers, and BigVGAN as it is
released. Nothing is fetched from here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_audio.neural_vocoder import GRIFFIN_LIM, Vocoder, read_settings
from lumina_audio.options import FrontEnd
from lumina_core import LuminaError, local_folder, nearest


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
