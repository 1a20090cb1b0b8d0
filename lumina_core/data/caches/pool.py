"""Training samples from caches: those of `FilePool` in the same order, with nothing to encode."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lumina_core.data.caches.reading import Cache
from lumina_core.data.file_pool import FilePool, Wanted
from lumina_core.data.listing import Item, Listing
from lumina_core.data.settings import CachedConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.modality import Modality


@dataclass(frozen=True)
class CachedItem(Item):
    """An item of a cache."""

    cache: Cache
    number: int
    """In the cache."""


class CachedPool(FilePool):
    """The newest items of caches, epoch after epoch."""

    def __init__(
        self,
        wanted: Wanted,
        data: CachedConfig,
        modality: Modality,
        seed: int,
        caches: Sequence[Cache],
    ) -> None:
        """List the items of the caches.

        Args:
            wanted: what the run wants of them.
            data: which they are.
            modality: of the samples.
            seed: of the order.
            caches: at least one, open, of the same encoding.

        Raises:
            LuminaError: there are too few items.
        """
        self.caches = caches
        items: list[Item] = []
        for cache in caches:
            told = map(cache.item, range(len(cache)))
            items += [
                CachedItem(item.name, cache.folder, item.caption, cache, number)
                for number, item in enumerate(told)
            ]
        super().__init__(wanted, data, modality, seed, Listing(items, {}))

    def _read(self, item: Item) -> CaptionedSample | None:
        """A sample, or None where it could not be encoded; a damaged file ends the run."""
        assert isinstance(item, CachedItem)
        self._num_tried += 1
        if reason := item.cache.item(item.number).reason:
            self._leave_out(item, reason)
            return None
        return CaptionedSample(item.cache.tokens(item.number), item.caption)

    def summary(self) -> dict[str, Any]:
        """As in FilePool, and how the samples were encoded."""
        return super().summary() | {"encoding": self.caches[0].manifest["encoding"]}
