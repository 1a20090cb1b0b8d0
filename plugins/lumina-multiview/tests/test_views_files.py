"""Files of views: what is written comes back in its order, and a failure leaves nothing."""

import json
import math
import os

import av
import pytest
import torch
from PIL import Image

from damage import limited_files
from lumina_core import LuminaError
from lumina_core.files.writing import new_output
from lumina_multiview.options import MultiviewOptions
from lumina_multiview.request_options import options_in
from lumina_multiview.turntable import turning_order
from lumina_multiview.views_files import views_in
from lumina_multiview.views_grid import arrangement
from view_sets import DECODER, EXACT, PICTURES, TURNTABLES, noise, plain, refusal, request, write

COLOUR_ERROR = 6  # grey levels of a plain colour after a lossy codec
UNSORTED = [350.0, 90.0, 10.0, 270.0, 90.0, -20.0, 180.0]


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize("size", [(16, 24), (15, 9), (1, 1)])
def test_what_is_written_comes_back_exactly(tmp_path, suffix, count, size):
    path, media, metadata = tmp_path / f"a{suffix.upper()}", noise(count, *size), request(
        count, *size
    )  # fmt: skip
    write(media, path, metadata)
    assert os.listdir(tmp_path) == [path.name]
    assert torch.equal(DECODER.read(path), media)
    assert DECODER.read_metadata(path) == metadata


@pytest.mark.parametrize("suffix", TURNTABLES)
@pytest.mark.parametrize("count", [2, 7, 8, 61, 150, 210])
def test_a_turntable_comes_back(tmp_path, suffix, count):
    path, media, metadata = tmp_path / f"a{suffix}", plain(count), request(count)
    write(media, path, metadata)
    found = DECODER.read(path)
    assert found.shape == media.shape
    assert (found.int() - media.int()).abs().max() <= (COLOUR_ERROR if suffix == ".mp4" else 0)
    assert DECODER.read_metadata(path) == metadata


@pytest.mark.parametrize("suffix", TURNTABLES)
def test_equal_views_stay(tmp_path, suffix):
    media = plain(3)[[0, 0, 1, 1, 1, 2, 2]]
    write(media, tmp_path / f"a{suffix}", request(7))
    found = DECODER.read(tmp_path / f"a{suffix}")
    assert found.shape == media.shape and (found.int() - media.int()).abs().max() <= COLOUR_ERROR


@pytest.mark.parametrize("suffix", PICTURES)
@pytest.mark.parametrize("kind", [list, tuple])
def test_views_in_any_order_come_back_in_theirs(tmp_path, suffix, kind):
    path, media = tmp_path / f"a{suffix}", plain(len(UNSORTED))[[3, 0, 6, 1, 5, 2, 4]]
    write(media, path, request(azimuths=kind(UNSORTED), elevation=-10))
    found = views_in(path)
    assert (found.pictures.int() - media.int()).abs().max() <= COLOUR_ERROR
    assert found.azimuths == (350.0, 90.0, 10.0, 270.0, 90.0, 340.0, 180.0)
    assert found.elevations == (-10.0,) * 7


@pytest.mark.parametrize(
    ("azimuths", "order"),
    [
        ((0.0, 90.0, 180.0), [0, 1, 2]),
        ((180.0, 90.0, 0.0), [2, 1, 0]),
        ((90.0, 350.0, 20.0), [1, 2, 0]),
        ((90.0, 340.0, 10.0), [2, 0, 1]),
        ((90.0, 0.0, 90.0, 0.0), [1, 3, 0, 2]),
        ((200.0,), [0]),
    ],
)
def test_a_turntable_begins_at_the_front_and_turns_to_the_right(azimuths, order):
    assert turning_order(azimuths) == order


@pytest.mark.parametrize(("count", "mp4", "gif"), [(2, 4, 4), (8, 4, 4), (300, 10, 6)])
def test_a_turn_takes_four_seconds_or_what_the_format_needs(tmp_path, count, mp4, gif):
    for suffix, seconds in ((".mp4", mp4), (".gif", gif)):
        write(plain(count), tmp_path / f"a{suffix}", request(count))
        with av.open(str(tmp_path / f"a{suffix}")) as container:
            assert container.duration / 1e6 == pytest.approx(seconds, abs=0.02)


@pytest.mark.parametrize(
    ("count", "wanted"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (8, (2, 4)), (12, (3, 4)),
     (16, (4, 4)), (1000, (31, 33))],
)  # fmt: skip
def test_a_grid_is_wider_than_high(count, wanted):
    assert arrangement(count) == wanted


