"""What a tar shard holds, in webdataset's layout: members of one key are one item.

A key is the path of a member up to the first dot of its last part: `0001.png` and `0001.txt` are an
item. Only headers and captions are read, no member is extracted, and no link is followed: names are
names. What is whole in a shard that was cut short is used.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from lumina_core.data.caption_files import (
    MAX_RECORD_BYTES,
    MAX_TEXT_BYTES,
    caption_text,
    captions_in,
)
from lumina_core.data.folder_contents import TEXT, Kinds
from lumina_core.errors import LuminaError, reason_of, why
from lumina_core.files.reading import open_regular, parse_json

RECORD = ".json"
SUFFIX = ".tar"
MAX_HEADER_BYTES = 1 << 20  # of a long name, or of what pax says of a member
CUT = "it is cut short, or damaged: what stands behind its last whole member is not read"


class Member(NamedTuple):
    """A file, folder or link in a shard, by its header."""

    name: PurePosixPath
    header: int
    """Where its headers begin, in bytes."""
    offset: int
    """Where its content begins."""
    size: int
    is_file: bool
    """Whether its content lies in the shard in one piece."""
    is_folder: bool


class Entry(NamedTuple):
    """An item of a shard."""

    name: str
    """Of its medium; that of a folder ends with a slash."""
    captions: tuple[str, ...]
    offset: int
    size: int


class Found(NamedTuple):
    """What a shard holds."""

    entries: list[Entry]
    skipped: dict[str, str]
    """Name to reason, of media that cannot be used."""
    lone: dict[str, str]
    """Name to reason, of what belongs to no medium, and without a name of the shard itself."""


class _Headers:
    """A file of which only headers are read: none claims more memory than a header needs."""

    def __init__(self, file: BinaryIO) -> None:
        self.tell, self.seek, self._read = file.tell, file.seek, file.read

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        return self._read(size)


def scan(path: Path, kinds: Kinds) -> Found:
    """The items of a shard, in the order in which their media stand there.

    Args:
        path: of the shard.
        kinds: what counts as a medium.

    Raises:
        LuminaError: it cannot be read, or is no plain tar file.
    """
    try:
        with open_regular(path) as file:
            members, is_whole = _members(file)
            found = _Shard(file, members, kinds).found()
            if not is_whole:
                found.lone[""] = CUT
    except (OSError, tarfile.TarError, ValueError) as error:
        raise LuminaError(
            f"it is no plain tar file ({why(error)}); unpack it if it is compressed"
        ) from error
    return found


def _members(file: BinaryIO) -> tuple[list[Member], bool]:
    """Members that lie wholly in the file, and whether it ends as a tar file does.

    Raises:
        tarfile.TarError, ValueError, OSError: it does not begin as one.
    """
    length = os.fstat(file.fileno()).st_size
    members: list[Member] = []
    with tarfile.open(fileobj=_Headers(file), mode="r:") as tar:  # type: ignore[call-overload]
        while True:
            start = tar.offset
            try:
                member = tar.next()
            except (tarfile.TarError, ValueError, EOFError):
                return members, False
            if member is None:
                break
            tar.members.clear()  # it would keep them all
            is_file = member.isreg() and not member.issparse()
            end = member.offset_data + member.size if is_file else tar.offset
            if member.size < 0 or end > length:
                return members, False
            name = PurePosixPath(member.name)
            place = member.offset, member.offset_data, member.size
            members.append(Member(name, *place, is_file, member.isdir()))
    file.seek(start)
    return members, file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE


class _Shard:
    """Puts the members of a shard together."""

    def __init__(self, file: BinaryIO, members: list[Member], kinds: Kinds) -> None:
        self._file, self._kinds = file, kinds
        self._members = [each for each in members if not _is_hidden(each.name)]
        self._folders = self._folder_media()

    def _folder_media(self) -> dict[PurePosixPath, list[Member]]:
        """The folders that are media, and what lies in each."""
        found: dict[PurePosixPath, list[Member]] = {}
        marked = {m.name.parent for m in self._members if m.name.name in self._kinds.folder_files}
        suffixes = set(self._kinds.folder_suffixes) & set(self._kinds.suffixes)
        for member in self._members:
            outer = [*member.name.parents][-2::-1]
            for folder in outer:  # the outermost first
                if folder in marked or folder.suffix.lower() in suffixes:
                    found.setdefault(folder, []).append(member)
                    break
        return found

    def found(self) -> Found:
        inside = {id(member) for members in self._folders.values() for member in members}
        groups: dict[str, list[Member]] = {}
        for member in self._members:
            if not (member.is_folder or id(member) in inside):
                groups.setdefault(_key(member.name), []).append(member)
        for folder in self._folders:
            groups.setdefault(_key(folder), [])
        folders: dict[str, list[PurePosixPath]] = {}
        for folder in self._folders:
            folders.setdefault(_key(folder), []).append(folder)
        result = Found([], {}, {})
        for key, members in groups.items():
            self._add(key, members, folders.get(key, []), result)
        result.entries.sort(key=lambda entry: entry.offset)
        return result

    def _add(
        self, key: str, members: list[Member], folders: list[PurePosixPath], result: Found
    ) -> None:
        suffixes = set(self._kinds.suffixes) - set(self._kinds.folder_suffixes)
        media = _plainest([m for m in members if m.name.suffix.lower() in suffixes])
        texts = [m for m in members if m.name.suffix.lower() in (TEXT, RECORD)]
        names = [str(m.name) for m in media] + [f"{folder}/" for folder in folders]
        if not names:
            result.lone.update({str(m.name): "it lies beside no medium" for m in texts})
            return
        try:
            if len(names) > 1:
                listed = ", ".join(sorted(set(names)))
                raise ValueError(
                    f"its key {key!r}, which ends at the first dot, has {len(names)} media: "
                    f"{listed}"
                )
            captions = self._captions(_plainest(texts), key)
            if folders:
                entry = self._folder_entry(folders[0], captions)
            else:
                _refuse_outside(media[0])
                entry = Entry(names[0], captions, media[0].offset, media[0].size)
            result.entries.append(entry)
        except ValueError as error:
            result.skipped.update(dict.fromkeys(names, reason_of(error)))

    def _folder_entry(self, folder: PurePosixPath, captions: tuple[str, ...]) -> Entry:
        members = self._folders[folder]
        for member in members:
            if not member.is_folder:
                _refuse_outside(member)
        end = max(member.offset + member.size * member.is_file for member in members)
        first = min(member.header for member in members)
        return Entry(f"{folder}/", captions, first, end - first)

    def _captions(self, texts: list[Member], key: str) -> tuple[str, ...]:
        """Those in the text of a key or, where there is none, in its record.

        Raises:
            ValueError: there is none that can be used.
        """
        for suffix, max_bytes in ((TEXT, MAX_TEXT_BYTES), (RECORD, MAX_RECORD_BYTES)):
            own = [member for member in texts if member.name.suffix.lower() == suffix]
            if len(own) > 1:
                raise ValueError(f"it has {len(own)} captions {own[0].name} and {own[1].name}")
            if not own:
                continue
            (member,) = own
            _refuse_outside(member)
            if member.size > max_bytes:
                raise ValueError(f"its caption {member.name} has more than {max_bytes} bytes")
            self._file.seek(member.offset)
            content = self._file.read(member.size)
            if suffix == TEXT:
                return (caption_text(content, member.name.name),)
            record = parse_json(content)
            if not isinstance(record, dict):
                raise ValueError(f"its caption {member.name} is no record")
            return tuple(captions_in(record))
        raise ValueError(
            f"it has no caption: there is no {key}{TEXT} or {key}{RECORD} in its shard"
        )


def _plainest(members: list[Member]) -> list[Member]:
    """Of several members those whose name has one dot: `0001.png` rather than `0001.mask.png`."""
    plain = [member for member in members if member.name.name.count(".") == 1]
    return plain if len(members) > 1 and plain else members


def _refuse_outside(member: Member) -> None:
    if not member.is_file:
        raise ValueError(f"{member.name} is a link or no plain file, and is not followed")


def _key(name: PurePosixPath) -> str:
    return str(name.parent / name.name.partition(".")[0])


def _is_hidden(name: PurePosixPath) -> bool:
    return any(part.startswith(".") and part != ".." for part in name.parts)


def folder_files(content: bytes, folder: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a folder that is a medium: name within it, and content.

    Args:
        content: of the shard, from the first member of the folder to the end of the last.
        folder: its name, with the slash.

    Raises:
        LuminaError: a name leads out of the folder, or the content is damaged.
    """
    end = tarfile.NUL * (-len(content) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
    try:
        with tarfile.open(fileobj=io.BytesIO(content + end), mode="r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isreg() or not name.is_relative_to(folder.rstrip("/")):
                    continue
                inner = name.relative_to(folder.rstrip("/"))
                if ".." in inner.parts or _is_hidden(inner):
                    raise LuminaError(f"the name of {name} leads out of its folder")
                file = tar.extractfile(member)
                yield inner, file.read() if file else b""
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise LuminaError(f"{folder} is damaged in its shard: {reason_of(error)}") from error
