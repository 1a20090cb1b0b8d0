"""Clip files: what is written comes back, what others wrote is understood or refused."""

import json
import math
import os
import resource
import struct
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from lumina_core import LuminaError
from lumina_core.cli import main
from lumina_video import clip_writing, video_files
from lumina_video.clip_reading import KINDS
from lumina_video.clip_writing import MAX_WEBP_SIDE
from lumina_video.options import MAX_FRAMES, VideoOptions
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

FPS = 8.0
DECODER = VideoDecoder(FPS)
LOSSLESS = (".gif", ".webp", ".frames")
FILMS = ("mp4", "mov", "webm", "avi")
MAX_MP4_ERROR = 4.0  # grey levels on average: small clips are all edges, colour has half the size
LEFT, RIGHT = (200, 30, 60), (20, 160, 90)
COLOUR_ERROR = 6  # grey levels of a plain colour after a lossy codec


def request(frames, fps=FPS, **more):
    return {
        "prompt": 'ünï 雪 🎨 "',
        "options": {"frames": frames, "seconds": None, "fps": fps},
    } | more


def clip(frames, height=16, width=24):
    """Few colours, and no two frames alike."""
    media = torch.full((frames, 3, height, width), 40, dtype=torch.uint8)
    for number in range(frames):
        media[number, :, 2:8, 2 + number % (width - 8) : 8 + number % (width - 8)] = torch.tensor(
            [250, 80, number * 16 % 256], dtype=torch.uint8
        )[:, None, None]
    return media


def colours(frames):
    """A plain clip, a grey level for each frame."""
    levels = torch.linspace(30, 220, frames).to(torch.uint8)
    return levels[:, None, None, None].expand(frames, 3, 32, 48).contiguous()


def arrays(media):
    return [np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) for frame in media]


def film(path, media, *, fps=10, times=None, codec=None, sound=None, base=None, **settings):
    """A film as others write it; times are in ticks of the base, a tenth of a frame."""
    codec = codec or {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(path.suffix[1:], "libx264")
    with av.open(str(path), "w", **settings.pop("container", {})) as out:
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = media.shape[2:]
        stream.pix_fmt = settings.pop("pix_fmt", "yuv420p")
        stream.options = {
            "threads": "1",
            **({"cpu-used": "8"} if "vp9" in codec else {}),
            **settings,
        }
        if times:
            stream.codec_context.time_base = Fraction(1, 10 * fps)
        voice = None
        if sound:
            voice = out.add_stream(sound, rate=48_000)
            voice.layout = "mono"
        for number, array in enumerate(arrays(media)):
            frame = av.VideoFrame.from_ndarray(
                array, format="rgba" if len(media[0]) == 4 else "rgb24"
            )
            frame.pts = times[number] if times else number
            frame.time_base = (
                Fraction(1, 10 * fps) if times else 1 / Fraction(fps).limit_denominator(1001)
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if voice:
            for _ in range(100):  # two seconds and more
                samples = np.zeros((1, 1024), dtype=np.float32)
                noise = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                noise.sample_rate = 48_000
                out.mux(voice.encode(noise))
            out.mux(voice.encode())
    return path


def levels(media):
    return media.float().mean((1, 2, 3))


def refusal(path, read=DECODER.read):
    with pytest.raises(LuminaError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) > len(str(path)) + len(" cannot be read as a clip: ")
    return str(caught.value)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("fps", [0.5, 8, 12.5, 23.976, 29.97, 30000 / 1001, 50, 60, 240])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_what_is_written_comes_back(tmp_path, suffix, fps, frames):
    path, media, metadata = tmp_path / f"a{suffix.upper()}", clip(frames), request(frames, fps)
    if suffix == ".gif" and fps > 50:
        with pytest.raises(LuminaError, match=r"fps=[\d.]+ is more than the 50 frames per second"):
            DECODER.write(media, path, metadata)
        assert not list(tmp_path.iterdir())
        return
    DECODER.write(media, path, metadata)
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
    DECODER.write(media, tmp_path / f"a{suffix}", request(frames))
    assert DECODER.read(tmp_path / f"a{suffix}").shape == media.shape


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_equal_frames_between_others_stay(tmp_path, suffix):
    media = clip(4)[[0, 0, 1, 1, 1, 2, 3, 3]]
    DECODER.write(media, tmp_path / f"a{suffix}", request(8, 29.97))
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), media)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_keep_256_colours_of_noise(tmp_path, suffix):
    generator = torch.Generator().manual_seed(0)
    media = torch.empty(5, 3, 33, 47, dtype=torch.uint8)
    for number in range(5):
        palette = torch.randint(256, (256, 3), dtype=torch.uint8, generator=generator)
        chosen = torch.randint(256, (33, 47), generator=generator)
        media[number] = palette[chosen].permute(2, 0, 1)
    DECODER.write(media, tmp_path / f"a{suffix}", request(5))
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), media)


