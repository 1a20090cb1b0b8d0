"""Files of views that are damaged, of other views, or none at all."""

import json
import math
import os

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from damage import corrupted, flipped
from lumina_core import LuminaError
from lumina_core.media.clips.writing import write_clip
from lumina_core.media.containers import comment_with
from lumina_multiview import picture_reading, views_folder, views_grid
from lumina_multiview.request_options import options_in
from view_sets import DECODER, PICTURES, TURNTABLES, noise, plain, refusal, request, write


@pytest.fixture
def ours(tmp_path):
    """A folder of three views as `run` writes it."""
    write(plain(3), tmp_path / "a.views", request(3))
    return tmp_path / "a.views"


@pytest.mark.parametrize(
    "odd",
    [{"height": True}, {"height": "16"}, {"height": 16.0}, {"height": 10**400}, {"height": 0},
     {"width": None}, {"width": -1}, {"views": 2.5}, {"views": False}, {"views": -(10**400)},
     {"views": 10**9}, {"views": [2]}, {"azimuths": 3}, {"azimuths": "ab"}, {"azimuths": {}},
     {"azimuths": [0, True]}, {"azimuths": [math.nan]}, {"azimuths": [10**400]},
     {"azimuths": [[1]]}, {"azimuths": []}, {"azimuths": [1e300]}, {"azimuths": [0.0, 400.0]},
     {"elevation": None}, {"elevation": math.nan}, {"elevation": math.inf}, {"elevation": 90},
     {"elevation": [1.0]}, {"elevation": [1.0, 2.0, 3.0]}, {"elevation": True},
     {"elevation": [None, 1]}, {"elevation": 10**400},
     {"height": 16_384, "width": 16_384, "views": 2}],
)  # fmt: skip
def test_odd_requests_of_others_are_refused_in_one_line(tmp_path, odd, monkeypatch):
    options = request(2)["options"] | odd
    if "azimuths" in odd:
        options["views"] = None
    with pytest.raises(LuminaError) as caught:
        options_in({"options": options})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    info = PngInfo()
    info.add_itxt("lumina", json.dumps({"options": options}))
    Image.new("RGB", (48, 16)).save(tmp_path / "a.png", pnginfo=info)
    assert "cannot be read as views: " in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("metadata", [None, 3, [], {"options": None}, {"options": [1]}])
def test_what_is_no_request_is_refused(metadata):
    with pytest.raises(LuminaError, match="its request is not of views"):
        options_in(metadata)


def test_files_without_a_request_are_refused(tmp_path):
    image = Image.new("RGB", (48, 16))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.gif")
    assert "a grid needs its request, and it carries none; give a .views" in refusal(
        tmp_path / "a.png"
    )
    assert "a turntable needs its request" in refusal(tmp_path / "a.gif")
    assert DECODER.read_metadata(tmp_path / "a.png") is None


def test_a_file_of_another_modality_is_refused(tmp_path):
    info = PngInfo()
    other = {"modality": "image", "options": {"height": 16, "width": 48}}
    info.add_itxt("lumina", json.dumps(other))
    Image.new("RGB", (48, 16)).save(tmp_path / "a.png", pnginfo=info)
    assert "its request is not of views" in refusal(tmp_path / "a.png")
    assert DECODER.read_metadata(tmp_path / "a.png") == other


def test_a_picture_of_a_folder_is_no_grid(tmp_path):
    write(noise(3), tmp_path / "a.views", request(3))
    assert "needs its request" in refusal(tmp_path / "a.views" / "0001.png")


