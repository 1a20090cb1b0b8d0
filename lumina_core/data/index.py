"""The index of a data set: one file that says of each item where it lies and how long it is.

It is a safetensors file of columns, mapped into memory, so that a hundred million items cost no
memory and opening it no time. Items that cannot be used are not in it; the file of the quarantine
beside it names them. The items of a shard have neighbouring numbers.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.writing import atomic_write
from lumina_core.sequence import Grid

VERSION = 1  # of the format
ABOUT = "lumina_index"  # in the metadata of the file
CONTENT_BYTES = 16  # of the SHA-256 of a medium


class Column(NamedTuple):
    """One number, or some, of each item."""

    dtype: str
    """As safetensors calls it."""
    width: int | None = None
    """Numbers of an item; None: one, without an axis."""


COLUMNS = {
    "offset": Column("I64"),
    "size": Column("I64"),
    "captions_end": Column("I64"),
    "name_end": Column("I64"),
    "grid": Column("I32", 3),
    "content": Column("U8", CONTENT_BYTES),
    "captions": Column("U8"),
    "names": Column("U8"),
}
"""In the order of the file, where larger numbers come first, so that all are aligned. The last two
are texts end to end, and `*_end` says where that of an item ends."""
ENDS = {"captions_end": "captions", "name_end": "names"}
_STEP = (1.0, 1.0, 1.0)  # of a grid; the length does not depend on it
_SCANNED = 1 << 20  # items looked at in one go
_TYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
}


@dataclass(frozen=True)
class Shard:
    """A file that holds items, or a folder that does."""

    name: str
    """From the folder of the data on."""
    num_items: int
    size: int
    """In bytes; of a folder the number of its entries."""
    changed_ns: int
    """When it was changed last."""


@dataclass(frozen=True)
class About:
    """What an index says of itself."""

    version: int
    kind: str
    """Of the data, as `data` names it."""
    modality: str
    measured: dict[str, Any]
    """All that the lengths depend on."""
    num_left_out: int
    """Items that cannot be used."""
    sha256: str
    """Over all items."""
    shards: tuple[Shard, ...]


class Indexed(NamedTuple):
    """An item as an index has it."""

    name: str
    """Path of its medium: in its shard, or from the folder of the data on."""
    captions: tuple[str, ...]
    """At least one, each on one line."""
    offset: int
    """In its shard, in bytes; 0 for a file of its own."""
    size: int
    """In bytes; of a folder in a shard that of all from its first to its last file."""
    grid: tuple[int, int, int]
    """Patches of its frames, rows and columns."""
    content: bytes
    """First bytes of the SHA-256 of its medium."""


Columns = Mapping[str, np.ndarray]


class Index:
    """An index on the disk, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            LuminaError: there is none, or the file is no index that this version reads.
        """
        self.path = path
        self.about, columns = opened(path)
        self._columns = columns
        self.content = columns["content"]
        """First bytes of the SHA-256 of each item's medium."""
        self._ends = np.cumsum([shard.num_items for shard in self.about.shards])

    def __len__(self) -> int:
        return len(self.content)

    def shard_of(self, item: int) -> Shard:
        """The shard that holds an item."""
        return self.about.shards[int(np.searchsorted(self._ends, item, side="right"))]

    def num_positions(self, item: int, separators: bool) -> int:
        """Length of the sequence of an item."""
        frames, rows, columns = self._columns["grid"][item].tolist()
        return Grid(frames, rows, columns, _STEP).num_positions(separators)

    def num_longer(self, limit: int, separators: bool) -> int:
        """Items of more positions than that; looks at all of them, some at a time."""
        found = 0
        for first in range(0, len(self), _SCANNED):
            frames, rows, columns = (
                self._columns["grid"][first : first + _SCANNED].astype(np.int64).T
            )
            ends = frames * rows + frames - 1 if separators else 0
            found += int((frames * rows * columns + ends > limit).sum())
        return found

    def captions(self, item: int) -> list[str]:
        """All captions of an item, at least one."""
        return self._text("captions", "captions_end", item).split("\n")

    def item(self, item: int) -> Indexed:
        """All that it says of an item."""
        return Indexed(
            self._text("names", "name_end", item),
            tuple(self.captions(item)),
            int(self._columns["offset"][item]),
            int(self._columns["size"][item]),
            tuple(self._columns["grid"][item].tolist()),
            self.content[item].tobytes(),
        )

    def _text(self, texts: str, ends: str, item: int) -> str:
        first = int(self._columns[ends][item - 1]) if item else 0
        end = int(self._columns[ends][item])
        return self._columns[texts][first:end].tobytes().decode("utf-8", "surrogateescape")


