"""Meshes as files: what other programs find in them, and what is read back."""

import json
import math
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch

from damage import corrupted, limited_files
from lumina_core import LuminaError
from lumina_core.media.containers import COMMENT_MARK
from lumina_multiview import mesh_files
from lumina_multiview.camera import SPAN, axes
from lumina_multiview.hull import Mesh
from lumina_multiview.mesh_files import (
    MAX_COMMENT,
    SUFFIXES,
    glb_of,
    linear,
    ply_of,
    read_mesh_metadata,
    write_mesh,
)

SIDE = 24
AZIMUTHS, ELEVATIONS = (0.0, 90.0, 180.0, 270.0), (0.0,) * 4
CENTRE, RADIUS = (0.3, -0.4, 0.5), 0.9
COLOUR = (220, 120, 40)
REQUEST = {
    "prompt": 'a "red" café,\nend_header\r end_header 日本 \\end_header\u2028 \t ',
    "options": {"views": 4, "elevation": [0.0, 1.5], "azimuths": None},
}


def views():
    """A ball aside."""
    pixel = SPAN / SIDE
    along = (torch.arange(SIDE) + 0.5 - SIDE / 2) * pixel
    made = torch.tensor((24, 24, 28), dtype=torch.uint8)[:, None, None].repeat(4, 1, SIDE, SIDE)
    for view, azimuth in zip(made, AZIMUTHS, strict=True):
        x, y, _ = axes(azimuth, 0.0) @ torch.tensor(CENTRE)
        is_ball = (along[None] - x) ** 2 + (-along[:, None] - y) ** 2 < RADIUS**2
        view[:, is_ball] = torch.tensor(COLOUR, dtype=torch.uint8)[:, None]
    return made


def write(path, metadata=REQUEST):
    write_mesh(views(), AZIMUTHS, ELEVATIONS, path, metadata)
    return path


def small():
    """A tetrahedron, which takes no carving."""
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colours = np.uint8([[0, 0, 0], [255, 255, 255], COLOUR, [10, 20, 30]])
    return Mesh(vertices, faces, colours)


