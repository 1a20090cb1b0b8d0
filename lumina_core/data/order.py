"""The global order of a data set: which item stands at a place, from the seed and one number.

Every epoch holds each item once. Its order is random within a window: shards are cut into pieces of
neighbouring items, the pieces are shuffled, and so are the items of those that stand in one window.
So a run reads few shards at a time and one after the other, and what it needs in memory is the
window and a few numbers per piece, however large the data set is.

No rank and no worker has a part in it: whoever knows the place knows the item.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from lumina_core.runtime import derived_seed, seeded

PIECES = 16  # in a window, at least: so many far places of the data set meet in it
HELD_STREAM = 2**40  # of random numbers from the seed of the data; epochs have the numbers below
_SCANNED = 1 << 20  # items looked at in one go


class Place(NamedTuple):
    """What stands at a place of the order."""

    epoch: int
    """Counted from 0."""
    item: int
    """Its number in the index."""


class _Epoch(NamedTuple):
    pieces: np.ndarray
    """Their numbers in the order of the epoch."""
    windows: np.ndarray
    """By window, number of its first piece in this order; one more behind the last."""
    starts: np.ndarray
    """By window, place of its first item within the epoch."""


class Order:
    """Place -> epoch and item, over the items of an index that are not set aside."""

    def __init__(
        self, counts: Sequence[int], seed: int, window: int, held: Sequence[int] | np.ndarray = ()
    ) -> None:
        """Cut the shards into pieces.

        Args:
            counts: items of each shard; those of one shard have neighbouring numbers.
            seed: of the order.
            window: items among which the order is random, roughly.
            held: numbers of the items that are set aside, sorted.

        Raises:
            ValueError: no item is left.
        """
        ends = np.cumsum(np.asarray(counts, np.int64))
        longest = max(1, window // PIECES)
        edges = [
            np.arange(end - count, end, longest) for count, end in zip(counts, ends, strict=True)
        ]
        self._first = np.concatenate(edges) if edges else np.zeros(0, np.int64)
        self._end = np.append(self._first[1:], ends[-1:])
        self._held = np.asarray(held, np.int64)
        taken = np.searchsorted(self._held, self._end) - np.searchsorted(self._held, self._first)
        self._counts = self._end - self._first - taken
        self._seed, self._window = seed, window
        self.num_items = int(self._counts.sum())
        """In an epoch."""
        if not self.num_items:
            raise ValueError("an order holds at least one item")
        self._epoch = lru_cache(maxsize=2)(self._drawn_epoch)
        # a rank cuts batches ahead of what it asks for, so two windows are in use at their border
        self._items = lru_cache(maxsize=3)(self._drawn_window)

    def at(self, place: int) -> Place:
        """What stands at a place, counted from 0 over all epochs."""
        epoch, within = divmod(place, self.num_items)
        starts = self._epoch(epoch).starts
        window = int(np.searchsorted(starts, within, side="right")) - 1
        return Place(epoch, int(self._items(epoch, window)[within - starts[window]]))

    def _drawn_epoch(self, epoch: int) -> _Epoch:
        pieces = torch.randperm(len(self._counts), generator=seeded(self._seed, epoch)).numpy()
        ends = np.cumsum(self._counts[pieces])
        starts = ends - self._counts[pieces]
        begins_window = np.diff(starts // self._window, prepend=-1) > 0
        first = np.flatnonzero(begins_window)
        return _Epoch(pieces, np.append(first, len(pieces)), starts[first])

    def _drawn_window(self, epoch: int, window: int) -> np.ndarray:
        pieces, windows, _ = self._epoch(epoch)
        members = pieces[windows[window] : windows[window + 1]]
        items = np.concatenate([self._free(piece) for piece in members.tolist()])
        generator = seeded(self._seed, epoch, window)
        return items[torch.randperm(len(items), generator=generator).numpy()]

    def _free(self, piece: int) -> np.ndarray:
        first, end = self._first[piece], self._end[piece]
        low, high = np.searchsorted(self._held, [first, end])
        return np.delete(np.arange(first, end), self._held[low:high] - first)


def set_aside(content: np.ndarray, num_media: int, seed: int) -> np.ndarray:
    """Numbers of the items that are measured and never trained on, sorted.

    What a medium holds decides, so one that several items show is set aside with all of them. A few
    megabytes of memory do, however many items there are.

    Args:
        content: first bytes of the hash of each item's medium, at least 8 of them.
        num_media: different media to set aside.
        seed: of the choice.
    """
    if not num_media:
        return np.zeros(0, np.int64)
    salt = np.uint64(derived_seed(seed, HELD_STREAM))
    smallest = np.zeros(0, np.uint64)
    for first in range(0, len(content), _SCANNED):
        keys = np.sort(_keys(content[first : first + _SCANNED], salt))
        is_new = np.append(True, keys[1:] != keys[:-1])  # np.unique takes seventy times as long
        smallest = np.union1d(smallest, keys[is_new][:num_media])[:num_media]
    found = [
        first + np.flatnonzero(_keys(content[first : first + _SCANNED], salt) <= smallest[-1])
        for first in range(0, len(content) if len(smallest) else 0, _SCANNED)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _keys(content: np.ndarray, salt: np.uint64) -> np.ndarray:
    """A hash is random already; the product spreads the salt over all bits, and is one to one."""
    numbers = np.ascontiguousarray(content[:, :8]).view(np.uint64)[:, 0]
    mixed = (numbers ^ salt) * np.uint64(0x9E3779B97F4A7C15)  # of splitmix64, odd
    return mixed ^ (mixed >> np.uint64(32))
