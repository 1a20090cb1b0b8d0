"""A picture of a sound: time from left to right, pitch upwards, seconds and Hz at the axes.

Pitch stands on the mel scale, on which low tones have more room than high ones. Colours are
decibels below a tone of full scale, the same for every sound, so that soft ones look soft.
"""

from math import ceil, floor, log10

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

HEIGHT = 256  # pixels of the spectrogram
WIDTHS = (320, 1600)  # pixels, at least and at most
PIXELS_PER_SECOND = 160
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 24, 40  # pixels around it
TICK = 5  # pixels
FONT_SIZE = 13  # pixels
TICK_SPACES = (64, 20)  # pixels between two labels, at least: along time, along pitch
INK, PAPER = (40, 40, 40), (255, 255, 255)

WINDOW_SECONDS = 0.064  # keeps pulses apart in time, and the tones of a chord in pitch
FINER = 4  # times more bins than a window has, so that nearly every row has its own
MAX_LOOKS = 8  # windows that a column of a long sound shows the loudest of
FLOOR = -80.0  # decibels that are black
FULL_SCALE = 32_768
BATCH = 64  # columns at once

COLOURS = np.array(
    [(0, 0, 0), (38, 16, 92), (124, 28, 112), (212, 66, 68), (250, 164, 44), (255, 250, 220)]
)
"""From FLOOR to full scale, in equal steps; each is lighter than the one before."""


def spectrogram_picture(
    samples: Shaped[np.ndarray, "*channel sample"], sample_rate: int
) -> UInt8[np.ndarray, "3 height width"]:
    """The spectrogram of a sound, with its axes; of stereo the louder side of each place.

    Args:
        samples: one or more; 16 bits, or floats in [-1, 1].
        sample_rate: Hz.
    """
    if samples.dtype.kind == "f":
        samples = samples * FULL_SCALE
    channels = samples.reshape(-1, samples.shape[-1])
    seconds = samples.shape[-1] / sample_rate
    width = int(np.clip(round(seconds * PIXELS_PER_SECOND), *WIDTHS))
    levels = np.max([_levels(channel, sample_rate, width) for channel in channels], axis=0)
    steps = np.linspace(0, 1, len(COLOURS))
    pixels = np.stack([np.interp(levels, steps, channel) for channel in COLOURS.T], axis=-1)
    image = Image.new("RGB", (LEFT + width + RIGHT, TOP + HEIGHT + BOTTOM), PAPER)
    image.paste(Image.fromarray(pixels.round().astype(np.uint8)), (LEFT, TOP))
    _draw_axes(ImageDraw.Draw(image), width, seconds, sample_rate / 2)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _levels(
    samples: Shaped[np.ndarray, "sample"], sample_rate: int, width: int
) -> Float[np.ndarray, "row column"]:
    """How loud each row and column is, from 0 (FLOOR and below) to 1; the highest pitch first."""
    size = 2 * max(1, round(WINDOW_SECONDS * sample_rate / 2))
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, size // 2)
    column = len(samples) / width
    looks = min(MAX_LOOKS, ceil(column / (size // 2)))
    hertz = _hertz(np.arange(HEIGHT) / HEIGHT * _mels(sample_rate / 2))
    rows = (hertz / sample_rate * size * FINER).astype(int)
    loudest = np.zeros((width, HEIGHT), np.float32)
    for look in range(looks):
        starts = ((np.arange(width) + (look + 0.5) / looks) * column).astype(int)
        for first in range(0, width, BATCH):
            places = starts[first : first + BATCH, None] + np.arange(size)
            amplitudes = np.abs(np.fft.rfft(padded[places] * window, size * FINER))
            found = np.maximum.reduceat(amplitudes, rows, axis=1) / (window.sum() / 2 * FULL_SCALE)
            loudest[first : first + BATCH] = np.maximum(loudest[first : first + BATCH], found)
    decibels = 20 * np.log10(np.maximum(loudest, 10 ** (FLOOR / 20)))
    return np.minimum(1 - decibels / FLOOR, 1).T[::-1]


def _mels(hertz: float) -> float:
    return 2595 * log10(1 + hertz / 700)  # O'Shaughnessy's formula, as HTK has it


def _hertz(mels: Float[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    return 700 * (10 ** (mels / 2595) - 1)


def _draw_axes(draw: ImageDraw.ImageDraw, width: int, seconds: float, highest: float) -> None:
    font = ImageFont.load_default(FONT_SIZE)
    bottom = TOP + HEIGHT
    draw.rectangle((LEFT - 1, TOP - 1, LEFT + width, bottom), outline=INK)
    for value in time_ticks(seconds, width // TICK_SPACES[0]):
        x = LEFT + value / seconds * (width - 1)
        draw.line((x, bottom, x, bottom + TICK), INK)
        draw.text((x, bottom + TICK + 2), f"{value:.6g}", INK, font, anchor="mt")
    draw.text((LEFT + width / 2, bottom + BOTTOM - 2), "seconds", INK, font, anchor="mb")
    last = float("inf")
    for value in pitch_ticks(highest):
        y = bottom - 1 - _mels(value) / _mels(highest) * (HEIGHT - 1)
        if last - y >= TICK_SPACES[1]:
            draw.line((LEFT - TICK, y, LEFT - 1, y), INK)
            draw.text((LEFT - TICK - 3, y), f"{value:g}", INK, font, anchor="rm")
            last = y
    draw.text((LEFT - TICK - 3, TOP - 8), "Hz", INK, font, anchor="rb")


def time_ticks(seconds: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from 0 to a duration, at most count + 1."""
    power = 10.0 ** floor(log10(seconds / count))
    step = next(power * base for base in (1, 2, 5, 10) if power * base * count >= seconds)
    return [number * step for number in range(floor(seconds / step + 1e-9) + 1)]


def pitch_ticks(highest: float) -> list[float]:
    """0 and 1, 2 and 5 times each power of ten from 100 Hz to the highest."""
    steps = [float(base * 10**power) for power in range(2, 6) for base in (1, 2, 5)]
    return [0.0, *(value for value in steps if value <= highest)]
