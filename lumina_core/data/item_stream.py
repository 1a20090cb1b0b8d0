"""Every item of an indexed data set once per epoch, in the global order.

Place, item and length are known without decoding. Processes read, check and decode ahead; this one
encodes. What they decode lies in memory between them, so only names of files pass through pipes.
"""

import itertools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lumina_core.data.data_paths import data_path, folder_of
from lumina_core.data.file_pool import NUM_JUDGED, Quarantine, Wanted
from lumina_core.data.fresh_index import fresh_index
from lumina_core.data.order import Order, Place, set_aside
from lumina_core.data.pool import encode_sample
from lumina_core.data.reading import (
    CHANGED,
    Decoded,
    MediaFiles,
    NoRoomError,
    as_no_room,
    decoded,
    scratch,
)
from lumina_core.data.reading import Place as MediumPlace
from lumina_core.data.settings import FilesConfig
from lumina_core.data.source import CaptionedSample, Source
from lumina_core.data.workers import Workers
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality
from lumina_core.terminal import tell

VOCABULARY_ITEMS = 100_000  # whose captions a new vocabulary is made of, where there are more
LENGTH_CHANGED = "not as many as the index says; make the index again"
SPILLED = "decoded"  # folder in which decoded media wait
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


class Task(NamedTuple):
    """A sample to read."""

    number: int
    """Of the sample: an item has another in each epoch."""
    item: int


class Spilled(NamedTuple):
    """A decoded medium that lies in a file."""

    path: Path
    options: Any


