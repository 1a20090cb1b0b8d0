"""The seal of a file: hashes of its bytes and of its request, which stand in the request itself.

Most formats do not notice a damaged bit. A request is written with a blank in place of the hash of
the file; what is then on the disk is hashed, and the hash takes the blank's place. That works for
any format that keeps texts as they are and for a folder of files. Of formats with checksums only
that of PNG is put right; where the decoder no longer reads its request, as in Ogg, the blank stays,
and the format sees damage itself. Files of earlier versions have no seal.

A seal shows accidents. It is no signature: whoever wants to can make another.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.files.reading import read_regular
from lumina_core.media.png_checksums import with_checksum
from lumina_core.modality import Decoder, Media

SEAL, FILE, REQUEST = "seal", "file", "request"
MEDIA = "media_sha256"  # in a file's request: of what was made, which a lossy file does not hold
DAMAGED = "is damaged: it is as long as when it was written, but holds something else"
CHANGED = "was changed after it was made: it has another length"
"""What may be wrong with a file; these words follow its name."""

_BLANK = b"lumina-sha256:" + b"0" * 64 + b":" + b"0" * 12  # hash, and length in bytes
_MARK = re.compile(rb"lumina-sha256:([0-9a-f]{64}):([0-9]{12})")
_MAX_BYTES = 1 << 30  # of a file that is looked at; what we write fits in memory, others may not


def write_sealed(
    decoder: Decoder,
    media: Media,
    path: Path,
    request: Mapping[str, Any],
    options: Any,
    media_sha256: str,
) -> None:
    """Write a file or folder with its request and its seal.

    Args:
        decoder: writes it.
        media: what is in it.
        path: of the file; nobody else may read it yet.
        request: to stand inside.
        options: of the media.
        media_sha256: hash of the media.

    Raises:
        LuminaError: whatever the decoder refuses.
        OSError: it cannot be written.
    """
    told = {**request, MEDIA: media_sha256}
    # first, so that GIF and PLY, which cut long texts in pieces, leave it in one
    seal = {FILE: _BLANK.decode(), REQUEST: _request_sha256(told)}
    decoder.write(media, path, {SEAL: seal, **told}, options)
    _close(path, decoder)


def request_of(path: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """The request that a file carries, without its seal.

    Args:
        path: of the file, for the message.
        found: what the decoder reads.

    Raises:
        LuminaError: it is not the request that was sealed.
    """
    request = {key: value for key, value in found.items() if key != SEAL}
    if SEAL not in found and not any(_is_seal(value) for value in found.values()):
        return request
    seal: Any = found.get(SEAL)
    if not _is_seal(seal) or seal[REQUEST] != _request_sha256(request):
        raise LuminaError(f"{path} carries a damaged request; make the file again from its prompt")
    return request


def check_undamaged(path: Path) -> None:
    """Refuse a sealed file that is damaged; one that another program changed is its user's.

    Raises:
        LuminaError: its bytes are not those that were sealed.
    """
    if state_of(path) == DAMAGED:
        raise damaged(path)


def damaged(path: Path) -> LuminaError:
    """The refusal of a file whose state is DAMAGED."""
    return LuminaError(
        f"{path} {DAMAGED}; make it again with repeat={path}, which works where info shows its "
        "request, or save it without its comment if the change is yours"
    )


def state_of(path: Path) -> str | None:
    """What is wrong with a file or folder by its seal: DAMAGED, CHANGED or, if nothing is, None.

    Other programs keep the comment of a file that they change, but hardly ever its length; damage
    does, unless something is cut off, and that readers see.
    """
    try:
        parts = _parts(path)
        marks = ((file, mark) for _, file in parts if (mark := _mark_in(file)) is not None)
        holder, mark = next(marks, (path, None))
        if mark is None or mark[0] == _BLANK:
            return None
        length = int(mark[2])
        if holder != path and length == holder.stat().st_size:
            return None  # a file of its own, in a folder that is no medium
        if _length(parts) != length:
            return CHANGED
        return None if _sha256(parts, mark[0]) == mark[1].decode() else DAMAGED
    except OSError:  # whoever reads it says why
        return None


def _request_sha256(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _is_seal(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {FILE, REQUEST}
        and isinstance(value[FILE], str)
        and _MARK.fullmatch(value[FILE].encode(errors="replace")) is not None
    )


def _close(path: Path, decoder: Decoder) -> None:
    """Put the hash of a file in place of the blank, if its format bears that."""
    parts = _parts(path)
    holders = [file for _, file in parts for _ in range(file.read_bytes().count(_BLANK))]
    if len(holders) != 1:  # it is compressed, or a prompt holds such a text
        return
    blank = holders[0].read_bytes()
    mark = b"lumina-sha256:%s:%012d" % (_sha256(parts, _BLANK).encode(), _length(parts))
    _overwrite(holders[0], _exchanged(blank, _BLANK, mark))
    try:
        found = decoder.read_metadata(path) or {}
    except Exception:  # a format with a checksum that we do not know
        found = {}
    if not _is_seal(found.get(SEAL)) or found[SEAL][FILE] != mark.decode():
        _overwrite(holders[0], blank)


def _parts(path: Path) -> list[tuple[str, Path]]:
    """A file, or the visible files of a folder with their names, in order."""
    if path.is_file():
        return [("", path)]
    files = [(file.relative_to(path), file) for file in path.rglob("*") if file.is_file()]
    visible = [pair for pair in files if not any(part[0] == "." for part in pair[0].parts)]
    return sorted((name.as_posix(), file) for name, file in visible)


def _mark_in(file: Path) -> re.Match[bytes] | None:
    is_small = file.stat().st_size <= _MAX_BYTES
    return _MARK.search(read_regular(file, _MAX_BYTES)) if is_small else None


def _length(parts: Sequence[tuple[str, Path]]) -> int:
    return sum(len(os.fsencode(name)) + file.stat().st_size for name, file in parts)


def _sha256(parts: Sequence[tuple[str, Path]], mark: bytes) -> str:
    """Hash of everything with the blank in place of a mark; of a broken PNG none."""
    digest = hashlib.sha256()
    for name, file in parts:
        digest.update(os.fsencode(name))
        try:
            digest.update(_exchanged(read_regular(file, _MAX_BYTES), mark, _BLANK))
        except ValueError:
            return ""
    return digest.hexdigest()


def _exchanged(data: bytes, old: bytes, new: bytes) -> bytes:
    place = data.find(old)
    return data if place < 0 else with_checksum(data.replace(old, new), place)


def _overwrite(file: Path, data: bytes) -> None:
    """Write as many bytes as there are, in their place: a full disk has room for them."""
    with file.open("r+b") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
