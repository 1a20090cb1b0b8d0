"""Files that come with a request: what is refused before anything decodes it."""

import errno
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from lumina_core.server import bodies, uploads

ASKED = {"prompt": "a star", "height": 32, "width": 32, "num_steps": 1}


def png_of(width, height):
    """A PNG of one bit a pixel, small on the disk however large it is."""

    def chunk(name, data):
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

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
    monkeypatch.setattr(Image.Image, "load", None)  # whoever decodes it fails
    error = refused(sent(client, "bomb.png", data))
    assert error["code"] == "too_large" and "pixels" in error["message"]
    assert not list(client.app.state.line.folder.iterdir())


def test_a_film_that_is_too_long_is_refused_undecoded(tmp_path, monkeypatch):
    path = tmp_path / "film.mp4"
    path.write_bytes(film_of(12))
    assert uploads.too_large(path) is None
    monkeypatch.setattr(uploads, "MAX_FRAMES", 11)
    assert uploads.too_large(path) == "has 12 frames; at most 11 are read"
    monkeypatch.setattr(uploads, "MAX_FRAMES", 12)
    monkeypatch.setattr(uploads, "MAX_SECONDS", 1)
    assert uploads.too_large(path) == "lasts 1.2 seconds; at most 1 are read"
    monkeypatch.setattr(uploads, "MAX_PIXELS", 1000)
    assert uploads.too_large(path) == "has 32 x 32 pixels; at most 1000 in all are read"


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
