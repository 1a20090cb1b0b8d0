"""The latent as the page on choosing one says: a token per note, of what captions name.

A caption names how many notes there are, how far they stand apart in time, their octave or pitch
class, and the interval from one to the next. So a token says these, each as smooth numbers, and
not in which cell of a grid a note stands.
"""

from math import pi
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from lumina_core import VAE, LuminaError, Modality, PatchTokenizer, SizeLimits
from lumina_melody.midi import MidiDecoder
from lumina_melody.options import STEPS_PER_BEAT, MelodyOptions
from lumina_melody.world import NUM_PITCHES, MelodyWorld

OCTAVE = 12
# of the numbers of a token, over the world's melodies, those without a note included
MEAN = (-0.02, 0.92, 5.0, 1.47, 0.5, 0.0, 0.0, 0.11, 0.07, 0.05)
STD = (1.0, 1.49, 7.97, 1.65, 0.75, 0.49, 0.49, 1.15, 0.36, 0.48)
UNIT = 1.0  # between neighbouring tokens: the same for melodies of any length
FROM_START = (0.5, 0.5, 0.0)  # where zero is: the third note has one place, however many beats
INTERVAL_WEIGHT = 2.0  # of an interval beside that of a pitch, where both are read


class MelodyVAE(VAE):
    """Piano-roll (step, pitch) <-> latent (number, 1, 1, note), as many notes as beats."""

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of a melody."""
        return len(MEAN), 1, 1, max(media_shape[0] // STEPS_PER_BEAT, 1)

    def encode(self, media: Tensor) -> Tensor:
        """Zero mean and unit variance, as the flow wants. Notes beyond the last token are lost."""
        numbers = torch.zeros(len(MEAN), self.latent_shape(tuple(media.shape))[3])
        numbers[0] = -1.0
        start = before = None
        notes = (media == 2).nonzero().tolist()[: numbers.shape[1]]  # in order of time
        for place, (at, pitch) in enumerate(notes):
            ends = (media[at + 1 :, pitch] != 1).nonzero().flatten().tolist()
            duration = 1 + (ends[0] if ends else len(media) - at - 1)
            start = at if start is None else start
            gap, interval = (0, torch.zeros(3))
            if before is not None:
                gap, interval = at - before[0], _interval(pitch - before[1])
            token = [1.0, gap, start, duration]
            numbers[:, place] = torch.cat([torch.tensor(token), _pitch(pitch), interval])
            before = at, pitch
        return ((numbers - _column(MEAN)) / _column(STD))[:, None, None].to(media.device)

    def decode(self, latent: Tensor) -> Tensor:
        """The melody of a latent: as many of its first notes as its tokens together agree on."""
        numbers = latent[:, 0, 0].float().cpu() * _column(STD) + _column(MEAN)
        numbers = numbers.clamp(-1e4, 1e4)
        media = torch.zeros(numbers.shape[1] * STEPS_PER_BEAT, NUM_PITCHES, dtype=torch.uint8)
        agreed = pad(numbers[0], (1, 0)).cumsum(0)  # 1 for a note, -1 for none
        count = int(agreed.argmax())
        if not count:
            return media
        numbers = numbers[:, :count]
        gaps = numbers[1, 1:].round().clamp(min=0).long().tolist()
        durations = numbers[3].round().clamp(min=1).long().tolist()
        latest = len(media) - sum(gaps) - durations[-1]
        at = min(round(numbers[2].mean().item()), latest)
        for gap, duration, pitch in zip([0, *gaps], durations, _pitches(numbers), strict=True):
            at = max(at + gap, 0)
            if at < len(media):
                media[at : at + duration, pitch] = 1
                media[at, pitch] = 2
        return media


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None]


def _pitch(pitch: Tensor | int) -> Tensor:
    """The octave, and the pitch class as a place on a circle."""
    pitch = torch.as_tensor(pitch)
    turn = 2 * pi * pitch / OCTAVE
    return torch.stack([(pitch // OCTAVE).float(), turn.cos(), turn.sin()])


def _interval(semitones: Tensor | int) -> Tensor:
    """How far up or down, large ones less finely, and the same as a place on a circle."""
    semitones = torch.as_tensor(semitones).float()
    turn = 2 * pi * semitones / OCTAVE
    return torch.stack([semitones.asinh(), turn.cos(), turn.sin()])


def _pitches(numbers: Tensor) -> list[int]:
    """The pitches whose places and intervals together come nearest to the numbers of the notes."""
    pitches = torch.arange(NUM_PITCHES)
    scale = _column(STD)[4:]
    of_pitch = (_pitch(pitches)[:, None] - numbers[4:7, :, None]) / scale[:3, :, None]
    between = _interval(pitches[None] - pitches[:, None])
    of_interval = (between[:, None] - numbers[7:, :, None, None]) / scale[3:, :, None, None]
    cost = of_pitch.square().sum(0)  # note, pitch
    step = INTERVAL_WEIGHT * of_interval.square().sum(0)  # note, pitch before, pitch
    total, best = cost[0], []
    for note in range(1, len(cost)):
        total, before = (total[:, None] + step[note]).min(0)
        total = total + cost[note]
        best.append(before)
    found = [int(total.argmin())]
    for before in reversed(best):
        found.append(int(before[found[-1]]))
    return found[::-1]


class MelodyModality(Modality):
    """Melodies, a token for each note."""

    def __init__(self, options: MelodyOptions, vae_folder: Path | None = None) -> None:
        super().__init__(options)
        self.tokenizer = PatchTokenizer(len(MEAN), (1, 1, 1), _step, origin=FROM_START)
        self.vae = MelodyVAE()
        self.decoder = MidiDecoder()
        self.world = MelodyWorld()

    def media_shape(self, options: MelodyOptions) -> tuple[int, ...]:
        """Shape of the melody that `options` ask for."""
        return options.beats * STEPS_PER_BEAT, NUM_PITCHES

    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:
        """The beginning of a melody, whole beats.

        Raises:
            LuminaError: it is too short, or has more notes than beats.
        """
        beats = min(len(media) // STEPS_PER_BEAT, limits.max_tokens)
        found = media[: beats * STEPS_PER_BEAT]
        num_notes = int((found == 2).sum())
        if num_notes > beats:
            raise LuminaError(f"it has {num_notes} notes in {beats} beats; at most one a beat fits")
        return super().fit(found, limits)


def _step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring tokens along each axis."""
    return 0.0, 0.0, UNIT
