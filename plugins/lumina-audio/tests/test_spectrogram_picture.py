"""The picture of a sound: its axes, and that it shows what is heard."""

import numpy as np
import pytest
import torch

from lumina_audio.spectrogram_picture import (
    COLOURS,
    HEIGHT,
    LEFT,
    TOP,
    WIDTHS,
    pitch_ticks,
    spectrogram_picture,
    time_ticks,
)
from sounds import DECODER, RATE, noise, options, sound, tone


def inside(media, rate=RATE):
    """How light the spectrogram is, without its axes."""
    picture = DECODER.preview(media, options(rate))
    assert picture.dtype == torch.uint8 and picture.shape[0] == 3 and picture.is_contiguous()
    return picture[:, TOP : TOP + HEIGHT, LEFT:-24].sum(0)


def row_of(hertz, rate=RATE):
    return HEIGHT * (1 - np.log(1 + hertz / 700) / np.log(1 + rate / 2 / 700))


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
@pytest.mark.parametrize("hertz", [100, 440, 1000, 3500])
def test_a_tone_stands_at_its_pitch(rate, hertz):
    found = inside(sound(rate, hertz=hertz, rate=rate), rate)
    rows = found[:, found.shape[1] // 4 : -found.shape[1] // 4].float().mean(1)
    assert abs(int(rows.argmax()) + 0.5 - row_of(hertz, rate)) <= 2.5
    assert rows.max() > 500 and rows[: max(1, int(row_of(hertz, rate)) - 40)].max() < 60


@pytest.mark.parametrize("seconds", [0.5, 2, 30])
def test_a_beep_stands_at_its_time(seconds):
    media = torch.zeros(int(seconds * RATE), dtype=torch.int16)
    start = int(0.6 * len(media))
    media[start : start + RATE // 10] = sound(RATE // 10, hertz=1000)
    found = inside(media)
    row = found[int(row_of(1000))]
    light = (row > 450).nonzero()[:, 0].float() / len(row) * seconds
    assert abs(float(light.mean()) - (0.6 * seconds + 0.05)) < max(0.02, seconds / len(row))
    assert 0.04 < float(light.max() - light.min()) + seconds / len(row) < 0.2


def test_a_short_pulse_in_a_long_sound_is_seen():
    media = torch.zeros(600 * RATE, dtype=torch.int16)
    for second in (100, 333, 500):
        media[second * RATE : second * RATE + RATE // 5] = sound(RATE // 5)
    row = inside(media)[int(row_of(440))]
    (groups,) = ((row > 300).int().diff() == 1).nonzero(as_tuple=True)
    assert (groups.float() / len(row) * 600 - torch.tensor([100.0, 333, 500])).abs().max() < 1


def test_soft_sounds_look_soft_and_silence_is_black():
    lightness = [float(inside(sound(RATE, loudness=x)).max()) for x in (0.001, 0.01, 0.1, 1.0)]
    assert lightness == sorted(lightness) and len(set(lightness)) == 4
    assert not inside(torch.zeros(RATE, dtype=torch.int16)).any()
    assert abs(lightness[-1] - COLOURS[-1].sum()) <= 3


def test_noise_is_everywhere():
    assert (inside(noise(RATE)) > 150).float().mean() > 0.9


@pytest.mark.parametrize("samples", [1, 2, 100, 8000, 3 * RATE, 60 * RATE])
def test_pictures_grow_with_the_duration_between_limits(samples):
    found = inside(sound(samples))
    width = min(max(round(samples / RATE * 160), WIDTHS[0]), WIDTHS[1])
    assert found.shape == (HEIGHT, width)


@pytest.mark.parametrize("samples", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("rate", [1000, 192_000])
def test_the_shortest_sounds_have_a_picture(samples, rate):
    extreme = torch.full((samples,), -32_768, dtype=torch.int16)
    assert inside(extreme, rate).any()


def test_axes_have_marks_of_1_2_and_5():
    assert time_ticks(2.5, 5) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert time_ticks(60.0, 20) == [5 * number for number in range(13)]
    assert time_ticks(0.5, 5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert pitch_ticks(8000.0) == [0, 100, 200, 500, 1000, 2000, 5000]
    for seconds in (1 / 192_000, 1e-3, 0.49, 1.0, 3.7, 1800.0, 3600.0):
        for count in (5, 25):
            ticks = time_ticks(seconds, count)
            assert 2 <= len(ticks) <= count + 1 and ticks[-1] <= seconds * (1 + 1e-6)
            assert len(ticks) > count / 2.6


def test_labels_are_drawn_at_both_axes():
    picture = DECODER.preview(sound(2 * RATE), options())
    paper = (picture == 255).all(0)
    assert not paper[TOP : TOP + HEIGHT, :50].all() and not paper[TOP + HEIGHT + 8 :, LEFT:].all()


def test_colours_grow_lighter():
    light = COLOURS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > 10).all() and COLOURS[0].sum() == 0


def test_the_picture_of_a_sound_does_not_change_it():
    samples = np.round(32_767 * tone(5000)).astype(np.int16)
    before = samples.copy()
    assert np.array_equal(spectrogram_picture(samples, RATE), spectrogram_picture(before, RATE))
    assert np.array_equal(samples, before)
