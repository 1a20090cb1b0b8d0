"""Folders of views, ours and those of others, and what is refused in them."""

import json
import math
import os
import unicodedata

import pytest
import torch
from PIL import Image

from lumina_core import LuminaError
from lumina_core.data.listing import list_folder
from lumina_multiview import camera_files
from lumina_multiview.camera import angles_of, axes
from lumina_multiview.views_files import views_in
from lumina_multiview.views_folder import read_views
from view_sets import DECODER, change_cameras, noise, plain, refusal, request, view_matrix, write


@pytest.fixture
def ours(tmp_path):
    """A folder of three views as `run` writes it."""
    write(plain(3), tmp_path / "a.views", request(3))
    return tmp_path / "a.views"


def nerf(folder, angles, *, names="./train/r_{}", suffix=".png", **frame):
    """A folder as NeRF's data sets are; what is given replaces entries of each frame."""
    (folder / "train").mkdir(parents=True)
    media, frames = plain(len(angles)), []
    for number, (azimuth, elevation) in enumerate(angles):
        array = media[number].permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(array).save(folder / "train" / f"r_{number}{suffix}")
        found = {"file_path": names.format(number), "rotation": 0.1}
        frames.append(found | {"transform_matrix": view_matrix(azimuth, elevation)} | frame)
    transforms = {"camera_angle_x": 0.69, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(transforms))
    return media


def test_a_folder_holds_a_png_per_view_and_the_cameras(ours):
    assert sorted(os.listdir(ours)) == ["0001.png", "0002.png", "0003.png", "cameras.json"]
    found = json.loads((ours / "cameras.json").read_text())
    assert found == {
        "projection": "orthographic",
        "views": [
            {"file": f"000{number + 1}.png", "azimuth": 120.0 * number, "elevation": 20.0}
            for number in range(3)
        ],
        "request": request(3),
    }
    for file in ours.glob("*.png"):
        assert Image.open(file).mode == "RGB" and not Image.open(file).text


def test_the_cameras_of_a_folder_count(ours):
    def change(found):
        for view, azimuth, elevation in zip(found["views"], (-10, 360, 45.5), (0, -89, 89)):  # noqa: B905
            view.update(azimuth=azimuth, elevation=elevation, note="mine")
        found["views"].append(found["views"][0])
        found.pop("request")

    change_cameras(ours, change)
    folder = ours.rename(ours.with_name("any name"))
    found = views_in(folder)
    assert torch.equal(found.pictures, plain(3)[[0, 1, 2, 0]])
    assert found.azimuths == (350.0, 0.0, 45.5, 350.0)
    assert found.elevations == (0.0, -89.0, 89.0, 0.0)
    assert torch.equal(DECODER.read(folder), found.pictures)
    assert DECODER.read_metadata(folder) is None


def test_axes_of_the_tests_are_those_of_the_cameras():
    """The matrix is made of rotations, the axes of a formula."""
    for azimuth, elevation in ((0.0, 0.0), (90.0, 0.0), (30.0, 50.0), (200.0, -70.0)):
        columns = torch.tensor(view_matrix(azimuth, elevation))[:3, :3].T
        assert torch.allclose(columns, axes(azimuth, elevation), atol=1e-6)
        assert angles_of(tuple(columns[2].tolist())) == pytest.approx(
            (azimuth, elevation), abs=1e-4
        )


@pytest.mark.parametrize("names", ["./train/r_{}", "train/r_{}.png"])
def test_folders_of_nerf_are_read(tmp_path, names):
    angles = [(0, 0), (90, 30), (200, -45), (355, 85)]
    media = nerf(tmp_path / "lego", angles, names=names)
    found = read_views(tmp_path / "lego")
    assert torch.equal(found.pictures, media)
    for azimuth, elevation, wanted in zip(found.azimuths, found.elevations, angles, strict=True):
        assert (azimuth + 1) % 360 - 1 == pytest.approx(wanted[0], abs=1e-3)
        assert elevation == pytest.approx(wanted[1], abs=1e-3)
    assert DECODER.read_metadata(tmp_path / "lego") is None


def test_matrices_may_be_scaled_and_cameras_a_little_tilted(tmp_path):
    nerf(tmp_path / "a", [(0, 0)], transform_matrix=view_matrix(40, 10, roll=5, scale=3))
    found = read_views(tmp_path / "a")
    assert (found.azimuths[0], found.elevations[0]) == pytest.approx((40, 10), abs=1e-3)


