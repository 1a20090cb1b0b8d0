"""The files of a cache: tables in safetensors, whose names hold the hash of their content.

A row has a key of 32 bytes and, in each column, a tensor of any length: all rows of a column stand
end to end, and `NAME.ends` says where each ends. A table is mapped into memory, not read. It is
whole or has another name, so a killed process leaves nothing that counts, and several processes may
write into one folder without a word to each other.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lumina_core.data.caches.names import NAME, table_name
from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.hashes import known_sha256
from lumina_core.files.reading import open_regular, parse_json
from lumina_core.files.writing import atomic_write

KEYS, ENDS, ABOUT = "sha256", ".ends", "about"
KEY_BYTES = 32


class Written(NamedTuple):
    """A table in a folder."""

    name: str
    sha256: str


def write_table(
    folder: Path,
    kind: str,
    keys: Sequence[bytes],
    columns: Mapping[str, Sequence[Tensor]],
    about: Mapping[str, Any],
) -> Written:
    """Write a table, whole or not at all.

    Args:
        folder: takes the file.
        kind: begins its name.
        keys: of KEY_BYTES each, one per row; at least one.
        columns: by name, the tensors of all rows; of a column they differ in their first axis.
        about: what its header says beside them, in JSON.

    Raises:
        LuminaError: as `atomic_write`.
    """
    tensors = {KEYS: _bytes(b"".join(keys)).reshape(len(keys), KEY_BYTES)}
    for name, rows in columns.items():
        tensors[name] = torch.cat(list(rows))
        tensors[name + ENDS] = torch.tensor([len(row) for row in rows]).cumsum(0)
    # one entry, for safetensors writes several in any order, and equal tables have equal names
    content = save(tensors, metadata={ABOUT: json.dumps(about, sort_keys=True)})
    sha256 = hashlib.sha256(content).hexdigest()
    name = table_name(kind, sha256)
    with atomic_write(folder / name) as file:
        file.write(content)
    return Written(name, sha256)


def as_bytes(text: str) -> UInt8[Tensor, "byte"]:
    """A text as a row of a column."""
    return _bytes(text.encode(errors="surrogatepass"))


def as_text(row: UInt8[Tensor, "byte"]) -> str:
    """The inverse of `as_bytes`.

    Raises:
        ValueError: it is no text.
    """
    return bytes(row.numpy()).decode(errors="surrogatepass")


def _bytes(content: bytes) -> UInt8[Tensor, "byte"]:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else NOTHING


NOTHING = torch.empty(0, dtype=torch.uint8)


@dataclass(frozen=True)
class Table:
    """A table that is mapped into memory: a row is read when it is asked for."""

    path: Path
    keys: UInt8[Tensor, "row 32"]
    columns: Mapping[str, Tensor]
    ends: Mapping[str, Int[Tensor, "row"]]
    about: Any

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, row: int) -> bytes:
        """The key of a row."""
        return bytes(self.keys[row].numpy())

    def at(self, column: str, row: int) -> Tensor:
        """What a row has in a column; of the file itself, so nobody writes into it."""
        ends = self.ends[column]
        start = int(ends[row - 1]) if row else 0
        return self.columns[column][start : int(ends[row])]


def open_table(path: Path, sha256: str | None = None) -> Table:
    """Map a table, and compare its content with its hash.

    Args:
        path: of the file.
        sha256: of its content; None: as its name says.

    Raises:
        LuminaError: it is missing or damaged.
    """
    try:
        with open_regular(path):
            found = known_sha256(path)
        match = NAME.fullmatch(path.name)
        if found != sha256 if sha256 else not (match and found.startswith(match["hash"])):
            raise ValueError("its sha256 differs")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = parse_json((file.metadata() or {})[ABOUT])
        return _checked(path, tensors, about)
    except FileNotFoundError as error:
        raise LuminaError(f"{path} is missing; make it anew with the same `cache`") from error
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise LuminaError(
            f"{path} is damaged: {reason_of(error)}; make it anew with the same `cache`"
        ) from error


def _checked(path: Path, tensors: dict[str, Tensor], about: Any) -> Table:
    """A table whose rows lie within its columns, also where a stranger wrote it."""
    keys = tensors.pop(KEYS)
    ends = {
        name.removesuffix(ENDS): tensors.pop(name) for name in list(tensors) if name.endswith(ENDS)
    }
    if keys.dtype != torch.uint8 or keys.dim() != 2 or keys.shape[1] != KEY_BYTES or not len(keys):
        raise ValueError("it has no keys")
    if ends.keys() != tensors.keys():
        raise ValueError("a column has no ends")
    for name, end in ends.items():
        is_whole = end.dtype == torch.int64 and end.shape == (len(keys),)
        if not (is_whole and int(end[0]) >= 0 and int(end[-1]) == len(tensors[name])):
            raise ValueError(f"the rows of {name} do not fill it")
    return Table(path, keys, tensors, ends, about)
