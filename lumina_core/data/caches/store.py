"""Tables of one kind that are written, and those that are there already: what has its key stays.

A killed process loses the rows in memory; a table on the disk is whole.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lumina_core.data.caches.manifest import differences
from lumina_core.data.caches.names import tables_in
from lumina_core.data.caches.tables import open_table, write_table
from lumina_core.errors import LuminaError
from lumina_core.files.hashes import known_sha256
from lumina_core.terminal import tell


class Place(NamedTuple):
    """Where a row is."""

    file: str
    row: int


class Store:
    """Rows by their keys, in tables of one kind in one folder."""

    def __init__(
        self, folder: Path, kind: str, about: Mapping[str, Any], *, max_bytes: float
    ) -> None:
        """Look at what is there; a damaged table is deleted, so its rows are made anew.

        Args:
            folder: that holds the tables.
            kind: of the tables.
            about: on what their rows depend; a table of another `about` does not count.
            max_bytes: of the rows of a table, but for the last one.
        """
        self._folder, self._kind, self._about = folder, kind, about
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._rows: dict[bytes, Mapping[str, Tensor]] = {}
        self.num_added = 0
        self.places: dict[bytes, Place] = {}
        self.files: dict[str, str] = {}
        """Name to hash."""
        self.other: tuple[Path, str] | None = None
        """A table of another `about`, and what differs."""
        for path in tables_in(folder, kind):
            try:
                table = open_table(path)
            except LuminaError as error:
                tell(f"note: {error}")
                path.unlink(missing_ok=True)
                continue
            if differing := next(differences(table.about, about), None):
                self.other = path, differing
                continue
            self.files[path.name] = known_sha256(path)
            for row in range(len(table)):
                self.places.setdefault(table.key(row), Place(path.name, row))

    def __contains__(self, key: bytes) -> bool:
        return key in self.places or key in self._rows

    def add(self, key: bytes, row: Mapping[str, Tensor]) -> None:
        """Take a row; write a table when there are enough.

        Raises:
            LuminaError: it cannot be written.
        """
        self._rows[key] = row
        self.num_added += 1
        self._num_bytes += sum(value.nbytes for value in row.values())
        if self._num_bytes >= self._max_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the rows in memory.

        Raises:
            LuminaError: they cannot be written.
        """
        if not self._rows:
            return
        rows = list(self._rows.values())
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        keys = list(self._rows)
        name, sha256 = write_table(self._folder, self._kind, keys, columns, self._about)
        self.files[name] = sha256
        self.places |= {key: Place(name, row) for row, key in enumerate(keys)}
        self._rows, self._num_bytes = {}, 0

    def keep(self, keys: Iterable[bytes]) -> None:
        """Forget the rows that have none of these keys, and the tables of which none is left."""
        self.places = {key: self.places[key] for key in keys}
        used = {place.file for place in self.places.values()}
        self.files = {name: sha256 for name, sha256 in self.files.items() if name in used}