def refusal(path):
    with pytest.raises(LuminaError) as caught:
        read_mesh_metadata(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def glb(description, *, version=2, length=None, count=None, kind=b"JSON"):
    """A GLB whose header may lie."""
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    count = len(text) if count is None else count
    length = 20 + len(text) if length is None else length
    return struct.pack("<4sIII4s", b"glTF", version, length, count, kind) + text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_programs_find_a_closed_body(tmp_path, suffix):
    import trimesh

    path = write(tmp_path / f"a{suffix}")
    for merged in (True, False):
        body = trimesh.load(path, force="mesh", process=merged)
        assert body.is_watertight and body.is_winding_consistent and body.volume > 0
        assert body.area_faces.min() > 0
    middle = body.bounds.mean(0)
    x, y, z = CENTRE
    wanted = (x, z, -y) if suffix == ".glb" else (x, y, z)  # y is up in glTF, the front towards z
    assert middle == pytest.approx(wanted, abs=SPAN / SIDE)


def test_the_colours_of_a_ply_are_those_of_the_mesh(tmp_path):
    import trimesh

    (tmp_path / "a.ply").write_bytes(ply_of(small(), REQUEST))
    body = trimesh.load(tmp_path / "a.ply", process=False)
    assert np.array_equal(body.visual.vertex_colors[:, :3], small().colours)
    assert np.array_equal(body.vertices, small().vertices)
    assert np.array_equal(body.faces, small().faces)


def test_the_colours_of_a_glb_are_linear(tmp_path):
    import trimesh

    (tmp_path / "a.glb").write_bytes(glb_of(small(), REQUEST))
    # with a material, trimesh leaves the colours out
    body = trimesh.load(tmp_path / "a.glb", force="mesh", process=False, skip_materials=True)
    found = body.visual.vertex_colors[:, :3]
    assert np.abs(found - 255 * linear(small().colours / 255)).max() <= 0.5
    assert np.array_equal(body.faces, small().faces)


def test_linear_light_is_that_of_srgb():
    """The values of IEC 61966-2-1; half the light is the level 188 of 255."""
    assert linear(np.array([0.0, 1.0])).tolist() == [0, 1]
    assert linear(np.array([188 / 255])) == pytest.approx(0.5, abs=0.005)
    assert linear(np.array([0.0404])) == pytest.approx(linear(np.array([0.0405])), abs=1e-4)


def test_a_glb_needs_no_light(tmp_path):
    data = glb_of(small(), {})
    size = int.from_bytes(data[12:16], "little")
    tree = json.loads(data[20 : 20 + size])
    assert tree["meshes"][0]["primitives"][0]["material"] == 0
    assert "KHR_materials_unlit" in tree["materials"][0]["extensions"]
    assert tree["asset"]["version"] == "2.0"
    assert tree["asset"]["extras"] == {"lumina": {}}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("prompt", ["", "a red cube", "é" * 5000, " ".join("ab" * 3000), "\n\r\0"])
def test_the_request_comes_back(tmp_path, suffix, prompt):
    import trimesh

    path = tmp_path / f"a{suffix}"
    for metadata in ({**REQUEST, "prompt": prompt}, REQUEST, {}):
        path.write_bytes((glb_of if suffix == ".glb" else ply_of)(small(), metadata))
        assert read_mesh_metadata(path) == metadata
        assert len(trimesh.load(path, force="mesh", process=False).faces) == 4


def test_the_request_of_a_ply_is_comments_of_lines_that_any_reader_takes():
    data = ply_of(small(), {"prompt": "long " * 1000})
    header = data[: data.index(b"\nend_header\n")].decode("ascii").split("\n")
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert header[2].startswith(f"comment {COMMENT_MARK}")
    assert max(map(len, header)) < MAX_COMMENT + 20


def test_the_same_views_give_the_same_bytes_in_any_process(tmp_path):
    code = (
        "import sys, test_mesh_files as tests; "
        "sys.stdout.buffer.write(tests.glb_of(tests.small(), tests.REQUEST)); "
        "sys.stdout.buffer.write(tests.ply_of(tests.small(), tests.REQUEST))"
    )
    here = [os.path.dirname(__file__), os.path.dirname(sys.modules["damage"].__file__)]
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(here), "PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", code], env=told, stdout=-1, check=True)
    assert again.stdout == glb_of(small(), REQUEST) + ply_of(small(), REQUEST)
    for suffix in SUFFIXES:
        one, other = (write(tmp_path / f"{name}{suffix}") for name in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_files_of_other_programs_have_no_request(tmp_path):
    import trimesh

    box = trimesh.creation.box()
    box.export(tmp_path / "a.glb")
    box.export(tmp_path / "binary.ply")
    box.export(tmp_path / "text.ply", encoding="ascii")
    (tmp_path / "old.glb").write_bytes(glb({}, version=1))
    (tmp_path / "windows.ply").write_bytes(
        b"ply\r\nformat ascii 1.0\r\ncomment x\r\nend_header\r\n"
    )
    for number, tree in enumerate(([], 3, {"asset": 3}, {"asset": {"extras": ["lumina"]}}, {})):
        (tmp_path / f"{number}.glb").write_bytes(glb(tree))
    for path in tmp_path.iterdir():
        assert read_mesh_metadata(path) is None


def test_a_file_saved_with_other_ends_of_lines_keeps_its_request(tmp_path):
    header, body = ply_of(small(), REQUEST).split(b"end_header\n", 1)
    path = tmp_path / "a.ply"
    path.write_bytes(header.replace(b"\n", b"\r\n") + b"end_header\r\n" + body)
    assert read_mesh_metadata(path) == REQUEST


LUMINA = b"comment " + COMMENT_MARK.encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither GLB nor PLY"),
        (b"plyx\nend_header\n", "neither GLB nor PLY"),
        (b"PK\3\4", "neither GLB nor PLY"),
        (b"glTF", "cut off"),
        (glb({})[:19], "it has 19 bytes and says 22"),
        (glb({}, length=2**32 - 1), "it has 22 bytes and says 4294967295"),
        (glb({}, count=2**32 - 1), "does not begin with its description"),
        (glb({}, count=3), "cut off"),
        (glb({}, kind=b"BIN\0"), "does not begin with its description"),
        (glb(b"{"), "cannot be read as a mesh"),
        (glb(b"\xff\xfe\xfd"), "cannot be read as a mesh"),
        (glb(b"[" * 100_000), "cannot be read as a mesh"),
        (glb(b"9" * 100_000), "cannot be read as a mesh"),
        (glb({"asset": {"extras": {"lumina": [1]}}}), "carries a broken request"),
        (glb({"asset": {"extras": {"lumina": "x"}}}), "carries a broken request"),
        (b"ply\nformat ascii 1.0\n", "cut off"),
        (b"ply\nformat ascii 1.0\nend_head", "cut off"),
        (b"ply\n" + LUMINA + b"{\nend_header\n", "carries a broken request"),
        (b"ply\n" + LUMINA + b"[]\nend_header\n", "carries a broken request"),
        (b"ply\n" + LUMINA + b"[" * 100_000 + b"\nend_header\n", "carries a broken request"),
        (b"ply\n" + LUMINA + b"\xff\nend_header\n", "carries a broken request"),
        (b"ply\n" + LUMINA + b'{"a":\ncomment x\nend_header\n', "carries a broken request"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, data, message):
    (tmp_path / "a.mesh").write_bytes(data)
    assert message in refusal(tmp_path / "a.mesh")


def test_what_is_no_file_is_refused(tmp_path):
    assert "is no file" in refusal(tmp_path / "none.glb")
    assert "is no file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.ply")
    assert "is no file" in refusal(tmp_path / "pipe.ply")