def opened(path: Path) -> tuple[About, Columns]:
    """What an index says of itself, and its columns, mapped into memory.

    Raises:
        LuminaError: there is none, or the file is no index that this version reads.
    """
    advice = "make it with the command index"
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[ABOUT])
            if told["version"] != VERSION:
                raise LuminaError(f"{path} is an index of version {told['version']}; {advice}")
            about = About(**told | {"shards": tuple(Shard(*each) for each in told["shards"])})
            columns = {name: file.get_tensor(name).numpy() for name in COLUMNS}
        _check(about, columns)
    except FileNotFoundError as error:
        raise LuminaError(f"there is no index {path}; {advice}") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LuminaError(f"{path} is no index ({reason_of(error)}); {advice}") from error
    return about, columns


def _check(about: About, columns: Columns) -> None:
    """Refuse columns that do not belong together.

    Raises:
        ValueError: they do not.
    """
    num_items = sum(shard.num_items for shard in about.shards)
    shapes = {
        name: (num_items, *([column.width] if column.width else []))
        for name, column in COLUMNS.items()
        if name not in ENDS.values()
    }
    shapes |= {of: (int(columns[ends][-1]) if num_items else 0,) for ends, of in ENDS.items()}
    for name, shape in shapes.items():
        if columns[name].shape != shape or columns[name].dtype != _TYPES[COLUMNS[name].dtype]:
            raise ValueError(f"{name} is {columns[name].shape}, {shape} is wanted")


def columns_of(items: Sequence[Indexed]) -> dict[str, np.ndarray]:
    """Items as columns."""
    texts = {
        "captions": ["\n".join(item.captions).encode() for item in items],
        "names": [item.name.encode("utf-8", "surrogateescape") for item in items],
    }
    lengths = {ends: [len(text) for text in texts[of]] for ends, of in ENDS.items()}
    content = b"".join(item.content for item in items)
    return {
        "offset": np.array([item.offset for item in items], np.int64),
        "size": np.array([item.size for item in items], np.int64),
        **{ends: np.cumsum(each, dtype=np.int64) for ends, each in lengths.items()},
        "grid": np.array([item.grid for item in items], np.int32).reshape(-1, 3),
        "content": np.frombuffer(content, np.uint8).reshape(-1, CONTENT_BYTES),
        **{name: np.frombuffer(b"".join(each), np.uint8) for name, each in texts.items()},
    }


def digest_of(columns: Columns) -> str:
    """Hash of columns."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(columns[name]).data)
    return digest.hexdigest()


def write_index(path: Path, about: About, parts: Sequence[Callable[[str], np.ndarray]]) -> None:
    """Write an index whose columns are those of parts, one behind the other.

    Only one column of a part is in memory at a time.

    Args:
        path: of the file, replaced if it exists.
        about: what it says of itself; the items of its shards are those of the parts.
        parts: each gives a column of its items by name, whenever it is asked.

    Raises:
        LuminaError: it cannot be written.
    """
    totals = dict.fromkeys(COLUMNS, sum(shard.num_items for shard in about.shards))
    for ends, of in ENDS.items():
        totals[of] = sum(_last(part(ends)) for part in parts)
    with atomic_write(path) as file:
        _write_header(file, about, totals)
        for name, column in COLUMNS.items():
            base = 0
            for part in parts:
                values = part(name)
                if name in ENDS:
                    values = values + base
                    base = _last(values) or base
                file.write(np.ascontiguousarray(values, _TYPES[column.dtype]).data)


def _last(ends: np.ndarray) -> int:
    return int(ends[-1]) if len(ends) else 0


def _write_header(file: BinaryIO, about: About, totals: Mapping[str, int]) -> None:
    told = asdict(about) | {"shards": [list(asdict(shard).values()) for shard in about.shards]}
    header: dict[str, Any] = {"__metadata__": {ABOUT: json.dumps(told)}}
    end = 0
    for name, column in COLUMNS.items():
        shape = [totals[name], *([column.width] if column.width else [])]
        start, end = end, end + prod(shape) * _TYPES[column.dtype].itemsize
        header[name] = {"dtype": column.dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # to which safetensors aligns
    file.write(len(text).to_bytes(8, "little") + text)
