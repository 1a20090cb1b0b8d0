"""Which files of a data set there are, and their captions: a folder, or a manifest.

Reads names and captions only; the media are read when they are drawn. What has no usable caption
is no error but part of the result, with its reason. Lumina's JSON is read as the released trainers
read it (released_models.md 3.2), but for records with several captions to choose from, addresses
(`s3://`), and the YAML list of several manifests.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from lumina_core.errors import LuminaError, reason_of
from lumina_core.files import open_regular, parse_json, read_regular
from lumina_core.output_paths import PREVIEW, SHEET

METADATA = "metadata.jsonl"  # of a folder, as the `imagefolder` of Hugging Face datasets has it
MAX_LIST_BYTES = 1 << 30  # of a JSON list, which is read as a whole: some three million records
MAX_RECORD_BYTES = 1 << 20  # of a line
MAX_TEXT_BYTES = 1 << 16  # of a text file with one caption
PATH_NAMES = ("path", "image", "image_path", "image_url", "file_name")
CAPTION_NAMES = ("caption", "prompt", "text", "super_high_quality_caption")
"""Names in a record; the first that is there counts. The last is that of Lumina-Image-2.0."""

ANSWERS = "gpt"  # who says the caption in Lumina's `conversations`


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
    """Name to reason, of what cannot be used."""


def list_folder(
    folder: Path,
    suffixes: Sequence[str],
    folder_suffixes: Sequence[str] = (),
    folder_files: Sequence[str] = (),
) -> Listing:
    """The media of a folder and its sub-folders, sorted by name; hidden ones do not count.

    Captions stand in `metadata.jsonl` of the folder where there is one (`file_name` and `text`
    in each line), else in a text file of the same name: `a/b.png` and `a/b.txt`. That of a folder
    named after no kind of file has its whole name: `chair v1.0` and `chair v1.0.txt`.

    Args:
        folder: the data set.
        suffixes: of the media that count, in lower case, with their dots.
        folder_suffixes: those of them that stand for a folder, whose files do not count.
        folder_files: names of files that make the folder in which they are one medium.

    Raises:
        LuminaError: there is no such folder, nothing in it, or it is itself a medium.
    """
    if not folder.is_dir():
        raise LuminaError(f"data.path={folder} is no folder; data=folder wants one of files")
    if _holds(folder, folder_files):
        raise LuminaError(
            f"data.path={folder} is one medium, for it holds {' or '.join(folder_files)}; "
            f"name the folder that holds it: data.path={folder.resolve().parent}"
        )
    found = sorted(_media_of(folder, suffixes, folder_suffixes, folder_files))
    if not found:
        folders = f" and no folder with {' or '.join(folder_files)}" if folder_files else ""
        raise LuminaError(
            f"data.path={folder} holds no file that ends in {' or '.join(suffixes)}{folders}; "
            "name the folder that holds them"
        )
    if (folder / METADATA).is_file():
        return _with_metadata(folder, [name.as_posix() for name, _ in found])
    return _with_text_files(folder, found)


def _media_of(
    folder: Path,
    suffixes: Sequence[str],
    folder_suffixes: Sequence[str],
    folder_files: Sequence[str],
) -> Iterator[tuple[PurePath, PurePath]]:
    """The name of each medium, and of the text file with its caption; as in `list_folder`."""
    for root, folders, files in os.walk(folder):
        place = PurePath(root).relative_to(folder)
        below = [name for name in folders if not name.startswith(".")]
        folders.clear()  # os.walk goes on with what is put back
        for name in below:
            suffix = PurePath(name).suffix.lower()
            if suffix in folder_suffixes:
                if suffix in suffixes:
                    yield place / name, (place / name).with_suffix(".txt")
            elif _holds(Path(root, name), folder_files):
                yield place / name, place / f"{name}.txt"
            else:
                folders.append(name)
        for name in files:
            suffix = PurePath(name).suffix.lower()
            is_medium = suffix in suffixes and suffix not in folder_suffixes
            if is_medium and not name.startswith("."):
                yield place / name, (place / name).with_suffix(".txt")


def _holds(folder: Path, names: Sequence[str]) -> bool:
    """Whether there is a file of one of the names in a folder."""
    return any(os.path.isfile(folder / name) for name in names)  # Path.is_file may raise


def _with_text_files(folder: Path, names: Sequence[tuple[PurePath, PurePath]]) -> Listing:
    """Media of a folder, each with the caption in its text file."""
    items, skipped = [], {}
    for name, text_file in names:
        try:
            caption = _checked(_read_sidecar(folder / text_file))
            items.append(Item(name.as_posix(), folder / name, caption))
        except ValueError as error:
            skipped[name.as_posix()] = str(error)
    return Listing(items, _without_pictures_beside([name for name, _ in names], skipped))


def _without_pictures_beside(names: Sequence[PurePath], skipped: dict[str, str]) -> dict[str, str]:
    """What is skipped, but for the previews and sheets that `run` put beside other files."""
    previews = {f"{name.as_posix()}{PREVIEW}" for name in names}
    sheets = {f"{name.with_suffix('').as_posix()}{SHEET}" for name in names}
    return {name: why for name, why in skipped.items() if name not in previews | sheets}


def list_manifest(path: Path) -> Listing:
    """The records of a manifest: JSON lines (.jsonl), or Lumina's JSON list (.json).

    Paths that are not absolute start at the folder of the manifest.

    Raises:
        LuminaError: there is no such file, it is empty or of another kind.
    """
    if path.suffix.lower() not in (".jsonl", ".json"):
        raise LuminaError(
            f"data.path={path} ends in {path.suffix!r}; data=manifest wants a .jsonl or .json file"
        )
    is_lines = path.suffix.lower() == ".jsonl"
    listing = _listed(path, _json_lines(path) if is_lines else _json_list(path))
    if not listing.items and not listing.skipped:
        raise LuminaError(f"data.path={path} is empty; one record per item is wanted")
    return listing


def _with_metadata(folder: Path, names: list[str]) -> Listing:
    """Files of a folder with the captions of its metadata; both have to know each other."""
    listed = _listed(folder / METADATA, _json_lines(folder / METADATA))
    present = set(names)
    items = [item for item in listed.items if item.name in present]
    known = {item.name for item in listed.items}
    skipped = dict(listed.skipped)
    skipped |= {name: "there is no such file in the folder" for name in sorted(known - present)}
    skipped |= {
        name: f"no line of {METADATA} tells its caption"
        for name in names
        if name not in known | skipped.keys()
    }
    skipped = _without_pictures_beside([PurePath(name) for name in names], skipped)
    return Listing(sorted(items, key=lambda item: item.name), skipped)


def _listed(path: Path, records: Iterator[tuple[int, Any]]) -> Listing:
    """Records as items, one each: a file with five captions stands in five records.

    A record that cannot be used has the name of its file, or its own number where another record
    of the file can be used: no name is both among the items and left out.

    Args:
        path: of the file that holds the records.
        records: with their numbers; an Exception in place of one says why it cannot be read.
    """
    items, unusable = [], []
    for number, record in records:
        name = place = f"{path.name}:{number}"
        try:
            if isinstance(record, Exception):
                raise record
            name = _file_name(record)
            items.append(Item(name, path.parent / name, _checked(_caption(record))))
        except ValueError as error:
            unusable.append((name, place, reason_of(error)))
    used = {item.name for item in items}
    skipped = {place if name in used else name: reason for name, place, reason in unusable}
    return Listing(items, skipped)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each line that is not blank; an Exception for one that is no JSON."""
    for number, line in enumerate(_lines(path), start=1):
        if line is None:
            yield number, ValueError(f"it has more than {MAX_RECORD_BYTES} bytes")
        elif line.strip():
            yield number, _json_value(line)


