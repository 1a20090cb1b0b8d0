"""A page that shows what is in a folder of results, from the requests inside the files.

Settings that all of them share stand once at the end, the others below each medium, with its
preview where a file beside it holds one. What is damaged says so there, if it can still be read.
Files without a request (contact sheets, say) are counted, not shown.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.errors import LuminaError
from lumina_core.evaluation.pages import Figure, check_page, link, render, write_page
from lumina_core.files.unfinished import UNFINISHED
from lumina_core.media.names import preview_path
from lumina_core.media.seal import MEDIA, state_of
from lumina_core.modality import Decoder
from lumina_core.records import flat
from lumina_core.sampling.file_request import (
    NoRequestError,
    decoders,
    is_media_folder,
    request_inside,
)
from lumina_core.terminal import tell

INDEX = "index.html"
_SHOWN_ALWAYS = ("prompt", "seed")  # below each medium, even if all are alike


class Entry(NamedTuple):
    """One file and its request."""

    path: Path
    settings: dict[str, Any]
    """The request with dotted keys."""
    preview: Path | None
    """A picture of it, beside it."""
    state: str | None
    """What is wrong with it, as `seal.state_of` says."""


def write_gallery(folder: Path, out: Path | None) -> Path:
    """Write the page of a folder and of the folders in it.

    Args:
        folder: where the results are.
        out: the page; None: index.html in the folder.

    Returns:
        The page.

    Raises:
        LuminaError: no folder, nothing to show, another file has the page's name, or the page
            would lie in a folder that is one medium.
    """
    if not os.path.isdir(folder):  # unlike Path.is_dir, it never raises
        raise LuminaError(f"{folder} is no folder; name one with files that `run` made")
    out = folder / INDEX if out is None else out
    readers = decoders()
    for place in (folder.absolute(), *out.absolute().parents):
        if is_media_folder(place, readers):
            raise LuminaError(f"{place} is one medium, not a folder of them; name the one above it")
    check_page(out)
    entries, num_without, broken = _entries(folder, readers)
    if not entries:
        nothing = LuminaError(f"{folder} holds no file with a request; make some with `run`")
        raise broken[0] if broken else nothing
    if num_without:
        tell(f"note: files without a request are not shown ({num_without})")
    if broken:
        tell(
            f"note: files that cannot be read are not shown ({len(broken)}); the first: {broken[0]}"
        )
    faulty = [f"{entry.path} {entry.state}" for entry in entries if entry.state]
    if faulty:
        tell(f"note: {len(faulty)} files are not as they were made; the first: {faulty[0]}")
    write_page(out, gallery_page(folder, entries, out))
    return out


def gallery_page(folder: Path, entries: Sequence[Entry], out: Path) -> str:
    """The page of some files, by folder and name."""
    common = _common([entry.settings for entry in entries])
    groups = [
        (
            "" if parent == folder else str(parent.relative_to(folder)),
            [_figure(entry, common, out) for entry in members],
        )
        for parent, members in groupby(entries, key=lambda entry: entry.path.parent)
    ]
    title = folder.absolute().name or "Gallery"
    return render("gallery.html", title=title, num_files=len(entries), common=common, groups=groups)


def _figure(entry: Entry, common: Mapping[str, Any], out: Path) -> Figure:
    own = [
        f"{key}: {value}"
        for key, value in entry.settings.items()
        if key not in common and key != "prompt"
    ]
    prompt = str({"prompt": "", **entry.settings}["prompt"])
    name = entry.path.name
    details = [name, *own] if entry.state is None else [f"{name} {entry.state}", *own]
    source = link(entry.path, out)
    preview = None if entry.preview is None else link(entry.preview, out)
    return Figure(source, entry.path.suffix, prompt, details, preview)


def _entries(
    folder: Path, readers: Mapping[str, Decoder | None]
) -> tuple[list[Entry], int, list[LuminaError]]:
    """What can be shown, how many files of our kinds carry no request, and what ails others."""
    found, without, broken = [], [], []
    suffixes = {suffix for reader in readers.values() if reader for suffix in reader.suffixes}
    for path in sorted(_files(folder, readers), key=lambda path: (path.parent, path.name)):
        if path.suffix.lower() in suffixes:
            try:
                request = request_inside(path, readers)
            except NoRequestError:
                without.append(path)
            except LuminaError as error:
                broken.append(error)
            else:
                preview = _preview(path, readers.get(request["modality"]))
                request.pop(MEDIA, None)  # a long number that nobody asked for
                found.append(Entry(path, flat(request), preview, state_of(path)))
    previews = {entry.preview for entry in found}
    return found, sum(path not in previews for path in without), broken


def _preview(path: Path, reader: Decoder | None) -> Path | None:
    preview = None if reader is None else preview_path(path, reader)
    return preview if preview is not None and preview.is_file() else None


def _files(folder: Path, readers: Mapping[str, Decoder | None]) -> Iterator[Path]:
    """The files of a folder and the folders in it; what holds one medium counts as one."""
    for name, folders, files in os.walk(folder):
        parent = Path(name)
        media = [each for each in folders if is_media_folder(parent / each, readers)]
        folders[:] = [each for each in folders if each not in media]
        if not any(part.startswith(UNFINISHED) for part in parent.relative_to(folder).parts):
            yield from (parent / each for each in media)
            yield from (parent / each for each in files if (parent / each).is_file())


def _common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all requests have alike, but for what is always shown with each."""
    first, *rest = settings
    return {
        key: value
        for key, value in first.items()
        if key not in _SHOWN_ALWAYS and all(key in s and s[key] == value for s in rest)
    }
