"""Sound files that are damaged, cut off, or no sounds at all."""

import os
import struct

import numpy as np
import pytest
import torch

from damage import corrupted
from lumina_audio.wholeness import KINDS
from lumina_core import LuminaError
from sounds import DECODER, RATE, foreign, noise, refusal, request, sound, tone, write

WHOLE = ("ours.wav", "ours.flac", "ours.ogg", "other.wav", "other.flac", "other.ogg", "other.opus",
         "other.mp3", "other.aiff", "other.au")  # fmt: skip


def whole_file(path):
    if path.name.startswith("ours"):
        write(noise(30_000), path, request())
    else:
        samples = tone(30_000)[:, None] + 0.2 * np.random.default_rng(0).standard_normal(
            (30_000, 2)
        )
        foreign(path, samples, 48_000, "OPUS" if path.suffix == ".opus" else None)
    return path.read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_off_is_refused_by_name(tmp_path, name, capfd):
    whole = whole_file(tmp_path / name)
    assert len(DECODER.read(tmp_path / name)) in (30_000, 10_000)
    path = tmp_path / f"cut-{name}"
    for share in (0, 0.0003, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1):
        path.write_bytes(whole[: int((len(whole) - 1) * share)])
        refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["ours.wav", "ours.flac", "ours.ogg"])
def test_a_file_cut_off_anywhere_in_its_header_is_refused(tmp_path, name, capfd):
    whole = whole_file(tmp_path / name)
    path = tmp_path / f"cut-{name}"
    for size in range(0, 400, 3):
        path.write_bytes(whole[:size])
        for read in (DECODER.read, lambda path: DECODER.read_beginning(path, 5)):
            refusal(path, read)
    assert capfd.readouterr() == ("", "")


def pages(data):
    """Where the pages of an Ogg stream begin, and where it ends."""
    return [i for i in range(len(data)) if data.startswith(b"OggS", i)] + [len(data)]


def test_an_ogg_without_a_page_is_refused(tmp_path):
    whole = whole_file(tmp_path / "ours.ogg")
    starts = pages(whole)
    assert len(starts) >= 6
    for number in range(1, len(starts) - 1):
        start, end = starts[number : number + 2]
        (tmp_path / "a.ogg").write_bytes(whole[:start] + whole[end:])
        problem = "cut off" if end == len(whole) else "a part is missing"
        assert problem in refusal(tmp_path / "a.ogg")


def test_a_chain_of_ogg_streams_is_called_one(tmp_path, capfd):
    one = whole_file(tmp_path / "ours.ogg")
    for other in ("ours.ogg", "other.ogg", "other.opus"):
        (tmp_path / "a.ogg").write_bytes(one + whole_file(tmp_path / other))
        message = f"only the first could be read; cut it at byte {len(one)}, or convert it to .wav"
        assert message in refusal(tmp_path / "a.ogg")
    assert capfd.readouterr() == ("", "")


def test_one_wrong_bit_in_ogg_or_flac_is_noticed(tmp_path):
    for name in ("ours.ogg", "ours.flac"):
        whole = bytearray(whole_file(tmp_path / name))
        for place in range(len(whole) // 2, len(whole) - 10, len(whole) // 9):
            whole[place] ^= 16
            (tmp_path / name).write_bytes(whole)
            refusal(tmp_path / name)
            whole[place] ^= 16


def test_what_is_no_sound_is_refused_by_name(tmp_path, capfd):
    for suffix in DECODER.read_suffixes:
        texts = {
            "empty": b"",
            "text": b"no sound at all, and long enough to be looked at\n" * 9,
            "playlist": b"#EXTM3U\n/etc/passwd\n",
            "zeros": bytes(5000),
            "picture": b"\x89PNG\r\n\x1a\n" + bytes(60),
            "film": b"RIFF\xff\0\0\0AVI " + bytes(60),
            "mp3": b"\xff\xfb" + bytes(60),
            "ogg": b"OggS" + bytes(60),
            "wav": b"RIFF\xff\0\0\0WAVE" + bytes(60),
            "flac": b"fLaC" + bytes(60),
            "aiff": b"FORM\0\0\0\xffAIFF" + bytes(60),
            "au": b".snd" + bytes(60),
            "tag": b"ID3\4\0\0\0\0\0\x20" + bytes(600),
        }
        for name, contents in texts.items():
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(contents)
            for read in (DECODER.read, DECODER.read_metadata):
                assert "cannot be read as a sound: " in refusal(path, read)
        assert refusal(tmp_path / f"empty{suffix}").endswith("sound: it is empty")
        expected = f"sound: it is broken, or none of {KINDS}"
        assert refusal(tmp_path / f"text{suffix}").endswith(expected)
    assert capfd.readouterr() == ("", "")


def test_mpeg_audio_inside_a_wav_is_refused(tmp_path, capfd):
    whole = foreign(tmp_path / "a.mp3", tone(9000)).read_bytes()
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 4000, 1, 0, 12, 1, 2, 144, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(whole)) + whole
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert "holds MPEG audio" in refusal(tmp_path / "a.wav")
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    for name in ("pipe.wav", "folder.wav", "nothing.wav"):
        for read in (DECODER.read, DECODER.read_metadata):
            with pytest.raises(LuminaError, match=f"{name} is no file"):
                read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.ogg"])
