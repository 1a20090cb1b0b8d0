"""Clip files: what is written comes back, and a failure leaves nothing."""

import json
import math
import os
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image

from clips import (
    COLOUR_ERROR,
    DECODER,
    FPS,
    LEFT,
    LOSSLESS,
    RIGHT,
    arrays,
    clip,
    colours,
    levels,
    refusal,
    request,
    write,
)
from damage import limited_files
from lumina_core import LuminaError
from lumina_core.media import containers
from lumina_core.media.clips import writing
from lumina_core.media.clips.writing import MAX_WEBP_SIDE
from lumina_video.options import VideoOptions
from lumina_video.world import VideoWorld

MAX_MP4_ERROR = 4.0  # grey levels on average: small clips are all edges, colour has half the size


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("fps", [0.5, 8, 12.5, 23.976, 29.97, 30000 / 1001, 50, 60, 240])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_what_is_written_comes_back(tmp_path, suffix, fps, frames):
    path, media, metadata = tmp_path / f"a{suffix.upper()}", clip(frames), request(frames, fps)
    if suffix == ".gif" and fps > 50:
        with pytest.raises(LuminaError, match=r"fps=[\d.]+ is more than the 50 frames per second"):
            write(media, path, metadata)
        assert not list(tmp_path.iterdir())
        return
    write(media, path, metadata)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert DECODER.read_metadata(path) == metadata
    found = DECODER.read(path)
    assert found.shape == media.shape
    if suffix in LOSSLESS:
        assert torch.equal(found, media)
    for rate, count in ((fps, frames), (2 * fps, 2 * frames)):
        assert len(DECODER.read_at(path, float(rate), 1000)) == count


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("frames", [1, 12, 500])
def test_a_clip_in_which_nothing_moves_keeps_its_length(tmp_path, suffix, frames):
    media = clip(1).repeat(frames, 1, 1, 1)
    write(media, tmp_path / f"a{suffix}", request(frames))
    assert DECODER.read(tmp_path / f"a{suffix}").shape == media.shape


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_equal_frames_between_others_stay(tmp_path, suffix):
    media = clip(4)[[0, 0, 1, 1, 1, 2, 3, 3]]
    write(media, tmp_path / f"a{suffix}", request(8, 29.97))
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), media)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_keep_256_colours_of_noise(tmp_path, suffix):
    generator = torch.Generator().manual_seed(0)
    media = torch.empty(5, 3, 33, 47, dtype=torch.uint8)
    for number in range(5):
        palette = torch.randint(256, (256, 3), dtype=torch.uint8, generator=generator)
        chosen = torch.randint(256, (33, 47), generator=generator)
        media[number] = palette[chosen].permute(2, 0, 1)
    write(media, tmp_path / f"a{suffix}", request(5))
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), media)


def test_mp4_is_close_to_what_was_written(tmp_path):
    options = VideoOptions(48, 64, 20, None, 29.97, (1, 2, 2), "demo")
    for number, caption in enumerate(("a red circle moving to the right", "a blue square growing")):
        generator = torch.Generator().manual_seed(number)
        media = VideoWorld().draw(caption, options, generator)
        write(media, tmp_path / "a.mp4", request(20, 29.97))
        error = (DECODER.read(tmp_path / "a.mp4").int() - media.int()).abs().float()
        assert error.mean() <= MAX_MP4_ERROR
        assert error.mean((0, 2, 3)).max() <= 1.5 * MAX_MP4_ERROR  # no colour is off as a whole


