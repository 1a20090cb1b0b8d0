"""Which kind of sound file it is, by its first bytes, and whether it is all there.

libsndfile reads what is left of a WAV, AIFF or AU that was cut off, and stops at the first page
of an Ogg stream that is damaged, without a word; so each is looked at before it is read. The text
of a WAV is found here, too.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from lumina_audio.sound_writing import OGG_CHECKSUM, OGG_COUNT, OGG_HEADER, ogg_checksum

KINDS = "WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, AU"  # as users know them

UNKNOWN_LENGTH, UNKNOWN_LONG_LENGTH = 0x7F00_0000, 1 << 62
"""Bytes from which on a length says that it is unknown, of 32 and of 64 bits.

Whoever writes into a pipe writes something that cannot be: FFmpeg 0xffffffff, SoX 0x7ffff000 (AIFF
0x7f000000), arecord 0x7fffff00. Sounds of 2 GB are too long anyway.
"""

LONG_LENGTH = 28  # where RF64 has the length of its samples (EBU Tech 3306)
MAX_LENGTH = 0xFFFF_FFFF  # bytes, of a chunk

MPEG_TAGS = (b"\x50\x00", b"\x55\x00", b"\x00\x50", b"\x00\x55")  # formats of a WAV (RFC 2361)
MAX_COMMENT = 1 << 26  # bytes that are read; ours are far shorter
OGG_FIRST, OGG_LAST = 2, 4  # flags of a stream's first and last page
OGG_SERIAL_FIELD = slice(14, 18)

ID3_HEADER, SHIFTS = 10, (21, 14, 7, 0)  # of a tag before an MP3 (id3.org, ID3v2.4, 3.1)
MP3_RATES = (44_100, 48_000, 32_000)  # Hz, by the two bits of a frame (ISO 11172-3, 2.4.2.3)
_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HIGH = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_VERSIONS = {3: (1152, 0, _HIGH), 2: (576, 1, _LOW), 0: (576, 2, _LOW)}
"""Of MPEG-1, 2 and 2.5: samples of a frame, halvings of MP3_RATES, and kilobits per second."""


class Chunk(NamedTuple):
    """A piece of a RIFF or AIFF file, and where in the file its contents stand."""

    name: bytes
    start: int
    size: int


def kind_of(file: BinaryIO) -> str:
    """The kind of a file, in libsndfile's words.

    Raises:
        ValueError: it is empty, or none that is read.
    """
    head = _at(file, 0, 12)
    if not head:
        raise ValueError("it is empty")
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return "AIFF"
    kinds = {b"fLaC": "FLAC", b"OggS": "OGG", b".snd": "AU"}
    is_mp3 = head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    kind = kinds.get(head[:4], "MP3" if is_mp3 else None)
    if kind is None:
        raise ValueError(f"it is broken, or none of {KINDS}")
    return kind


def check_whole(file: BinaryIO, kind: str) -> str | None:
    """Refuse a file that ends before its end or is damaged, where libsndfile would not.

    Returns:
        What is odd about a file that can be read all the same; None where nothing is.

    Raises:
        ValueError: it is such a file, or holds no samples.
    """
    if kind in ("WAV", "AIFF"):
        samples = {"WAV": b"data", "AIFF": b"SSND"}[kind]
        for chunk in _chunks(file):
            if kind == "WAV" and chunk.name == b"fmt ":
                _check_codec(_at(file, chunk.start, 2))
            if chunk.name == samples:
                there = _size(file) - chunk.start
                if chunk.size > there and _outer_end(file) == _size(file):
                    return (
                        f"its header counts {chunk.size} bytes of samples, and {there} are there, "
                        "which is all that its outer length counts; these are read"
                    )
                if not _goes_on(file, chunk):
                    _check_length(file, chunk.start, chunk.size)
    elif kind == "AU":
        header = _at(file, 4, 8)
        if len(header) == 8:
            _check_length(file, *struct.unpack(">II", header))
    elif kind == "OGG":
        _check_pages(file)
    return None


def unknown_length(file: BinaryIO) -> tuple[int, bytes] | None:
    """A length of a WAV that libsndfile does not take for unknown, though it is.

    Returns:
        Where it stands, and the length that is there; None where there is no such length.
    """
    for chunk in _chunks(file):
        if chunk.name == b"data":
            is_long = _at(file, 0, 4) == b"RF64" and _at(file, 12, 4) == b"ds64"
            if not _goes_on(file, chunk) and chunk.size < 1 << 63:
                return None
            there = _size(file) - chunk.start
            if is_long:
                return LONG_LENGTH, struct.pack("<Q", there)
            order = ">" if _at(file, 0, 4) == b"RIFX" else "<"
            return chunk.start - 4, struct.pack(f"{order}I", min(there, MAX_LENGTH))
    return None


def _goes_on(file: BinaryIO, chunk: Chunk) -> bool:
    """Whether a chunk whose length is 0 has contents, up to the end of the file."""
    behind = _at(file, chunk.start, 4) if chunk.size == 0 else b""
    return bool(behind) and not behind.replace(b" ", b"").isalpha()  # a chunk; one sound in 500


def _outer_end(file: BinaryIO) -> int:
    """Where a RIFF or AIFF file ends by its first length."""
    order = ">" if _at(file, 0, 4) in (b"FORM", b"RIFX") else "<"
    return 8 + struct.unpack(f"{order}I", _at(file, 4, 4))[0]


def _check_codec(tag: bytes) -> None:
    if tag in MPEG_TAGS:  # libmpg123 writes to stderr what it thinks of a stream
        raise ValueError("it is a WAV that holds MPEG audio; convert it to 16 bits")


def _check_length(file: BinaryIO, start: int, size: int) -> None:
    there = _size(file) - start
    unknown = UNKNOWN_LONG_LENGTH if _at(file, 0, 4) == b"RF64" else UNKNOWN_LENGTH
    if size == 0:
        raise ValueError("it has no samples")
    if there < size < unknown:
        raise ValueError(f"it is cut off: {max(there, 0)} of its {size} bytes of samples are there")


def _check_pages(file: BinaryIO) -> None:
    """Read an Ogg stream to its end; its pages carry checksums and numbers."""
    end, place, numbers, unfinished = _size(file), 0, {}, set()
    while place < end:
        header = _at(file, place, OGG_HEADER)
        sizes = _at(file, place + OGG_HEADER, header[OGG_COUNT]) if len(header) > OGG_COUNT else b""
        page = _at(file, place, OGG_HEADER + len(sizes) + sum(sizes))
        if page[:4] != b"OggS" or page[OGG_CHECKSUM : OGG_CHECKSUM + 4] != ogg_checksum(page):
            raise ValueError(f"it is damaged or cut off at byte {place} of {end}")
        if page[5] & OGG_FIRST and any(numbers.values()):
            raise ValueError(
                "it is a chain of several Ogg streams, one after the other, of which only the "
                f"first could be read; cut it at byte {place}, or convert it to .wav"
            )
        serial, number = page[OGG_SERIAL_FIELD], struct.unpack_from("<I", page, 18)[0]
        if number != numbers.get(serial, number - 1) + 1:
            raise ValueError(f"a part is missing at byte {place} of {end}")
        numbers[serial] = number
        (unfinished.discard if page[5] & OGG_LAST else unfinished.add)(serial)
        place += len(page)
    if unfinished:
        raise ValueError("it is cut off: its last page is missing")


def mp3_samples(file: BinaryIO) -> int | None:
    """The samples of all frames of an MP3; None where its first frame tells them.

    Where it does not, libsndfile guesses from that frame's size, and stops there.

    Raises:
        ValueError: the last frame is cut off.
    """
    place = _after_tags(file)
    total, end = 0, _size(file)
    while frame := _mp3_frame(_at(file, place, 4)):
        size, samples = frame
        if not total and any(name in _at(file, place, size) for name in (b"Xing", b"Info")):
            return None
        total, place = total + samples, place + size
        if place > end:
            raise ValueError("it is cut off: its last frame is not whole")
    return total


def _after_tags(file: BinaryIO) -> int:
    """Where the first frame of an MP3 stands: some programs put a tag before that of another."""
    place = 0
    while (head := _at(file, place, ID3_HEADER))[:3] == b"ID3" and len(head) == ID3_HEADER:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], SHIFTS, strict=True))
        place += ID3_HEADER + size  # seven bits of each byte
    return place


def _mp3_frame(header: bytes) -> tuple[int, int] | None:
    """Bytes and samples of a frame of layer III; None for anything else."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in MP3_VERSIONS or bit_rate in (0, 15) or rate == 3:
        return None
    samples, halvings, kilobits = MP3_VERSIONS[version]
    hertz = MP3_RATES[rate] >> halvings
    padding = header[2] >> 1 & 1
    return samples // 8 * kilobits[bit_rate - 1] * 1000 // hertz + padding, samples