def _json_value(line: bytes) -> Any:
    """The value of a line; an Exception for one that is no JSON."""
    try:
        return parse_json(line)
    except ValueError as error:
        return ValueError(f"it is no JSON: {reason_of(error)}")


def _json_list(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each entry.

    Raises:
        LuminaError: the file is no JSON list.
    """
    try:
        with _naming(path):
            records = parse_json(read_regular(path, MAX_LIST_BYTES))
    except ValueError as error:
        raise LuminaError(f"data.path={path} is no JSON: {reason_of(error)}") from error
    if not isinstance(records, list):
        raise LuminaError(f"data.path={path} holds no list; a list of records is wanted")
    yield from enumerate(records, start=1)


def _lines(path: Path) -> Iterator[bytes | None]:
    """The lines of a file with their ends; None for one of more than MAX_RECORD_BYTES."""
    with _naming(path), open_regular(path) as file:
        while line := file.readline(MAX_RECORD_BYTES + 1):
            is_long = len(line) > MAX_RECORD_BYTES
            yield None if is_long else line
            while is_long and line and not line.endswith(b"\n"):
                line = file.readline(MAX_RECORD_BYTES)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LuminaError(f"data.path: {path} cannot be read: {error.strerror}") from error


def _file_name(record: Any) -> str:
    """The path in a record, as it stands there."""
    if not isinstance(record, Mapping):
        raise ValueError("it is no record of path and caption")
    name = next((record[key] for key in PATH_NAMES if key in record), None)
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"it names no file; one of {', '.join(PATH_NAMES)} is wanted")
    _check_unicode(name, "the path")
    return PurePath(name).as_posix()


def _caption(record: Mapping[str, Any]) -> Any:
    """The caption in a record: plain, or the last answer of a conversation."""
    turns = record.get("conversations")
    if isinstance(turns, list):
        answers = [t for t in turns if isinstance(t, Mapping) and t.get("from") == ANSWERS]
        return answers[-1].get("value") if answers else None
    return next((record[key] for key in CAPTION_NAMES if key in record), None)


def _read_sidecar(path: Path) -> str:
    try:
        return read_regular(path, MAX_TEXT_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"it has no caption: there is no {path.name} beside it") from error
    except OSError as error:
        raise ValueError(f"its caption in {path.name} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise ValueError(f"its caption in {path.name} is no valid UTF-8") from error


def _checked(caption: Any) -> str:
    """A caption on one line.

    Raises:
        ValueError: there is none, it is empty, or no text.
    """
    if caption is None:
        raise ValueError("it has no caption")
    if not isinstance(caption, str):
        raise ValueError(f"its caption is no text but {type(caption).__name__}")
    _check_unicode(caption, "its caption")
    text = " ".join(caption.split())
    if not text:
        raise ValueError("its caption is empty")
    return text


def _check_unicode(text: str, what: str) -> None:
    """JSON may hold half a character, which no tokenizer and no file system takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is no valid text") from error
