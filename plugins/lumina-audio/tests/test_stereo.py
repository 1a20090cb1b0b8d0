"""Stereo and floats keep what mono sounds of 16 bits keep, which these tests leave alone."""

import numpy as np
import pytest
import soundfile
import torch

from lumina_audio.audio_files import AudioDecoder
from lumina_audio.options import AudioOptions
from lumina_audio.samples import floats, mono, sound_of
from lumina_audio.spectrogram_picture import spectrogram_picture
from lumina_core import LuminaError
from sounds import LOSSLESS, RATE, foreign, loudest_hertz, request, sound, tone

KINDS = [(2, "int16"), (1, "float32"), (2, "float32")]
DTYPES = {"int16": torch.int16, "float32": torch.float32}


def options(channels, sample_format, rate=RATE, **more):
    values = {"sample_rate": rate, "channels": channels, "sample_format": sample_format}
    return AudioOptions(**values, fmin=0.0, fmax=rate / 2, **more)


def noise(channels, sample_format, count, seed=0):
    """A sound whose channels differ, of every level that it can have."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.rand(channels, count, generator=generator) * 2 - 1
    return sound_of(levels if channels == 2 else levels[0], sample_format)


def decoder(channels, sample_format, rate=RATE):
    return AudioDecoder(rate, channels, sample_format)


def written(path, media, rate=RATE):
    """The file of a sound, and as what it is read."""
    kind = (2 if media.ndim == 2 else 1, "float32" if media.is_floating_point() else "int16")
    decoder(*kind, rate).write(media, path, request(), options(*kind, rate))
    return decoder(*kind, rate)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 255, 16_001, 200_001])
def test_what_is_written_comes_back_to_the_bit(tmp_path, kind, count):
    media = noise(*kind, count)
    for suffix in LOSSLESS if kind[1] == "int16" else (".wav",):
        back = written(tmp_path / f"a{suffix}", media).read(tmp_path / f"a{suffix}")
        assert back.dtype == DTYPES[kind[1]] and torch.equal(back, media)
        info = soundfile.info(tmp_path / f"a{suffix}")
        assert (info.channels, info.frames, info.samplerate) == (kind[0], count, RATE)
        assert info.subtype == ("FLOAT" if kind[1] == "float32" else "PCM_16")


@pytest.mark.parametrize("kind", KINDS)
def test_ogg_keeps_channels_and_length(tmp_path, kind):
    left, right = torch.from_numpy(tone(16_000)), torch.from_numpy(tone(16_000, 700))
    media = sound_of(torch.stack([left, right]) if kind[0] == 2 else left, kind[1])
    back = written(tmp_path / "a.ogg", media).read(tmp_path / "a.ogg")
    assert back.shape == media.shape and back.dtype == media.dtype
    for found, hertz in zip(back.reshape(kind[0], -1), (440, 700), strict=False):
        assert abs(loudest_hertz(found) - hertz) < 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_silence_stays_silent_and_the_request_comes_back(tmp_path, kind, suffix):
    if (suffix, kind[1]) == (".flac", "float32"):
        with pytest.raises(LuminaError, match="sample_format=float32 is none that a FLAC holds"):
            written(tmp_path / "a.flac", noise(*kind, 9))
        with pytest.raises(LuminaError, match=r"write a \.wav, or set modality.sample_format"):
            decoder(*kind).check_format(".flac", (9,), options(*kind))
        assert not list(tmp_path.iterdir())
        return
    media = sound_of(torch.zeros(options(*kind, seconds=0.6).shape), kind[1])
    reader = written(tmp_path / f"a{suffix}", media)
    assert torch.equal(reader.read(tmp_path / f"a{suffix}"), media)
    assert reader.read_metadata(tmp_path / f"a{suffix}") == request()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [1000, 44_100, 96_000])
def test_files_say_their_rate_and_are_read_at_another(tmp_path, kind, rate):
    one = torch.from_numpy(tone(rate, 100, rate))
    media = sound_of(torch.stack([one, -0.5 * one]) if kind[0] == 2 else one, kind[1])
    reader = written(tmp_path / "a.wav", media, rate)
    assert torch.equal(reader.read(tmp_path / "a.wav"), media)
    other = decoder(*kind, 8000).read(tmp_path / "a.wav")
    assert other.shape == (*media.shape[:-1], 8000)
    left = other.reshape(kind[0], -1)[0]
    alone = AudioDecoder(8000, 1, kind[1])
    alone.write(sound_of(one, kind[1]), tmp_path / "b.wav", {}, options(1, kind[1], rate))
    assert (floats(left) - floats(alone.read(tmp_path / "b.wav"))).abs().max() < 1e-4


@pytest.mark.parametrize("kind", [(1, "int16"), *KINDS])
def test_a_sound_that_would_be_cut_off_is_made_softer_as_a_whole(kind, caplog):
    loud = torch.tensor([[0.5, 3.0, -1.0], [1.5, 0.0, -2.0]])[: kind[0]]
    media = sound_of(loud if kind[0] == 2 else loud[0], kind[1])
    assert (floats(media) - loud.squeeze(0) / 3).abs().max() < 2e-5
    assert "3 times softer" in caplog.text
    caplog.clear()
    full = torch.tensor([1.0, -1.0, 0.25])
    assert (floats(sound_of(full, kind[1])) - full).abs().max() < 2e-5 and not caplog.text


def test_floats_of_other_programs_are_made_softer_and_keep_what_16_bits_lose(tmp_path):
    samples = np.stack([tone(4000), 4 * tone(4000, 700)], axis=1).astype(np.float32)
    found = decoder(2, "float32").read(foreign(tmp_path / "a.wav", samples, codec="FLOAT"))
    assert np.abs(found.numpy().T - samples / np.abs(samples).max()).max() < 1e-7
    quiet = samples * 1e-6
    found = decoder(2, "float32").read(foreign(tmp_path / "a.wav", quiet, codec="FLOAT"))
    assert np.array_equal(found.numpy().T, quiet)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_file_of_one_or_many_channels_is_on_both_sides(tmp_path, channels):
    samples = np.stack([tone(3000, 200 * (1 + n)) for n in range(channels)], axis=1)
    path = foreign(tmp_path / "a.wav", samples)
    found = decoder(2, "int16").read(path)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], AudioDecoder(RATE).read(path))


def test_sides_that_cancel_each_other_out_stay_apart(tmp_path, capsys):
    one = tone(3000)
    path = foreign(tmp_path / "a.wav", np.stack([one, -one], axis=1))
    found = decoder(2, "float32").read(path)
    assert found.sum(0).abs().max() <= 2 / 32_768 and found.abs().max() > 0.4
    assert decoder(2, "int16").read_beginning(path, 7).shape == (2, 7)
    assert capsys.readouterr().err == ""


def test_a_float_file_reads_as_16_bits_where_these_are_wanted(tmp_path):
    media = sound(777)
    written(tmp_path / "a.wav", floats(media))
    read = AudioDecoder(RATE).read(tmp_path / "a.wav")
    assert (
        read.dtype == torch.int16 and (read - media).abs().max() <= 1
    )  # 32,768 levels, not 32,767
    assert torch.equal(mono(torch.stack([media, media])), media)


def test_a_picture_of_stereo_shows_the_louder_side():
    one, silence = sound(16_000), torch.zeros(16_000, dtype=torch.int16)
    wanted = spectrogram_picture(one.numpy(), RATE)
    for pair in ([one, silence], [silence, one]):
        assert np.array_equal(spectrogram_picture(torch.stack(pair).numpy(), RATE), wanted)
    as_floats = spectrogram_picture((one.float() / 32_768).numpy(), RATE)
    assert (as_floats.astype(int) - wanted).max() <= 1


def test_spectrograms_are_of_mono_sounds(tmp_path):
    from lumina_audio.vae import AudioVAE

    with pytest.raises(LuminaError, match=r"modality\.channels=2, and spectrograms are those of"):
        AudioVAE(tmp_path, options(2, "int16")).sizes(4)