def wav_comment(file: BinaryIO) -> str:
    """The comment (ICMT) of a WAV; empty where there is none."""
    for chunk in _chunks(file):
        if chunk.name == b"LIST" and _at(file, chunk.start, 4) == b"INFO":
            for item in _chunks(file, chunk.start + 4, chunk.start + chunk.size):
                if item.name == b"ICMT":
                    text = _at(file, item.start, min(item.size, MAX_COMMENT))
                    return text.split(b"\0")[0].decode("utf-8", "replace")
    return ""


def _chunks(file: BinaryIO, start: int = 12, end: int | None = None) -> Iterator[Chunk]:
    """The chunks of a RIFF or AIFF file, or of one of them that holds others."""
    order = "<" if _at(file, 0, 4) in (b"RIFF", b"RF64") else ">"
    end = _size(file) if end is None else end
    long_size = None
    while start + 8 <= end and len(header := _at(file, start, 8)) == 8:
        name, size = header[:4], struct.unpack(f"{order}I", header[4:])[0]
        start += 8
        if name == b"ds64" and len(sizes := _at(file, start, 16)) == 16:
            long_size = struct.unpack("<Q", sizes[8:])[0]
        if name == b"data" and long_size is not None:
            size = long_size
        yield Chunk(name, start, size)
        start += size + size % 2


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
