"""Judges sounds by signal analysis; shares only scene.py with what makes them.

The envelope says where something sounds, how long and how loud; the spectrum of each such span says
whether it is noise, one pitch or a chord, how high, and whether the pitch moves. A caption is
right when the spans are what it names, in its order, and nothing else is heard.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from jaxtyping import Int16
from scipy.ndimage import maximum_filter1d
from torch import Tensor

from lumina_audio.scene import TREMBLING, Event, Scene

STEP_SECONDS, ENVELOPE_SECONDS, WINDOW_SECONDS = 0.005, 0.02, 0.064
THRESHOLD = 0.13  # of the loudest moment near by: something sounds
NEAR_SECONDS = 0.1  # to each side; a soft sound stands farther from a loud one
MAX_FAR_LEVEL = 0.008  # root mean square; THRESHOLD of the loudest moment of all counts up to it
LEAST_LEVEL = 0.004  # root mean square; below it is silence, whatever the rest
MIN_GAP_SECONDS, MIN_SPAN_SECONDS = 0.045, 0.05  # shorter ones are no gap and no sound
LENGTH_LIMIT = 0.24  # seconds; between short and long
PITCH_LIMITS = (500.0, 1180.0)  # Hz; between low and middle, middle and high
NOISE_LIMITS = {"low": (0.0, 2600.0), "middle": (2700.0, 3700.0), "high": (4700.0, 8000.0)}
"""Hz; the mean frequency of the power of noise. White noise lies between the last two."""
MAX_NOISE = 8000.0  # Hz; what is above counts for none of it
LEAST_PITCH = 150.0  # Hz; what is lower is no tone of this world
SWEEP_FACTOR = 1.6  # of the later pitch over the earlier, or the other way round
STEADY_FACTOR = 1.25  # of the later pitch over the earlier, at most, of a tone
NOTE_DRIFT = 1.1  # at most, of a note, where the pitch does not move
LASTING = 0.1  # of the strongest amplitude: a note that still sounds
MAX_DETOUR, MAX_JUMP = 1.5, 0.5  # of a glide: all its steps, and the largest, over its way
NOISE_FLATNESS = 0.2  # geometric over arithmetic mean of the power spectrum
CHORD_PEAK = 0.22  # of the strongest amplitude: another note of a chord
MIN_NOTE_DISTANCE = 1.2  # frequency over frequency of two notes
NOTE_LEAK = 2.5  # bins of the main lobe to each side of a note
LEVEL_LIMITS = (0.046, 0.19)  # root mean square; between soft and usual, usual and loud
LOUD_NOISE_LIMIT = 0.11  # instead of the second; mel bands hold less of noise than of tones
LOUD_COLOURED_LIMIT = 0.09  # the same of noise that has a pitch
LOUD_TREMBLING_LIMIT = 0.145  # the same of what trembles
TREMOLO_LIMIT, MAX_TREMOLO = 4.0, 10.0  # Hz
MIN_PERIODS = 2  # of a tremolo; less is a level that drifts
MIN_TREMOLO_DEPTH = 0.22  # of the amplitude over its mean
EVENT_GAP_SECONDS = 0.2  # at least, between two events; repetitions are closer

_FULL_SCALE = 32_768


@dataclass(frozen=True)
class Span:
    """Where something sounds, and what it is."""

    start: float
    """Seconds."""
    seconds: float
    kind: str
    """noise, tone, chord, sweep, or unsteady."""
    pitch: float
    """Hz, the lowest note, or the mean frequency of noise; 0 where there is none."""
    growth: float
    """Later over earlier pitch."""
    level: float
    """Root mean square."""
    tremolo: float | None
    """Hz; None where the level is steady."""


def judge(sound: Int16[Tensor, "sample"], sample_rate: int, scene: Scene) -> dict[str, bool]:
    """For each attribute that a scene asks for, whether the sound shows it.

    Args:
        sound: as read back from its file.
        sample_rate: Hz.
        scene: of the caption.
    """
    spans = find_spans(sound, sample_rate)
    wanted = [event for event in scene.events for _ in range(event.count)]
    found: dict[str, bool] = {"count": len(spans) == len(wanted)}
    pairs = list(zip(spans, wanted, strict=False))
    found["kind"] = bool(pairs) and all(_has_kind(span, event) for span, event in pairs)
    for name, is_asked, is_right in (
        ("pitch", lambda event: event.pitch, _has_pitch),
        ("direction", lambda event: event.direction, _has_direction),
        ("length", lambda event: event.length, _has_length),
        ("level", lambda event: event.level, _has_level),
        ("tremolo", lambda event: event.kind in TREMBLING, _has_tremolo),
    ):
        if any(is_asked(event) for event in wanted):
            asked = [(span, event) for span, event in pairs if is_asked(event)]
            found[name] = bool(asked) and all(is_right(span, event) for span, event in asked)
    if len(scene.events) > 1:
        found["pause"] = found["count"] and _has_pauses(spans, scene.events)
    return found


def _has_kind(span: Span, event: Event) -> bool:
    return span.kind == ("tone" if event.kind == "beep" else event.kind)


def _has_pitch(span: Span, event: Event) -> bool:
    if event.kind == "noise":
        low, high = NOISE_LIMITS[str(event.pitch)]
        return span.kind == "noise" and low <= span.pitch < high
    low, high = PITCH_LIMITS
    name = "low" if span.pitch < low else "middle" if span.pitch < high else "high"
    return span.kind != "noise" and name == event.pitch


def _has_direction(span: Span, event: Event) -> bool:
    return span.kind == "sweep" and (span.growth > 1) == (event.direction == "rising")


def _has_length(span: Span, event: Event) -> bool:
    return (span.seconds > LENGTH_LIMIT) == (event.length == "long")


def _has_level(span: Span, event: Event) -> bool:
    soft, loud = LEVEL_LIMITS
    if span.kind == "noise":
        loud = LOUD_COLOURED_LIMIT if event.kind == "noise" and event.pitch else LOUD_NOISE_LIMIT
    elif event.tremolo:
        loud = LOUD_TREMBLING_LIMIT
    return span.level < soft if event.level == "soft" else span.level > loud


def _has_tremolo(span: Span, event: Event) -> bool:
    if event.tremolo is None or span.tremolo is None:
        return event.tremolo is None and span.tremolo is None
    return (span.tremolo > TREMOLO_LIMIT) == (event.tremolo == "fast")


def _has_pauses(spans: list[Span], events: tuple[Event, ...]) -> bool:
    """Whether the longest silences between spans part the events."""
    gaps = [later.start - (one.start + one.seconds) for one, later in pairwise(spans)]
    ends = [end - 1 for end in accumulate(event.count for event in events[:-1])]
    pauses = [gap for place, gap in enumerate(gaps) if place in ends]
    others = [gap for place, gap in enumerate(gaps) if place not in ends]
    return min(pauses) > max([EVENT_GAP_SECONDS, *others])


def find_spans(sound: Int16[Tensor, "sample"], sample_rate: int) -> list[Span]:
    """Everything that sounds, in order."""
    samples = sound.double().numpy() / _FULL_SCALE
    envelope = _envelope(samples, sample_rate)
    peak = float(envelope.max(initial=0.0))
    if peak < LEAST_LEVEL:
        return []
    near = maximum_filter1d(envelope, 2 * round(NEAR_SECONDS / STEP_SECONDS) + 1, mode="constant")
    least = max(LEAST_LEVEL, min(THRESHOLD * peak, MAX_FAR_LEVEL))
    edges = _runs(envelope > np.maximum(THRESHOLD * near, least))
    step = round(STEP_SECONDS * sample_rate)
    return [
        _span(samples[start * step : end * step], envelope[start:end], start, sample_rate)
        for start, end in edges
    ]


def _envelope(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Root mean square around every step."""
    width, step = round(ENVELOPE_SECONDS * sample_rate), round(STEP_SECONDS * sample_rate)
    power = np.convolve(samples**2, np.full(width, 1 / width), mode="same")[step // 2 :: step]
    return np.sqrt(np.maximum(power, 0))


def _runs(is_loud: np.ndarray) -> list[tuple[int, int]]:
    """Beginning and end of each run, short gaps closed, short runs dropped."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], is_loud.astype(int), [0]])))
    runs: list[tuple[int, int]] = []
    for start, end in changes.reshape(-1, 2).tolist():
        if runs and (start - runs[-1][1]) * STEP_SECONDS < MIN_GAP_SECONDS:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return [(start, end) for start, end in runs if (end - start) * STEP_SECONDS > MIN_SPAN_SECONDS]


def _span(samples: np.ndarray, envelope: np.ndarray, start: int, sample_rate: int) -> Span:
    spectra = _spectra(samples, sample_rate)
    mean = np.sqrt((spectra**2).mean(0))
    power = mean[1:] ** 2 + 1e-20
    flatness = float(np.exp(np.log(power).mean()) / power.mean())
    notes = _notes(mean, sample_rate)
    early, late = (_loudest(spectra[place], sample_rate) for place in _places(len(spectra)))
    growth = late / early
    if flatness > NOISE_FLATNESS:
        kind, pitch = "noise", _middle(mean, sample_rate)
    elif max(growth, 1 / growth) > SWEEP_FACTOR and _is_gradual(spectra, sample_rate):
        kind, pitch = "sweep", min(early, late)
    else:
        pitch = min(notes, default=0.0)
        is_tone = pitch > LEAST_PITCH and _is_steady(spectra, notes, sample_rate)
        is_tone &= len(notes) > 1 or max(growth, 1 / growth) < STEADY_FACTOR
        kind = "unsteady" if not is_tone else "chord" if len(notes) > 1 else "tone"
    level = float(np.sqrt((samples**2).mean()))
    seconds, begin = len(envelope) * STEP_SECONDS, start * STEP_SECONDS
    return Span(begin, seconds, kind, pitch, growth, level, _tremolo(envelope))


def _spectra(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Amplitudes by moment and bin."""
    width = min(len(samples), round(WINDOW_SECONDS * sample_rate))
    step = round(2 * STEP_SECONDS * sample_rate)
    starts = range(0, len(samples) - width + 1, step)
    frames = np.stack([samples[begin : begin + width] for begin in starts])
    size = round(WINDOW_SECONDS * sample_rate)
    return np.abs(np.fft.rfft(frames * np.hanning(width), n=size, axis=-1))


def _places(count: int) -> tuple[int, int]:
    """Two moments, near the beginning and near the end."""
    return count // 8, count - 1 - count // 8


def _loudest(spectrum: np.ndarray, sample_rate: int) -> float:
    """Frequency of the highest peak, between the bins."""
    place = int(np.clip(spectrum[1:-1].argmax() + 1, 1, len(spectrum) - 2))
    return _between(spectrum, place) * sample_rate / (2 * (len(spectrum) - 1))


def _between(spectrum: np.ndarray, place: int) -> float:
    """Where the parabola through the logarithms around a peak has its top."""
    left, top, right = np.log(spectrum[place - 1 : place + 2] + 1e-12)
    curve = left - 2 * top + right
    return place + (0.0 if curve >= 0 else float(np.clip(0.5 * (left - right) / curve, -0.5, 0.5)))


def _is_gradual(spectra: np.ndarray, sample_rate: int) -> bool:
    """Whether the pitch glides from its beginning to its end, neither jumping nor going back."""
    first, last = _places(len(spectra))
    track = np.log([_loudest(spectrum, sample_rate) for spectrum in spectra[first : last + 1]])
    way, steps = abs(track[-1] - track[0]), np.abs(np.diff(track))
    return bool(steps.sum() < MAX_DETOUR * way and steps.max() < MAX_JUMP * way)


def _is_steady(spectra: np.ndarray, notes: list[float], sample_rate: int) -> bool:
    """Whether every note sounds at the beginning and at the end."""
    first, last = _places(len(spectra))
    third = max(1, (last - first + 1) // 3)
    bin_hz = sample_rate / (2 * (spectra.shape[1] - 1))
    for part in (spectra[first : first + third], spectra[last + 1 - third : last + 1]):
        mean = np.sqrt((part**2).mean(0))
        for note in notes:
            low, high = round(note / NOTE_DRIFT / bin_hz), round(note * NOTE_DRIFT / bin_hz)
            if mean[low : high + 1].max() < LASTING * mean.max():
                return False
    return True


def _middle(spectrum: np.ndarray, sample_rate: int) -> float:
    """Mean frequency of the power."""
    hertz = np.linspace(0, sample_rate / 2, len(spectrum))
    power = np.where(hertz <= MAX_NOISE, spectrum**2, 0)
    return float((hertz * power).sum() / power.sum())


def _notes(spectrum: np.ndarray, sample_rate: int) -> list[float]:
    """Frequencies of the notes, each a peak that no louder one explains."""
    rest, least, found = spectrum.copy(), CHORD_PEAK * spectrum.max(), []
    bin_hz = sample_rate / (2 * (len(spectrum) - 1))
    while rest[1:-1].max() >= least and len(found) < 8:
        place = int(rest[1:-1].argmax() + 1)
        is_peak = spectrum[place] == spectrum[place - 1 : place + 2].max()
        note = _between(spectrum, place) * bin_hz
        rest[max(0, round(place - NOTE_LEAK)) : round(place + NOTE_LEAK) + 1] = 0
        if is_peak and all(max(note, one) / min(note, one) > MIN_NOTE_DISTANCE for one in found):
            found.append(note)
    return found


def _tremolo(envelope: np.ndarray) -> float | None:
    """Rate at which the level trembles, in Hz, unless it is steady."""
    edge = round(ENVELOPE_SECONDS / STEP_SECONDS)
    inner = envelope[edge:-edge]
    if len(inner) * STEP_SECONDS * MAX_TREMOLO < MIN_PERIODS:
        return None
    swing = inner / inner.mean() - 1
    spectrum = np.abs(np.fft.rfft(swing * np.hanning(len(swing)), n=8 * len(swing)))
    amplitudes = spectrum * 4 / len(swing)
    rates = np.fft.rfftfreq(8 * len(swing), STEP_SECONDS)
    inside = (rates >= MIN_PERIODS / (len(inner) * STEP_SECONDS)) & (rates <= MAX_TREMOLO)
    place = int(np.where(inside, amplitudes, 0).argmax())
    return float(rates[place]) if amplitudes[place] > MIN_TREMOLO_DEPTH else None