def test_a_grid_has_no_gaps_and_its_preview_is_the_same(tmp_path):
    media = noise(5)
    write(media, tmp_path / "a.png", request(5))
    image = Image.open(tmp_path / "a.png")
    assert image.size == (3 * 24, 2 * 16) and json.loads(image.text["lumina"]) == request(5)
    preview = DECODER.preview(media, None)
    assert preview.shape == (3, 32, 72)
    assert torch.equal(preview[:, 16:, 24:48], media[4])
    assert (preview[:, 16:, 48:] == 255).all()
    assert image.convert("RGB").getpixel((50, 20)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", PICTURES)
def test_the_same_views_give_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        write(noise(4), tmp_path / f"{name}{suffix}", request(4))
    one, other = (
        [item.read_bytes() for item in sorted(path.iterdir())]
        if path.is_dir()
        else path.read_bytes()
        for path in (tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    )
    assert one == other


@pytest.mark.parametrize("suffix", PICTURES)
def test_any_request_survives(tmp_path, suffix):
    metadata = request(2, prompt="\x00\x01 \udc80" + "long 雪" * 40_000)
    write(noise(2), tmp_path / f"a{suffix}", metadata)
    assert DECODER.read_metadata(tmp_path / f"a{suffix}") == metadata


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        (".mp4", {"count": 1}, "needs 2 views or more"),
        (".gif", {"count": 1}, "needs 2 views or more"),
        (".mp4", {"count": 2, "elevation": [0, 30]}, "at elevations from 0 to 30"),
        (".mp4", {"count": 2, "width": 15}, "width=15 is odd"),
        (".glb", {"azimuths": [0.0, 180.0]}, "modality.azimuths"),
        (".ply", {"count": 1}, "modality.azimuths"),
        (".png", {"count": 900, "height": 400, "width": 400}, "pixels; write a .views folder"),
        (".views", {"count": 1, "height": 16_000, "width": 16_000}, "pixels each"),
    ],
)
def test_the_format_is_checked_before_anything_is_computed(suffix, options, message):
    wanted = options_in(request(**options))
    shape = (wanted.num_views, 3, wanted.height, wanted.width)
    with pytest.raises(LuminaError, match=message) as caught:
        DECODER.check_format(suffix, shape, wanted)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_ordinary_views_fit_every_kind_of_file(suffix):
    options = MultiviewOptions(48, 48, 8, None, 20.0, (2, 2), "demo")
    DECODER.check_format(suffix, (8, 3, 48, 48), options)


@pytest.mark.parametrize("metadata", [request(3), request(1), request(2, 24, 16)])
def test_options_of_other_views_are_not_written(tmp_path, metadata):
    shape = tuple(metadata["options"][key] for key in ("views", "height", "width"))
    for suffix in DECODER.suffixes:
        with pytest.raises(LuminaError, match=r"views of shape \(2, 3, 16, 24\) have options for"):
            write(noise(2), tmp_path / f"a{suffix}", metadata)
    assert shape != (2, 16, 24) and not list(tmp_path.iterdir())


def test_other_kinds_of_file_are_not_written(tmp_path):
    with pytest.raises(LuminaError, match=r"written as \.png, \.views, \.mp4, \.gif, \.glb, \.ply"):
        write(noise(2), tmp_path / "a.webp", request(2))
    assert not list(tmp_path.iterdir())


def test_meshes_are_written_with_their_request_and_not_read_back(tmp_path):
    media = torch.full((4, 3, 48, 48), 255, dtype=torch.uint8)
    media[:, 0, 12:36, 16:32] = 20
    metadata = request(4, 48, 48)
    for suffix in (".glb", ".ply"):
        path = tmp_path / f"a{suffix}"
        write(media, path, metadata)
        assert DECODER.read_metadata(path) == metadata
        assert "a mesh cannot be read back as views" in refusal(path)


@pytest.mark.parametrize("suffix", PICTURES)
@pytest.mark.parametrize("missing", [0.999, 0.5, 0.01])
def test_a_full_disk_is_noticed_and_leaves_nothing(tmp_path, suffix, missing, capfd):
    media, whole = noise(4, 64, 96), tmp_path / f"whole{suffix}"
    write(media, whole, request(4, 64, 96))
    size = max(item.stat().st_size for item in (whole.iterdir() if whole.is_dir() else [whole]))
    refused = pytest.raises(LuminaError, match=r"cannot be written: File too large")
    capfd.readouterr()
    with refused, limited_files(math.floor(size * (1 - missing))):
        write(media, tmp_path / f"new{suffix}", request(4, 64, 96))
    assert os.listdir(tmp_path) == [whole.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", PICTURES)
def test_an_interrupt_leaves_nothing(tmp_path, suffix, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for name in ("as_image", "cameras_text"):
        monkeypatch.setattr(f"lumina_multiview.views_folder.{name}", interrupted)
    monkeypatch.setattr("lumina_core.media.clips.writing._images", interrupted)
    monkeypatch.setattr(Image.Image, "save", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        new_output(tmp_path / f"a{suffix}", overwrite=False) as new,
    ):
        write(noise(4), new, request(4))
    assert not list(tmp_path.iterdir())


def test_an_array_has_its_colours_last():
    media = noise(3)
    assert DECODER.array(media).shape == (3, 16, 24, 3)
    assert DECODER.array(media)[1, 4, 5].tolist() == media[1, :, 4, 5].tolist()
