"""Files that come with a request: what is refused before anything decodes it."""

import errno
import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from lumina_core.server import bodies, uploads

ASKED = {"prompt": "a star", "height": 32, "width": 32, "num_steps": 1}


def chunk(name, data):
    check = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + check


def png_of(width, height):
    """A PNG of one bit a pixel, small on the disk however large it is."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(1 + -(-width // 8)) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def film_of(num_frames, rate=10):
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 32
        for _ in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def sent(client, name, data):
    return client.post("/v1/media/image", data=ASKED, files={"image": (name, data)})


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("side", [5000, 20_000], ids=["ours", "pillow's"])
def test_a_picture_of_too_many_pixels_is_refused_undecoded(client, monkeypatch, side):
    data = png_of(side, side)
    assert len(data) < 200_000
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)  # whoever decodes it fails
    error = refused(sent(client, "bomb.png", data))
    assert error["code"] == "too_large" and "pixels" in error["message"]
    assert not list(client.app.state.line.folder.iterdir())


def test_a_clip_that_is_too_long_is_refused_undecoded(tmp_path, monkeypatch):
    path = tmp_path / "film.mp4"
    path.write_bytes(film_of(12))
    assert uploads.too_large(path) is None
    monkeypatch.setattr(uploads, "MAX_SECONDS", 1)
    assert uploads.too_large(path) == "lasts 1.2 seconds; at most 1 are read"
    monkeypatch.setattr(uploads, "MAX_CLIP_PIXELS", 12 * 1024 - 1)
    assert uploads.too_large(path).startswith("has 12 frames of 32 x 32 pixels")
    monkeypatch.setattr(uploads, "MAX_FRAMES", 11)
    assert uploads.too_large(path) == "has more than 11 frames; cut it"
    monkeypatch.setattr(uploads, "MAX_PIXELS", 1000)
    assert uploads.too_large(path) == "has 32 x 32 pixels; at most 1000 in all are read"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_frames_of_an_animation_are_counted(tmp_path, monkeypatch, kind):
    frames = [Image.new("RGB", (32, 32), (level, 0, 0)) for level in range(0, 240, 20)]
    path = tmp_path / "x"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=1)
    assert uploads.too_large(path) is None
    monkeypatch.setattr(uploads, "MAX_FRAMES", 11)
    assert uploads.too_large(path) == "has more than 11 frames; cut it"


def test_frames_before_a_damage_count(tmp_path, monkeypatch):
    frames = [Image.new("RGB", (32, 32), (level, 0, 0)) for level in range(0, 240, 20)]
    path = tmp_path / "x.gif"
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=100)
    path.write_bytes(path.read_bytes()[:-1] + b"damage")
    monkeypatch.setattr(uploads, "MAX_FRAMES", 11)
    assert uploads.too_large(path) == "has more than 11 frames; cut it"
    monkeypatch.setattr(uploads, "MAX_FRAMES", 100)
    assert uploads.too_large(path) is None


SIDE = b"\4\0"
GIF = b"GIF89a" + SIDE * 2 + bytes(3), b"," + bytes(4) + SIDE * 2 + b"\0\2\1D\0;"
JPEG = b"\xff\xd8", b"\xff\xda"
PNG = png_of(4, 4)[:33], png_of(4, 4)[33:]
CROWDS = {
    "empty blocks": (GIF, b"\0", 110_000),
    "extensions": (GIF, b"!\xf9\0", 110_000),
    "comments": (GIF, b"!\xfe\1a\0", 60_000),
    "segments": (JPEG, b"\xff\xe1\0\2", 21_000),
    "filling": (JPEG, b"\xff", 21_000),
    "marks alone": (JPEG, b"\xff\xf0\xff\0", 21_000),
    "chunks": (PNG, chunk(b"teXt", b""), 21_000),
}


@pytest.mark.parametrize("kind", CROWDS)
def test_a_picture_of_countless_parts_is_refused_before_pillow_sees_it(tmp_path, monkeypatch, kind):
    (head, picture), part, count = CROWDS[kind]
    path = tmp_path / "x"
    path.write_bytes(head + part * count + picture)
    monkeypatch.setattr(Image, "open", None)  # whoever opens it fails
    assert uploads.too_large(path) == "has far more parts than its size explains; save it anew"


@pytest.mark.parametrize("name", ["x.exe", "x.png.sh", "../../x.txt", "x.glb"])
def test_a_name_of_another_kind_is_refused(client, name):
    error = refused(sent(client, name, b"x"))
    assert error["code"] == "invalid_file" and ".." not in error["message"]


def test_a_file_is_kept_under_a_name_of_ours(client):
    data = png_of(32, 32)
    job = sent(client, "../../../evil.png", data).json()
    folder = client.app.state.line.folder / job["id"]
    assert "given-0.png" in [path.name for path in folder.iterdir()]
    unnamed = sent(client, "picture", data).json()  # its bytes tell its kind
    client.get(f"/v1/media/jobs/{unnamed['id']}/events")
    found = client.get(f"/v1/media/jobs/{unnamed['id']}").json()
    assert "everything is given" in found["error"]["message"]


def test_a_full_disk_is_told_and_leaves_nothing(client, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", "/secret")

    before = len(list(client.app.state.line.folder.iterdir()))
    monkeypatch.setattr(uploads.shutil, "copyfileobj", full)
    answer = sent(client, "x.png", png_of(32, 32))
    assert refused(answer, 507)["code"] == "no_space" and "secret" not in answer.text
    assert len(list(client.app.state.line.folder.iterdir())) == before


def test_a_large_body_of_json_is_refused(client):
    text = b"[" + b"[]," * bodies.MAX_JSON + b"[]]"
    answer = client.post(
        "/v1/media/image", content=text, headers={"content-type": "application/json"}
    )
    assert refused(answer, 413)["code"] == "too_large"


def test_a_full_line_refuses_before_it_reads_a_body(waiting, slot, until):
    body = {"prompt": "a star"}
    assert waiting.post("/v1/media/image", json=body).status_code == 202
    until(lambda: slot.tasks)
    for _ in range(2):
        waiting.post("/v1/media/image", json=body)
    for address in ("/v1/media/image", "/v1/images/edits", "/v1/images/generations"):
        refused(waiting.post(address, content=b"{", headers={"content-type": "x/y"}), 429)
