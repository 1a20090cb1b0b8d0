"""Sound files: written as WAV, FLAC and Ogg Vorbis with the request inside; read from more kinds.

How they are written stands in sound_writing.py, how samples are found in sound_reading.py; here is
what the core sees. WAV and FLAC keep every sample; Ogg does not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumina_audio.options import FLOAT, INT16, MONO, AudioOptions
from lumina_audio.samples import Sound
from lumina_audio.sound_reading import Wanted, comment_of, read_sound
from lumina_audio.sound_writing import WRITERS
from lumina_core import Decoder, LuminaError, atomic_write
from lumina_core.media.containers import comment_with, metadata_in, reading, writing

FLAC_RATE, FLAC_STEP = 65_535, 10  # Hz: above the first only multiples of the second (RFC 9639, 7)


class AudioDecoder(Decoder):
    """Sound <-> file."""

    suffixes = (".wav", ".flac", ".ogg")
    read_suffixes = (*suffixes, ".wave", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au",
                     ".snd")  # fmt: skip
    has_preview_file = True
    noun = "sounds"

    def __init__(self, sample_rate: int, channels: int = MONO, sample_format: str = INT16) -> None:
        """Fix as what sounds are read.

        Args:
            sample_rate: Hz.
            channels: 1 or 2.
            sample_format: int16 or float32.
        """
        self._wanted = Wanted(sample_rate, channels, sample_format == FLOAT)

    def check_format(
        self, suffix: str, media_shape: tuple[int, ...], options: AudioOptions
    ) -> None:
        """As in Decoder: a high and odd sample rate in FLAC, and floats."""
        _check_rate(suffix, options.sample_rate)
        _check_floats(suffix, options.sample_format == FLOAT)

    def write(
        self, media: Sound, path: Path, metadata: Mapping[str, Any], options: AudioOptions
    ) -> None:
        """Write a WAV, FLAC or Ogg Vorbis, by the suffix, the metadata inside.

        Raises:
            LuminaError: the suffix is another one, or the format takes no such rate, no floats, or
                no request of this length.
        """
        self.check_suffix(path)
        suffix = path.suffix.lower()
        with writing(path):
            _check_rate(suffix, options.sample_rate)
            _check_floats(suffix, media.is_floating_point())
            made = WRITERS[suffix](media, options.sample_rate, comment_with(metadata))
            with atomic_write(path) as file:
                file.write(made)

    def read(self, path: Path) -> Sound:
        """Read a sound at this decoder's rate, in its format and with its channels.

        Floats beyond [-1, 1] are made softer as a whole; the rest is cut off at full scale.

        Raises:
            LuminaError: no such file, no sound, cut off or damaged, or longer than MAX_SECONDS.
        """
        with reading(path, "a sound"):
            return torch.from_numpy(read_sound(path, self._wanted))

    def read_beginning(self, path: Path, max_samples: int) -> Sound:
        """Read the first samples of a sound, as `read`.

        Args:
            path: of the file, which is decoded no further than needed.
            max_samples: of the result, 1 or more; a shorter file gives fewer.

        Raises:
            LuminaError: as `read`, but damage behind them may pass.
        """
        with reading(path, "a sound"):
            return torch.from_numpy(read_sound(path, self._wanted, max_samples))

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """As in Decoder; a comment of ours that is no JSON is refused."""
        with reading(path, "a sound"):
            comment = comment_of(path)
        return metadata_in(comment, path)

    def preview(self, media: Sound, options: AudioOptions) -> UInt8[Tensor, "3 height width"]:
        """Its spectrogram, with seconds and Hz at the axes."""
        from lumina_audio.spectrogram_picture import spectrogram_picture

        return torch.from_numpy(spectrogram_picture(media.numpy(), options.sample_rate))


def _check_rate(suffix: str, sample_rate: int) -> None:
    if suffix == ".flac" and sample_rate > FLAC_RATE and sample_rate % FLAC_STEP:
        below = sample_rate // FLAC_STEP * FLAC_STEP
        raise LuminaError(
            f"modality.sample_rate={sample_rate} is none that a FLAC holds; use {below} or "
            f"{below + FLAC_STEP}, or write a .wav"
        )


def _check_floats(suffix: str, is_float: bool) -> None:
    if suffix == ".flac" and is_float:
        raise LuminaError(
            f"modality.sample_format={FLOAT} is none that a FLAC holds; write a .wav, or set "
            f"modality.sample_format={INT16}"
        )
