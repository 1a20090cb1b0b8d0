"""A pool of encoded samples in memory, renewed a few at a time, from which batches are picked.

Encoding a sample costs about as much as learning from it, so latents wait in a pool. The pool at a
step depends on the seed and the step alone: a resumed run fills the same pool again instead of
storing it. It begins with few samples and grows while training goes on, so that the first step does
not wait for all of them.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from lumina_core.data.source import CaptionedSample, Source
from lumina_core.errors import LuminaError
from lumina_core.modality import Media, Modality
from lumina_core.runtime import seeded
from lumina_core.sequence import TokenSample
from lumina_core.terminal import announced

GROWTH = 1 / 4  # of its first samples a pool grows by so many per step, until it is full
ORDER_STREAM = 3  # of random numbers from the seed of a pool: in which order a step picks


class LatentPool(Source):
    """A window on an endless stream of samples; what sample k is, a subclass says.

    At step s it holds the samples from number `s * refresh_per_step` on: min(size, start + s * g)
    of them, where g is the share GROWTH of `start`.
    """

    def __init__(
        self,
        size: int,
        refresh_per_step: int,
        start: int | None = None,
        *,
        seed: int = 0,
        separators: bool = True,
    ) -> None:
        self._seed = seed
        self._separators = separators
        self._size = size
        self._start = size if start is None else min(start, size)
        self._refresh = refresh_per_step
        self._samples: deque[CaptionedSample | None] = deque()
        self._end = 0
        self._apart: tuple[int, CaptionedSample | None] | None = None
        self._is_old = False

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Go on as the pool of a checkpoint, before anything is drawn.

        Args:
            stored: its `summary`; in versions without `pool_start` a pool began with its full size.
        """
        self._is_old = "pool_start" not in stored
        if self._is_old:
            self._start = self._size

    @abstractmethod
    def draw(self, number: int) -> CaptionedSample | None:
        """Sample `number` of the stream, always the same; None where it cannot be used."""

    def _known(self, summary: dict[str, Any]) -> dict[str, Any]:
        """A summary without what the version that began the run did not know."""
        if self._is_old:
            summary.pop("pool_start")
        return summary

    @property
    def lasting_captions(self) -> list[str]:
        """Those of the samples at hand, if training meets no others; else none."""
        is_lasting = not self._refresh and len(self._samples) == self._size
        return [sample.caption for sample in self._samples if sample] if is_lasting else []

    def advance(self, step: int) -> None:
        """Bring the pool to its state at `step`, drawing what is missing."""
        growth = max(1, int(GROWTH * self._start))
        first, size = step * self._refresh, min(self._size, self._start + step * growth)
        end = first + size
        numbers = range(max(self._end, first), end)
        is_filling = len(numbers) > self._refresh + growth
        note = f"encoding {len(numbers):,} samples before step {step + 1}"
        for number in announced(numbers, "encoding", note) if is_filling else numbers:
            self._samples.append(self.draw(number))
        while len(self._samples) > size:
            self._samples.popleft()
        self._end = end

    def numbers(self, step: int, place: int) -> Iterator[int]:
        """Those of the samples at hand, again and again, each time in another random order."""
        held = enumerate(self._samples, self._end - len(self._samples))
        usable = [number for number, sample in held if sample is not None]
        if not usable:
            raise LuminaError("none of the samples at hand can be used; mend the data")
        generator = seeded(self._seed, ORDER_STREAM, step)
        while True:
            for index in torch.randperm(len(usable), generator=generator).tolist():
                yield usable[index]

    def num_positions(self, number: int) -> int | None:
        """Length of a sample, separators included."""
        sample = self.get(number)
        return None if sample is None else sample.tokens.grid.num_positions(self._separators)

    def get(self, number: int) -> CaptionedSample | None:
        """A sample at hand, or one that was picked before the pool moved on: that is drawn anew."""
        first = self._end - len(self._samples)
        if first <= number < self._end:
            return self._samples[number - first]
        if self._apart is None or self._apart[0] != number:
            self._apart = number, self.draw(number)
        return self._apart[1]


def encode_sample(
    modality_name: str, modality: Modality, media: Media, options: Any, caption: str
) -> CaptionedSample:
    """Encode and tokenize media of a legal size; `options` are those it was made or read with."""
    latent = modality.vae.encode(media)
    channels, frames, height, width = latent.shape
    grid = modality.tokenizer.grid((channels, frames, height, width))
    tokens = TokenSample(
        modality_name,
        grid,
        modality.tokenizer.tokenize(latent).cpu(),
        features=modality.features(options, grid),
    )
    return CaptionedSample(tokens, caption)
