"""Samples of sound files: at any rate, in memory that does not grow with what a header says.

A file is read through its descriptor: libsndfile then has no name by which to guess a format or to
look for a second file beside it. Where mono is wanted, stereo and more channels are averaged,
unless they cancel each other out. Where stereo is, a file of two channels is read as it is, and
any other as mono, for both sides.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from itertools import chain
from math import ceil
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from lumina_audio.options import MAX_SECONDS, MONO, SAMPLE_RATES, STEREO
from lumina_audio.wholeness import (
    KINDS,
    check_whole,
    kind_of,
    mp3_samples,
    unknown_length,
    wav_comment,
)
from lumina_core.media.containers import note

if TYPE_CHECKING:
    from soundfile import SoundFile

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU")
FLOATS = ("FLOAT", "DOUBLE")
UNKNOWN_FRAMES = 2**63 - 1  # what libsndfile says of a FLAC that was streamed
FULL_SCALE = 32_768  # of 16 bits: libsndfile's 1.0
CANCELLED = 1e-3  # share of power, 30 dB, which no hall and no microphones take away
BLOCK = 1 << 16  # samples of all channels together that are decoded at once

CROSSINGS = 32  # zero crossings on each side of the filter: it falls over 8 % of the lower rate
KAISER = 8.0  # 80 dB down, below the last of 16 bits' noise
MAX_STEP = 4000  # takes in 44.1 kHz and 0.1 % more or less than 48; the filter grows with it

MP3_LEEWAY = 2 * 1152  # samples, two frames: what a decoder leaves out at the ends

Samples = Float32[np.ndarray, "_ *channel"]  # blocks differ in length


class Wanted(NamedTuple):
    """As what a sound is read."""

    sample_rate: int
    """Hz."""
    channels: int = MONO
    is_float: bool = False
    """Else 16 bits."""


def read_sound(
    path: Path, wanted: Wanted, max_samples: int | None = None
) -> Shaped[np.ndarray, "*channel sample"]:
    """The samples of a file; those beyond full scale are cut off, but floats are made softer.

    Args:
        path: of the file.
        wanted: the format of the result.
        max_samples: of the result; the file is read no further. None is all of it.

    Raises:
        ValueError: it is none of the kinds that are read, cut off, empty, longer than MAX_SECONDS,
            or holds numbers that are none.
        Exception: whatever libsndfile raises for a file that is damaged.
    """
    samples, louder = _read(path, wanted, max_samples)
    if louder is not None:
        samples, _ = _read(path, wanted, max_samples, louder)
        note(path, f"its channels cancel each other out; number {louder + 1}, the loudest, is read")
    if wanted.channels == STEREO:
        samples = np.stack([samples] * STEREO) if samples.ndim == 1 else samples.T
    if wanted.is_float:
        return np.ascontiguousarray(samples).clip(-1, 1)
    levels = np.round(samples * FULL_SCALE)
    levels = levels.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return np.ascontiguousarray(levels)


def _read(
    path: Path, wanted: Wanted, max_samples: int | None, channel: int | None = None
) -> tuple[Samples, int | None]:
    """The samples of one channel, of both, or of the mean; which is loudest if they cancel out."""
    limit = ceil(MAX_SECONDS * wanted.sample_rate)
    made, count = [], 0
    with _opened(path) as (file, opened):
        loudness = _Loudness(opened.channels)
        if wanted.channels == opened.channels == STEREO:
            blocks = _blocks(file, opened)
        else:
            blocks = _mono(_blocks(file, opened), loudness, channel)
        for piece in resampled(blocks, opened.samplerate, wanted.sample_rate):
            made.append(piece)
            count += len(piece)
            if max_samples is not None and count >= max_samples:
                break
            if count > limit:
                raise ValueError(f"it is longer than {MAX_SECONDS:g} seconds; cut it")
        is_float = opened.subtype in FLOATS
    samples = np.concatenate(made)[:max_samples]
    peak = float(np.abs(samples).max())
    if is_float and peak > 1:
        samples = samples / np.float32(peak)
    return samples, loudness.loudest_of_cancelled()


def comment_of(path: Path) -> str:
    """The text that a file carries; empty where there is none.

    Raises:
        Exception: as `read_sound`.
    """
    with _opened(path) as (file, opened):
        return wav_comment(file) if opened.format in ("WAV", "WAVEX", "RF64") else opened.comment


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, "SoundFile"]]:
    """A file, and what libsndfile makes of it."""
    from soundfile import LibsndfileError, SoundFile

    with path.open("rb", buffering=0) as file:
        kind = kind_of(file)
        oddity = check_whole(file, kind)
        if oddity:
            note(path, oddity)
        with _silenced() if kind == "MP3" else nullcontext(), _source(file, kind) as source:
            try:
                opened = SoundFile(source, closefd=False)
            except LibsndfileError as error:
                raise ValueError(f"it is broken, or none of {KINDS}") from error
            with opened:
                _check(opened)
                yield file, opened


@contextmanager
def _source(file: BinaryIO, kind: str) -> Iterator[int | mmap]:
    """What libsndfile reads: the file, or a copy in memory, of which only the length is new."""
    wanted = unknown_length(file) if kind == "WAV" else None
    file.seek(0)
    if wanted is None:
        yield file.fileno()
        return
    with mmap(file.fileno(), 0, access=ACCESS_COPY) as copy:
        place, length = wanted
        copy[place : place + len(length)] = length
        yield copy


def _check(opened: "SoundFile") -> None:
    low, high = SAMPLE_RATES
    if opened.format not in FORMATS:
        raise ValueError(f"it is none of {KINDS}")
    if not low <= opened.samplerate <= high:
        raise ValueError(f"its sample rate is {opened.samplerate} Hz; {low} to {high} are read")
    # soundfile seeks after each block where it can, and an MP3 is not the same after that
    opened.seekable = lambda: False


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep libmpg123 from writing to stderr, which libsndfile does not tell it."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Loudness:
    """How loud the channels of a sound are, and their mean."""

    def __init__(self, channels: int) -> None:
        self._powers = np.zeros(channels)
        self._power_of_mean = 0.0

    def add(self, block: Float32[np.ndarray, "sample channel"], mean: Samples) -> None:
        self._powers += np.square(block, dtype=np.float64).sum(axis=0)
        self._power_of_mean += float(np.square(mean, dtype=np.float64).sum())

    def loudest_of_cancelled(self) -> int | None:
        """The loudest if the mean is far softer than that of channels with nothing in common."""
        unrelated = self._powers.sum() / len(self._powers) ** 2
        is_cancelled = self._power_of_mean < CANCELLED * unrelated
        return int(self._powers.argmax()) if is_cancelled else None


def _mono(blocks: Iterable[Samples], loudness: _Loudness, channel: int | None) -> Iterator[Samples]:
    """One channel, or the mean of all, block by block."""
    for block in blocks:
        mean = block.mean(axis=1)
        loudness.add(block, mean)
        yield mean if channel is None else block[:, channel]


def _blocks(file: BinaryIO, opened: "SoundFile") -> Iterator[Samples]:
    """The samples of all channels, block by block."""
    count, size = 0, max(1, BLOCK // opened.channels)
    while len(block := opened.read(size, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise ValueError("it holds samples that are infinite or no numbers")
        count += len(block)
        yield block
    if count == 0:
        raise ValueError("it has no samples")
    _check_end(file, opened, count)


def _check_end(file: BinaryIO, opened: "SoundFile", count: int) -> None:
    """Refuse a file with fewer samples than it says, and an MP3 of which libsndfile guesses it."""
    in_frames = mp3_samples(file) if opened.format == "MP3" else None
    if in_frames is not None:
        if abs(count - in_frames) > MP3_LEEWAY:
            raise ValueError("it is damaged, or does not say how long it is; convert it to .wav")
    elif count < opened.frames < UNKNOWN_FRAMES:
        raise ValueError(
            f"it is cut off or damaged: {count} of its {opened.frames} samples are there"
        )


def resampled(blocks: Iterable[Samples], old_rate: int, new_rate: int) -> Iterator[Samples]:
    """Samples at another rate, ceil(sample * up / down) of them in all.

    The ratio of the rates, up / down, is exact unless down would be more than MAX_STEP. Each block
    is filtered with as much of its neighbours as the filter sees, so that the result is that of
    scipy.signal.resample_poly for the whole.
    """
    if old_rate == new_rate:
        yield from blocks
        return
    from scipy.signal import firwin, resample_poly

    up, down = Fraction(new_rate, old_rate).limit_denominator(MAX_STEP).as_integer_ratio()
    reach = CROSSINGS * max(up, down)
    window = firwin(2 * reach + 1, 1 / max(up, down), window=("kaiser", KAISER)).astype(np.float32)
    context = ceil((reach / up + 1) / down) * down  # of whole steps, so that the phase stays
    held, total, given = None, 0, 0
    for block in chain(blocks, [None]):
        if held is None:  # the first, which tells how many channels there are
            silence = np.zeros((context + down, *np.shape(block)[1:]), np.float32)
            held = silence[:context]
        total += 0 if block is None else len(block)
        held = np.concatenate([held, silence if block is None else block])
        settled = (len(held) - 2 * context) // down
        if settled <= 0:
            continue
        piece = resample_poly(held, up, down, window=window)[context // down * up :]
        piece = piece[: min(settled * up, -(-total * up // down) - given)]
        held, given = held[settled * down :], given + len(piece)
        yield piece
