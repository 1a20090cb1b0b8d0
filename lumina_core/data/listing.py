"""Which files of a folder there are, and their captions.

Reads names and captions only; the media are read when they are drawn. What has no usable caption,
and a caption that has no medium, is no error but part of the result, with its reason.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePath
from unicodedata import normalize

from lumina_core.data import caption_files
from lumina_core.data.folder_contents import TEXT, Contents, Kinds, contents_of, holds
from lumina_core.errors import LuminaError, reason_of
from lumina_core.media.file_names import finder, with_slashes
from lumina_core.media.names import PREVIEW, SHEET
from lumina_core.modality import Decoder


@dataclass(frozen=True)
class Item:
    """A medium, a file or a folder of them, and its caption."""

    name: str
    """How the data set calls it."""
    path: Path
    caption: str


@dataclass(frozen=True)
class Listing:
    """Every item of a data set, in a fixed order."""

    items: list[Item]
    skipped: dict[str, str]
    """Name to reason, of media that cannot be used, and of records of them."""
    lone_texts: dict[str, str] = field(default_factory=dict)
    """Name to reason, of text files that belong to no medium, so that none is left out."""


def list_folder(
    folder: Path,
    suffixes: Sequence[str],
    folder_suffixes: Sequence[str] = (),
    folder_files: Sequence[str] = (),
    check: Callable[[Path], object] = lambda path: None,
) -> Listing:
    """The media of a folder and its sub-folders, sorted by name; hidden ones do not count.

    Captions stand in `metadata.jsonl` or `metadata.csv` (`file_name` and `text` in each record),
    which tells of the folder that holds it and of all below; where there is none, in a text file
    of the same name: `a/b.png` and `a/b.txt`. That of a folder named after no kind of file has its
    whole name: `chair v1.0` and `chair v1.0.txt`. A file that a record names, or beside which
    there is a text, may have any suffix or none.

    Args:
        folder: the data set.
        suffixes: of the media that count, in lower case, with their dots.
        folder_suffixes: those of them that stand for a folder, whose files do not count.
        folder_files: names of files that make the folder in which they are one medium.
        check: raises a LuminaError for a file that is no medium; is asked where only a text beside
            it tells that it may be one.

    Raises:
        LuminaError: there is no such folder, nothing in it, or it is itself a medium.
    """
    if not folder.is_dir():
        raise LuminaError(f"data.path={folder} is no folder; data=folder wants one of files")
    if holds(folder, folder_files):
        raise LuminaError(
            f"data.path={folder} is one medium, for it holds {' or '.join(folder_files)}; "
            f"name the folder that holds it: data.path={folder.resolve().parent}"
        )
    found = contents_of(folder, Kinds(suffixes, folder_suffixes, folder_files))
    told = _told_by_metadata(folder, found)
    texts = _texts_of_media(found)
    beside = _told_by_texts(folder, found, texts)
    lone = _told_by_lone_texts(folder, found, set(texts.values()), check)
    items = sorted(told.items + beside.items + lone.items, key=lambda item: item.name)
    skipped = found.skipped | told.skipped | beside.skipped | lone.skipped
    if not items and not skipped:
        folders = f" and no folder with {' or '.join(folder_files)}" if folder_files else ""
        first = "".join(f" ({text}: {why})" for text, why in [*lone.lone_texts.items()][:1])
        raise LuminaError(
            f"data.path={folder} holds no file that ends in {' or '.join(suffixes)}{folders}"
            f"{first}; name the folder that holds them"
        )
    return Listing(items, _without_pictures_beside(found.media, skipped), lone.lone_texts)


def list_media(folder: Path, decoder: Decoder) -> Listing:
    """The media of a folder that a decoder reads; see `list_folder`."""
    kinds = kinds_of(decoder)
    return list_folder(folder, *kinds, decoder.read_metadata)


def kinds_of(decoder: Decoder) -> Kinds:
    """What counts as a medium of a modality."""
    return Kinds(decoder.read_suffixes, decoder.folder_suffixes, decoder.folder_files)


def _told_by_metadata(folder: Path, found: Contents) -> Listing:
    """The media below files of metadata; both have to know each other."""
    items: list[Item] = []
    skipped: dict[str, str] = {}
    in_folder = _finder_below(folder, set(found.media))
    for path in chain.from_iterable(found.metadata.values()):
        read = caption_files.table if path.suffix == ".csv" else caption_files.json_lines
        listing = listed(path.as_posix(), read(folder / path), in_folder, path.parent)
        items += listing.items
        skipped |= listing.skipped
    told = {item.name for item in items} | skipped.keys()
    untold = [name for name in found.media if found.metadata_of(name) and str(name) not in told]
    if untold:  # unless a record names it by way of a link
        real = {os.path.realpath(item.path) for item in items}
        for name in untold:
            if os.path.realpath(folder / name) not in real:
                files = " or ".join(path.as_posix() for path in found.metadata_of(name))
                skipped[name.as_posix()] = f"no line of {files} tells its caption"
    return Listing(items, skipped)


def _finder_below(folder: Path, media: set[PurePath]) -> Callable[[str], tuple[str, Path]]:
    """Finds what a record of metadata names, in the folder alone."""
    find = finder(folder)

    def found(name: str) -> tuple[str, Path]:
        path = PurePath(with_slashes(name))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("its path leads out of the folder, which only a manifest may")
        there = find(name)
        if there is None:
            raise ValueError("there is no such file in the folder")
        inside = there.relative_to(folder)
        whole = next((outer for outer in inside.parents if outer in media), None)
        if whole is not None:
            raise ValueError(f"it is a part of {whole.as_posix()}, which is one medium")
        if inside not in media and there.is_dir():
            raise ValueError("it is a folder, and no medium")
        return inside.as_posix(), there

    return found


def _texts_of_media(found: Contents) -> dict[PurePath, PurePath | None]:
    """The text file of each medium of which no metadata tells; None where there is none."""
    exact = {(text.parent, text.stem): text for text in found.texts}
    alike: dict[tuple[PurePath, str], PurePath | None] = {}
    for (place, stem), text in exact.items():
        key = place, normalize("NFC", stem)
        alike[key] = None if key in alike else text

    def text_of(name: PurePath) -> PurePath | None:
        stems = [name.name] if name in found.open_folders else [name.stem, name.name]
        texts = [exact.get((name.parent, stem)) for stem in stems]
        texts += [alike.get((name.parent, normalize("NFC", stem))) for stem in stems]
        return next((text for text in texts if text is not None), None)

    return {name: text_of(name) for name in found.media if not found.metadata_of(name)}


def _told_by_texts(
    folder: Path, found: Contents, texts: Mapping[PurePath, PurePath | None]
) -> Listing:
    """Media with their captions in text files."""
    items, skipped = [], {}
    for name, text in texts.items():
        try:
            if text is None:
                wanted = name.name if name in found.open_folders else name.stem
                raise ValueError(f"it has no caption: there is no {wanted}{TEXT} beside it")
            caption = caption_files.caption_of(folder / text)
            items.append(Item(name.as_posix(), folder / name, caption))
        except ValueError as error:
            skipped[name.as_posix()] = str(error)
    return Listing(items, skipped)


def _told_by_lone_texts(
    folder: Path, found: Contents, taken: set[PurePath | None], check: Callable[[Path], object]
) -> Listing:
    """Files whose names do not tell that they are media, but beside which there is a text."""
    items, skipped, lone = [], {}, {}
    by_stem: dict[tuple[PurePath, str], list[PurePath]] = {}
    for name in found.others:
        for stem in {normalize("NFC", name.stem), normalize("NFC", name.name)}:
            by_stem.setdefault((name.parent, stem), []).append(name)
    for text in found.texts:
        if text in taken or found.metadata_of(text):
            continue
        names = by_stem.get((text.parent, normalize("NFC", text.stem)), [])
        if len(names) != 1:
            several = f", but several files of its name: {', '.join(name.name for name in names)}"
            lone[text.as_posix()] = f"it lies beside no medium{several if names else ''}"
            continue
        try:
            check(folder / names[0])
            caption = caption_files.caption_of(folder / text)
            items.append(Item(names[0].as_posix(), folder / names[0], caption))
        except LuminaError as error:
            lone[text.as_posix()] = str(error)
        except ValueError as error:
            skipped[names[0].as_posix()] = str(error)
    return Listing(items, skipped, lone)


def listed(
    label: str,
    records: caption_files.Records,
    find: Callable[[str], tuple[str, Path]],
    place: PurePath,
) -> Listing:
    """Records as items, one each: a file with five captions stands in five records.

    A record that cannot be used has the name of its file, or its own number where another record
    of the file can be used: no name is both among the items and left out.

    Args:
        label: of the file that holds the records.
        records: with their numbers; an Exception in place of one says why it cannot be read.
        find: gives name and path of what a record names, or raises a ValueError.
        place: where the names in the records start.
    """
    items, unusable = [], []
    for number, record in records:
        name = line = f"{label}:{number}"
        try:
            if isinstance(record, Exception):
                raise record
            name = (place / caption_files.file_name(record)).as_posix()
            name, path = find(name)
            items += [Item(name, path, each) for each in caption_files.captions_in(record)]
        except ValueError as error:
            unusable.append((name, line, reason_of(error)))
    used = {item.name for item in items}
    skipped = {line if name in used else name: reason for name, line, reason in unusable}
    return Listing(items, skipped)


def _without_pictures_beside(names: Sequence[PurePath], skipped: dict[str, str]) -> dict[str, str]:
    """What is skipped, but for the previews and sheets that `run` put beside other files."""
    previews = {f"{name.as_posix()}{PREVIEW}" for name in names}
    sheets = {f"{name.with_suffix('').as_posix()}{SHEET}" for name in names}
    return {name: why for name, why in skipped.items() if name not in previews | sheets}
