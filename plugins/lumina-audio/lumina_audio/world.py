"""The synthetic audio world: sounds of any duration, from a caption alone.

What is heard begins after a short lead, lasts as long as it lasts, and is followed by silence: a
longer clip is the same sound with more silence. It does not judge sounds: oracle.py does, and
shares only the scenes of captions with this file.
"""

from math import pi
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_audio import grammar, nearest
from lumina_audio.samples import Sound, mono, sound_of
from lumina_audio.scene import MAX_EVENTS, REPEATED, Event, ways
from lumina_core import LuminaError
from lumina_core.media.worlds.caption_worlds import UNSEEN_WORDINGS, CaptionWorld
from lumina_core.media.worlds.captions import pick

TASK_WEIGHTS = {
    "pitch": 0.05,
    "sweep": 0.05,
    "counting": 0.17,
    "length": 0.07,
    "tremolo": 0.18,
    "loudness": 0.12,
    "order": 0.18,
    "dynamics": 0.09,
    "sequence": 0.09,
}
"""How often training draws each task: numbers, tremolos and what has an order more often."""

Interval = tuple[float, float]

LEAD = (0.12, 0.136)  # seconds of silence before the first event
FADE_SECONDS = 0.008  # at both ends of everything that sounds, or it would click
GAP = (0.12, 0.136)  # seconds between two of what is repeated
PAUSE = (0.25, 0.262)  # seconds between two events
# Seconds that each thing lasts; beeps and bursts by the word for it. Little is left to chance:
# a small model learns when things begin much sooner than all the times at which they might.
DURATIONS: dict[str, Interval] = {
    "short": (0.12, 0.136),
    "long": (0.375, 0.395),
    "tone": (0.505, 0.52),
    "chord": (0.505, 0.52),
    "sweep": (0.505, 0.52),
    "tremolo": (1.02, 1.04),
}
THREE_LONG = (0.33, 0.345)  # seconds of each of three long ones
IN_SEQUENCE = (0.25, 0.262)
"""Seconds of a tone, a chord or a sweep where four things sound, or three different ones."""
FREQUENCIES: dict[str, Interval] = {
    "low": (280.0, 380.0),
    "middle": (650.0, 880.0),
    "high": (1600.0, 2200.0),
}
CHORD = (1.0, 1.5, 2.0)  # frequencies of a chord over its lowest
SWEEP_STARTS: dict[str | None, Interval] = {
    "low": (250.0, 320.0),
    None: (420.0, 560.0),
    "middle": (520.0, 640.0),
    "high": (1200.0, 1300.0),
}
"""Hz, the lower end of a sweep."""
NOISE_BANDS: dict[str, Interval] = {
    "low": (0.0, 1500.0),
    "middle": (2000.0, 3500.0),
    "high": (4500.0, float("inf")),
}
"""Hz of most of a noise that is called so."""
NOISE_BESIDE = 0.2  # of the amplitude, outside its band

SWEEP_FACTOR = (2.6, 3.2)  # of its upper end over its lower
TREMOLO_RATES: dict[str, Interval] = {"slow": (2.45, 2.55), "fast": (5.9, 6.1)}  # Hz
TREMOLO_FLOORS = {"slow": 0.3, "fast": 0.1}  # of the amplitude, where it is softest
SOFT, USUAL, LOUD = (0.021, 0.025), (0.09, 0.11), (0.34, 0.38)  # root mean square
LEVELS: dict[str | None, Interval] = {"soft": SOFT, None: USUAL, "loud": LOUD}
NOISE_LEVELS = LEVELS | {None: (0.08, 0.095), "loud": (0.2, 0.22)}
"""Noise has high peaks when it comes out of a vocoder, and loud ones would be cut off."""
COLOURED_LEVELS = NOISE_LEVELS | {None: (0.065, 0.075)}
"""High noise has the highest peaks."""
HIGH_SWEEP_LEVELS = LEVELS | {"soft": (0.015, 0.018)}
"""A vocoder makes fast high sweeps louder."""
TREMBLING_LEVELS = LEVELS | {"loud": (0.225, 0.245)}
"""A trembling chord has peaks of four times its level."""

