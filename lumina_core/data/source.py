"""Where the samples of one modality come from, as a training sees it.

Samples have numbers. Which come next follows from the step and from how many were given before, so
every process knows the samples of all others, and a resumed run goes on with the same ones.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lumina_core.sequence import TokenSample


@dataclass(frozen=True)
class CaptionedSample:
    """A tokenized latent and its caption."""

    tokens: TokenSample
    caption: str


class Source(ABC):
    """Samples of one modality, by number; the same in every process of a run."""

    is_foreseeable = False
    """Whether the numbers and lengths of a step are known before `advance` was called for it."""

    @abstractmethod
    def numbers(self, step: int, place: int) -> Iterator[int]:
        """Numbers of samples in the order in which a step takes them, without end.

        Args:
            step: the one that takes them; `advance` was called for it.
            place: how many this source has given in the steps before.

        Raises:
            LuminaError: none can be used.
        """

    @abstractmethod
    def num_positions(self, number: int) -> int | None:
        """Length of a sample, separators included; None where it is known to be of no use.

        It decides how batches are cut, so it must be the same in every process.
        """

    @abstractmethod
    def get(self, number: int) -> CaptionedSample | None:
        """A sample, encoded; None where it turns out to be of no use."""

    def expect(self, numbers: Sequence[int]) -> None:  # noqa: B027, most need none
        """Take note of the samples that this process will soon `get`, in this order."""

    @abstractmethod
    def advance(self, step: int) -> None:
        """Be ready for a step."""

    def collect(self) -> None:  # noqa: B027, most need none
        """Let rank 0 know what others met; every rank calls it at the same step."""

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

    def restore(self, stored: Mapping[str, Any]) -> None:  # noqa: B027, most need none
        """Go on as the source of a checkpoint, before anything is drawn.

        Args:
            stored: its `summary`.
        """

    @property
    def lasting_captions(self) -> list[str]:
        """All captions that training will meet, if that is known and they fit in memory."""
        return []

    def close(self) -> None:  # noqa: B027, most need none
        """End what works beside the training."""
