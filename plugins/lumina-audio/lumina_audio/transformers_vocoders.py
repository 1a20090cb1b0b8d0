"""The vocoders of transformers: SpeechT5HifiGan and UnivNet, from their folders.

Their config.json does not tell which logarithm a SpeechT5HifiGan expects. Released ones that
normalise what they get (`normalize_before`) are of SpeechT5, whose features are decadic
(SpeechT5FeatureExtractor: log10); those that do not are of AudioLDM, whose autoencoder gives them
natural logarithms as they are. So `normalize_before` decides.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad

from lumina_audio.mel import MIN_AMPLITUDE
from lumina_audio.neural_vocoder import (
    Mel,
    NeuralVocoder,
    Samples,
    check_front_end,
    opening,
    read_settings,
    unreadable,
)
from lumina_audio.options import FrontEnd
from lumina_core import built_within, quiet

SILENT_ROWS = 10  # behind a spectrogram for UnivNet; pad_end_length of its feature extractor
NOISE_SEED = 0


def open_hifigan(folder: Path, front_end: FrontEnd) -> NeuralVocoder:
    """A SpeechT5HifiGan (HiFi-GAN, arXiv 2010.05646); refused as in `open_vocoder`."""
    from transformers import SpeechT5HifiGan

    config = _read_config(SpeechT5HifiGan, folder)
    made_for = {
        "sample_rate": config.sampling_rate,
        "hop_length": math.prod(config.upsample_rates),
        "num_mels": config.model_in_dim,
    }
    check_front_end(folder, made_for, front_end)
    model = _read_model(SpeechT5HifiGan, folder)
    unit = math.log(10) if config.normalize_before else 1.0
    return NeuralVocoder(model, front_end.hop_length, lambda mel: model(mel / unit))


def open_univnet(folder: Path, front_end: FrontEnd) -> NeuralVocoder:
    """A UnivNet (arXiv 2106.07889), its noise the same at each call; refused as the other."""
    from transformers import UnivNetFeatureExtractor, UnivNetModel

    config = _read_config(UnivNetModel, folder)
    settings = read_settings(folder / "preprocessor_config.json")
    with opening(folder):
        features = UnivNetFeatureExtractor(**settings)
        gain = math.log(features.compression_factor)
    made_for = {
        "sample_rate": features.sampling_rate,
        "n_fft": features.n_fft,
        "hop_length": math.prod(config.resblock_stride_sizes),
        "num_mels": config.num_mel_bins,
        "fmin": features.fmin,
        "fmax": features.fmax,
        "mel_scale": "slaney",
    }
    check_front_end(folder, made_for, front_end)
    model = _read_model(UnivNetModel, folder)

    def synthesise(mel: Mel) -> Samples:
        longer = pad(mel, (0, 0, 0, SILENT_ROWS), value=math.log(MIN_AMPLITUDE)) + gain
        given = features.normalize(longer) if features.do_normalize else longer
        generator = torch.Generator().manual_seed(NOISE_SEED)
        noise = torch.randn(len(given), config.model_in_channels, generator=generator)
        return model(given, noise_sequence=noise.to(given.device)).waveforms[0]

    return NeuralVocoder(model, front_end.hop_length, synthesise)


def _read_config(kind: Any, folder: Path) -> Any:
    with opening(folder):
        return kind.config_class.from_dict(read_settings(folder / "config.json"))


def _read_model(kind: Any, folder: Path) -> Any:
    """The model in a folder, strictly; safetensors only."""
    from transformers.utils import logging

    with opening(folder), quiet(logging), built_within(folder.glob("*.safetensors")):
        model, report = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if wrong:
        raise unreadable(folder, f"its weights do not fit its config.json ({wrong[0]})")
    return model
