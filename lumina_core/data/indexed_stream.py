"""The order of an indexed data set: places, lengths and captions, known without any medium.

A subclass says what is at a place.
"""

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch

from lumina_core.data.file_pool import NUM_JUDGED, Quarantine, Wanted, too_many
from lumina_core.data.order import Order, Place, set_aside
from lumina_core.data.settings import CachedConfig, FilesConfig
from lumina_core.data.source import CaptionedSample, Source
from lumina_core.errors import LuminaError
from lumina_core.terminal import tell

VOCABULARY_ITEMS = 100_000  # whose captions a new vocabulary is made of, where there are more

POOL_KEYS = (
    "path",
    "index",
    "num_workers",
    "stream",
    "pool_size",
    "pool_start",
    "refresh_per_step",
)
"""Keys of the data that do not decide what a stream gives."""


class Listed(Protocol):
    """What is known of the items of a data set without their media."""

    @property
    def content(self) -> np.ndarray:
        """First bytes of the SHA-256 of each item's medium, at least 8."""

    def __len__(self) -> int: ...

    def num_positions(self, item: int, separators: bool) -> int:
        """Positions of an item."""

    def num_longer(self, limit: int, separators: bool) -> int:
        """Items of more positions than that."""

    def captions(self, item: int) -> list[str]:
        """Of an item, one or several."""


class IndexedStream(Source):
    """The items of an index in the global order; number and place are the same."""

    is_foreseeable = True

    def __init__(
        self,
        wanted: Wanted,
        data: FilesConfig | CachedConfig,
        seed: int,
        index: Listed,
        counts: Sequence[int],
    ) -> None:
        """Set items aside, and put the others in order.

        Args:
            wanted: what the run wants of them.
            data: which they are.
            seed: of the order, and of what is set aside.
            index: of the items.
            counts: items of each shard.

        Raises:
            LuminaError: there are too few items.
        """
        self._wanted, self._data, self._index = wanted, data, index
        held = set_aside(index.content, wanted.num_held, seed)
        if len(held) >= len(index):
            raise LuminaError(
                f"num_validation_samples={wanted.num_held} are set aside, and data.path has "
                f"{len(index)} items; set a smaller number, so that some are left to train on"
            )
        self._order = Order(counts, seed, data.shuffle_window, held)
        self._held = held
        self._quarantine = Quarantine(wanted.quarantine)
        self._num_tried = self._num_broken = self._num_recorded = 0
        self._is_open = False

    @abstractmethod
    def _name_of(self, item: int) -> str:
        """What messages and the quarantine call an item."""

    @abstractmethod
    def _held_at(self, item: int) -> CaptionedSample | None:
        """An item that was set aside; None where it is left out."""

    def held_out(self, number: int) -> CaptionedSample | None:
        """One of the items that were set aside; None where it is left out, or there are fewer."""
        item = int(self._held[number]) if number < len(self._held) else None
        return None if item is None or self._length_of(item) is None else self._held_at(item)

    def numbers(self, step: int, place: int) -> Iterator[int]:
        """From the place on, whatever the step is."""
        return itertools.count(place)

    def num_positions(self, number: int) -> int | None:
        """As the index has it; None where it is longer than a batch."""
        return self._length_of(self._order.at(number).item)

    def _length_of(self, item: int) -> int | None:
        length = self._index.num_positions(item, self._wanted.separators)
        return length if length <= self._wanted.token_budget else None

    def advance(self, step: int) -> None:
        """The first call opens the file of the quarantine, and says what is left out for good."""
        if self._is_open:
            return
        self._is_open = True
        self._quarantine.open(self._num_recorded)
        longest = self._wanted.token_budget
        num_long = self._index.num_longer(longest, self._wanted.separators)
        if num_long:
            tell(
                f"warning: {num_long} of {len(self._index)} items have more positions than "
                f"token_budget={longest} and are left out"
            )

    def collect(self) -> None:
        """As in Source."""
        self._quarantine.collect()

    def _caption_at(self, place: Place) -> str:
        captions = self._index.captions(place.item)
        return captions[place.epoch % len(captions)]  # each in turn, of which none is preferred

    def _summary(self, listing_sha256: str) -> dict[str, Any]:
        """The configuration without what belongs to a machine, and how much there was."""
        settings = {k: v for k, v in asdict(self._data).items() if k not in POOL_KEYS}
        return settings | {
            "num_items": self._order.num_items,
            "num_held": len(self._held),
            "listing_sha256": listing_sha256,
            "num_quarantined": len(self._quarantine.names),
        }

    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """Captions of items at random places of an epoch."""
        num = self._order.num_items
        if num <= count:
            places = torch.randperm(num, generator=generator)
        else:
            places = torch.randint(num, (2 * count,), generator=generator).unique()
            places = places[torch.randperm(len(places), generator=generator)[:count]]
        # in the order of their places each window is drawn once
        items = {place: self._order.at(place).item for place in sorted(places.tolist())}
        return [self._index.captions(items[place])[0] for place in places.tolist()]

    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """All captions of all items, or of VOCABULARY_ITEMS spread evenly over the data set."""
        num = self._order.num_items
        chosen = np.linspace(0, len(self._index) - 1, min(VOCABULARY_ITEMS, len(self._index)))
        held = set(self._held.tolist())
        items = [item for item in chosen.astype(np.int64).tolist() if item not in held]
        if num > VOCABULARY_ITEMS:
            tell(f"note: words are looked up in the captions of {len(items):,} of {num:,} items")
        return [caption for item in items for caption in self._index.captions(item)]

    def variants(self) -> Sequence[Mapping[str, Any]]:
        """One, as of a pool of files."""
        return [{}]

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Keep what was left out before the checkpoint; the rest is found again."""
        self._num_recorded = stored["num_quarantined"]

    def _leave_out(self, item: int, reason: str) -> None:
        """Write down an item that cannot be used.

        Raises:
            LuminaError: too many are left out.
        """
        self._num_broken += 1
        self._quarantine.add(self._name_of(item), reason)
        share = self._num_broken / max(self._num_tried, min(len(self._index), NUM_JUDGED))
        if share > self._data.max_quarantined:
            one, path = self._quarantine.newest, self._quarantine.path
            raise too_many(share, self._data, one, path, "Make the index again")