def test_mp4_says_its_colours_size_and_rate(tmp_path):
    media = torch.empty(20, 3, 48, 64, dtype=torch.uint8)
    media[..., :32] = torch.tensor(LEFT)[:, None, None]
    media[..., 32:] = torch.tensor(RIGHT)[:, None, None]
    path = tmp_path / "a.mp4"
    write(media, path, request(20, 29.97))
    error = (DECODER.read(path).int() - media.int()).abs()
    assert error[..., 4:28].max() <= COLOUR_ERROR and error[..., 36:60].max() <= COLOUR_ERROR
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.width, context.height, stream.frames) == (64, 48, 20)
        assert stream.average_rate == Fraction(2997, 100)
        colour = (context.colorspace, context.color_primaries, context.color_trc)
        assert (*colour, context.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_the_same_clip_gives_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        write(clip(9), tmp_path / f"{name}{suffix}", request(9))
    one, other = (
        [item.read_bytes() for item in sorted(path.iterdir())]
        if path.is_dir()
        else path.read_bytes()
        for path in (tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    )
    assert one == other


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_any_request_survives(tmp_path, suffix):
    metadata = request(2, prompt="\x00\x01 " + "long 雪" * 40_000)
    write(clip(2), tmp_path / f"a{suffix}", metadata)
    assert DECODER.read_metadata(tmp_path / f"a{suffix}") == metadata


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_a_broken_request_is_refused(tmp_path, suffix, monkeypatch):
    for number, text in enumerate(("{not json", "[1]", "[" * 100_000)):
        path = tmp_path / f"{number}{suffix}"
        monkeypatch.setattr(containers.json, "dumps", lambda *_, text=text, **__: text)
        write(clip(2), path, {})
        assert "broken request" in refusal(path, DECODER.read_metadata)


@pytest.mark.parametrize(
    "odd", [{"options": 3}, {"options": {"fps": 1e300}}, {"options": {"fps": "8"}},
            {"options": {"fps": 8.0, "frames": "x"}}, {"options": {"fps": 8, "seconds": [1]}},
            {"options": {"fps": 0}}, {"options": {"fps": 8, "seconds": 1e300}}]
    + [{"options": {"fps": 8} | more} for more in (
        {"seconds": math.nan}, {"seconds": -math.inf}, {"seconds": math.inf}, {"seconds": 0},
        {"seconds": -(10**400)}, {"seconds": 10**400}, {"frames": -(10**400)}, {"frames": 10**400},
        {"frames": math.nan}, {"frames": -math.inf}, {"fps": math.nan}, {"fps": math.inf},
        {"fps": 10**400}, {"fps": -(10**400)})],
)  # fmt: skip
def test_odd_requests_of_others_do_no_harm(tmp_path, odd, monkeypatch):
    text = json.dumps(odd)
    monkeypatch.setattr(containers.json, "dumps", lambda *_, **__: text)
    for suffix in (".mp4", ".webp"):
        write(clip(3), tmp_path / f"a{suffix}", {})
        assert DECODER.read(tmp_path / f"a{suffix}").shape == clip(3).shape
        still = tmp_path / f"still{suffix}"
        write(clip(1).repeat(3, 1, 1, 1), still, {})
        assert DECODER.read(still)[0].shape == clip(1)[0].shape
        assert DECODER.read_at(still, FPS, 3)[0].shape == clip(1)[0].shape


@pytest.mark.parametrize(("height", "width"), [(15, 24), (16, 25), (1, 2)])
def test_mp4_refuses_odd_sides_and_says_the_nearest(tmp_path, height, width):
    name, size = ("height", height) if height % 2 else ("width", width)
    nearest = "2" if size == 1 else f"{size - 1} or {size + 1}"
    with pytest.raises(LuminaError, match=rf"a\.mp4 .*{name}={size} is odd.* use {nearest}, or"):
        write(clip(1).new_zeros(2, 3, height, width), tmp_path / "a.mp4", {})
    assert not list(tmp_path.iterdir())
    for suffix in LOSSLESS:
        write(clip(1).new_zeros(2, 3, height, width), tmp_path / f"a{suffix}", request(2))
        assert DECODER.read(tmp_path / f"a{suffix}").shape == (2, 3, height, width)


def test_small_and_long_sides_are_written(tmp_path):
    for height, width in ((2, 2), (2, 4096)):
        write(clip(1).new_zeros(2, 3, height, width), tmp_path / "a.mp4", request(2))
        assert DECODER.read(tmp_path / "a.mp4").shape == (2, 3, height, width)


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(LuminaError, match=f"width={MAX_WEBP_SIDE + 1} is more than"):
        write(clip(1).new_zeros(1, 3, 1, MAX_WEBP_SIDE + 1), tmp_path / "a.webp", {})
    with pytest.raises(LuminaError, match=r"nothing moves for longer than the 655\.35 seconds"):
        write(clip(1).repeat(80, 1, 1, 1), tmp_path / "a.gif", request(80, 0.1))
    with pytest.raises(LuminaError, match=r"written as \.mp4, \.gif, \.webp, \.frames"):
        write(clip(1), tmp_path / "a.webm", {})
    assert not list(tmp_path.iterdir())


def test_the_format_is_checked_before_anything_is_computed():
    options = VideoOptions(15, 16, 4, None, 60.0, (1, 2, 2), "demo")
    for suffix, message in ((".mp4", "height=15 is odd"), (".gif", "fps=60.0 is more than the 50")):
        with pytest.raises(LuminaError, match=message):
            DECODER.check_format(suffix, (4, 3, 15, 16), options)
    DECODER.check_format(".webp", (4, 3, 15, 16), options)
    DECODER.check_format(".frames", (4, 3, 15, 16), options)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("missing", [0.999, 0.5, 0.01])
def test_a_full_disk_is_noticed_and_leaves_nothing(tmp_path, suffix, missing, capfd):
    media = torch.randint(256, (6, 3, 64, 96), dtype=torch.uint8)
    write(media, tmp_path / f"whole{suffix}", {})
    whole = tmp_path / f"whole{suffix}"
    size = max(item.stat().st_size for item in (whole.iterdir() if whole.is_dir() else [whole]))
    refused = pytest.raises(LuminaError, match=r"cannot be written: File too large")
    capfd.readouterr()
    with refused, limited_files(math.floor(size * (1 - missing))):
        write(media, tmp_path / f"new{suffix}", {})
    assert os.listdir(tmp_path) == [whole.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_an_interrupt_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    def interrupted(media):
        yield from list(found(media))[:2]
        raise KeyboardInterrupt

    found = writing._images
    monkeypatch.setattr(writing, "_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(clip(9), tmp_path / f"a{suffix}", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_holds_a_png_per_frame_and_the_request_in_the_first(tmp_path):
    folder = tmp_path / "walk.frames"
    write(clip(11), folder, request(11))
    names = [f"{number:04d}.png" for number in range(1, 12)]
    assert sorted(os.listdir(folder)) == names
    first, *others = (Image.open(folder / name) for name in names)
    assert json.loads(first.text["lumina"]) == request(11)
    assert not any(other.text for other in others)
    assert DECODER.read(folder / "0003.png").equal(clip(11)[2:3])
    assert DECODER.read(folder / "0001.png").equal(clip(11)[:1])
    (folder / ".hidden").write_text("x")
    assert DECODER.read(folder).equal(clip(11))
    with pytest.raises(LuminaError, match="exists already"):
        write(clip(1), folder, {})
    assert len(DECODER.read(folder)) == 11


def test_a_folder_without_a_request_has_the_rate_that_is_asked_for(tmp_path):
    folder = tmp_path / "a.frames"
    folder.mkdir()
    for number, array in enumerate(arrays(clip(5)), start=1):
        Image.fromarray(array).save(folder / f"{number:04d}.png")
    for fps in (0.1, FPS / 2, FPS, 2 * FPS, 29.97):
        assert torch.equal(DECODER.read_at(folder, fps, 100), clip(5))
    assert torch.equal(DECODER.read(folder), clip(5))
    write(clip(5), tmp_path / "b.frames", request(5))
    assert torch.equal(DECODER.read_at(tmp_path / "b.frames", 2 * FPS, 4), clip(5)[[0, 0, 1, 1]])


def test_a_preview_shows_frames_from_the_first_to_the_last():
    media = colours(9)
    preview = DECODER.preview(media, None)
    assert preview.shape == (3, 32, 5 * 48 + 4 * 2)
    assert levels(media)[[0, 2, 4, 6, 8]].equal(preview[0, 0, 10::50].float())
    assert DECODER.preview(media[:1], None).shape == (3, 32, 48)


def test_an_array_has_its_colours_last():
    media = clip(3)
    assert DECODER.array(media).shape == (3, 16, 24, 3)
    assert DECODER.array(media)[1, 4, 5].tolist() == media[1, :, 4, 5].tolist()
