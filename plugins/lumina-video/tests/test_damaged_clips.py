"""Clip files that are damaged, too large or no clips at all."""

import json
import os

import av
import numpy as np
import pytest
import torch
from PIL import Image

from clips import DECODER, FPS, clip, colours, film, refusal, request, write
from damage import corrupted, flipped
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.media.clips.reading import KINDS
from lumina_video import video_files
from lumina_video.options import MAX_FRAMES


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "0002.png").unlink(), "frame 0002.png is missing"),
        (lambda folder: (folder / "notes.txt").write_text(""), "'notes.txt' in it is no frame"),
        (lambda folder: (folder / "deep.png").mkdir(), "'deep.png' in it is no frame"),
        (lambda folder: (folder / "0004.png").mkdir(), "'0004.png' in it is no frame"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], "folder without frames"),
        (lambda folder: (folder / "0001.png").write_bytes(b"x"), "'0001.png' in it is broken"),
        (lambda folder: (folder / "0002.png").write_bytes(b""), "'0002.png' in it is empty"),
        (lambda folder: Image.new("RGB", (9, 9)).save(folder / "0003.png"), "several sizes"),
        (lambda folder: Image.new("RGB", (9, 9)).save(folder / "0003.png", "BMP"), "no PNG"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, damage, message):
    folder = tmp_path / "a.frames"
    write(clip(3), folder, request(3))
    damage(folder)
    assert message in refusal(folder)


def test_each_damaged_bit_of_a_frame_is_refused_by_name(tmp_path):
    folder = tmp_path / "a.frames"
    write(clip(3), folder, {})
    whole = (folder / "0003.png").read_bytes()
    for data in flipped(whole, 60):
        (folder / "0003.png").write_bytes(data)
        assert "'0003.png' in it is " in refusal(folder)


def test_a_moment_that_lasts_for_hours_fills_no_memory(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", colours(2), times=[0, 1_000_000])
    assert DECODER.read_at(path, 10.0, 5).shape == colours(5).shape
    assert len(DECODER.read(path)) == 2  # at its mean rate
    monkeypatch.setattr(DECODER, "read_metadata", lambda path: request(2, 240.0))
    assert f"more than {MAX_FRAMES} frames" in refusal(path)


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    write(clip(9), tmp_path / "a.mp4", request(9))
    monkeypatch.setattr(video_files, "MAX_PIXELS", 8 * 16 * 24)
    assert "more than 3072 pixels in all" in refusal(tmp_path / "a.mp4")
    assert len(DECODER.read_at(tmp_path / "a.mp4", FPS, 8)) == 8


def test_too_many_frames_are_refused(tmp_path):
    pages = [Image.new("RGB", (1, 1), (12 * number, 0, 0)) for number in range(20)]
    comment = f"lumina {json.dumps(request(20, 240.0))}".encode()
    path = tmp_path / "a.gif"
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=655_350, comment=comment)
    assert f"more than {MAX_FRAMES} frames; cut it or lower its rate" in refusal(path)
    assert len(DECODER.read_at(path, 240.0, MAX_FRAMES + 1)) == MAX_FRAMES + 1


def whole_files(folder):
    """Files of each kind, ours and of others, by suffix."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (10, 3, 32, 48), dtype=torch.uint8, generator=generator)
    for suffix in (".mp4", ".gif", ".webp"):
        write(noise, folder / f"ours{suffix}", request(10))
    film(folder / "other.webm", noise)
    film(folder / "other.mp4", noise, sound="aac", movflags="faststart")
    film(folder / "other.avi", noise)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


CUT = ("ours.mp4", "ours.gif", "ours.webp", "other.webm", "other.mp4", "other.avi")


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_file_cut_off_is_refused_by_name(tmp_path, name, share, capfd):
    whole = whole_files(tmp_path)[name]
    path = tmp_path / f"cut-{name}"
    path.write_bytes(whole[: int(len(whole) * share)])
    refusal(path)
    assert capfd.readouterr() == ("", "")


def test_a_gif_cut_between_two_frames_is_refused(tmp_path):
    write(clip(6), tmp_path / "a.gif", request(6))
    whole = (tmp_path / "a.gif").read_bytes()
    starts = [i for i in range(len(whole)) if whole.startswith(b"\0\x21\xf9\x04", i)]
    assert len(starts) == 6
    for start in starts[2:]:
        (tmp_path / "a.gif").write_bytes(whole[: start + 1])
        assert "cut off" in refusal(tmp_path / "a.gif")


def test_what_is_no_clip_is_refused_by_name(tmp_path, capfd):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film at all, and long enough to be looked at")
    (tmp_path / "ftyp.mp4").write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom")
    (tmp_path / "head.webm").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(60))
    (tmp_path / "zeros.avi").write_bytes(b"RIFF\xff\0\0\0AVI " + bytes(60))
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("empty.mp4", "text.mp4", "ftyp.mp4", "head.webm", "zeros.avi"):
        for read in (DECODER.read, lambda path: DECODER.read_at(path, 8.0, 3)):
            assert "cannot be read as a clip: " in refusal(tmp_path / name, read)
    assert refusal(tmp_path / "empty.mp4").endswith("clip: it is empty")
    assert refusal(tmp_path / "text.mp4").endswith(f"clip: it is broken, or none of {KINDS}")
    for name in ("pipe.mp4", "nothing.mp4"):
        with pytest.raises(LuminaError, match=f"{name} is no file"):
            DECODER.read(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_a_film_without_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        out.start_encoding()
    assert "End of file" in refusal(tmp_path / "a.mkv")


@pytest.mark.parametrize("name", CUT)
def test_random_corruptions_are_read_or_refused_in_one_line(tmp_path, name, capfd):
    whole = whole_files(tmp_path)[name]
    rng = np.random.default_rng(0)
    path, num_refused = tmp_path / f"damaged-{name}", 0
    for trial in range(60):
        path.write_bytes(corrupted(whole, rng, 1500))
        try:
            media = DECODER.read(path)
            assert media.dtype == torch.uint8 and media.shape[1] == 3 and media.numel() > 0
        except LuminaError as error:
            num_refused += 1
            assert path.name in str(error) and "\n" not in str(error)
        assert capfd.readouterr() == ("", "")
        if trial % 6:
            continue  # one in six also through the command line
        code = main(["info", str(path)])
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1) or (code == 0 and not err and out)
    assert num_refused > 15
