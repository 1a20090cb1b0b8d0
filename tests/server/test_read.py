"""Files that a job made: what they say of themselves, and what else they are shown as."""

import errno
import io
import json

import pytest
from PIL import Image

from lumina_core.server import made_files

SMALL = {"prompt": "a star", "height": 32, "width": 48, "num_steps": 2, "seed": 7}


@pytest.fixture
def made(client):
    """Make something, and give the job at its end."""

    def make(**more):
        job = client.post("/v1/media/image", json=SMALL | more).json()
        client.get(f"/v1/media/jobs/{job['id']}/events")
        return client.get(f"/v1/media/jobs/{job['id']}").json()

    return make


def read(client, name, data):
    return client.post("/v1/media/read", files={"file": (name, data)})


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    assert "/" not in answer.json()["error"]["message"]
    return answer.json()["error"]["message"]


def test_a_file_gives_its_request_back(client, made):
    job = made(solver="heun", negative_prompt="a cat", num_samples=2, format="jpg")
    data = client.get(job["files"][1]["url"]).content
    found = read(client, "mine.jpg", data).json()
    told = [found[key] for key in ("modality", "prompt", "seed", "conditions")]
    assert told == ["image", "a star", 8, []]
    assert found["settings"]["solver.name"] == "heun"
    assert found["settings"]["modality.width"] == 48
    assert not [key for key in found["settings"] if key not in job["settings"]]
    body = {"prompt": found["prompt"], **found["settings"]}
    again = client.post("/v1/media/image", json=body | {"num_samples": 1}).json()
    client.get(f"/v1/media/jobs/{again['id']}/events")
    again = client.get(f"/v1/media/jobs/{again['id']}").json()
    assert again["files"][0]["media_sha256"] == job["files"][1]["media_sha256"]
    assert len(list(client.app.state.line.folder.iterdir())) == len(client.app.state.line.jobs)


def test_a_file_says_what_it_began_with(client):
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "PNG")
    files = {"image": ("x.png", picture.getvalue())}
    asked = {**SMALL, "condition.offset": "[0, 16]"}
    job = client.post("/v1/media/image", data=asked, files=files).json()
    assert job["settings"]["condition.offset"] == [0, 16]
    client.get(f"/v1/media/jobs/{job['id']}/events")
    data = client.get(f"/v1/media/jobs/{job['id']}/files/0").content
    found = read(client, "x.png", data).json()
    assert (found["conditions"], found["settings"]["condition.offset"]) == (["image"], [0, 16])


def with_request(request):
    """A PNG of ours with another request."""
    from lumina_core.media.pictures import text_chunk

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=text_chunk(json.dumps(request)))
    return file.getvalue()


GOOD = {"modality": "image", "prompt": "x", "seed": 1}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (GOOD | {"modality": "../x"}, "is not installed"),
        (GOOD | {"modality": 5}, "broken request"),
        (GOOD | {"prompt": None}, "broken request"),
        (GOOD | {"prompt": "a" * 10_001}, "broken request"),
        (GOOD | {"seed": -1}, "broken request"),
        (GOOD | {"seed": True}, "broken request"),
        (GOOD | {"options": {"height": "/etc/passwd"}}, "another value of modality.height"),
        (GOOD | {"options": {"height": {"a": {}}}}, None),
        (GOOD | {"options": [1]}, "broken request"),
        (GOOD | {"checkpoint": "/etc", "solver": {"name": "euler"}}, None),
    ],
    ids=str,
)
def test_a_request_that_somebody_wrote_is_read_with_care(client, request_, said):
    answer = read(client, "x.png", with_request(request_))
    if said is not None:
        assert said in refused(answer)
        return
    assert set(answer.json()["settings"]) <= {"seed", "solver.name"}


def test_a_file_without_a_request_is_refused(client):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    assert "carries no request" in refused(read(client, "x.png", picture.getvalue()))
    assert "cannot be read as" in refused(read(client, "x.wav", b"RIFF"))
    assert "ends in '.txt'" in refused(read(client, "x.txt", b"x"))
    assert "send one file" in refused(client.post("/v1/media/read", json={"file": "x.png"}))
    assert "send one file" in refused(
        client.post("/v1/media/read", files={"a": ("a.png", b""), "b": ("b.png", b"")})
    )


def test_a_file_that_goes_meanwhile_is_refused(client, made):
    job = made()
    for path in (client.app.state.line.folder / job["id"]).iterdir():
        path.unlink()
    for query in ("", "?as=png", "?as=jpg"):
        answer = client.get(job["files"][0]["url"] + query)
        assert answer.status_code in (400, 404), answer.text
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("wanted", ["bytes=5-1", "bytes=99999999-", "x"])
def test_a_range_that_is_none_is_refused_in_the_same_shape(client, made, wanted):
    url = made()["files"][0]["url"]
    whole = client.get(url).content
    assert client.get(url, headers={"range": "bytes=2-5"}).content == whole[2:6]
    answer = client.get(url, headers={"range": wanted})
    assert answer.status_code in (400, 416)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_file_is_shown_as_another_kind(client, made):
    job = made()
    url = job["files"][0]["url"]
    jpeg = client.get(f"{url}?as=jpg")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert read(client, "x.jpg", jpeg.content).json()["seed"] == 7
    assert client.get(f"{url}?as=jpg").content == jpeg.content
    names = {path.name for path in (client.app.state.line.folder / job["id"]).iterdir()}
    assert names == {"0.png", "0.preview.png", "0.jpg"}
    for kind in ("glb", "../0", "", "exe"):
        assert "as takes png, webp" in refused(client.get(url, params={"as": kind}))
    for index in ("1", "9" * 5000, "-1", "x"):
        refused_index = client.get(f"/v1/media/jobs/{job['id']}/files/{index}")
        assert refused_index.json()["error"]["code"] == "not_found"


def test_a_kind_that_a_full_disk_cuts_off_leaves_nothing(client, made, monkeypatch):
    def full(decoder, media, path, *more):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    job = made()
    folder = client.app.state.line.folder / job["id"]
    before = set(folder.iterdir())
    monkeypatch.setattr(made_files, "write_sealed", full)
    assert client.get(job["files"][0]["url"] + "?as=jpg").status_code == 507
    assert set(folder.iterdir()) == before
