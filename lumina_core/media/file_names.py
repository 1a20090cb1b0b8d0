r"""For plugins: finds the file that a text from another system means by a name.

A name counts as it stands. Where there is no such file, `\` stands for `/`, letters with accents
may be one character or two (Unicode normalisation), and the case of the suffix does not count.
"""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from unicodedata import normalize

Find = Callable[[str], Path | None]


def finder(
    folder: Path,
    suffixes: Sequence[str] = ("",),
    is_wanted: Callable[[Path], bool] = os.path.exists,
) -> Find:
    """A function that finds the files of a folder by names in a text; it remembers folders.

    Args:
        folder: where relative names start.
        suffixes: what a name may leave out, the likeliest first.
        is_wanted: whether something of that name will do.

    Returns:
        The path of a name as it is on the disk; None where there is none, or two that fit equally.
    """
    spellings = lru_cache(maxsize=64)(_spellings)

    def find(name: str) -> Path | None:
        for text in dict.fromkeys((name, with_slashes(name))):
            for suffix in suffixes:
                path = _spelled(folder, PurePath(text + suffix), spellings)
                if path is not None and is_wanted(path):
                    return path
        return None

    return find


def with_slashes(name: str) -> str:
    """A name that stands for a path of Windows as one of other systems."""
    return name.replace("\\", "/")


def spelled_alike(name: str) -> str:
    """What all spellings of a name have in common."""
    path = PurePath(normalize("NFC", name))
    return str(path.with_suffix(path.suffix.lower())) if path.suffix else str(path)


def _spelled(
    folder: Path, name: PurePath, spellings: Callable[[Path], dict[str, str | None]]
) -> Path | None:
    if os.path.exists(folder / name):  # Path.exists may raise
        return folder / name
    place = folder
    for part in name.parts:
        is_there = os.path.exists(place / part)
        spelled = part if is_there else spellings(place).get(spelled_alike(part))
        if spelled is None:
            return None
        place = place / spelled
    return place


def _spellings(folder: Path) -> dict[str, str | None]:
    """Each name in a folder by what its spellings have in common; None where two do."""
    found: dict[str, str | None] = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        alike = spelled_alike(name)
        found[alike] = None if alike in found else name
    return found
