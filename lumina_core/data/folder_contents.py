"""What lies in a folder of data: media, texts, metadata. It opens folders only.

Linked folders are walked, too, after all others; none is walked twice, so that links may lead in a
circle; one that holds the folder of data itself is not, for nobody means all that lies there.
Hidden files and folders do not count.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from errno import ELOOP
from pathlib import Path, PurePath
from typing import NamedTuple

METADATA = ("metadata.jsonl", "metadata.csv")
"""Of a folder, as the `imagefolder` of Hugging Face datasets has them."""

UNREAD_METADATA = "metadata.parquet"
TEXT = ".txt"


class Kinds(NamedTuple):
    """What counts as a medium."""

    suffixes: Sequence[str]
    """Of files and folders, in lower case, with their dots."""
    folder_suffixes: Sequence[str]
    """Those of them that stand for a folder, whose files do not count."""
    folder_files: Sequence[str]
    """Names of files that make the folder in which they are one medium."""


@dataclass
class Contents:
    """Names that start at the folder."""

    media: list[PurePath] = field(default_factory=list)
    open_folders: set[PurePath] = field(default_factory=set)
    """The media that are folders named after no kind of file."""
    texts: list[PurePath] = field(default_factory=list)
    metadata: dict[PurePath, list[PurePath]] = field(default_factory=dict)
    """By the folder that holds them."""
    others: list[PurePath] = field(default_factory=list)
    """Files of which the name does not tell whether they are media."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Name to reason, of what cannot be looked into."""

    def metadata_of(self, name: PurePath) -> list[PurePath]:
        """The files of metadata that tell of a name: the nearest above it."""
        return next((self.metadata[up] for up in name.parents if up in self.metadata), [])


def contents_of(folder: Path, kinds: Kinds) -> Contents:
    """All that lies in a folder and its sub-folders."""
    found = Contents()
    for place, entry in _entries(folder, kinds, found):
        name = PurePath(entry.name)
        suffix = name.suffix.lower()
        if _is_folder(entry):
            found.media.append(place / name)
            if suffix not in kinds.folder_suffixes:
                found.open_folders.add(place / name)
        elif entry.name in METADATA:
            found.metadata.setdefault(place, []).append(place / name)
        elif entry.name == UNREAD_METADATA:
            reason = f"it is not read; write it as {' or '.join(METADATA)}"
            found.skipped[(place / name).as_posix()] = reason
        elif suffix == TEXT:
            found.texts.append(place / name)
        elif suffix in kinds.suffixes and suffix not in kinds.folder_suffixes:
            found.media.append(place / name)
        else:
            found.others.append(place / name)
    for names in (found.media, found.texts, found.others):
        names.sort()
    return found


def holds(folder: Path, names: Sequence[str]) -> bool:
    """Whether there is a file of one of the names in a folder."""
    return any(os.path.isfile(folder / name) for name in names)  # Path.is_file may raise


def _entries(
    folder: Path, kinds: Kinds, found: Contents
) -> Iterator[tuple[PurePath, os.DirEntry[str]]]:
    """Each file, and each folder that is a medium, with the place where it lies."""
    above = {_identity(os.stat(outer)) for outer in folder.resolve().parents}
    walked: set[tuple[int, int]] = set()
    waiting = [PurePath()]
    linked: list[PurePath] = []
    while waiting or linked:
        place = waiting.pop() if waiting else linked.pop(0)
        try:
            identity = _identity(os.stat(folder / place))
            if identity in walked:
                continue
            walked.add(identity)
            if identity in above:
                raise OSError(ELOOP, "it is a link to a folder that holds this one")
            entries = sorted(os.scandir(folder / place), key=lambda entry: entry.name)
        except OSError as error:
            found.skipped[place.as_posix()] = f"the folder cannot be read: {error.strerror}"
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            suffix = PurePath(entry.name).suffix.lower()
            if not _is_folder(entry):
                yield place, entry
            elif suffix in kinds.folder_suffixes:
                if suffix in kinds.suffixes:
                    yield place, entry
            elif holds(Path(entry.path), kinds.folder_files):
                yield place, entry
            else:
                (linked if entry.is_symlink() else waiting).append(place / entry.name)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
