"""Manifests: files that name media and tell their captions, one or several at once.

A list of several is that of the released trainers (released_models.md 3.2): YAML with `META`, a
list of `path`, and where wanted `root`, before every name, and `ratio`, the share of the records
that counts. Which records these are follows from the file and their numbers alone.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from lumina_core.data import caption_files
from lumina_core.data.caption_files import Records
from lumina_core.data.listing import Item, Listing, listed
from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.media.file_names import finder
from lumina_core.plugins.yaml_files import read_yaml

READERS: dict[str, Callable[[Path], Records]] = {
    ".jsonl": caption_files.json_lines,
    ".json": caption_files.json_list,
    ".parquet": caption_files.parquet,
}
LISTS = (".yaml", ".yml")
META = "META"
_ENTRY = ("path", "root", "ratio", "type")  # what a list says of a manifest; the last is not used
_SHARES = 1 << 64


class Manifest(NamedTuple):
    """One file of records."""

    path: Path
    root: PurePath
    """Before each name; where it is not absolute it starts at the folder of `data.path`."""
    ratio: float
    """Share of its records that counts."""

    def records(self) -> Records:
        """Those of its records that count, with their numbers."""
        for number, record in READERS[self.path.suffix.lower()](self.path):
            if self.ratio == 1 or _draw(self.path.name, number) < self.ratio:
                yield number, record


class Told(NamedTuple):
    """A medium of which records of a manifest tell."""

    name: str
    path: Path
    captions: tuple[str, ...]


def manifests_at(path: Path) -> list[Manifest]:
    """The manifests that `data.path` means.

    Raises:
        LuminaError: there is no such file, or it is of another kind.
    """
    suffix = path.suffix.lower()
    if suffix in READERS:
        return [Manifest(path, PurePath(), 1.0)]
    if suffix not in LISTS:
        *others, last = (*READERS, *LISTS)
        raise LuminaError(
            f"data.path={path} ends in {suffix!r}; data=manifest wants a {', '.join(others)} or "
            f"{last} file"
        )
    if not path.is_file():
        raise LuminaError(f"data.path={path} is no file; give a list of manifests")
    entries = read_yaml(path).get(META)
    if not isinstance(entries, list) or not entries:
        raise LuminaError(f"data.path={path} has no {META}: a list of manifests, each with a path")
    return [_manifest(path, number, entry) for number, entry in enumerate(entries, start=1)]


def _manifest(file: Path, number: int, entry: Any) -> Manifest:
    where = f"data.path={file}, {META} {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise LuminaError(f"{where} has no path of a manifest")
    for key in entry:
        if key not in _ENTRY:
            raise LuminaError(
                f"{where} has the key {printable(repr(key), MAX_REASON)}; known are "
                f"{', '.join(_ENTRY)}"
            )
    name, root, ratio = entry["path"], entry.get("root"), entry.get("ratio")
    ratio = 1 if ratio is None else ratio
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
        raise LuminaError(
            f"{where}: ratio is {printable(str(ratio), MAX_REASON)}; set a share above 0 and at "
            "most 1"
        )
    if not isinstance(root, str | None):
        raise LuminaError(f"{where}: root is no text; name the folder of its media")
    path = file.parent / name
    if path.suffix.lower() not in READERS:
        wanted = ", ".join(READERS)
        raise LuminaError(f"{where}: {printable(name, MAX_REASON)} is none of {wanted}")
    return Manifest(path, PurePath(name).parent if root is None else PurePath(root), float(ratio))


def _draw(name: str, number: int) -> float:
    digest = sha256(f"{name}:{number}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / _SHARES


def list_manifest(path: Path) -> Listing:
    """All records of a manifest, or of several.

    Paths that are not absolute start at the folder of the manifest.

    Raises:
        LuminaError: there is no such file, it is empty or of another kind.
    """
    items: list[Item] = []
    skipped: dict[str, str] = {}
    find = _found_below(path.parent)
    for manifest in manifests_at(path):
        label = manifest.path.name
        listing = listed(label, manifest.records(), find, manifest.root)
        items += listing.items
        skipped |= listing.skipped
    if not items and not skipped:
        raise LuminaError(f"data.path={path} is empty; one record per item is wanted")
    return Listing(items, skipped)


def told_by(manifest: Manifest, folder: Path) -> Iterator[Told | tuple[str, str]]:
    """What a manifest tells, one after the other; name and reason of what cannot be used.

    Records of one medium that follow each other are taken together.

    Args:
        manifest: which.
        folder: where names start: that of `data.path`.

    Raises:
        LuminaError: it cannot be read.
    """
    find = _found_below(folder)
    last: Told | None = None
    for number, record in manifest.records():
        name = f"{manifest.path.name}:{number}"
        try:
            if isinstance(record, Exception):
                raise record
            name = (manifest.root / caption_files.file_name(record)).as_posix()
            name, path = find(name)
            captions = tuple(caption_files.captions_in(record))
        except ValueError as error:
            yield name, reason_of(error)
            continue
        if last is not None and last.name == name:
            last = last._replace(captions=last.captions + captions)
            continue
        if last is not None:
            yield last
        last = Told(name, path, captions)
    if last is not None:
        yield last


def _found_below(folder: Path) -> Callable[[str], tuple[str, Path]]:
    find = finder(folder)

    def found(name: str) -> tuple[str, Path]:
        return name, find(name) or folder / name  # whoever reads it says that it is not there

    return found
