"""Writes where the rows of a cache are: the index of its items, and that of its texts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lumina_core.data.caches.manifest import INDEX, LOOKUP
from lumina_core.data.caches.reading import (
    CAPTION,
    COUNTS,
    GRID,
    NAME,
    PLACE,
    REASON,
    SIZE,
    UNUSABLE,
)
from lumina_core.data.caches.store import Place
from lumina_core.data.caches.tables import KEY_BYTES, Written, as_bytes, open_table, write_table

NUM_SIZES = 3  # frames, rows and columns, the first numbers of the row of a grid


class IndexRow(NamedTuple):
    """An item of a cache."""

    name: str
    caption: str
    key: bytes
    """Of its latents."""
    reason: str
    """Why it could not be encoded; empty where it was."""


def write_index(
    folder: Path,
    rows: Sequence[IndexRow],
    places: Mapping[bytes, Place],
    files: Sequence[str],
    counts: Sequence[int] | None,
) -> Written:
    """Write the index of the items.

    Args:
        folder: of the cache.
        rows: in the order of the data set, at least one.
        places: of the latents, by their keys.
        files: names of their tables, in the order of the manifest.
        counts: rows of each shard of the data, where a training goes through them as a stream.

    Raises:
        LuminaError: as `write_table`, or a table of latents is damaged.
    """
    numbers = {name: number for number, name in enumerate(files)}
    grids = {name: open_table(folder / name).columns[GRID] for name in files}

    def place(row: IndexRow) -> Int[Tensor, "1 2"]:
        if row.reason:
            return torch.tensor([UNUSABLE])
        file, at = places[row.key]
        return torch.tensor([(numbers[file], at)])

    def size(row: IndexRow) -> Int[Tensor, "1 3"]:
        if row.reason:
            return torch.zeros(1, NUM_SIZES, dtype=torch.int32)
        file, at = places[row.key]
        return grids[file][at : at + 1, :NUM_SIZES].int()

    columns = {
        NAME: [as_bytes(row.name) for row in rows],
        CAPTION: [as_bytes(row.caption) for row in rows],
        REASON: [as_bytes(row.reason) for row in rows],
        PLACE: list(map(place, rows)),
        SIZE: list(map(size, rows)),
    }
    keys = [bytes(KEY_BYTES) if row.reason else row.key for row in rows]
    return write_table(folder, INDEX, keys, columns, {} if counts is None else {COUNTS: counts})


def write_lookup(folder: Path, places: Mapping[bytes, Place], files: Iterable[str]) -> Written:
    """Write where the features of texts are, sorted by their keys.

    Args:
        folder: of the cache.
        places: of the features, by their keys; at least one.
        files: names of their tables, in the order of the manifest.

    Raises:
        LuminaError: as `write_table`.
    """
    numbers = {name: number for number, name in enumerate(files)}
    keys = sorted(places)
    found = [torch.tensor([(numbers[places[key].file], places[key].row)]) for key in keys]
    return write_table(folder, LOOKUP, keys, {PLACE: found}, {})
