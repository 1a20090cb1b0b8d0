"""Sounds from files within the limits of a run; the decoder and the world are stand-ins."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

import lumina_audio
from lumina_audio.options import AudioOptions
from lumina_core import LuminaError, SizeLimits

TOKEN = 2 * 2 * 256  # samples: patch, stride and hop
COLUMNS = 4  # tokens per row: 16 bands in cells of 2, patches of 2


class Decoder:
    """Remembers what it was asked for."""

    def __init__(self, sample_rate):
        self.sample_rate = sample_rate

    def read_beginning(self, path, max_samples):
        self.asked = path, max_samples
        return sound(max_samples)


def sound(length):
    return torch.arange(length).remainder(30_000).to(torch.int16)


@pytest.fixture
def modality(monkeypatch, tmp_path):
    """The modality over an autoencoder that is only described."""
    for name, part in (("audio_files", "AudioDecoder"), ("world", "AudioWorld")):
        stand_in = ModuleType(name)
        setattr(stand_in, part, Decoder if name == "audio_files" else object)
        monkeypatch.setitem(sys.modules, f"lumina_audio.{name}", stand_in)
    monkeypatch.setitem(sys.modules, "lumina_audio.audio", None)  # comes back after the test
    monkeypatch.setattr(lumina_audio, "audio", None, raising=False)
    del sys.modules["lumina_audio.audio"]
    config = {"in_channels": 1, "out_channels": 1, "latent_channels": 4}
    config |= {"block_out_channels": [8, 8]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = AudioOptions(
        seconds=0.5,
        sample_rate=16_000,
        n_fft=1024,
        hop_length=256,
        num_mels=16,
        fmin=0.0,
        fmax=8000.0,
        mel_scale="slaney",
        mel_range=(-11.52, 2.5),
        patch=(2, 2),
        vae="demo",
        vocoder="griffin_lim",
    )
    return import_module("lumina_audio.audio").AudioModality(options, tmp_path)


def test_the_stand_ins_measure_tokens_as_the_tests_do(modality):
    assert modality.vae.samples_per_token == TOKEN
    grid = modality.tokenizer.grid(modality.vae.latent_shape((3 * TOKEN,)))
    assert (grid.rows, grid.columns) == (3, COLUMNS)


@pytest.mark.parametrize("length", [1, TOKEN, 3 * TOKEN - 1, 3 * TOKEN])
def test_a_sound_within_the_limits_stays_as_it_is(length, modality):
    assert torch.equal(modality.fit(sound(length), SizeLimits(1, 12, 4.0)), sound(length))


@pytest.mark.parametrize("max_tokens", [12, 13, 15])
def test_a_long_sound_is_cut_after_the_last_whole_token_that_fits(max_tokens, modality):
    fitted = modality.fit(sound(10 * TOKEN + 7), SizeLimits(1, max_tokens, 4.0))
    assert torch.equal(fitted, sound(3 * TOKEN))
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(fitted.shape)))
    assert grid.num_patches == 12


def test_a_short_sound_is_refused_in_words(modality):
    limits = SizeLimits(9, 100, 4.0)
    with pytest.raises(LuminaError, match=r"too short: 0\.128 s hold 8 tokens, .*min_tokens=9$"):
        modality.fit(sound(2 * TOKEN), limits)
    assert len(modality.fit(sound(2 * TOKEN + 1), limits)) == 2 * TOKEN + 1


def test_a_sound_without_samples_is_refused(modality):
    with pytest.raises(LuminaError, match="too short: 0 s hold 0 tokens"):
        modality.fit(sound(0), SizeLimits(1, 100, 4.0))


def test_a_limit_below_one_row_is_refused(modality):
    with pytest.raises(LuminaError, match="a row of its tokens is 4, more than max_tokens=3"):
        modality.fit(sound(TOKEN), SizeLimits(1, 3, 4.0))


def test_a_file_is_read_no_further_than_asked(modality):
    media = modality.read(Path("some.wav"), modality.options)
    assert modality.decoder.asked == (Path("some.wav"), 8000)
    assert len(media) == 8000