class ItemStream(Source):
    """The items of an index in the global order; number and place are the same."""

    is_foreseeable = True

    def __init__(self, wanted: Wanted, data: FilesConfig, modality: Modality, seed: int) -> None:
        """Open the index; nothing is read of the data.

        Raises:
            LuminaError: there is no index that fits data and options, or too few items.
        """
        self._wanted, self._data, self._modality = wanted, data, modality
        self._index = fresh_index(wanted.modality, modality, data)
        held = set_aside(self._index.content, wanted.num_held, seed)
        if len(held) >= len(self._index):
            raise LuminaError(
                f"num_validation_samples={wanted.num_held} are set aside, and data.path has "
                f"{len(self._index)} items; set a smaller number, so that some are left to train on"
            )
        counts = [shard.num_items for shard in self._index.about.shards]
        self._order = Order(counts, seed, data.shuffle_window, held)
        self._held = held
        self._resources = ExitStack()
        self._scratch = self._resources.enter_context(scratch())
        weakref.finalize(self, self._resources.close)  # where nobody calls `close`
        folder = folder_of(data.name, data_path(data.name, data))
        self._media = MediaFiles(data.name, folder, self._scratch)
        self._workers = Workers[Task, "Spilled | Decoded | str"](
            self._spilled if data.num_workers else lambda task: self._read(task.item),
            data.num_workers,
            lambda task: self._name_of(task.item),
            drop=_discard,
        )
        self._resources.callback(self._workers.close)
        self._quarantine = Quarantine(wanted.quarantine)
        self._num_tried = self._num_broken = self._num_recorded = 0
        self._is_open = False

    def numbers(self, step: int, place: int) -> Iterator[int]:
        """From the place on, whatever the step is."""
        return itertools.count(place)

    def num_positions(self, number: int) -> int | None:
        """As the index has it; None where it is longer than a batch."""
        return self._length_of(self._order.at(number).item)

    def _length_of(self, item: int) -> int | None:
        length = self._index.num_positions(item, self._wanted.separators)
        return length if length <= self._wanted.token_budget else None

    def expect(self, numbers: Sequence[int]) -> None:
        """Begin to read and decode them."""
        self._workers.expect([Task(number, self._order.at(number).item) for number in numbers])

    def get(self, number: int) -> CaptionedSample | None:
        """The sample at a place; None where it is left out.

        Raises:
            LuminaError: too many are.
        """
        place = self._order.at(number)
        found = self._workers.result(Task(number, place.item))
        if isinstance(found, Spilled):
            found = _taken(found)
        return self._sample(place, found)

    def _sample(self, place: Place, found: Decoded | str) -> CaptionedSample | None:
        self._num_tried += 1
        if isinstance(found, str):
            self._leave_out(place.item, found)
            return None
        captions = self._index.captions(place.item)
        caption = captions[place.epoch % len(captions)]  # each in turn, of which none is preferred
        sample = encode_sample(self._wanted.modality, self._modality, *found, caption)
        length = sample.tokens.grid.num_positions(self._wanted.separators)
        if length != self._length_of(place.item):  # by which batches are cut
            self._leave_out(place.item, f"it has {length} positions, {LENGTH_CHANGED}")
            return None
        return sample

    def _leave_out(self, item: int, reason: str) -> None:
        self._num_broken += 1
        self._quarantine.add(self._name_of(item), reason)
        self._check_share(reason)

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
        """Let rank 0 write down what others left out."""
        self._quarantine.collect()

    def held_out(self, number: int) -> CaptionedSample | None:
        """One of the items that were set aside; None where it is left out, or there are fewer."""
        item = int(self._held[number]) if number < len(self._held) else None
        if item is None or self._length_of(item) is None:
            return None
        return self._sample(Place(0, item), self._read(item))

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
            tell(
                f"note: the words of a new text encoder are those of {len(items):,} of {num:,} "
                "captions"
            )
        return [caption for item in items for caption in self._index.captions(item)]

    def variants(self) -> Sequence[Mapping[str, Any]]:
        """One: the options of the run are the size of its samples."""
        return [{}]

    def summary(self) -> dict[str, Any]:
        """The configuration without what belongs to a machine, and how much there was."""
        settings = {k: v for k, v in asdict(self._data).items() if k not in POOL_KEYS}
        return settings | {
            "num_items": self._order.num_items,
            "num_held": len(self._held),
            "listing_sha256": self._index.about.sha256,
            "num_quarantined": len(self._quarantine.names),
        }

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Keep what was left out before the checkpoint; the rest is found again."""
        self._num_recorded = stored["num_quarantined"]

    def close(self) -> None:
        """End the processes, and delete what they wrote."""
        self._resources.close()

    def _place_of(self, item: int) -> MediumPlace:
        about = self._index.item(item)
        return MediumPlace(self._index.shard_of(item).name, about.name, about.offset, about.size)

    def _name_of(self, item: int) -> str:
        return self._media.name_of(self._place_of(item))

    def _read(self, item: int) -> Decoded | str:
        """A medium as it is trained on, or the reason why it is left out."""
        options, limits = self._wanted.options, self._data.limits
        try:
            with self._media.located(self._place_of(item)) as located:
                if located.content != self._index.content[item].tobytes():
                    return CHANGED
                return decoded(self._modality, located.path, options, limits)
        except NoRoomError:
            raise
        except LuminaError as error:
            return str(error)

    def _spilled(self, task: Task) -> Spilled | Decoded | str:
        """The same, in a file."""
        found = self._read(task.item)
        if isinstance(found, str):
            return found
        path = self._scratch / SPILLED / f"{task.number}.npy"
        with as_no_room(path):
            path.parent.mkdir(exist_ok=True)
            np.save(path, found.media.numpy(), allow_pickle=False)
        return Spilled(path, found.options)

    def _check_share(self, reason: str) -> None:
        share = self._num_broken / max(self._num_tried, min(len(self._index), NUM_JUDGED))
        if share > self._data.max_quarantined:
            name, _ = self._quarantine.newest
            raise LuminaError(
                f"{share:.0%} of the items of data.path={self._data.path} cannot be used, more "
                f"than data.max_quarantined={self._data.max_quarantined}; one is {name}: {reason}; "
                f"{self._quarantine.path} names the others. Make the index again, or allow more"
            )


def _discard(found: Spilled | Decoded | str) -> None:
    if isinstance(found, Spilled):
        found.path.unlink()


def _taken(spilled: Spilled) -> Decoded:
    media = torch.from_numpy(np.load(spilled.path, allow_pickle=False))
    spilled.path.unlink()
    return Decoded(media, spilled.options)
