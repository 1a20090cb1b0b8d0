"""Sound files as they are written: WAV, FLAC and Ogg Vorbis, mono or stereo, a comment inside.

The bytes of a whole file are made in the memory, so that what is on the disk is whole or not there
at all, and the same sound and comment give the same bytes: no date, and in Ogg no random number.
WAV is written here and not by libsndfile, which loses a comment of more than 2 kB.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
from jaxtyping import Shaped

from lumina_audio.samples import Sound

PCM, IEEE_FLOAT = 1, 3  # format tags of a WAV
MAX_FLAC_COMMENT = 16_000_000  # bytes; a block has a length of 24 bits and also names the encoder
MAX_WAV = 2**32 - 1  # bytes, less the first eight
BLOCK = 1 << 16  # samples: libvorbis keeps all that it is given at once on its stack

# Of a page of an Ogg stream (RFC 3533, section 6): where its fields are, and its header's length.
OGG_SERIAL, OGG_CHECKSUM, OGG_COUNT, OGG_HEADER = 14, 22, 26, 27
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def wav_bytes(media: Sound, sample_rate: int, comment: str) -> bytes:
    """A WAV, its comment before its samples, so that a file cut off is told by these.

    Raises:
        ValueError: it would be too long for the format.
    """
    text, is_float = comment.encode("ascii") + b"\0", media.is_floating_point()
    samples = _interleaved(media)
    samples = samples.astype(samples.dtype.newbyteorder("<"))
    size, channels = samples.itemsize, samples.shape[1] if samples.ndim > 1 else 1
    rates = (sample_rate, sample_rate * channels * size, channels * size, 8 * size)
    about = struct.pack("<HHIIHH", IEEE_FLOAT if is_float else PCM, channels, *rates)
    parts = [_chunk(b"fmt ", about)]
    if is_float:  # both are asked for where samples are no PCM
        parts = [
            _chunk(b"fmt ", about + bytes(2)),
            _chunk(b"fact", struct.pack("<I", len(samples))),
        ]
    body = b"".join(
        (
            b"WAVE",
            *parts,
            _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", text)),
            _chunk(b"data", samples.tobytes()),
        )
    )
    if len(body) > MAX_WAV:
        raise ValueError(f"{len(body)} bytes are more than the {MAX_WAV} of WAV; write a .flac")
    return _chunk(b"RIFF", body)


def _interleaved(media: Sound) -> Shaped[np.ndarray, "sample *channel"]:
    """Samples as files hold them: the channels of a moment beside each other."""
    return np.ascontiguousarray(media.numpy().T)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def flac_bytes(media: Sound, sample_rate: int, comment: str) -> bytes:
    """A FLAC of 16 bits.

    Raises:
        ValueError: the comment is too long for the format.
    """
    if len(comment) > MAX_FLAC_COMMENT:
        raise ValueError(
            f"its request of {len(comment)} bytes is more than the {MAX_FLAC_COMMENT} that a FLAC "
            "holds; write a .wav"
        )
    return _encoded(media, sample_rate, "FLAC", "PCM_16", comment)


def ogg_bytes(media: Sound, sample_rate: int, comment: str) -> bytes:
    """An Ogg Vorbis, its stream numbered by a hash of what it holds."""
    made = _encoded(media, sample_rate, "OGG", "VORBIS", comment)
    serial = zlib.crc32(media.numpy().tobytes(), zlib.crc32(comment.encode()))
    return b"".join(_renumbered(page, serial) for page in _pages(made))


WRITERS: dict[str, Callable[[Sound, int, str], bytes]] = {
    ".wav": wav_bytes,
    ".flac": flac_bytes,
    ".ogg": ogg_bytes,
}
"""What makes the file of a suffix."""


def _encoded(media: Sound, sample_rate: int, container: str, codec: str, comment: str) -> bytes:
    """The bytes of a file that libsndfile writes, made in a thread.

    libsndfile calls Python to write; there a Ctrl-C would be printed and forgotten, and Python
    interrupts nothing but its main thread.
    """
    from soundfile import SoundFile

    def encode() -> bytes:
        out = BytesIO()
        samples = _interleaved(media)
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        with SoundFile(out, "w", sample_rate, channels, codec, format=container) as file:
            file.comment = comment
            for block in np.split(samples, range(BLOCK, len(samples), BLOCK)):
                file.write(block)
        return out.getvalue()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(encode).result()


def _pages(stream: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(stream):
        sizes_at = start + OGG_HEADER
        sizes = stream[sizes_at : sizes_at + stream[start + OGG_COUNT]]
        end = sizes_at + len(sizes) + sum(sizes)
        yield stream[start:end]
        start = end


def _renumbered(page: bytes, serial: int) -> bytes:
    page = page[:OGG_SERIAL] + struct.pack("<I", serial) + page[OGG_SERIAL + 4 :]
    return page[:OGG_CHECKSUM] + ogg_checksum(page) + page[OGG_CHECKSUM + 4 :]


def ogg_checksum(page: bytes) -> bytes:
    """The four bytes that guard a page of an Ogg stream.

    Theirs is the polynomial of zlib's crc32 with the bits the other way round, and without the
    inversion at both ends (RFC 3533, section 6).
    """
    blank = page[:OGG_CHECKSUM] + bytes(4) + page[OGG_CHECKSUM + 4 :]
    mirrored = zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return struct.pack(">I", mirrored).translate(MIRRORED)