def test_files_without_samples_are_refused(tmp_path, name):
    path = foreign(tmp_path / name, np.zeros(0))
    assert refusal(path).endswith("it has no samples")


def test_what_stands_behind_no_samples_is_not_taken_for_them(tmp_path):
    whole = foreign(tmp_path / "a.wav", np.zeros(0)).read_bytes()
    for behind in (b"LIST\x08\0\0\0INFOxxxx", b"LIST\x08\0\0\0INF", b"fmt \x01"):
        (tmp_path / "a.wav").write_bytes(whole + behind)
        assert refusal(tmp_path / "a.wav").endswith("it has no samples")


@pytest.mark.parametrize("size", [1 << 40, 1 << 60])
def test_a_header_that_promises_more_than_there_is_fills_no_memory(tmp_path, size):
    ds64 = struct.pack("<QQQI", size, size, size // 2, 0)
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    path = tmp_path / "a.wav"
    path.write_bytes(
        b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(ds64)) + ds64
        + b"fmt \x10\0\0\0" + form + b"data\xff\xff\xff\xff" + bytes(2000)
    )  # fmt: skip
    for read in (DECODER.read, lambda path: DECODER.read_beginning(path, 5)):
        assert f"cut off: 2000 of its {size} bytes" in refusal(path, read)
    whole = bytearray(whole_file(tmp_path / "ours.flac"))
    whole[21:26] = b"\x0f\xff\xff\xff\xff"  # 2^36 - 1 samples
    (tmp_path / "ours.flac").write_bytes(whole)
    refusal(tmp_path / "ours.flac")


def test_sample_rates_out_of_range_are_refused(tmp_path):
    for rate in (1, 999, 192_001, 2**31 - 1):
        foreign(tmp_path / "a.wav", tone(50), rate)
        problem = f"its sample rate is {rate} Hz; 1000 to 192000 are read"
        assert refusal(tmp_path / "a.wav").endswith(problem)


def without_length(path, mode):
    """An MP3 without the first frame, which tells how many follow."""
    whole = foreign(path, tone(60_000), bitrate_mode=mode, compression_level=0.5).read_bytes()
    told = max(whole.find(mark) for mark in (b"Xing", b"Info"))
    path.write_bytes(whole[whole.index(whole[:2], told) :])
    return path.read_bytes()


def test_an_mp3_of_guessed_length_is_read_whole_or_refused(tmp_path, capfd):
    path = tmp_path / "a.mp3"
    whole = without_length(path, "CONSTANT")
    assert 60_000 <= len(DECODER.read(path)) < 60_000 + 4 * 576
    size = whole.index(whole[:4], 4)  # of a frame
    for missing in (1, size // 2, 20 * size + 5):
        path.write_bytes(whole[:-missing])
        assert refusal(path).endswith("cut off: its last frame is not whole")
    tag = b"ID3\4\0\0\0\0\2\0" + bytes(256)
    for tags in (tag, 2 * tag, 3 * tag):
        path.write_bytes(tags + whole + b"TAG" + bytes(125))
        assert 60_000 <= len(DECODER.read(path)) < 60_000 + 4 * 576
        path.write_bytes(tags + whole[:-1])
        assert refusal(path).endswith("cut off: its last frame is not whole")
    without_length(path, "VARIABLE")
    assert "does not say how long it is; convert it to .wav" in refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", WHOLE)
def test_random_corruptions_are_read_or_refused_in_one_line(tmp_path, name, capfd):
    whole = whole_file(tmp_path / name)
    rng = np.random.default_rng(0)
    path, num_refused = tmp_path / f"damaged-{name}", 0
    for _ in range(60):
        path.write_bytes(corrupted(whole, rng, num_head_bytes=200))
        for read in (DECODER.read, DECODER.read_metadata):
            try:
                found = read(path)
                assert read is not DECODER.read or (found.dtype, found.ndim) == (torch.int16, 1)
            except LuminaError as error:
                num_refused += 1
                assert path.name in str(error) and "\n" not in str(error)
    assert capfd.readouterr() == ("", "")
    assert num_refused > 20


def test_output_after_an_mp3_is_seen_again(tmp_path, capfd):
    path = foreign(tmp_path / "a.mp3", tone(9000))
    DECODER.read(path)
    path.write_bytes(path.read_bytes()[:900])
    refusal(path)
    os.write(2, b"heard")
    assert capfd.readouterr() == ("", "heard")
    assert torch.equal(DECODER.read(foreign(path, sound(9000).numpy())), DECODER.read(path))
