"""Sound files of other programs: any rate, any number of channels, any depth."""

import itertools
import struct

import numpy as np
import pytest
import soundfile
import torch

from lumina_audio import sound_reading
from lumina_audio.audio_files import AudioDecoder
from lumina_audio.sound_reading import resampled
from sounds import (
    DECODER,
    RATE,
    foreign,
    loudest_hertz,
    noise,
    refusal,
    request,
    sound,
    tone,
    write,
)

STEP = 1 / 32_768
DEPTHS = {
    "PCM_U8": 2**-7,
    "PCM_16": STEP,
    "PCM_24": STEP,
    "PCM_32": STEP,
    "FLOAT": STEP,
    "DOUBLE": STEP,
    "ULAW": 2**-5,
    "ALAW": 2**-5,
    "MS_ADPCM": 2**-4,
    "IMA_ADPCM": 2**-4,
}
"""Codecs of a WAV, and by how much a sample may be off."""


@pytest.mark.parametrize("codec", DEPTHS)
def test_every_depth_is_read(tmp_path, codec):
    samples = tone(4000)
    found = DECODER.read(foreign(tmp_path / "a.wav", samples, codec=codec))
    error = np.abs(found.numpy()[:4000] * STEP - samples)
    start = 100 if "ADPCM" in codec else 0  # it has to find out how loud a sound is
    assert error[start:].max() <= DEPTHS[codec]
    assert 4000 <= len(found) <= (5100 if start else 4000)  # and fills a block


def test_sixteen_bits_of_higher_depths_are_kept_to_the_bit(tmp_path):
    media = sound(5000)
    for codec in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        foreign(tmp_path / "a.wav", media.numpy() * STEP, codec=codec)
        assert torch.equal(DECODER.read(tmp_path / "a.wav"), media), codec
    for name in ("a.aiff", "a.au", "a.flac"):
        foreign(tmp_path / name, media.numpy())
        assert torch.equal(DECODER.read(tmp_path / name), media), name


def test_24_bits_are_rounded_and_not_cut(tmp_path):
    levels = np.array([0.0, 0.4, 0.6, -0.4, -0.6, 100.7]) * STEP
    foreign(tmp_path / "a.wav", levels, codec="PCM_24")
    assert DECODER.read(tmp_path / "a.wav").tolist() == [0, 0, 1, 0, -1, 101]


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.mp3", "a.flac", "a.aiff", "a.au", "a.wav"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_is_read(tmp_path, name, channels):
    samples = np.stack([tone(30_000, 440)] * channels, axis=1)
    codec = "OPUS" if name == "a.opus" else None
    found = DECODER.read(foreign(tmp_path / name, samples, codec=codec))
    assert len(found) == 30_000 and abs(loudest_hertz(found) - 440) < 2
    assert 0.4 < float(found.max()) * STEP < 0.6