def test_our_cameras_count_before_those_of_nerf(ours):
    (ours / "transforms.json").write_text("broken")
    assert torch.equal(DECODER.read(ours), plain(3))


def test_a_byte_order_mark_is_no_part_of_the_cameras(tmp_path, ours):
    media = nerf(tmp_path / "a", [(0, 0), (90, 30)])
    for file in (tmp_path / "a" / "transforms.json", ours / "cameras.json"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert torch.equal(DECODER.read(tmp_path / "a"), media)
    assert torch.equal(DECODER.read(ours), plain(3))
    assert DECODER.read_metadata(ours) == request(3)


@pytest.mark.parametrize(
    ("names", "suffix"),
    [
        (r"train\r_{}.png", ".png"),
        (r".\train\r_{}", ".png"),
        ("./train/r_{}", ".JPG"),
        ("./train/r_{}.jpg", ".JPG"),
        ("./train/r_{}.PNG", ".png"),
    ],
)
def test_names_of_nerf_from_other_systems_are_understood(tmp_path, names, suffix):
    media = nerf(tmp_path / "a", [(0, 0), (90, 30)], names=names, suffix=suffix)
    assert (DECODER.read(tmp_path / "a").int() - media.int()).abs().max() <= 3


def test_names_of_our_cameras_from_other_systems_are_understood(ours):
    apart = ours / unicodedata.normalize("NFD", "ä")
    apart.mkdir()
    (ours / "0002.png").rename(apart / "é.PNG")
    change_cameras(ours, lambda found: found["views"][1].update(file="ä\\é.png"))
    assert torch.equal(DECODER.read(ours), plain(3))
    change_cameras(ours, lambda found: found["views"][1].update(file="..\\0001.png"))
    assert "leads out of the folder" in refusal(ours)


def test_the_trained_views_of_a_scene_of_blender_are_read(tmp_path):
    folder = tmp_path / "lego"
    media = nerf(folder, [(0, 0), (90, 30)])
    for name in ("train", "test", "val"):
        (folder / f"transforms_{name}.json").write_bytes(
            (folder / "transforms.json").read_bytes() if name == "train" else b"broken"
        )
    (folder / "transforms.json").unlink()
    assert torch.equal(DECODER.read(folder), media)
    (folder / "transforms_train.json").write_text('{"frames": []}')
    assert "frames in transforms_train.json holds 0 views" in refusal(folder)
    (tmp_path / "lego.txt").write_text("a digger")
    listing = list_folder(tmp_path, DECODER.read_suffixes, (".views",), DECODER.folder_files)
    assert [(item.name, item.caption) for item in listing.items] == [("lego", "a digger")]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_pictures_may_be_jpeg_or_webp(tmp_path, suffix):
    media = nerf(tmp_path / "a", [(0, 0), (90, 0)], suffix=suffix)
    assert (DECODER.read(tmp_path / "a").int() - media.int()).abs().max() <= 3


def test_transparency_shows_white_and_turned_pictures_are_upright(ours):
    for number in (1, 2, 3):
        image = Image.new("RGBA", (24, 16), (0, 0, 0, 0))
        image.putpixel((3, 2), (200, 30, 60, 255))
        if number == 2:
            image = image.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        image.save(ours / f"000{number}.png", exif=exif)
    found = DECODER.read(ours)
    assert found.shape == (3, 3, 16, 24)
    assert (found[:, :, 2, 3] == torch.tensor([200, 30, 60])).all()
    assert (found[:, :, 5:] == 255).all()


def test_deep_greys_of_a_view_are_scaled(ours):
    Image.new("I;16", (24, 16), 32_768).save(ours / "0002.png")
    assert DECODER.read(ours)[1].unique().tolist() == [128]


NAMES = {
    "../0001.png": "leads out of the folder",
    "a/../../0001.png": "leads out of the folder",
    "{outside}": "leads out of the folder",
    "link.png": "is a link out of the folder",
    "way/0001.png": "is a link out of the folder",
    "": "is no name of a file",
    "nothing.png": "there is no file 'nothing.png' in it, which view 2",
    "pipe.png": "there is no file 'pipe.png' in it",
    "deep": "there is no file 'deep' in it",
    "nul\0.png": "cannot be read as views: ",
    "x" * 5000: "there is no file",
    "line\nbreak.png": "there is no file 'line\\nbreak.png'",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ours", "nerf"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, ours, name, kind):
    outside = tmp_path / "0001.png"
    Image.new("RGB", (24, 16)).save(outside)
    (ours / "link.png").symlink_to(outside)
    (ours / "way").symlink_to(tmp_path)
    (ours / "deep").mkdir()
    os.mkfifo(ours / "pipe.png")
    wanted = name.replace("{outside}", str(outside))
    if kind == "ours":
        change_cameras(ours, lambda found: found["views"][1].update(file=wanted))
    else:
        (ours / "cameras.json").unlink()
        frames = [{"file_path": each, "transform_matrix": view_matrix(0, 0)}
                  for each in ("0001.png", wanted)]  # fmt: skip
        (ours / "transforms.json").write_text(json.dumps({"frames": frames}))
    assert NAMES[name] in refusal(ours)


def test_links_inside_the_folder_are_followed(ours):
    (ours / "again.png").symlink_to("0003.png")
    change_cameras(ours, lambda found: found["views"][0].update(file="again.png"))
    assert torch.equal(DECODER.read(ours), plain(3)[[2, 1, 2]])


CAMERAS = {
    "no block": (lambda found: [1], "cameras.json is no block of settings"),
    "projection": (lambda found: found.update(projection="fisheye"), "'fisheye' in cameras.json"),
    "no projection": (lambda found: {"views": found["views"]}, "is not 'orthographic'"),
    "no views": (lambda found: found.pop("views") and None, "views in cameras.json holds None"),
    "views": (lambda found: found.update(views={"a": 1}), "a list of 1 to 1000 is wanted"),
    "empty": (lambda found: found.update(views=[]), "holds 0 views; a list of 1 to 1000"),
    "many": (lambda found: found.update(views=found["views"] * 334), "holds 1002 views; a list"),
    "view": (lambda found: found.update(views=[3]), "view 1 in cameras.json is no block"),
    "request": (lambda found: found.update(request=[1]), "the request in cameras.json is no block"),
}


@pytest.mark.parametrize("damage", CAMERAS)
def test_a_cameras_file_of_another_layout_is_refused(ours, damage):
    change, message = CAMERAS[damage]
    change_cameras(ours, change)
    for read in (DECODER.read, DECODER.read_metadata, read_views):
        assert message in refusal(ours, read)


VALUES = [
    ("file", 3, "file=3 of view 2 in cameras.json is no name"),
    ("file", None, "is no name of a file"),
    ("file", ["0001.png"], "is no name of a file"),
    ("azimuth", "90", "azimuth of view 2 in cameras.json='90' is no number"),
    ("azimuth", True, "is no number"),
    ("azimuth", None, "is no number"),
    ("azimuth", math.nan, "is no number"),
    ("azimuth", 10**400, "is no number"),
    ("azimuth", [1] * 1000, "is no number"),
    ("azimuth", 361, "azimuth=361 of view 2 in cameras.json is out of range"),
    ("elevation", False, "elevation of view 2 in cameras.json=False is no number"),
    ("elevation", -math.inf, "is no number"),
    ("elevation", 90, "elevation=90 of view 2 in cameras.json is out of range; use -89 to 89"),
    ("elevation", -89.5, "elevation=-89.5 of view 2"),
]


@pytest.mark.parametrize(("key", "value", "message"), VALUES)
def test_odd_values_of_a_view_are_refused(ours, key, value, message):
    change_cameras(ours, lambda found: found["views"][1].update({key: value}))
    assert message in refusal(ours)
    change_cameras(ours, lambda found: found["views"][1].pop(key) and None)
    assert f"view 2 in cameras.json has no {key}" in refusal(ours)


UPRIGHT = view_matrix(0, 0)
MIRRORED = [[-row[0], *row[1:]] for row in UPRIGHT]
MATRICES = [
    (None, "is no list of 4 rows with 4 numbers"),
    (UPRIGHT[:3], "is no list of 4 rows with 4 numbers"),
    ([*UPRIGHT[:3], [0, 0, 1]], "is no list of 4 rows with 4 numbers"),
    ([row[0] for row in UPRIGHT], "is no list of 4 rows with 4 numbers"),
    ([*UPRIGHT[:3], [0, 0, 0, "1"]], "transform_matrix of view 1 in transforms.json='1' is no"),
    ([*UPRIGHT[:3], [0, 0, 0, True]], "is no number"),
    ([[math.nan] * 4, *UPRIGHT[1:]], "is no number"),
    ([[1e300] * 4, *UPRIGHT[1:]], "is no number"),
    ([[0] * 4] * 4, "turns an axis into nothing"),
    (view_matrix(0, 0, scale=0.0), "turns an axis into nothing"),
    (view_matrix(30, 89.5), "elevation=89.5 of view 1 in transforms.json is out of range"),
    (view_matrix(30, 20, roll=15), "turned about its line of sight by more than 10 degrees"),
    (view_matrix(30, 20, roll=180), "turned about its line of sight"),
    (MIRRORED, "is mirrored"),
]


@pytest.mark.parametrize(("matrix", "message"), MATRICES)
def test_odd_matrices_are_refused(tmp_path, matrix, message):
    nerf(tmp_path / "a", [(0, 0)], transform_matrix=matrix)
    assert message in refusal(tmp_path / "a")


@pytest.mark.parametrize("name", ["cameras.json", "transforms.json"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no JSON in UTF-8"),
        (b'{"views": [', "is no JSON in UTF-8"),
        ("{}".encode("utf-16"), "is no JSON in UTF-8"),
        (b"[" * 100_000, "is no JSON in UTF-8"),
        (b'{"views": ' + b"1" * 10_000 + b"}", "is no JSON in UTF-8"),
        (b"{" + b" " * (16 << 20) + b"}", "cannot be read: it has more than 16777216 bytes"),
    ],
)
def test_what_is_no_json_is_refused(ours, name, data, message):
    (ours / "cameras.json").unlink()
    (ours / name).write_bytes(data)
    assert f"{name} in it {message}" in refusal(ours)


def test_cameras_that_are_no_file_of_the_folder_are_refused(tmp_path, ours):
    (ours / "cameras.json").rename(tmp_path / "cameras.json")
    assert "without cameras.json or transforms.json or transforms_train.json" in refusal(ours)
    (ours / "cameras.json").symlink_to(tmp_path / "cameras.json")
    assert "is a link out of the folder" in refusal(ours)
    (ours / "cameras.json").unlink()
    os.mkfifo(ours / "cameras.json")
    assert "cameras.json in it cannot be read: it is no regular file" in refusal(ours)
    assert "it is no folder" in refusal(ours / "0001.png", read_views)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "notes.txt").write_text(""), "'notes.txt' in it is not from"),
        (lambda folder: (folder / "0004.png").write_text(""), "'0004.png' in it is not from"),
        (lambda folder: (folder / ".git").mkdir(), "'.git' in it is not from `run`"),
        (lambda folder: (folder / "transforms.json").write_text("{}"), "'transforms.json' in it"),
        (lambda folder: (folder / "0002.png").unlink(), "there is no file '0002.png' in it"),
        (
            lambda folder: change_cameras(
                folder, lambda found: found["views"][0].update(file="0002.png")
            ),
            "names other pictures than 0001.png",
        ),
        (
            lambda folder: (
                (folder / "0001.png").unlink(),
                (folder / "0001.png").symlink_to("0002.png"),
            ),
            "'0001.png' in it is not from `run`",
        ),
    ],
)
def test_a_folder_with_other_things_has_no_request_that_would_let_it_be_replaced(
    ours, change, message
):
    assert DECODER.read_metadata(ours) == request(3)
    change(ours)
    assert message in refusal(ours, DECODER.read_metadata)
    if "there is no file" not in message:
        assert len(DECODER.read(ours)) == 3


def test_hidden_files_of_other_programs_do_not_count(ours):
    (ours / ".DS_Store").write_text("")
    assert DECODER.read_metadata(ours) == request(3)


def test_a_folder_is_never_written_over(ours):
    with pytest.raises(LuminaError, match="exists already"):
        write(noise(3), ours, request(3))
    assert torch.equal(DECODER.read(ours), plain(3))


def test_names_of_a_thousand_views_stay_in_order():
    names = [camera_files.view_name(number) for number in range(1000)]
    assert (names[0], names[-1]) == ("0001.png", "1000.png")
    assert len(set(names)) == 1000
