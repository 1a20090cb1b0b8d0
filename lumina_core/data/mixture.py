"""Which samples a step trains on: modalities mixed by their share of tokens, cut into batches.

What is picked follows from the step and from the place that the step before left: a few numbers,
kept in the manifest. Every process picks alike, without decoding anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lumina_core.data.source import Source
from lumina_core.errors import LuminaError

COLLECT_EVERY = 16  # steps
MAX_UNUSABLE = 10_000  # samples of no use in a row, after which a source is given up


class Pick(NamedTuple):
    """A sample that a step trains on."""

    n: int
    """Its number within the step, of all batches and processes."""
    modality: str
    number: int
    """Of the sample in its source."""
    num_positions: int


@dataclass(frozen=True)
class Place:
    """How far a mixture has come."""

    given: Mapping[str, int]
    """Samples taken from each source."""
    tokens: Mapping[str, int]
    """Positions trained on, of each modality."""
    carried: tuple[str, int] | None = None
    """Modality and number of the sample that did not fit the last batch and begins the next one."""

    def stored(self) -> dict[str, Any]:
        """As a manifest keeps it."""
        carried = None if self.carried is None else list(self.carried)
        return {"given": dict(self.given), "tokens": dict(self.tokens), "carried": carried}


class Picked(NamedTuple):
    """What a step trains on, and where the next one begins."""

    batches: list[list[Pick]]
    after: Place

    def tokens(self) -> dict[str, int]:
        """Positions of each modality."""
        found: dict[str, int] = {}
        for pick in (pick for batch in self.batches for pick in batch):
            found[pick.modality] = found.get(pick.modality, 0) + pick.num_positions
        return found


class Mixture:
    """Sources of one or several modalities, each with its share of the tokens."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        shares: Mapping[str, float],
        token_budget: int,
        num_batches: int = 1,
    ) -> None:
        """Begin where nothing is picked.

        Args:
            sources: of each modality; the order is that in which a batch holds them.
            shares: of the tokens, one per source, above 0; only their proportion counts.
            token_budget: positions of a batch, separators included.
            num_batches: of a step.
        """
        total = sum(shares.values())
        self.sources = dict(sources)
        self.shares = {name: shares[name] / total for name in self.sources}
        self._token_budget = token_budget
        self._num_batches = num_batches
        none = dict.fromkeys(self.sources, 0)
        self.place = Place(none, none)

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Go on where a checkpoint stopped.

        Args:
            stored: its training; older versions had one modality and kept one number, `carried`.
        """
        place = stored.get("mixture")
        if place is None:
            number = stored.get("carried")
            carried = None if number is None else (next(iter(self.sources)), number)
            self.place = Place(self.place.given, self.place.tokens, carried)
            return
        carried = place["carried"]
        self.place = Place(place["given"], place["tokens"], carried and (carried[0], carried[1]))

    def collect(self, step: int) -> None:
        """Let rank 0 know from time to time what others met; ranks wait for each other here."""
        if step % COLLECT_EVERY == 0:
            for source in self.sources.values():
                source.collect()

    def advance(self, step: int) -> None:
        """Make every source ready for a step."""
        for source in self.sources.values():
            source.advance(step)

    def close(self) -> None:
        """End what works beside the training."""
        for source in self.sources.values():
            source.close()

    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """At most `count` captions of each modality, in random order."""
        sources = self.sources.values()
        return [text for source in sources for text in source.captions(count, generator)]

    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """Captions in which every word of the data stands."""
        sources = self.sources.values()
        return [text for source in sources for text in source.vocabulary_captions(generator)]

    @property
    def lasting_captions(self) -> list[str]:
        """All captions that training will meet; none where a source meets others later."""
        found = [source.lasting_captions for source in self.sources.values()]
        return [text for texts in found for text in texts] if all(found) else []

    def pick(self, step: int, place: Place | None = None) -> Picked:
        """The samples of a step, for which the sources are ready; changes nothing.

        The modality comes next whose share of all tokens lies furthest below its ratio. A batch
        ends before the sample that would pass the budget. That one begins the next batch: if it
        were dropped, long samples, which more often do not fit, would be trained on less often.

        Args:
            step: counted from 0.
            place: where the step begins; None: where the mixture is.

        Raises:
            LuminaError: a source has nothing to give, or a sample is longer than the budget.
        """
        place = self.place if place is None else place
        given, tokens = dict(place.given), dict(place.tokens)
        endless = self._endless(step, given, tokens, place.carried)
        batches: list[list[Pick]] = [[]]
        left = self._token_budget
        for n, (name, number, length) in enumerate(endless):
            if length > self._token_budget:
                raise LuminaError(
                    f"token_budget={self._token_budget} is shorter than one sample of {length} "
                    f"positions; set token_budget={length} or more"
                )
            if length > left:
                if len(batches) == self._num_batches:
                    return Picked(batches, Place(given, tokens, (name, number)))
                batches.append([])
                left = self._token_budget
            batches[-1].append(Pick(n, name, number, length))
            tokens[name] += length
            left -= length
        raise AssertionError("the samples never end")

    def expect(self, batches: list[list[Pick]]) -> None:
        """Tell the sources which samples this process will soon ask for."""
        for name, source in self.sources.items():
            source.expect([p.number for picks in batches for p in picks if p.modality == name])

    def foreseen(self, step: int, place: Place) -> list[list[Pick]]:
        """The batches of a step that is not begun; empty where a source does not know them yet."""
        if not all(source.is_foreseeable for source in self.sources.values()):
            return []
        return self.pick(step, place).batches

    def _endless(
        self,
        step: int,
        given: dict[str, int],
        tokens: Mapping[str, int],
        carried: tuple[str, int] | None,
    ) -> Iterator[tuple[str, int, int]]:
        """Modality, number and positions of samples; counts in `given`, looks at `tokens`."""
        numbers = {n: source.numbers(step, given[n]) for n, source in self.sources.items()}
        unusable = dict.fromkeys(self.sources, 0)
        while True:
            if carried is not None:
                (name, number), carried = carried, None
            else:
                total = sum(tokens.values())
                name = max(self.shares, key=lambda n: self.shares[n] * total - tokens[n])
                number = next(numbers[name])
                given[name] += 1
            length = self.sources[name].num_positions(number)
            if length is not None:
                unusable[name] = 0
                yield name, number, length
                continue
            unusable[name] += 1
            if unusable[name] > MAX_UNUSABLE:
                raise LuminaError(
                    f"{MAX_UNUSABLE:,} samples of {name} in a row cannot be used; mend the data"
                )
