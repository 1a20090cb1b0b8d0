"""A cache that is read: samples and text features, mapped into memory, verified at first use."""

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumina_core.data.caches.manifest import INDEX, LATENTS, LOOKUP, TEXTS, read_manifest
from lumina_core.data.caches.tables import Table, as_text, open_table
from lumina_core.errors import LuminaError, reason_of
from lumina_core.sequence import Grid, TokenSample

MAX_OPEN = 64  # tables that are mapped at a time
TOKENS, GRID, FEATURES = "tokens", "grid", "features"
NAME, CAPTION, PLACE, SIZE, REASON = "name", "caption", "place", "size", "reason"
COUNTS = "counts"  # in the header of the index
UNUSABLE = (-1, -1)  # the place of an item that could not be encoded


def grid_row(grid: Grid) -> Float[Tensor, "1 number"]:
    """A grid as a row of a table; float64 holds what Python has."""
    limit = nan if grid.position_limit is None else grid.position_limit
    numbers = [grid.frames, grid.rows, grid.columns, *grid.step, *grid.origin]
    return torch.tensor([[*numbers, grid.common_scale, limit]], dtype=torch.float64)


def grid_of(row: Float[Tensor, "1 number"]) -> Grid:
    """The inverse of `grid_row`."""
    frames, rows, columns, *others = row[0].tolist()
    step, origin, (scale, limit) = others[:3], others[3:6], others[6:]
    return Grid(
        *(int(frames), int(rows), int(columns)),
        step=(step[0], step[1], step[2]),
        origin=(origin[0], origin[1], origin[2]),
        common_scale=scale,
        position_limit=None if isnan(limit) else limit,
    )


def text_key(written_out: str) -> bytes:
    """The key of the features of a text, as an encoder reads it."""
    return sha256(written_out.encode(errors="surrogatepass")).digest()


class CachedItem(NamedTuple):
    """What the index says of an item."""

    name: str
    caption: str
    reason: str
    """Why it could not be encoded; empty where it is there."""


class Cache:
    """A cache that is open."""

    def __init__(self, folder: Path) -> None:
        """Read its manifest and map its index.

        Raises:
            LuminaError: there is none, or it is damaged.
        """
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._index = self._only(INDEX)
        self._lookup = self._only(LOOKUP) if self.manifest[LOOKUP] else None
        self._files = {kind: list(self.manifest[kind].items()) for kind in (LATENTS, TEXTS)}
        self._table = lru_cache(MAX_OPEN)(self._opened)

    def __len__(self) -> int:
        return len(self._index)

    def item(self, number: int) -> CachedItem:
        """What the index says of an item."""
        texts = (as_text(self._index.at(column, number)) for column in (NAME, CAPTION, REASON))
        return CachedItem(*texts)

    @property
    def counts(self) -> list[int] | None:
        """Items of each shard of the data, by which a stream is ordered; None for a pool.

        Raises:
            LuminaError: they are not those of its items.
        """
        counts = self._index.about.get(COUNTS)
        if counts is not None and sum(counts) != len(self):
            raise LuminaError(f"{self._index.path} counts other items than it has")
        return counts

    @property
    def index_sha256(self) -> str:
        """Hash of names, captions and places of all items."""
        return str(next(iter(self.manifest[INDEX].values())))

    @property
    def content(self) -> np.ndarray:
        """The keys of the latents, which begin with the hash of each medium."""
        return self._index.keys.numpy()

    def is_usable(self, number: int) -> bool:
        """Whether an item was encoded."""
        return tuple(self._index.at(PLACE, number)[0].tolist()) != UNUSABLE

    def lengths(self, separators: bool) -> Int[Tensor, "item"]:
        """Positions of all items; of one that was not encoded none."""
        frames, rows, columns = self._index.columns[SIZE].long().unbind(1)
        lengths = frames * rows * columns
        return lengths + (frames * rows + frames - 1).clamp(min=0) if separators else lengths

    def num_positions(self, number: int, separators: bool) -> int:
        """Positions of an item."""
        frames, rows, columns = self._index.at(SIZE, number)[0].tolist()
        return Grid(frames, rows, columns, (1.0, 1.0, 1.0)).num_positions(separators)

    def tokens(self, number: int) -> TokenSample:
        """The tokens of an item, in float32.

        Raises:
            LuminaError: it could not be encoded, or its file is damaged.
        """
        file, row = self._index.at(PLACE, number)[0].tolist()
        if (file, row) == UNUSABLE:
            raise LuminaError(self.item(number).reason)
        table = self._table(LATENTS, file)
        try:
            has_features = FEATURES in table.columns
            return TokenSample(
                self.manifest["modality"],
                grid_of(table.at(GRID, row)),
                table.at(TOKENS, row).float(),
                features=table.at(FEATURES, row) if has_features else None,
            )
        except (KeyError, IndexError, ValueError) as error:
            raise self._strange(table, error) from error

    def features(self, written_out: str) -> Float[Tensor, "token channel"] | None:
        """Features of a text, as the encoder reads it; None where it is not there.

        Raises:
            LuminaError: its file is damaged.
        """
        lookup, key = self._lookup, text_key(written_out)
        if lookup is None:
            return None
        row = bisect_left(range(len(lookup)), key, key=lookup.key)
        if row == len(lookup) or lookup.key(row) != key:
            return None
        file, place = lookup.at(PLACE, row)[0].tolist()
        table = self._table(TEXTS, file)
        try:
            return table.at(FEATURES, place)
        except (KeyError, IndexError) as error:
            raise self._strange(table, error) from error

    def _only(self, kind: str) -> Table:
        (name, sha256), *_ = self.manifest[kind].items()
        return open_table(self.folder / name, sha256)

    def _opened(self, kind: str, number: int) -> Table:
        name, sha256 = self._files[kind][number]
        return open_table(self.folder / name, sha256)

    def _strange(self, table: Table, error: Exception) -> LuminaError:
        return LuminaError(f"{table.path} does not fit its index: {reason_of(error)}")


def latents_row(sample: TokenSample, dtype: torch.dtype) -> Mapping[str, Tensor]:
    """A sample as a row of a table, its tokens in a dtype."""
    row: dict[str, Any] = {TOKENS: sample.tokens.to(dtype), GRID: grid_row(sample.grid)}
    return row if sample.features is None else row | {FEATURES: sample.features}
