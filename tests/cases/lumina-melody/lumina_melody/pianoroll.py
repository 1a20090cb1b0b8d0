"""The latent as an author first thinks of it: the cells of the piano-roll.

Rows are time, columns are pitch. Each cell that sounds is a spike of 10 to 17 standard deviations
among zeros, and where it stands no caption says.
"""

from pathlib import Path

import torch
from torch import Tensor

from lumina_core import VAE, LuminaError, Modality, PatchTokenizer, SizeLimits
from lumina_melody.midi import MidiDecoder
from lumina_melody.options import STEPS_PER_BEAT, PianorollOptions
from lumina_melody.world import NUM_PITCHES, MelodyWorld

OCTAVE = 12
MEAN = (0.010, 0.0034)  # of the world's cells that sound, and that are struck
STD = (0.100, 0.058)
BEAT_UNIT, OCTAVE_UNIT = 1.0, 2.0  # between tokens: the same for melodies of any length


class PianorollVAE(VAE):
    """Piano-roll (step, pitch) <-> latent (2, 1, step, pitch): what sounds, and what is struck."""

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of a melody."""
        steps, pitches = media_shape
        return 2, 1, steps, pitches

    def encode(self, media: Tensor) -> Tensor:
        """Zero mean and unit variance, as the flow wants."""
        cells = torch.stack([media > 0, media == 2])[:, None].float()
        return (cells - _column(MEAN, media)) / _column(STD, media)

    def decode(self, latent: Tensor) -> Tensor:
        """The melody of a latent: what sounds after silence is struck, too."""
        cells = latent.float() * _column(STD, latent) + _column(MEAN, latent) > 0.5
        struck = cells[1, 0]
        sounds = cells[0, 0] | struck
        before = torch.cat([torch.zeros_like(sounds[:1]), sounds[:-1]])
        return (sounds.to(torch.uint8) + (struck | (sounds & ~before)).to(torch.uint8)).cpu()


def _column(values: tuple[float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device)[:, None, None, None]


class PianorollModality(Modality):
    """Melodies, a token for each octave of a beat."""

    def __init__(self, options: PianorollOptions, vae_folder: Path | None = None) -> None:
        super().__init__(options)
        self.tokenizer = PatchTokenizer(2, (1, options.patch, OCTAVE), self._step)
        self.vae = PianorollVAE()
        self.decoder = MidiDecoder()
        self.world = MelodyWorld()

    def _step(self, frames: int, rows: int, columns: int) -> tuple[float, float, float]:
        """Distance between neighbouring tokens along each axis."""
        return 0.0, BEAT_UNIT * self.options.patch / STEPS_PER_BEAT, OCTAVE_UNIT

    def media_shape(self, options: PianorollOptions) -> tuple[int, ...]:
        """Shape of the melody that `options` ask for. Raises LuminaError for parts of a token."""
        patch, steps = self.options.patch, options.beats * STEPS_PER_BEAT
        if steps % patch:
            raise LuminaError(
                f"modality.beats={options.beats} is no whole number of tokens of {patch} steps; "
                f"use {patch} or {2 * patch}"
            )
        return steps, NUM_PITCHES

    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:
        """The beginning of a melody, whole tokens. Raises LuminaError: it is too short."""
        columns = NUM_PITCHES // OCTAVE
        rows = min(len(media) // self.options.patch, limits.max_tokens // columns)
        return super().fit(media[: rows * self.options.patch], limits)
