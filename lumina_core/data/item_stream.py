"""Every item of an indexed data set once per epoch, in the global order.

Place, item and length are known without decoding. Processes read, check and decode ahead; this one
encodes. What they decode lies in memory between them, so only names of files pass through pipes.
"""

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lumina_core.data.data_paths import data_path, folder_of
from lumina_core.data.file_pool import Wanted
from lumina_core.data.fresh_index import fresh_index
from lumina_core.data.indexed_stream import IndexedStream
from lumina_core.data.order import Place
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
from lumina_core.data.source import CaptionedSample
from lumina_core.data.workers import Workers
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality

LENGTH_CHANGED = "not as many as the index says; make the index again"
SPILLED = "decoded"  # folder in which decoded media wait


class Task(NamedTuple):
    """A sample to read."""

    number: int
    """Of the sample: an item has another in each epoch."""
    item: int


class Spilled(NamedTuple):
    """A decoded medium that lies in a file."""

    path: Path
    options: Any


class ItemStream(IndexedStream):
    """The items of files or tar shards in the global order of their index."""

    def __init__(self, wanted: Wanted, data: FilesConfig, modality: Modality, seed: int) -> None:
        """Open the index; nothing is read of the data.

        Raises:
            LuminaError: there is no index that fits data and options, or too few items.
        """
        self._modality = modality
        self._files = data
        self._items = fresh_index(wanted.modality, modality, data)
        counts = [shard.num_items for shard in self._items.about.shards]
        super().__init__(wanted, data, seed, self._items, counts)
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
        caption = self._caption_at(place)
        sample = encode_sample(self._wanted.modality, self._modality, *found, caption)
        length = sample.tokens.grid.num_positions(self._wanted.separators)
        if length != self._length_of(place.item):  # by which batches are cut
            self._leave_out(place.item, f"it has {length} positions, {LENGTH_CHANGED}")
            return None
        return sample

    def _held_at(self, item: int) -> CaptionedSample | None:
        return self._sample(Place(0, item), self._read(item))

    def summary(self) -> dict[str, Any]:
        """As in Source."""
        return self._summary(self._items.about.sha256)

    def close(self) -> None:
        """End the processes, and delete what they wrote."""
        self._resources.close()

    def _place_of(self, item: int) -> MediumPlace:
        about = self._items.item(item)
        return MediumPlace(self._items.shard_of(item).name, about.name, about.offset, about.size)

    def _name_of(self, item: int) -> str:
        return self._media.name_of(self._place_of(item))

    def _read(self, item: int) -> Decoded | str:
        """A medium as it is trained on, or the reason why it is left out."""
        options, limits = self._wanted.options, self._files.limits
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


def _discard(found: Spilled | Decoded | str) -> None:
    if isinstance(found, Spilled):
        found.path.unlink()


def _taken(spilled: Spilled) -> Decoded:
    media = torch.from_numpy(np.load(spilled.path, allow_pickle=False))
    spilled.path.unlink()
    return Decoded(media, spilled.options)