@pytest.mark.parametrize("size", [(24, 16), (48, 32), (47, 32), (24, 64)])
def test_a_grid_that_was_cut_or_scaled_is_refused(tmp_path, size):
    info = PngInfo()
    info.add_itxt("lumina", json.dumps(request(3)))
    Image.new("RGB", size).save(tmp_path / "a.png", pnginfo=info)
    wanted = f"it is {size[0]} x {size[1]} pixels, not 72 x 16 as its request says"
    assert wanted in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", TURNTABLES)
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (request(5), "it has 4 of the 5 views"),
        (request(3), "more than the 3 views"),
        (request(4, 24, 16), "its views are 24 x 16 pixels, not 16 x 24"),
    ],
)
def test_a_turntable_of_other_views_is_refused(tmp_path, suffix, other, message):
    path, fps = tmp_path / f"a{suffix}", other["options"]["views"] / 4
    write_clip(plain(4), path, fps, comment_with(other))
    assert message in refusal(path)


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    write(noise(4), tmp_path / "a.png", request(4))
    monkeypatch.setattr(views_grid, "MAX_PICTURE_PIXELS", 4 * 16 * 24 - 1)
    assert "a grid of 48 x 32 has more than 1535 pixels" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", PICTURES)
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_file_cut_off_is_refused_by_name(tmp_path, suffix, share, capfd):
    write(noise(8, 32, 48), tmp_path / f"a{suffix}", request(8, 32, 48))
    path = tmp_path / f"a{suffix}"
    file = path / "0003.png" if suffix == ".views" else path
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert " cannot be read as " in refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", PICTURES)
def test_random_corruptions_are_read_or_refused_in_one_line(tmp_path, suffix, capfd):
    rng = np.random.default_rng(0)
    path = tmp_path / f"a{suffix}"
    write(noise(4), path, request(4))
    file = path / "cameras.json" if suffix == ".views" else path
    whole = file.read_bytes()
    for _ in range(60):
        file.write_bytes(corrupted(whole, rng, 1500))
        for read in (DECODER.read, DECODER.read_metadata):
            try:
                read(path)
            except LuminaError as error:
                assert path.name in str(error) and "\n" not in str(error)
        assert capfd.readouterr() == ("", "")


def test_what_is_no_file_of_views_is_refused_by_name(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film at all, and long enough to be looked at")
    (tmp_path / "a.webp").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.gif")
    for name, message in {
        "empty.png": "it is empty",
        "text.mp4": "it is broken, or none of",
        "a.webp": "it is empty",
        "pipe.gif": "pipe.gif is no file",
        "nothing.views": "nothing.views is no file",
    }.items():
        assert message in refusal(tmp_path / name)


def change_picture(folder, **settings):
    image = settings.pop("image", Image.new("RGB", (24, 16)))
    image.save(folder / "0002.png", **({"format": "PNG"} | settings))


ODD_PICTURES = {
    "size": ({"image": Image.new("RGB", (9, 8))}, "0002.png is 9 x 8 pixels, and 0001.png is 24 x"),
    "kind": ({"format": "BMP"}, "0002.png cannot be read as a picture: it is broken, or none of"),
    "depth": ({"image": Image.new("I", (24, 16), -1), "format": "TIFF"}, "or none of PNG"),
}


@pytest.mark.parametrize("damage", ODD_PICTURES)
def test_odd_pictures_are_refused_by_name(ours, damage):
    settings, message = ODD_PICTURES[damage]
    change_picture(ours, **settings)
    assert message in refusal(ours)


def test_damaged_pictures_are_refused_by_name(ours):
    file = ours / "0002.png"
    whole = file.read_bytes()
    for data in (b"", b"x", whole[: len(whole) // 2], whole[:-30]):
        file.write_bytes(data)
        assert "0002.png cannot be read as a picture: " in refusal(ours)


def test_each_damaged_bit_of_a_picture_is_refused_by_name(ours):
    whole = (ours / "0002.png").read_bytes()
    for data in flipped(whole, 60):
        (ours / "0002.png").write_bytes(data)
        assert "0002.png cannot be read as a picture: " in refusal(ours)


def test_too_many_pixels_of_a_folder_are_refused(ours, monkeypatch):
    monkeypatch.setattr(views_folder, "MAX_PIXELS", 3 * 24 * 16 - 1)
    assert "it has more than 383 pixels; scale it down" in refusal(ours)
    monkeypatch.setattr(views_folder, "MAX_PIXELS", 3 * 24 * 16)
    assert len(DECODER.read(ours)) == 3
    monkeypatch.setattr(picture_reading.Image, "MAX_IMAGE_PIXELS", 100)
    assert "pixels; scale it down" in refusal(ours)