@pytest.mark.parametrize("channels", [2, 3, 8, 100])
def test_channels_are_averaged(tmp_path, channels):
    samples = np.zeros((70_000 // channels, channels))
    samples[:, 1] = tone(len(samples))
    found = DECODER.read(foreign(tmp_path / "a.wav", samples)).numpy() * STEP
    assert np.abs(found - samples[:, 1] / channels).max() <= 2 * STEP


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_channels_that_cancel_each_other_out_are_not_averaged(tmp_path, rate, capsys):
    one = tone(100_000, 440, rate)
    path = foreign(tmp_path / "a.wav", np.stack([-0.8 * one, 0.8 * one], axis=1), rate)
    alone = DECODER.read(foreign(tmp_path / "b.wav", -0.8 * one, rate))
    assert torch.equal(DECODER.read(path), alone)
    assert torch.equal(DECODER.read_beginning(path, 5000), alone[:5000])
    note = "its channels cancel each other out; number 1, the loudest, is read"
    assert capsys.readouterr().err == f"note: {path}: {note}\n"
    quiet = np.stack([-0.79 * one, 0.8 * one], axis=1)
    found = DECODER.read(foreign(tmp_path / "c.wav", quiet, rate))
    louder = DECODER.read(foreign(tmp_path / "b.wav", 0.8 * one, rate))
    assert (found.int() - louder.int()).abs().max() <= 1
    assert "c.wav: its channels cancel each other out; number 2" in capsys.readouterr().err


def test_channels_with_something_in_common_or_nothing_are_averaged(tmp_path, capsys):
    one, other = tone(20_000), tone(20_000, 700)
    for left, right in ((one, other), (one, 0 * one), (0 * one, 0 * one), (one, -0.8 * one)):
        found = DECODER.read(foreign(tmp_path / "a.wav", np.stack([left, right], axis=1)))
        assert np.abs(found.numpy() * STEP - (left + right) / 2).max() <= 2 * STEP
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_read(tmp_path, rate):
    hertz = 0.2 * min(rate, RATE)
    samples = tone(rate // 2 + 1, hertz, rate)
    found = DECODER.read(foreign(tmp_path / "a.wav", samples, rate))
    assert len(found) == -(-len(samples) * RATE // rate)
    expected = tone(len(found), hertz)
    inner = slice(400, -400)  # the ends end suddenly
    assert np.abs(found.numpy() * STEP - expected)[inner].max() < 1e-3


def test_what_the_new_rate_cannot_hold_is_filtered_out(tmp_path):
    samples = tone(48_000, 9000, 48_000)  # would be heard at 7000 Hz
    found = DECODER.read(foreign(tmp_path / "a.wav", samples, 48_000))
    assert found[400:-400].abs().max() * STEP < 1e-3
    samples = tone(8000, 3000, 8000)  # would be heard at 5000 Hz, too
    found = DECODER.read(foreign(tmp_path / "a.wav", samples, 8000))[400:-400]
    spectrum = torch.fft.rfft(found.float() * torch.hann_window(len(found))).abs()
    hertz = torch.arange(len(spectrum)) * RATE / len(found)
    assert spectrum[hertz > 4500].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (8000, 16_000), (16_000, 22_050),
                                          (192_000, 1000), (12_345, 16_000)])  # fmt: skip
@pytest.mark.parametrize("block", [1, 7, 1000, 100_000])
def test_resampling_does_not_depend_on_blocks(old, new, block):
    samples = np.random.default_rng(0).standard_normal(min(3001, 40 * block)).astype(np.float32)
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    found, whole = (
        np.concatenate(list(resampled(parts, old, new))) for parts in (blocks, [samples])
    )
    assert len(whole) in (count := -(-len(samples) * new // old), count + 1)
    assert np.array_equal(found, whole)


def test_loud_floats_are_made_softer_as_a_whole(tmp_path):
    for codec, peak in itertools.product(("FLOAT", "DOUBLE"), (1.5, 1000.0, 1e30)):
        samples = tone(4000, loudness=1.0) * peak
        found = DECODER.read(foreign(tmp_path / "a.wav", samples, codec=codec)).numpy() * STEP
        assert np.abs(found - samples / np.abs(samples).max()).max() <= 2 * STEP
    soft = DECODER.read(foreign(tmp_path / "a.wav", tone(4000, loudness=0.01), codec="FLOAT"))
    assert soft.max() < 400  # and soft ones are not made louder


def test_overshoot_is_cut_off_and_does_not_wrap(tmp_path):
    square = np.where(np.arange(44_100) // 50 % 2, 32_767, -32_768).astype(np.int16)
    found = DECODER.read(foreign(tmp_path / "a.wav", square, 44_100)).numpy().astype(int)
    assert found.max() == 32_767 and found.min() == -32_768
    middles = ((np.arange(len(found)) * 44_100 / RATE + 25) // 50).astype(int)
    assert np.abs(found).mean() > 30_000 and len(np.unique(middles)) > 500
    signs = np.where((np.arange(len(found)) * 44_100 / RATE) // 50 % 2, 1, -1)
    assert (np.sign(found) == signs).mean() > 0.94


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_floats_that_are_no_numbers_are_refused(tmp_path, bad):
    samples = tone(100_000)
    samples[99_000] = bad
    foreign(tmp_path / "a.wav", samples, codec="DOUBLE")
    assert "infinite or no numbers" in refusal(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff"])
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_the_beginning_is_that_of_the_whole(tmp_path, name, rate):
    codec = "OPUS" if name == "a.opus" else None
    foreign(tmp_path / name, tone(rate * 5, 440, rate), rate, codec)
    whole = DECODER.read(tmp_path / name)
    for samples in (1, 100, 65_536, 65_537, len(whole), len(whole) + 1, 10**12):
        found = DECODER.read_beginning(tmp_path / name, samples)
        assert torch.equal(found, whole[:samples])


def test_the_beginning_is_decoded_no_further_than_needed(tmp_path, monkeypatch):
    foreign(tmp_path / "a.flac", tone(RATE * 60))
    decoded = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile,
        "read",
        lambda file, *sizes, **kinds: decoded.append(sizes) or read(file, *sizes, **kinds),
    )
    assert len(DECODER.read_beginning(tmp_path / "a.flac", RATE)) == RATE
    assert decoded == [(sound_reading.BLOCK,)]


def test_reading_goes_on_without_seeking(tmp_path, monkeypatch):
    foreign(tmp_path / "a.mp3", tone(5 * RATE))
    monkeypatch.setattr(soundfile.SoundFile, "seek", None)  # an MP3 is not the same after it
    assert len(DECODER.read(tmp_path / "a.mp3")) == 5 * RATE


def test_long_sounds_are_refused_but_their_beginning_is_read(tmp_path, monkeypatch):
    foreign(tmp_path / "a.flac", np.zeros(RATE * 11))
    monkeypatch.setattr(sound_reading, "MAX_SECONDS", 10.0)
    assert refusal(tmp_path / "a.flac").endswith("it is longer than 10 seconds; cut it")
    assert len(DECODER.read_beginning(tmp_path / "a.flac", RATE)) == RATE
    foreign(tmp_path / "a.flac", np.zeros(RATE * 10))
    assert len(DECODER.read(tmp_path / "a.flac")) == RATE * 10


def test_the_contents_count_and_not_the_name(tmp_path):
    write(sound(500), tmp_path / "a.flac", request())
    (tmp_path / "a.flac").rename(tmp_path / "a.wav")
    assert torch.equal(DECODER.read(tmp_path / "a.wav"), sound(500))
    assert DECODER.read_metadata(tmp_path / "a.wav") == request()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_comments_of_others_are_no_requests(tmp_path, name):
    foreign(tmp_path / name, tone(5000))
    assert DECODER.read_metadata(tmp_path / name) is None
    with soundfile.SoundFile(tmp_path / name, "w", RATE, 1) as file:
        file.comment = '{"prompt": "not ours"}'
        file.write(tone(5000))
    assert DECODER.read_metadata(tmp_path / name) is None
    assert len(DECODER.read(tmp_path / name)) == 5000


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def test_a_request_is_found_wherever_it_stands_in_a_wav(tmp_path):
    write(sound(501), tmp_path / "a.wav", request())
    data = (tmp_path / "a.wav").read_bytes()
    start, end = data.index(b"LIST"), data.index(b"data")
    moved = data[12:start] + chunk(b"odd ", b"123") + data[end:] + data[start:end]
    (tmp_path / "b.wav").write_bytes(chunk(b"RIFF", b"WAVE" + moved))
    assert DECODER.read_metadata(tmp_path / "b.wav") == request()
    assert torch.equal(DECODER.read(tmp_path / "b.wav"), sound(501))


UNKNOWN = (0xFFFFFFFF, 0x7FFFF000, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0)


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("outer", [0, 0x7FFFFF24, 0xFFFFFFFF])
def test_a_streamed_wav_whose_length_is_unknown_is_read(tmp_path, unknown, outer, capsys):
    media = torch.cat([torch.zeros(3, dtype=torch.int16), noise(70_000)])
    whole = bytearray(foreign(tmp_path / "a.wav", media.numpy()).read_bytes())
    place = whole.index(b"data") + 4
    whole[4:8], whole[place : place + 4] = struct.pack("<I", outer), struct.pack("<I", unknown)
    (tmp_path / "a.wav").write_bytes(whole)
    assert torch.equal(DECODER.read(tmp_path / "a.wav"), media)
    assert torch.equal(DECODER.read_beginning(tmp_path / "a.wav", 9), media[:9])
    assert DECODER.read_metadata(tmp_path / "a.wav") is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("unknown", [0, (1 << 63) - 1, (1 << 64) - 1])
def test_a_streamed_rf64_whose_length_is_unknown_is_read(tmp_path, unknown):
    samples = sound(500).numpy().astype("<i2").tobytes()
    sizes = struct.pack("<QQQI", unknown, unknown, 0, 0)
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVE" + chunk(b"ds64", sizes) + chunk(b"fmt ", form) + b"data\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(b"RF64\xff\xff\xff\xff" + body + samples)
    assert torch.equal(DECODER.read(tmp_path / "a.wav"), sound(500))


@pytest.mark.parametrize(("outer", "size"), [(0x7F00002E, 0x7F000008), (0, 0)])
def test_a_streamed_aiff_whose_length_is_unknown_is_read(tmp_path, outer, size):
    whole = bytearray(foreign(tmp_path / "a.aiff", sound(500).numpy()).read_bytes())
    place = whole.index(b"SSND") + 4
    whole[4:8], whole[place : place + 4] = struct.pack(">I", outer), struct.pack(">I", size)
    (tmp_path / "a.aiff").write_bytes(whole)
    assert torch.equal(DECODER.read(tmp_path / "a.aiff"), sound(500))


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
@pytest.mark.parametrize("more", [44, 1, 100_000])
def test_a_length_that_the_outer_one_belies_is_read_with_a_note(tmp_path, name, more, capsys):
    path = foreign(tmp_path / name, sound(500).numpy())
    whole = bytearray(path.read_bytes())
    order, mark = ("<", b"data") if name == "a.wav" else (">", b"SSND")
    place = whole.index(mark) + 4
    size = struct.unpack(f"{order}I", whole[place : place + 4])[0]
    whole[place : place + 4] = struct.pack(f"{order}I", size + more)
    path.write_bytes(whole)
    assert torch.equal(DECODER.read(path), sound(500))
    err = capsys.readouterr().err
    assert err.startswith(f"note: {path}: its header counts {size + more} bytes of samples, and ")
    assert err.count("\n") == 1
    path.write_bytes(whole[:-2])  # now it is cut off, by its outer length, too
    assert "it is cut off" in refusal(path)


def test_reading_at_the_rate_of_another_decoder_changes_the_length(tmp_path):
    write(sound(16_000), tmp_path / "a.wav", {})
    found = AudioDecoder(48_000).read(tmp_path / "a.wav")
    assert len(found) == 48_000 and abs(loudest_hertz(found, 48_000) - 440) < 2


def test_a_streamed_flac_whose_length_is_unknown_is_read(tmp_path):
    whole = bytearray(foreign(tmp_path / "a.flac", sound(20_000).numpy()).read_bytes())
    whole[21] &= 0xF0  # the last 36 bits of eight bytes are the number of samples
    whole[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(whole)
    assert torch.equal(DECODER.read(tmp_path / "a.flac"), sound(20_000))