def test_mp4_is_close_to_what_was_written(tmp_path):
    options = VideoOptions(48, 64, 20, None, 29.97, (1, 2, 2), "demo")
    for number, caption in enumerate(("a red circle moving to the right", "a blue square growing")):
        generator = torch.Generator().manual_seed(number)
        media = VideoWorld().draw(caption, options, generator)
        DECODER.write(media, tmp_path / "a.mp4", request(20, 29.97))
        error = (DECODER.read(tmp_path / "a.mp4").int() - media.int()).abs().float()
        assert error.mean() <= MAX_MP4_ERROR
        assert error.mean((0, 2, 3)).max() <= 1.5 * MAX_MP4_ERROR  # no colour is off as a whole


def test_mp4_says_its_colours_size_and_rate(tmp_path):
    media = torch.empty(20, 3, 48, 64, dtype=torch.uint8)
    media[..., :32] = torch.tensor(LEFT)[:, None, None]
    media[..., 32:] = torch.tensor(RIGHT)[:, None, None]
    path = tmp_path / "a.mp4"
    DECODER.write(media, path, request(20, 29.97))
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
        DECODER.write(clip(9), tmp_path / f"{name}{suffix}", request(9))
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
    DECODER.write(clip(2), tmp_path / f"a{suffix}", metadata)
    assert DECODER.read_metadata(tmp_path / f"a{suffix}") == metadata


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_a_broken_request_is_refused(tmp_path, suffix, monkeypatch):
    for number, text in enumerate(("{not json", "[1]", "[" * 100_000)):
        path = tmp_path / f"{number}{suffix}"
        monkeypatch.setattr(video_files.json, "dumps", lambda *_, text=text, **__: text)
        DECODER.write(clip(2), path, {})
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
    monkeypatch.setattr(video_files.json, "dumps", lambda *_, **__: text)
    for suffix in (".mp4", ".webp"):
        DECODER.write(clip(3), tmp_path / f"a{suffix}", {})
        assert DECODER.read(tmp_path / f"a{suffix}").shape == clip(3).shape
        still = tmp_path / f"still{suffix}"
        DECODER.write(clip(1).repeat(3, 1, 1, 1), still, {})
        assert DECODER.read(still)[0].shape == clip(1)[0].shape
        assert DECODER.read_at(still, FPS, 3)[0].shape == clip(1)[0].shape


@pytest.mark.parametrize(("height", "width"), [(15, 24), (16, 25), (1, 2)])
def test_mp4_refuses_odd_sides_and_says_the_nearest(tmp_path, height, width):
    name, size = ("height", height) if height % 2 else ("width", width)
    nearest = "2" if size == 1 else f"{size - 1} or {size + 1}"
    with pytest.raises(LuminaError, match=rf"a\.mp4 .*{name}={size} is odd.* use {nearest}, or"):
        DECODER.write(clip(1).new_zeros(2, 3, height, width), tmp_path / "a.mp4", {})
    assert not list(tmp_path.iterdir())
    for suffix in LOSSLESS:
        DECODER.write(clip(1).new_zeros(2, 3, height, width), tmp_path / f"a{suffix}", request(2))
        assert DECODER.read(tmp_path / f"a{suffix}").shape == (2, 3, height, width)


def test_small_and_long_sides_are_written(tmp_path):
    for height, width in ((2, 2), (2, 4096)):
        DECODER.write(clip(1).new_zeros(2, 3, height, width), tmp_path / "a.mp4", request(2))
        assert DECODER.read(tmp_path / "a.mp4").shape == (2, 3, height, width)


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    with pytest.raises(LuminaError, match=f"width={MAX_WEBP_SIDE + 1} is more than"):
        DECODER.write(clip(1).new_zeros(1, 3, 1, MAX_WEBP_SIDE + 1), tmp_path / "a.webp", {})
    with pytest.raises(LuminaError, match=r"nothing moves for longer than the 655\.35 seconds"):
        DECODER.write(clip(1).repeat(80, 1, 1, 1), tmp_path / "a.gif", request(80, 0.1))
    with pytest.raises(LuminaError, match=r"written as \.mp4, \.gif, \.webp, \.frames"):
        DECODER.write(clip(1), tmp_path / "a.webm", {})
    assert not list(tmp_path.iterdir())


