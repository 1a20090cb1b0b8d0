"""Training samples from caches of a stream: each once per epoch, in the order of `ItemStream`."""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy as np

from lumina_core.data.caches.reading import Cache
from lumina_core.data.file_pool import Wanted
from lumina_core.data.indexed_stream import IndexedStream
from lumina_core.data.order import Place
from lumina_core.data.settings import CachedConfig
from lumina_core.data.source import CaptionedSample


class CachedItems:
    """The items of caches, numbered through."""

    def __init__(self, caches: Sequence[Cache]) -> None:
        self._caches = caches
        self._ends = list(accumulate(map(len, caches)))
        contents = [cache.content for cache in caches]
        self.content = contents[0] if len(contents) == 1 else np.concatenate(contents)

    def __len__(self) -> int:
        return self._ends[-1]

    def at(self, item: int) -> tuple[Cache, int]:
        """The cache that holds an item, and its number there."""
        place = bisect_right(self._ends, item)
        return self._caches[place], item - (self._ends[place - 1] if place else 0)

    def num_positions(self, item: int, separators: bool) -> int:
        """As in Listed."""
        cache, number = self.at(item)
        return cache.num_positions(number, separators)

    def num_longer(self, limit: int, separators: bool) -> int:
        """As in Listed."""
        return sum(int((cache.lengths(separators) > limit).sum()) for cache in self._caches)

    def captions(self, item: int) -> list[str]:
        """As in Listed."""
        cache, number = self.at(item)
        return cache.item(number).caption.split("\n")


class CachedStream(IndexedStream):
    """The items of caches in their global order."""

    def __init__(
        self, wanted: Wanted, data: CachedConfig, seed: int, caches: Sequence[Cache]
    ) -> None:
        """Put the items of caches in order.

        Args:
            wanted: what the run wants of them.
            data: which they are.
            seed: of the order.
            caches: at least one, open, of the same encoding and of streams.

        Raises:
            LuminaError: there are too few items.
        """
        self.caches = caches
        self._items = items = CachedItems(caches)
        sizes = [count for cache in caches for count in cache.counts or []]
        super().__init__(wanted, data, seed, items, sizes)

    def _length_of(self, item: int) -> int | None:
        cache, number = self._items.at(item)
        return super()._length_of(item) if cache.is_usable(number) else None

    def _name_of(self, item: int) -> str:
        cache, number = self._items.at(item)
        return cache.item(number).name

    def get(self, number: int) -> CaptionedSample | None:
        """The sample at a place; a damaged file ends the run."""
        return self._sample(self._order.at(number))

    def _held_at(self, item: int) -> CaptionedSample:
        return self._sample(Place(0, item))

    def _sample(self, place: Place) -> CaptionedSample:
        cache, number = self._items.at(place.item)
        return CaptionedSample(cache.tokens(number), self._caption_at(place))

    def summary(self) -> dict[str, Any]:
        """As in Source."""
        indices = "".join(cache.index_sha256 for cache in self.caches)
        return self._summary(sha256(indices.encode()).hexdigest()) | {
            "encoding": self.caches[0].manifest["encoding"]
        }
