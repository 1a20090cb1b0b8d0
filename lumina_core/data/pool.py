"""A pool of encoded samples in memory, renewed a few at a time, from which batches are picked.

Encoding a sample costs about as much as learning from it, so latents wait in a pool. The pool at a
step depends on the seed and the step alone: a resumed run fills the same pool again instead of
storing it. It begins with few samples and grows while training goes on, so that the first step does
not wait for all of them.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lumina_core.errors import LuminaError
from lumina_core.modality import Media, Modality
from lumina_core.sequence import TokenSample
from lumina_core.terminal import announced

GROWTH = 1 / 4  # of its first samples a pool grows by so many per step, until it is full


@dataclass(frozen=True)
class CaptionedSample:
    """A tokenized latent and its caption."""

    tokens: TokenSample
    caption: str


class LatentPool(ABC):
    """A window on an endless stream of samples; what sample k is, a subclass says.

    At step s it holds the samples from number `s * refresh_per_step` on: min(size, start + s * g)
    of them, where g is the share GROWTH of `start`.
    """

    def __init__(self, size: int, refresh_per_step: int, start: int | None = None) -> None:
        self._size = size
        self._start = size if start is None else min(start, size)
        self._refresh = refresh_per_step
        self._samples: deque[CaptionedSample | None] = deque()
        self._end = 0
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

    @abstractmethod
    def held_out(self, number: int) -> CaptionedSample | None:
        """Sample `number` of those that training never sees; None where it cannot be used."""

    @abstractmethod
    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """At most `count` captions of the data, in random order; at least one."""

    @abstractmethod
    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """Captions in which every word of the data stands."""

    @abstractmethod
    def variants(self) -> Sequence[Mapping[str, Any]]:
        """The options in which generated samples differ, one mapping per variant."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What a checkpoint says about its data: no path, for these belong to one machine."""

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

    def batch(
        self,
        generator: torch.Generator,
        token_budget: int,
        separators: bool,
        *,
        carried: int | None = None,
    ) -> tuple[list[CaptionedSample], int]:
        """Samples picked at random until the next one would pass the budget of positions.

        That one begins the next batch: if it were dropped, long samples, which more often do not
        fit, would be trained on less often than they are drawn.

        Args:
            generator: of this step.
            token_budget: positions, separators included.
            separators: whether separators count.
            carried: number of the sample that did not fit the batch before; None: there is none.

        Returns:
            The samples, and the number of the one that begins the next batch.

        Raises:
            LuminaError: the pool is empty, or a sample is longer than the budget.
        """
        picked: list[CaptionedSample] = []
        total = 0
        for number, sample in self._endless(generator, carried):
            length = sample.tokens.grid.num_positions(separators)
            if length > token_budget:
                raise LuminaError(
                    f"token_budget={token_budget} is shorter than one sample of {length} positions"
                )
            if total + length > token_budget:
                return picked, number
            picked.append(sample)
            total += length
        raise AssertionError("the samples never end")

    def _endless(
        self, generator: torch.Generator, carried: int | None
    ) -> Iterator[tuple[int, CaptionedSample]]:
        held = dict(enumerate(self._samples, self._end - len(self._samples)))
        usable = [(number, sample) for number, sample in held.items() if sample is not None]
        if not usable:
            raise LuminaError("none of the samples at hand can be used; mend the data")
        if carried is not None:
            sample = held[carried] if carried in held else self.draw(carried)  # the pool moved on
            if sample is not None:
                yield carried, sample
        while True:
            for index in torch.randperm(len(usable), generator=generator).tolist():
                yield usable[index]


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
