"""Samples from a mel spectrogram without a trained model."""

import math

import pytest
import torch

from lumina_audio.griffin_lim import GriffinLim, bin_amplitudes, overlap_add, windows_of
from lumina_audio.mel import MIN_AMPLITUDE, mel_filters
from lumina_audio.options import FrontEnd

RATE = 16_000
FRONT_END = FrontEnd(RATE, 1024, 256, 80, 0.0, 8000.0, "slaney")
ROWS = 63  # about a second
TIME = torch.arange(ROWS * 256) / RATE


def tone(hertz, amplitude=0.4):
    return amplitude * torch.sin(2 * math.pi * hertz * TIME)


def log_mel(samples, front_end):
    amplitudes = windows_of(samples, front_end).abs() @ mel_filters(front_end)
    return amplitudes.clamp(min=MIN_AMPLITUDE).log()


def again(samples, front_end=FRONT_END):
    return GriffinLim(front_end)(log_mel(samples, front_end))


def pitch_of(samples):
    """The strongest frequency, far finer than a percent."""
    spectrum = torch.fft.rfft(samples * torch.hann_window(len(samples)), n=2**19).abs()
    return int(spectrum.argmax()) * RATE / 2**19


@pytest.mark.parametrize("hertz", [150, 220, 440, 1000, 1760, 3000, 5000, 6500])
def test_a_tone_keeps_its_pitch(hertz):
    assert pitch_of(again(tone(hertz))) == pytest.approx(hertz, rel=0.01)


@pytest.mark.parametrize("hertz", [220, 440, 1000, 1760, 3500, 6000])
def test_a_tone_keeps_its_level(hertz):
    made, given = again(tone(hertz)).norm(), tone(hertz).norm()
    assert abs(20 * math.log10(made / given)) < 1


def test_silence_stays_silence():
    silence = torch.full((5, 80), math.log(MIN_AMPLITUDE))
    assert GriffinLim(FRONT_END)(silence).abs().max() < 1e-7


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize(
    "front_end", [FRONT_END, FrontEnd(8000, 400, 160, 20, 50.0, 3000.0, "htk")]
)
def test_there_is_a_hop_of_samples_per_row(rows, front_end):
    made = GriffinLim(front_end)(torch.zeros(rows, front_end.num_mels))
    assert made.shape == (rows * front_end.hop_length,)
    assert made.dtype == torch.float32
    assert made.isfinite().all()


def test_ends_do_not_click():
    made = again(tone(440))
    assert made[:64].abs().max() < 0.6
    assert made[-64:].abs().max() < 0.6


def test_overlap_add_inverts_the_windows():
    samples = torch.randn(20 * 256, generator=torch.Generator().manual_seed(0))
    back = overlap_add(windows_of(samples, FRONT_END), FRONT_END)
    assert torch.allclose(back, samples, atol=1e-5)


def test_amplitudes_have_the_mel_bands_asked_for():
    samples = tone(700) + 0.05 * torch.randn(len(TIME), generator=torch.Generator().manual_seed(0))
    mel = log_mel(samples, FRONT_END)
    found = bin_amplitudes(mel, FRONT_END) @ mel_filters(FRONT_END)
    assert (found - mel.exp()).norm() < 0.01 * mel.exp().norm()


def test_it_is_the_same_each_time_and_draws_nothing():
    state = torch.random.get_rng_state()
    assert torch.equal(again(tone(440)), again(tone(440)))
    assert torch.equal(torch.random.get_rng_state(), state)
