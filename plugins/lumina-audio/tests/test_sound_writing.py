"""Sound files: what is written comes back, and a failure leaves nothing."""

import math
import os
import signal
import struct
import wave
from io import BytesIO

import pytest
import soundfile
import torch

from damage import limited_files
from lumina_audio import sound_writing
from lumina_audio.audio_files import AudioDecoder
from lumina_core import LuminaError
from lumina_core.media import containers
from sounds import (
    DECODER,
    LOSSLESS,
    RATE,
    loudest_hertz,
    noise,
    options,
    refusal,
    request,
    sound,
    write,
)

MAX_OGG_ERROR = 0.05  # of the loudest sample, on average


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("samples", [1, 2, 3, 255, 16_000, 200_001])
def test_what_is_written_comes_back(tmp_path, suffix, samples):
    path, media = tmp_path / f"a{suffix.upper()}", sound(samples)
    write(media, path, request())
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert DECODER.read_metadata(path) == request()
    found = DECODER.read(path)
    assert found.shape == media.shape and found.dtype == torch.int16
    if suffix in LOSSLESS:
        assert torch.equal(found, media)
    elif samples > 255:
        assert (found.int() - media.int()).abs().float().mean() < MAX_OGG_ERROR * media.max()
        assert abs(loudest_hertz(found) - 440) < 2


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_every_level_survives(tmp_path, suffix):
    media = torch.cat([torch.arange(-32_768, 32_768).to(torch.int16), noise(10_001)])
    write(media, tmp_path / f"a{suffix}", {})
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), media)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_silence_stays_silent(tmp_path, suffix):
    write(torch.zeros(9000, dtype=torch.int16), tmp_path / f"a{suffix}", {})
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), torch.zeros(9000, dtype=torch.int16))


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("rate", [1000, 8000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_files_say_their_rate(tmp_path, suffix, rate):
    path, decoder = tmp_path / f"a{suffix}", AudioDecoder(rate)
    write(sound(5000, rate=rate, hertz=100), path, request(), rate)
    assert soundfile.info(path).samplerate == rate and len(decoder.read(path)) == 5000
    assert decoder.read_metadata(path) == request()


def test_a_wav_is_one_that_the_standard_library_reads(tmp_path):
    media = sound(777)
    write(media, tmp_path / "a.wav", request())
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.readframes(1000) == media.numpy().astype("<i2").tobytes()
    data = (tmp_path / "a.wav").read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert data.index(b"ICMT") < data.index(b"data")


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_the_request_is_a_comment_that_others_read(tmp_path, suffix):
    write(sound(900), tmp_path / f"a{suffix}", {"prompt": "ü"})
    with soundfile.SoundFile(tmp_path / f"a{suffix}") as file:
        assert file.comment == 'lumina {"prompt": "\\u00fc"}'


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_the_same_sound_gives_the_same_bytes(tmp_path, suffix):
    made = []
    for name, metadata in (("a", request()), ("b", request()), ("c", request(seed=1))):
        write(noise(70_000), tmp_path / f"{name}{suffix}", metadata)
        made.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert made[0] == made[1] != made[2]


def test_ogg_streams_have_numbers_of_their_own(tmp_path):
    numbers = set()
    for seed in range(3):
        write(sound(900), tmp_path / "a.ogg", {"seed": seed})
        data = (tmp_path / "a.ogg").read_bytes()
        starts = [i for i in range(len(data)) if data.startswith(b"OggS", i)]
        (number,) = {data[start + 14 : start + 18] for start in starts}
        numbers.add(number)
    assert len(numbers) == 3


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("prompt", ["", "\x00\x01\x1f\x7f\u2028 ", "long 雪🎨" * 40_000, "\ud800"])
def test_any_request_survives(tmp_path, suffix, prompt):
    write(sound(99), tmp_path / f"a{suffix}", request(prompt=prompt))
    assert DECODER.read_metadata(tmp_path / f"a{suffix}") == request(prompt=prompt)
    assert len(DECODER.read(tmp_path / f"a{suffix}")) == 99


def test_a_request_too_long_for_flac_is_refused(tmp_path):
    with pytest.raises(LuminaError, match=r"16000100 bytes is more than the 16000000 that a FLAC"):
        overhead = len('lumina {"prompt": ""}')
        write(sound(9), tmp_path / "a.flac", {"prompt": "x" * (16_000_100 - overhead)})
    assert not list(tmp_path.iterdir())
    longest = {"prompt": "x" * (16_000_000 - overhead)}
    write(sound(9), tmp_path / "a.flac", longest)
    assert DECODER.read_metadata(tmp_path / "a.flac") == longest


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_a_broken_request_is_refused(tmp_path, suffix, monkeypatch):
    for number, text in enumerate(("{not json", "[1]", "[" * 100_000)):
        path = tmp_path / f"{number}{suffix}"
        monkeypatch.setattr(containers.json, "dumps", lambda *_, text=text, **__: text)
        write(sound(9), path, {})
        assert "broken request" in refusal(path, DECODER.read_metadata)


def test_rates_that_flac_does_not_hold_are_refused(tmp_path):
    for rate, nearest in ((88_201, "88200 or 88210"), (65_536, "65530 or 65540")):
        decoder, line = AudioDecoder(rate), rf"modality\.sample_rate={rate} .*use {nearest}, or"
        with pytest.raises(LuminaError, match=rf"a\.flac cannot be written: {line}"):
            write(sound(9), tmp_path / "a.flac", {}, rate)
        with pytest.raises(LuminaError, match=line):
            decoder.check_format(".flac", (9,), options(rate))
        decoder.check_format(".wav", (9,), options(rate))
        write(sound(9), tmp_path / "a.wav", {}, rate)
        assert torch.equal(decoder.read(tmp_path / "a.wav"), sound(9))
    for rate in (65_535, 65_540, 11_111):
        write(sound(9), tmp_path / "a.flac", {}, rate)
        assert torch.equal(AudioDecoder(rate).read(tmp_path / "a.flac"), sound(9))


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(LuminaError, match=r"a\.mp3 .*written as \.wav, \.flac, \.ogg"):
        write(sound(9), tmp_path / "a.mp3", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("missing", [0.999, 0.5, 0.01])
def test_a_full_disk_is_noticed_and_leaves_nothing(tmp_path, suffix, missing, capfd):
    whole = tmp_path / f"whole{suffix}"
    write(noise(20_000), whole, {})
    refused = pytest.raises(LuminaError, match=r"cannot be written: File too large")
    with refused, limited_files(math.floor(whole.stat().st_size * (1 - missing))):
        write(noise(20_000), tmp_path / f"new{suffix}", {})
    assert os.listdir(tmp_path) == [whole.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_an_interrupt_in_the_encoder_leaves_the_old_file(tmp_path, suffix, monkeypatch, capfd):
    signals = [signal.SIGINT]

    class Interrupting(BytesIO):
        def write(self, data):
            if signals:
                os.kill(os.getpid(), signals.pop())
            return super().write(data)

    path = tmp_path / f"a{suffix}"
    write(sound(10), path, {})
    monkeypatch.setattr(sound_writing, "BytesIO", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        write(noise(200_000), path, {})
    assert os.listdir(tmp_path) == [path.name] and len(DECODER.read(path)) == 10
    assert capfd.readouterr() == ("", "")