_TRAINED_SECONDS = (1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
_SECONDS = {
    "trained": _TRAINED_SECONDS,
    "held_out": _TRAINED_SECONDS,
    "unseen_lengths": (5.0, 6.5, 8.0),
    UNSEEN_WORDINGS: _TRAINED_SECONDS,
}
_VARIANTS = {
    split: tuple({"seconds": seconds} for seconds in lengths) for split, lengths in _SECONDS.items()
}

Samples = Float[Tensor, "sample"]


@runtime_checkable
class Canvas(Protocol):
    """The options of a sound that drawing and judging read."""

    sample_rate: int
    sample_format: str

    @property
    def num_samples(self) -> int:
        """Samples of the sound."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the sound as media."""
        ...


class AudioWorld(CaptionWorld):
    """Captions, the sounds they describe, and the verdict on what claims to be one."""

    name, version = "audio", "3"
    grammar, words = grammar, nearest
    split_variants, weights = _VARIANTS, TASK_WEIGHTS

    def draw(self, caption: str, options: Canvas, generator: torch.Generator) -> Sound:
        """Make the sound that the caption names, and choose at random what it leaves open.

        Where it is stereo, both channels are alike.

        Raises:
            LuminaError: the caption is none of this world, or takes longer than the sound.
        """
        rate = options.sample_rate
        parts = [_silence(LEAD, rate, generator)]
        events = grammar.parse(caption).events
        for number, event in enumerate(events):
            if number:
                parts.append(_silence(PAUSE, rate, generator))
            filled = pick(ways(event, len(events)) or [event], generator)
            parts.append(_event(filled, events, rate, generator))
        sound = torch.cat(parts)
        if len(sound) > options.num_samples:
            raise LuminaError(
                f"{caption!r} takes {len(sound) / rate:.2f} s, the sound has only "
                f"{options.num_samples / rate:.2f}; set a larger modality.seconds"
            )
        found = torch.zeros(options.num_samples)
        found[: len(sound)] = sound
        return sound_of(found.expand(options.shape), options.sample_format)

    def judge(self, media: Sound, caption: str, options: Canvas) -> dict[str, bool]:
        """The verdict of the oracle on a sound, its channels averaged, at the rate of options."""
        from lumina_audio import oracle

        return oracle.judge(mono(media), options.sample_rate, grammar.parse(caption))


def _uniform(interval: Interval, generator: torch.Generator) -> float:
    low, high = interval
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _silence(seconds: Interval, rate: int, generator: torch.Generator) -> Samples:
    return torch.zeros(round(_uniform(seconds, generator) * rate))


def _event(
    event: Event, events: tuple[Event, ...], rate: int, generator: torch.Generator
) -> Samples:
    """All that one event names: its repetitions are alike."""
    seconds = _uniform(_seconds_of(event, events), generator)
    once = _faded(_timbre(event, round(seconds * rate), rate, generator), rate)
    level = _uniform(_levels_of(event)[event.level], generator)
    once = once * (level / float(once.square().mean().sqrt()))
    gap = _silence(GAP, rate, generator)
    return torch.cat([once] + [gap, once] * (event.count - 1))


def _levels_of(event: Event) -> dict[str | None, Interval]:
    if event.kind == "noise":
        return COLOURED_LEVELS if event.pitch else NOISE_LEVELS
    if event.kind == "sweep" and event.pitch == "high":
        return HIGH_SWEEP_LEVELS
    return TREMBLING_LEVELS if event.tremolo else LEVELS


def _seconds_of(event: Event, events: tuple[Event, ...]) -> Interval:
    if event.length == "long" and event.count > 2:
        return THREE_LONG
    if event.kind in REPEATED:
        return DURATIONS[event.length or "short"]
    if len(events) == MAX_EVENTS or sum(one.count for one in events) > MAX_EVENTS:
        return IN_SEQUENCE
    return DURATIONS["tremolo" if event.tremolo else event.kind]


def _timbre(event: Event, num_samples: int, rate: int, generator: torch.Generator) -> Samples:
    """What it sounds like, as loud as it happens to be."""
    if event.kind == "noise":
        white = torch.rand(num_samples, generator=generator) * 2 - 1
        return _coloured(white, event.pitch, rate) if event.pitch else white
    time = torch.arange(num_samples, dtype=torch.float64) / rate
    if event.kind == "sweep":
        low = _uniform(SWEEP_STARTS[event.pitch], generator)
        factor = _uniform(SWEEP_FACTOR, generator)
        start, end = (low, low * factor) if event.direction == "rising" else (low * factor, low)
        growth = torch.tensor(end / start, dtype=torch.float64).log() * rate / num_samples
        return torch.sin(2 * pi * start * torch.expm1(growth * time) / growth).float()
    assert event.pitch is not None
    frequency = _uniform(FREQUENCIES[event.pitch], generator)
    ratios = CHORD if event.kind == "chord" else CHORD[:1]
    phases = torch.rand(len(ratios), generator=generator, dtype=torch.float64) * 2 * pi
    waves = (
        torch.sin(2 * pi * frequency * ratio * time + phase)
        for ratio, phase in zip(ratios, phases, strict=True)
    )
    wave = sum(waves, torch.zeros_like(time))
    if event.tremolo:
        tremble = torch.cos(2 * pi * _uniform(TREMOLO_RATES[event.tremolo], generator) * time)
        floor = TREMOLO_FLOORS[event.tremolo]
        wave = wave * (floor + (1 - floor) * (1 - tremble) / 2)
    return wave.float()


def _coloured(noise: Samples, pitch: str, rate: int) -> Samples:
    """Noise with most of its power in a band."""
    spectrum = torch.fft.rfft(noise)
    hertz = torch.linspace(0, rate / 2, len(spectrum))
    low, high = NOISE_BANDS[pitch]
    is_beside = (hertz < low) | (hertz > high)
    return torch.fft.irfft(torch.where(is_beside, NOISE_BESIDE * spectrum, spectrum), len(noise))


def _faded(wave: Samples, rate: int) -> Samples:
    """Raised cosines at both ends."""
    length = round(FADE_SECONDS * rate)
    fade = (1 - torch.cos(torch.arange(length) * pi / length)) / 2
    faded = wave.clone()
    faded[:length] *= fade
    faded[-length:] *= fade.flip(0)
    return faded
