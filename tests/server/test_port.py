"""A server with the demos on a real port: the openai SDK, and plain HTTP."""

import asyncio
import base64
import errno
import io
import json
import os
import socket
import threading
import time
import wave

import httpx
import pytest
from PIL import Image

from lumina_core.errors import LuminaError
from lumina_core.server import app as served
from lumina_core.server import connection, guard, refusals
from lumina_core.server.app import build_app
from lumina_core.server.settings import TOKEN, ServeConfig

uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")

LATE = 120.0  # seconds; a machine with other work takes long


@pytest.fixture(scope="module")
def address():
    app = build_app(ServeConfig(port=0))
    config = uvicorn.Config(
        app, "127.0.0.1", 0, log_level="error", http=connection.Connection, timeout_keep_alive=5
    )
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    app.state.line.stop()
    server.should_exit = True
    thread.join(60)
    sock.close()


@pytest.fixture
def http(address):
    with httpx.Client(base_url=address, timeout=LATE) as opened:
        yield opened


def started(http, address, **body):
    answer = http.post(address, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def events(http, address):
    """What a stream of events says, one after the other."""
    with http.stream("GET", address) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_the_openai_client_lists_models_makes_a_picture_and_edits_it(address):
    openai = pytest.importorskip("openai")
    api = openai.OpenAI(base_url=f"{address}/v1", api_key="none", timeout=LATE, max_retries=0)
    assert {"image", "video", "audio", "multiview"} <= {model.id for model in api.models.list()}
    asked = {"prompt": "a red circle", "extra_body": {"num_steps": 1, "seed": 1}}
    made = api.images.generate(model="image", size="32x32", **asked).data[0].b64_json
    data = base64.b64decode(made)
    assert Image.open(io.BytesIO(data)).size == (32, 32)
    mask = io.BytesIO()
    painted = Image.new("RGBA", (32, 32), "white")
    painted.paste((0, 0, 0, 0), (0, 0, 16, 32))
    painted.save(mask, "PNG")
    edited = api.images.edit(model="image", image=data, mask=mask.getvalue(), **asked)
    assert edited.data[0].b64_json != made
    with pytest.raises(openai.BadRequestError, match="makes video, not image"):
        api.images.generate(model="video", prompt="x")


def test_a_clip_is_made_and_followed(http):
    clip = started(http, "/v1/videos", prompt="a red circle", frames=4, num_steps=4, size="32x32")
    seen = list(events(http, f"/v1/videos/{clip['id']}/events"))
    assert (seen[-1]["status"], seen[-1]["progress"]) == ("completed", 100), seen[-1]
    progress = [each["progress"] for each in seen]
    assert progress == sorted(progress) and len(set(progress)) > 2
    assert any((each["preview"] or "").startswith("data:image/png;base64,") for each in seen)
    content = http.get(f"/v1/videos/{clip['id']}/content")
    assert content.headers["content-type"] == "video/mp4" and content.content[4:8] == b"ftyp"


def test_a_sound_comes_back_as_bytes(http):
    body = {"input": "two short high beeps", "audio_length": 0.5, "num_steps": 1}
    answer = http.post("/v1/audio/generate", json=body)
    assert answer.headers["content-type"] == "audio/wav", answer.text
    assert (answer.content[:4], answer.content[8:12]) == (b"RIFF", b"WAVE")


def test_a_sound_that_is_sent_is_read_no_further_than_the_one_to_make(http):
    long = io.BytesIO()
    with wave.open(long, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(2 * 16_000 * 30))
    data = {"input": "two short high beeps", "audio_length": "0.5", "num_steps": "1"}
    files = {"sound": ("long.wav", long.getvalue())}
    answer = http.post("/v1/audio/generate", data=data, files=files)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert "the sound that was sent is longer than the 0.5 s" in message


def test_views_are_made_and_shown_as_a_mesh(http):
    pytest.importorskip("trimesh", reason="trimesh is not installed")
    asked = {"prompt": "a red cube", "num_steps": 8, "seed": 3}
    job = started(http, "/v1/media/multiview", **asked)
    done = list(events(http, f"/v1/media/jobs/{job['id']}/events"))[-1]
    (file,) = done["files"]
    mesh = http.get(file["url"], params={"as": "glb"})
    assert mesh.headers["content-type"] == "model/gltf-binary", mesh.text
    assert mesh.content[:4] == b"glTF"
    found = http.post("/v1/media/read", files={"file": ("x.glb", mesh.content)}).json()
    assert (found["modality"], found["prompt"], found["seed"]) == ("multiview", "a red cube", 3)
    grid = http.get(file["url"], params={"as": "png"})
    assert Image.open(io.BytesIO(grid.content)).width > 48


def test_a_running_job_is_cancelled(http):
    clip = {"prompt": "a red circle", "frames": 8, "num_steps": 500}
    job = started(http, "/v1/media/video", **clip)
    for event in events(http, f"/v1/media/jobs/{job['id']}/events"):
        if event["progress"] and event["status"] == "in_progress":
            http.delete(f"/v1/media/jobs/{job['id']}")
    assert (event["status"], event["files"]) == ("cancelled", [])


def test_who_leaves_cancels(http):
    long = {"prompt": "a red circle", "num_steps": 900}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/images/generations", json=long, timeout=2)
    end = time.monotonic() + LATE
    while http.get("/health").json() != {"status": "ok", "waiting": 0, "running": 0}:
        assert time.monotonic() < end
        time.sleep(0.05)


def raw(address, data):
    """What a server says to bytes, until it closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LATE) as sock:
        sock.sendall(data)
        found = b""
        while piece := sock.recv(4096):
            found += piece
    return found


def test_what_is_no_http_is_refused_in_the_same_shape(address):
    for data in (b"\x16\x03\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"):
        head, _, body = raw(address, data).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_a_head_that_does_not_come_is_not_waited_for(address, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS_FOR_HEAD", 0.2)
    assert raw(address, b"GET /health HTTP/1.1\r\nHost: ") == b""
    assert raw(address, b"") == b""


VIEWER = served.PAGE / "viewer" / "model-viewer-umd.min.js"
LONG = f"GET /page/viewer/{VIEWER.name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_that_nobody_reads_is_not_held(address, monkeypatch, reads):
    """Several answers are more than what the system keeps of them."""
    monkeypatch.setattr(connection, "SECONDS_TO_READ", 1)
    host, port = address.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=LATE) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**17)
        sock.sendall(LONG * 8)
        if not reads:
            time.sleep(3)
        try:
            while len(found) < 8 * VIEWER.stat().st_size and (piece := sock.recv(2**16)):
                found += piece
        except ConnectionResetError:
            pass
    assert (len(found) >= 8 * VIEWER.stat().st_size) == reads


POST = b"POST /v1/media/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
POST += b"Content-Type: application/json\r\nConnection: close\r\n\r\n{"


def test_a_body_that_does_not_come_is_not_waited_for(address, monkeypatch):
    monkeypatch.setattr(guard, "SECONDS_TO_SEND", 0.2)
    head, _, body = raw(address, POST).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["error"]["code"] == "too_slow"


def test_a_body_that_does_not_come_ends_an_answer_that_is_under_way(monkeypatch):
    monkeypatch.setattr(guard, "SECONDS_TO_SEND", 0.05)
    heard = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        heard.append(await receive())

    async def send(message):
        heard.append(message)

    scope = {"type": "http", "path": "/health", "headers": [(b"host", b"localhost")]}
    asyncio.run(guard.Guard(app, [], None)(scope, asyncio.Event().wait, send))
    assert [message["type"] for message in heard] == ["http.response.start", "http.disconnect"]


def test_who_leaves_while_sending_is_no_fault(http, address, monkeypatch):
    faults = []
    monkeypatch.setattr(refusals.terminal, "tell_trace", faults.append)
    host, port = address.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=LATE) as sock:
            sock.sendall(POST)
            time.sleep(0.2)
    time.sleep(0.5)
    assert http.get("/health").json()["status"] == "ok"
    assert faults == []


def test_too_many_connections_are_refused(address, monkeypatch):
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 0)
    found = raw(address, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 503") and b'"code":"busy"' in found


def test_a_server_without_room_for_its_folder_ends_in_one_line(
    tiny_checkpoint, monkeypatch, capsys
):
    from lumina_core.server.serve import run_server

    def full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    config = ServeConfig(checkpoint=(str(tiny_checkpoint),), port=0)
    monkeypatch.setattr("lumina_core.server.jobs._make_private", full)
    with pytest.raises(LuminaError, match="lumina-serve cannot be written"):
        run_server(config)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)
    with pytest.raises(LuminaError, match="name one in TMPDIR"):
        run_server(config)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("token", ["schl\u00fcssel", "two\nlines", "secret "])
def test_a_token_that_no_request_can_carry_is_refused(monkeypatch, token):
    from lumina_core.server.serve import run_server

    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(LuminaError, match="take letters and digits"):
        run_server(ServeConfig(port=0))
