"""Sounds for the tests of files, and the autoencoders of their spectrograms."""

from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from lumina_audio.audio_files import AudioDecoder
from lumina_audio.options import AudioOptions
from lumina_core import LuminaError
from lumina_core.autoencoder import networks

open_autoencoder = partial(networks.open_autoencoder, medium="sounds", modality="audio")
RATE = 16_000
DECODER = AudioDecoder(RATE)
LOSSLESS = (".wav", ".flac")
NAMES = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "opus": "OGG", "mp3": "MP3", "aiff": "AIFF",
         "au": "AU"}  # fmt: skip


def tone(samples, hertz=440, rate=RATE, loudness=0.5):
    """A tone as floats."""
    return loudness * np.sin(2 * np.pi * hertz / rate * np.arange(samples))


def sound(samples, **kinds):
    """A tone as the decoder has it."""
    return torch.from_numpy(np.round(32_767 * tone(samples, **kinds)).astype(np.int16))


def noise(samples):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-32_768, 32_768, (samples,), dtype=torch.int16, generator=generator)


def request(**more):
    return {"prompt": 'ünï 雪 🎨 " \\ \n', "options": {"seconds": 1.5}} | more


def options(rate=RATE):
    return AudioOptions(sample_rate=rate, fmin=0.0, fmax=rate / 2)


def write(media, path, metadata, rate=RATE):
    DECODER.write(media, path, metadata, options(rate))


def foreign(path, samples, rate=RATE, codec=None, **kinds):
    """A file as libsndfile writes it."""
    soundfile.write(path, samples, rate, codec, format=NAMES[path.suffix[1:]], **kinds)
    return path


def loudest_hertz(media, rate=RATE):
    spectrum = torch.fft.rfft(media.float() * torch.hann_window(len(media))).abs()
    return float(spectrum.argmax()) * rate / len(media)


def refusal(path, read=DECODER.read):
    with pytest.raises(LuminaError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) > len(str(path)) + len(" cannot be read as a sound: ")
    return str(caught.value)
