"""Clip files of other programs: read at their rate, upright, frame by frame."""

import math
import struct

import av
import numpy as np
import pytest
import torch
from PIL import Image

from clips import (
    COLOUR_ERROR,
    DECODER,
    LEFT,
    arrays,
    clip,
    colours,
    film,
    levels,
    refusal,
    request,
    write,
)
from lumina_core.media.clips.reading import KINDS

FILMS = ("mp4", "mov", "webm", "avi")


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


MATRICES = {
    (1, 0, 0, 1): [],
    (0, 1, -1, 0): [("transpose", "clock")],
    (-1, 0, 0, -1): [("hflip", None), ("vflip", None)],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (-1, 0, 0, 1): [("hflip", None)],
    (1, 0, 0, -1): [("vflip", None)],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
}
"""The matrices of an upright film, and the filters by which the program of FFmpeg heeds them."""


def with_matrix(path, a, b, c, d):
    """Write a matrix into the track of an MP4; its numbers are (a, b) and (c, d)."""
    numbers = [round(number * (1 << 16)) for number in (a, b, c, d)]
    matrix = struct.pack(">9i", *numbers[:2], 0, *numbers[2:], 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: ISO 14496-12, 8.3.2
    data[place : place + 36] = matrix
    path.write_bytes(data)


def shown_by_ffmpeg(path, filters):
    """The first frame of a film through FFmpeg's own filters."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        nodes = [graph.add_buffer(template=stream)]
        nodes += [graph.add(name, *([setting] if setting else [])) for name, setting in filters]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        graph.push(next(container.decode(stream)))
        return torch.from_numpy(graph.pull().to_ndarray(format="rgb24")).permute(2, 0, 1)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("scale", [1, 0.5])
def test_films_are_turned_and_mirrored_as_their_matrix_says(tmp_path, matrix, scale):
    a, b, c, d = matrix
    stored = torch.full((3, 32, 64), 30, dtype=torch.uint8)
    stored[:, :16, :32], stored[:, 16:, :32] = 220, 125  # top left, bottom left
    path = film(tmp_path / "a.mp4", stored.expand(4, -1, -1, -1))
    with_matrix(path, *(scale * number for number in matrix))
    found = DECODER.read(path)
    assert found.shape == ((4, 3, 64, 32) if b else (4, 3, 32, 64))
    # a pixel at x, y is shown at a x + c y, b x + d y; what is below 0 counts from the end
    height, width = found.shape[2:]
    for x, y in ((5, 5), (5, 27), (50, 5), (50, 27)):
        column = (a * x + c * y) % width - (a + c < 0)
        row = (b * x + d * y) % height - (b + d < 0)
        assert (found[1, :, row, column].int() - stored[:, y, x].int()).abs().max() < 25
    difference = found[0].int() - shown_by_ffmpeg(path, MATRICES[matrix]).int()
    assert difference.abs().max() <= COLOUR_ERROR


@pytest.mark.parametrize("degrees", [0.5, -0.5, 90.5, 180.5])
def test_half_a_degree_beside_an_upright_film_is_upright(tmp_path, degrees):
    media = colours(3)
    path = film(tmp_path / "a.mp4", media)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    with_matrix(path, cos, sin, -sin, cos)
    assert DECODER.read(path).shape == ((3, 3, 48, 32) if degrees == 90.5 else (3, 3, 32, 48))


@pytest.mark.parametrize(
    "matrix", [(0.866, 0.5, -0.5, 0.866), (0.7, 0.7, -0.7, 0.7), (1, 0.5, 0, 1), (1, 0, 0, 0)]
)
def test_films_at_odd_angles_are_refused(tmp_path, matrix):
    path = film(tmp_path / "a.mp4", colours(3))
    with_matrix(path, *matrix)
    assert "turned by no right angle, or skewed" in refusal(path)


def test_a_matrix_of_zeros_says_nothing(tmp_path):
    path = film(tmp_path / "a.mp4", colours(3))
    with_matrix(path, 0, 0, 0, 0)
    assert DECODER.read(path).shape == (3, 3, 32, 48)


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


def test_short_times_of_a_gif_are_a_tenth_of_a_second_as_in_browsers(tmp_path):
    pages = [Image.fromarray(array) for array in arrays(colours(4))]
    for suffix in (".gif", ".png"):
        pages[0].save(
            tmp_path / f"a{suffix}",
            save_all=True,
            append_images=pages[1:],
            duration=[10, 20, 0, 200],
        )
        found = DECODER.read_at(tmp_path / f"a{suffix}", 50.0, 1000)
        counts = levels(found).unique_consecutive(return_counts=True)[1]
        assert counts.tolist() == [5, 1, 5, 10]


def test_a_default_picture_outside_the_animation_is_no_frame(tmp_path):
    pages = [Image.fromarray(array) for array in arrays(colours(4))]
    for count in (3, 1):
        pages[0].save(
            tmp_path / "a.png",
            save_all=True,
            append_images=pages[1 : 1 + count],
            default_image=True,
            duration=100,
        )
        assert levels(DECODER.read(tmp_path / "a.png")).equal(levels(colours(4)[1 : 1 + count]))


def test_deep_greys_and_avif_are_frames(tmp_path):
    grey = Image.fromarray(np.repeat(np.uint16([[45_000, 9000]]), 12, axis=1).repeat(16, axis=0))
    grey.save(tmp_path / "a.png")
    assert DECODER.read(tmp_path / "a.png")[0, 1, 3].tolist() == [175] * 12 + [35] * 12
    (tmp_path / "b.frames").mkdir()
    grey.save(tmp_path / "b.frames" / "0001.png")
    assert DECODER.read(tmp_path / "b.frames")[0, 1, 3].tolist() == [175] * 12 + [35] * 12
    pages = [Image.fromarray(array) for array in arrays(colours(3))]
    pages[0].save(tmp_path / "a.avif")
    assert (levels(DECODER.read(tmp_path / "a.avif")) - 30).abs() <= COLOUR_ERROR
    pages[0].save(tmp_path / "b.avif", save_all=True, append_images=pages[1:], duration=200)
    found = DECODER.read_at(tmp_path / "b.avif", 10.0, 100)
    wanted = levels(colours(3))[[0, 0, 1, 1, 2, 2]]
    assert (levels(found) - wanted).abs().max() <= COLOUR_ERROR


def test_the_content_counts_not_the_suffix(tmp_path):
    write(clip(3), tmp_path / "a.gif", request(3))
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