def test_no_more_than_the_header_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(mesh_files, "MAX_HEADER_BYTES", 1000)
    for data, message in (
        (glb({"asset": {"extras": {"x": "y" * 2000}}}), "more than 1000"),
        (b"ply\n" + b"comment x\n" * 1000 + b"end_header\n", "more than 1000 bytes"),
        (b"ply\ncomment " + b"x" * 2000 + b"\nend_header\n", "a line without end"),
    ):
        (tmp_path / "a.mesh").write_bytes(data)
        assert message in refusal(tmp_path / "a.mesh")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_gives_a_request_or_one_line(tmp_path, suffix):
    rng = np.random.default_rng(0)
    whole = (glb_of if suffix == ".glb" else ply_of)(small(), REQUEST)
    path = tmp_path / f"a{suffix}"
    for _ in range(300):
        path.write_bytes(corrupted(whole, rng, 400))
        try:
            found = read_mesh_metadata(path)
        except LuminaError as error:
            assert "\n" not in str(error)
        else:
            assert found is None or isinstance(found, dict)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("missing", [0.999, 0.5, 0.01])
def test_a_full_disk_is_noticed_and_leaves_nothing(tmp_path, suffix, missing, capfd):
    whole = write(tmp_path / f"whole{suffix}")
    refused = pytest.raises(LuminaError, match=r"new\.\w+ cannot be written: File too large")
    capfd.readouterr()
    with refused, limited_files(math.floor(whole.stat().st_size * (1 - missing))):
        write(tmp_path / f"new{suffix}")
    assert os.listdir(tmp_path) == [whole.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(LuminaError, match="view 1 of 4 shows nothing"):
        write_mesh(torch.zeros_like(views()), AZIMUTHS, ELEVATIONS, path, {})
    with pytest.raises(LuminaError, match="cannot be written"):
        write(path, {"prompt": object()})
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [path.name]
    assert read_mesh_metadata(write(path)) == REQUEST


def test_another_suffix_is_refused_before_anything_is_carved(tmp_path):
    for name in ("a.obj", "a", "a.png"):
        with pytest.raises(LuminaError, match=r"meshes are written as \.glb, \.ply"):
            write_mesh(torch.zeros_like(views()), AZIMUTHS, ELEVATIONS, tmp_path / name, {})
    write(tmp_path / "A.GLB", {})
    assert os.listdir(tmp_path) == ["A.GLB"]


def test_reading_a_request_imports_no_library_of_meshes(tmp_path):
    (tmp_path / "a.glb").write_bytes(glb_of(small(), {}))
    code = (
        "import sys; from pathlib import Path; from lumina_multiview import mesh_files; "
        f"assert mesh_files.read_mesh_metadata(Path({str(tmp_path / 'a.glb')!r})) == {{}}; "
        "print({'trimesh', 'skimage', 'scipy'} & {name.split('.')[0] for name in sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
