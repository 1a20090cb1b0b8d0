"""Names of the tables of a cache: their kind, and the first digits of the hash of their content."""

import re
from collections.abc import Iterator
from pathlib import Path

NAME_DIGITS = 16  # of the hash: enough to see accidents
NAME = re.compile(rf"(?P<kind>[a-z]+)-(?P<hash>[0-9a-f]{{{NAME_DIGITS}}})\.safetensors")


def table_name(kind: str, sha256: str) -> str:
    """The name of a table with this content."""
    return f"{kind}-{sha256[:NAME_DIGITS]}.safetensors"


def tables_in(folder: Path, kind: str) -> Iterator[Path]:
    """The tables of one kind in a folder, sorted by name."""
    for path in sorted(folder.glob(f"{kind}-*.safetensors")):
        if NAME.fullmatch(path.name):
            yield path
