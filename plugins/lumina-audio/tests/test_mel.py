"""The log-mel spectrogram, against that of transformers."""

import dataclasses

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from lumina_audio.mel import MIN_AMPLITUDE, log_mel, mel_filters
from lumina_audio.options import FrontEnd

RELEASED = FrontEnd(16_000, 1024, 256, 80, 0.0, 8000.0, "slaney")
FRONT_ENDS = {
    "released": RELEASED,
    "audioldm": dataclasses.replace(RELEASED, hop_length=160, num_mels=64),
    "htk": dataclasses.replace(RELEASED, mel_scale="htk", fmin=20.0),
    "24kHz": FrontEnd(24_000, 1024, 256, 100, 0.0, 12_000.0, "slaney"),
    "odd": FrontEnd(8000, 256, 75, 20, 50.0, 3500.0, "slaney"),
}


def noise(*shape, seed=0):
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference_filters(front_end):
    return mel_filter_bank(
        num_frequency_bins=front_end.n_fft // 2 + 1,
        num_mel_filters=front_end.num_mels,
        min_frequency=front_end.fmin,
        max_frequency=front_end.fmax,
        sampling_rate=front_end.sample_rate,
        norm="slaney",
        mel_scale=front_end.mel_scale,
    )


def reference(samples, front_end):
    missing = front_end.n_fft - front_end.hop_length
    padded = np.pad(samples.double().numpy(), (missing // 2, missing - missing // 2))
    found = spectrogram(
        padded,
        window_function(front_end.n_fft, "hann"),
        frame_length=front_end.n_fft,
        hop_length=front_end.hop_length,
        power=1.0,
        center=False,
        mel_filters=reference_filters(front_end),
        mel_floor=1e-5,
        log_mel="log",
        dtype=np.float64,
    )
    return torch.from_numpy(found.T).float()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_filters_are_those_of_transformers_to_the_bit(name):
    wanted = torch.from_numpy(reference_filters(FRONT_ENDS[name])).float()
    assert torch.equal(mel_filters(FRONT_ENDS[name]), wanted)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_log_mel_equals_that_of_transformers(name):
    front_end = FRONT_ENDS[name]
    samples = noise(12 * front_end.hop_length)
    torch.testing.assert_close(
        log_mel(samples, front_end), reference(samples, front_end), atol=1e-4, rtol=0
    )


def test_a_tone_equals_that_of_transformers_where_it_is_louder_than_float32_is_coarse():
    samples = 0.5 * torch.sin(torch.arange(8192) * (2 * torch.pi * 440 / 16_000))
    ours, wanted = log_mel(samples, RELEASED), reference(samples, RELEASED)
    loud = wanted > wanted.max() - 7  # 60 dB
    assert 0 < int(loud.sum()) < loud.numel()
    torch.testing.assert_close(ours[loud], wanted[loud], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours, wanted, atol=1e-2, rtol=0)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("rest", [0, 1])
def test_there_is_a_row_per_whole_hop(name, rest):
    front_end = FRONT_ENDS[name]
    for hops in (1, 2, 9):
        found = log_mel(noise(hops * front_end.hop_length + rest), front_end)
        assert found.shape == (hops, front_end.num_mels)


def test_a_batch_equals_its_members():
    samples = noise(2, 3, 2048)
    batched = log_mel(samples, RELEASED)
    assert batched.shape == (2, 3, 8, 80)
    for first in range(2):
        for second in range(3):
            single = log_mel(samples[first, second], RELEASED)
            torch.testing.assert_close(batched[first, second], single, atol=1e-5, rtol=0)


def test_silence_is_the_floor_and_loudness_adds_its_logarithm():
    floor = torch.full((4, 80), MIN_AMPLITUDE).log()
    torch.testing.assert_close(log_mel(torch.zeros(1024), RELEASED), floor)
    samples = noise(2048)
    louder = log_mel(3 * samples, RELEASED) - log_mel(samples, RELEASED)
    torch.testing.assert_close(louder, torch.full_like(louder, 3).log(), atol=1e-4, rtol=0)


def test_a_row_shows_the_samples_around_its_hop():
    samples = torch.zeros(16 * 256)
    samples[8 * 256 + 128] = 1
    assert int(log_mel(samples, RELEASED).exp().sum(dim=1).argmax()) == 8


def test_the_gradient_is_that_of_finite_differences():
    front_end = FRONT_ENDS["odd"]
    samples, direction = noise(600), noise(600, seed=1)
    weights = noise(8, 20, seed=2)

    def value(x):
        return (log_mel(x, front_end) * weights).sum()

    samples.requires_grad_()
    (gradient,) = torch.autograd.grad(value(samples), samples)
    step = 1e-3
    with torch.no_grad():
        change = value(samples + step * direction) - value(samples - step * direction)
    torch.testing.assert_close((gradient * direction).sum(), change / (2 * step), rtol=1e-2, atol=0)