def test_the_format_is_checked_before_anything_is_computed():
    options = VideoOptions(15, 16, 4, None, 60.0, (1, 2, 2), "demo")
    for suffix, message in ((".mp4", "height=15 is odd"), (".gif", "fps=60.0 is more than the 50")):
        with pytest.raises(LuminaError, match=message):
            DECODER.check_format(suffix, (4, 3, 15, 16), options)
    DECODER.check_format(".webp", (4, 3, 15, 16), options)
    DECODER.check_format(".frames", (4, 3, 15, 16), options)


@contextmanager
def limited_files(num_bytes):
    """Writing more into a file fails, as on a disk without space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("missing", [0.999, 0.5, 0.01])
def test_a_full_disk_is_noticed_and_leaves_nothing(tmp_path, suffix, missing, capfd):
    media = torch.randint(256, (6, 3, 64, 96), dtype=torch.uint8)
    DECODER.write(media, tmp_path / f"whole{suffix}", {})
    whole = tmp_path / f"whole{suffix}"
    size = max(item.stat().st_size for item in (whole.iterdir() if whole.is_dir() else [whole]))
    refused = pytest.raises(LuminaError, match=r"cannot be written: File too large")
    capfd.readouterr()
    with refused, limited_files(math.floor(size * (1 - missing))):
        DECODER.write(media, tmp_path / f"new{suffix}", {})
    assert os.listdir(tmp_path) == [whole.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_an_interrupt_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    def interrupted(media):
        yield from found(media)[:2]
        raise KeyboardInterrupt

    found = clip_writing._arrays
    monkeypatch.setattr(clip_writing, "_arrays", interrupted)
    with pytest.raises(KeyboardInterrupt):
        DECODER.write(clip(9), tmp_path / f"a{suffix}", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_holds_a_png_per_frame_and_the_request_in_the_first(tmp_path):
    folder = tmp_path / "walk.frames"
    DECODER.write(clip(11), folder, request(11))
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
        DECODER.write(clip(1), folder, {})
    assert len(DECODER.read(folder)) == 11


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
    DECODER.write(clip(3), folder, request(3))
    damage(folder)
    assert message in refusal(folder)


def test_a_folder_without_a_request_has_the_rate_that_is_asked_for(tmp_path):
    folder = tmp_path / "a.frames"
    folder.mkdir()
    for number, array in enumerate(arrays(clip(5)), start=1):
        Image.fromarray(array).save(folder / f"{number:04d}.png")
    for fps in (0.1, FPS / 2, FPS, 2 * FPS, 29.97):
        assert torch.equal(DECODER.read_at(folder, fps, 100), clip(5))
    assert torch.equal(DECODER.read(folder), clip(5))
    DECODER.write(clip(5), tmp_path / "b.frames", request(5))
    assert torch.equal(DECODER.read_at(tmp_path / "b.frames", 2 * FPS, 4), clip(5)[[0, 0, 1, 1]])


@pytest.mark.parametrize("kind", FILMS)
def test_films_of_others_are_read_at_their_rate(tmp_path, kind):
    media = colours(12)
    path = film(tmp_path / f"a.{kind}", media)
    found = DECODER.read(path)
    assert found.shape == media.shape
    assert (levels(found) - levels(media)).abs().max() <= COLOUR_ERROR
    assert DECODER.read_metadata(path) is None
    assert len(DECODER.read_at(path, 5.0, 100)) == 6
    assert len(DECODER.read_at(path, 30.0, 100)) == 36


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_variable_rates_become_constant(tmp_path, kind):
    """Each moment shows the frame that holds then."""
    times = [0, 10, 15, 40, 60]  # of hundredths of a second
    path = film(tmp_path / f"a.{kind}", colours(5), times=times)
    found = DECODER.read_at(path, 20.0, 11)
    shown = [max(i for i, t in enumerate(times) if t <= 5 * n + 2.5) for n in range(11)]
    assert shown == [0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert (levels(found) - levels(colours(5))[shown]).abs().max() <= COLOUR_ERROR
    assert len(DECODER.read(path)) == 5


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_the_first_frame_may_come_late(tmp_path, kind):
    path = film(tmp_path / f"a.{kind}", colours(6), times=[70 + 10 * n for n in range(6)])
    found = DECODER.read_at(path, 10.0, 100)
    assert (levels(found) - levels(colours(6))).abs().max() <= COLOUR_ERROR


def test_frames_come_in_the_order_in_which_they_are_shown(tmp_path):
    path = film(tmp_path / "a.mp4", colours(30), bf="3", **{"x264-params": "b-adapt=0:scenecut=0"})
    with av.open(str(path)) as container:
        kinds = {int(frame.pict_type) for frame in container.decode(video=0)}
    assert kinds == {1, 2, 3}  # I, P and B
    assert (levels(DECODER.read(path)).diff() > 0).all()


EVERY_TENTH = "keyint=10:min-keyint=10:scenecut=0:bframes=2"  # is a key frame


def trimmed(tmp_path, media, start, hidden):
    """A film from a key frame on, as copying without encoding trims: an edit list hides the first.

    Returns:
        Its path; the index stands before the frames.
    """
    source = film(tmp_path / "whole.mp4", media, **{"x264-params": EVERY_TENTH})
    path = tmp_path / "trimmed.mp4"
    with (
        av.open(str(source)) as whole,
        av.open(str(path), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            ticks = round(1 / (10 * packet.time_base))  # of a frame
            if packet.dts is not None and packet.pts >= start * ticks:
                packet.pts -= (start + hidden) * ticks
                packet.dts -= (start + hidden) * ticks
                packet.stream = stream
                out.mux(packet)
    return path


def shortened(path, seconds):
    """Let the edit list of an MP4 end earlier."""
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 4 + 8  # version 0: ISO 14496-12, 8.6.6
    data[place : place + 4] = struct.pack(">I", round(1000 * seconds))  # FFmpeg's unit of a film
    path.write_bytes(data)


@pytest.mark.parametrize("hidden", [1, 5, 9])
def test_frames_that_an_edit_list_hides_stay_hidden(tmp_path, hidden):
    media = colours(40)
    path = trimmed(tmp_path, media, 20, hidden)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 20
    wanted = media[20 + hidden :]
    found = DECODER.read(path)
    assert found.shape == wanted.shape
    assert (levels(found) - levels(wanted)).abs().max() <= COLOUR_ERROR
    shortened(path, 0.6)
    found = DECODER.read(path)
    assert found.shape == wanted[:6].shape
    assert (levels(found) - levels(wanted[:6])).abs().max() <= COLOUR_ERROR


def test_a_trimmed_film_cut_between_two_frames_is_refused(tmp_path):
    path = trimmed(tmp_path, colours(40), 20, 5)
    with av.open(str(path)) as container:
        ends = [entry.pos + entry.size for entry in container.streams.video[0].index_entries]
    path.write_bytes(path.read_bytes()[: ends[18]])
    assert "cut off after 19 of 20 frames" in refusal(path)


@pytest.mark.parametrize(("kind", "sound"), [("mp4", "aac"), ("webm", "libopus")])
def test_sound_is_ignored_even_if_it_is_longer(tmp_path, kind, sound):
    path = film(tmp_path / f"a.{kind}", colours(7), sound=sound)
    assert DECODER.read(path).shape == colours(7).shape


def sound_only(path, codec):
    with av.open(str(path), "w") as out:
        voice = out.add_stream(codec, rate=48_000)
        voice.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        out.mux(voice.encode(frame))
        out.mux(voice.encode())


@pytest.mark.parametrize(("kind", "sound"), [("mp4", "aac"), ("webm", "libopus")])
def test_sound_alone_is_refused(tmp_path, kind, sound):
    sound_only(tmp_path / f"a.{kind}", sound)
    assert "no pictures" in refusal(tmp_path / f"a.{kind}")


@pytest.mark.parametrize("kind", ["webm", "mov"])
def test_odd_sizes_are_read(tmp_path, kind):
    media = colours(3)[..., :31, :45]
    path = film(
        tmp_path / f"a.{kind}",
        media,
        **({"codec": "png", "pix_fmt": "rgb24"} if kind == "mov" else {}),
    )
    assert DECODER.read(path).shape == (3, 3, 31, 45)


def test_transparency_of_films_and_animations_shows_white(tmp_path):
    media = torch.zeros(3, 4, 16, 16, dtype=torch.uint8)
    media[:, 3, :, 8:] = 255
    media[:, 3, 8:, :8] = 127
    film(tmp_path / "a.mov", media, codec="png", pix_fmt="rgba")
    pages = [Image.fromarray(array) for array in arrays(media)]
    for number, page in enumerate(pages):
        page.putpixel((15, number), (255, 0, 0, 255))
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], lossless=True)
    for name in ("a.mov", "a.webp"):
        found = DECODER.read(tmp_path / name)
        assert found.shape == (3, 3, 16, 16)
        assert found[1, :, 2, 2].tolist() == [255] * 3
        assert found[1, :, 12, 2].tolist() == [128] * 3
        assert found[1, :, 12, 12].tolist() == [0] * 3


MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def turned(path, degrees):
    """Write the matrix of a turn (clockwise, as phones do) into the track of an MP4."""
    a, b, c, d = MATRICES[degrees]
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: ISO 14496-12, 8.3.2
    data[place : place + 36] = matrix
    path.write_bytes(data)


@pytest.mark.parametrize("degrees", MATRICES)
def test_films_are_turned_as_their_matrix_says(tmp_path, degrees):
    media = torch.full((4, 3, 32, 64), 30, dtype=torch.uint8)
    media[:, :, :16, :32] = 220  # top left
    path = film(tmp_path / "a.mp4", media)
    turned(path, degrees)
    found = DECODER.read(path)
    wanted = torch.rot90(media, -degrees // 90, (2, 3))
    assert found.shape == wanted.shape
    assert (found.int() - wanted.int()).abs().max() <= 4 * COLOUR_ERROR


@pytest.mark.parametrize("full", [False, True])
def test_ranges_of_brightness_are_understood(tmp_path, full):
    media = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    media[..., 16:] = 255
    settings = {"pix_fmt": "yuvj420p"} if full else {}
    found = DECODER.read(film(tmp_path / "a.mp4", media, **settings))
    assert found[1, :, 16, 4].max() <= COLOUR_ERROR
    assert found[1, :, 16, 28].min() >= 255 - COLOUR_ERROR


def test_several_frame_sizes_are_refused(tmp_path):
    one = film(tmp_path / "one.mkv", colours(3), codec="mjpeg", pix_fmt="yuvj420p")
    other = film(tmp_path / "two.mkv", colours(3)[..., :16, :16], codec="mjpeg", pix_fmt="yuvj420p")
    with (
        av.open(str(one)) as first,
        av.open(str(other)) as second,
        av.open(str(tmp_path / "both.mkv"), "w") as out,
    ):
        stream = out.add_stream_from_template(first.streams.video[0])
        for shift, source in ((0, first), (300, second)):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.dts += shift
                    packet.pts += shift
                    packet.stream = stream
                    out.mux(packet)
    assert "several sizes" in refusal(tmp_path / "both.mkv")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path, suffix):
    image = Image.new("RGB", (24, 16), LEFT)
    image.save(tmp_path / f"a{suffix}")
    found = DECODER.read(tmp_path / f"a{suffix}")
    assert found.shape == (1, 3, 16, 24)
    assert (found[0, :, 8, 8].int() - torch.tensor(LEFT)).abs().max() <= COLOUR_ERROR
    assert len(DECODER.read_at(tmp_path / f"a{suffix}", 30.0, 5)) == 1


def test_a_turned_picture_is_upright_and_its_second_picture_no_frame(tmp_path):
    image, small = Image.new("RGB", (24, 16), LEFT), Image.new("RGB", (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert DECODER.read(tmp_path / "a.jpg").shape == (1, 3, 24, 16)
    image.save(tmp_path / "b.jpg", format="MPO", save_all=True, append_images=[small])
    assert Image.open(tmp_path / "b.jpg").n_frames == 2
    assert DECODER.read(tmp_path / "b.jpg").shape == (1, 3, 16, 24)


def test_animations_of_others_keep_their_times(tmp_path):
    pages = [Image.fromarray(array) for array in arrays(colours(3))]
    for suffix in (".gif", ".webp", ".png"):
        extra = {"lossless": True} if suffix == ".webp" else {}
        durations = [100, 300, 200]
        pages[0].save(
            tmp_path / f"a{suffix}",
            save_all=True,
            append_images=pages[1:],
            duration=durations,
            **extra,
        )
        found = DECODER.read_at(tmp_path / f"a{suffix}", 10.0, 100)
        assert levels(found).equal(levels(colours(3))[[0, 1, 1, 1, 2, 2]])
        assert len(DECODER.read(tmp_path / f"a{suffix}")) == 3
    pages[0].save(tmp_path / "b.gif", save_all=True, append_images=pages[1:])  # names no times
    assert len(DECODER.read_at(tmp_path / "b.gif", 10.0, 100)) == 3


def test_the_content_counts_not_the_suffix(tmp_path):
    DECODER.write(clip(3), tmp_path / "a.gif", request(3))
    (tmp_path / "a.gif").rename(tmp_path / "b.mp4")
    assert torch.equal(DECODER.read(tmp_path / "b.mp4"), clip(3))


def test_links_to_other_files_are_never_followed(tmp_path):
    secret = film(tmp_path / "secret.mp4", colours(3))
    texts = {
        "concat": f"ffconcat version 1.0\nfile {secret.name}\n",
        "plain": f"file '{secret}'\n",
        "list": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "dash": f'<?xml version="1.0"?><MPD><BaseURL>{secret}</BaseURL></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.mp4").write_text(text)
        assert f"is broken, or none of {KINDS}" in refusal(tmp_path / f"{name}.mp4")


def test_reading_goes_no_further_than_needed(tmp_path):
    path = film(tmp_path / "a.webm", torch.randint(256, (60, 3, 64, 64), dtype=torch.uint8), g="5")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])  # whatever comes later is not looked at
    assert DECODER.read_at(path, 10.0, 4).shape == (4, 3, 64, 64)
    refusal(path)
    pages = [Image.fromarray(array) for array in arrays(torch.randint(256, (30, 3, 64, 64)).byte())]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=100)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: len(data) // 2])
    assert DECODER.read_at(tmp_path / "a.gif", 10.0, 4).shape == (4, 3, 64, 64)
    refusal(tmp_path / "a.gif")


def test_a_moment_that_lasts_for_hours_fills_no_memory(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", colours(2), times=[0, 1_000_000])
    assert DECODER.read_at(path, 10.0, 5).shape == colours(5).shape
    assert len(DECODER.read(path)) == 2  # at its mean rate
    monkeypatch.setattr(DECODER, "read_metadata", lambda path: request(2, 240.0))
    assert f"more than {MAX_FRAMES} frames" in refusal(path)


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    DECODER.write(clip(9), tmp_path / "a.mp4", request(9))
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
        DECODER.write(noise, folder / f"ours{suffix}", request(10))
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
    DECODER.write(clip(6), tmp_path / "a.gif", request(6))
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


def corrupted(whole, rng):
    """One damage of a kind that disks and networks do: bits, a cut, a hole, a wrong beginning."""
    data, kind = bytearray(whole), rng.integers(5)
    if kind == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 20)):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[rng.integers(len(data)) :]
    elif kind == 2:
        data[: rng.integers(4, 200)] = rng.bytes(int(rng.integers(4, 200)))
    elif kind == 3:
        start = int(rng.integers(len(data)))
        data[start : start + 200] = bytes(len(data[start : start + 200]))
    else:
        for place in rng.integers(min(1500, len(data)), size=4):
            data[place] = int(rng.choice([0, 1, 127, 128, 255]))
    return bytes(data)


@pytest.mark.parametrize("name", CUT)
def test_random_corruptions_are_read_or_refused_in_one_line(tmp_path, name, capfd):
    whole = whole_files(tmp_path)[name]
    rng = np.random.default_rng(0)
    path, num_refused = tmp_path / f"damaged-{name}", 0
    for trial in range(60):
        path.write_bytes(corrupted(whole, rng))
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


def test_a_preview_shows_frames_from_the_first_to_the_last():
    media = colours(9)
    preview = DECODER.preview(media)
    assert preview.shape == (3, 32, 5 * 48 + 4 * 2)
    assert levels(media)[[0, 2, 4, 6, 8]].equal(preview[0, 0, 10::50].float())
    assert DECODER.preview(media[:1]).shape == (3, 32, 48)
