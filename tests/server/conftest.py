"""A server of one tiny checkpoint, and one whose slot waits for the test.

What a test sends and a server takes is held against the description of the API.
"""

import json
import re
import threading
import time

import pytest
from json_schemas import faults, keys_of

from lumina_core.server.app import build_app
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import Made, Progress, picture_of

LOCAL = "http://localhost:8000"
NUM_FAKE_STEPS = 4


def described(client):
    """The client, which from now on looks whether the server's description takes what it sends."""
    document = client.get("/openapi.json").json()
    posts = {path: each["post"] for path, each in document["paths"].items() if "post" in each}

    def check(answer):
        request = answer.request
        if request.method != "POST" or not answer.is_success:
            return
        (path,) = [
            path
            for path in posts
            if re.fullmatch(re.sub("{.*?}", "[^/]+", path), request.url.path)
            and not (path == "/v1/media/{modality}" and request.url.path == "/v1/media/read")
        ]
        kind = request.headers["content-type"].partition(";")[0]
        schema = posts[path]["requestBody"]["content"][kind]["schema"]
        if kind == "application/json":
            body = json.loads(request.content)
            assert not list(faults(body, schema, document)), (path, body)
            return
        request.read()
        sent = {key.decode() for key in re.findall(rb'form-data; name="([^"]+)"', request.content)}
        assert sent <= keys_of(schema, document), (path, sent)

    client.event_hooks["response"].append(check)
    return client


@pytest.fixture(scope="module")
def client(tiny_checkpoint):
    from starlette.testclient import TestClient

    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), max_work=5000))
    with TestClient(app, base_url=LOCAL) as opened:
        yield described(opened)


class WaitingSlot:
    """Makes files of one byte; each step waits until the test lets it."""

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.tasks = []
        self.content = b"x"

    def size(self, config, suffix):
        return 16

    def run(self, task, tell):
        self.tasks.append(task)
        for step in range(NUM_FAKE_STEPS):
            assert self.gate.acquire(timeout=20)
            tell(Progress((step + 1) / NUM_FAKE_STEPS))
        path = task.folder / f"0{task.suffix}"
        path.write_bytes(self.content)
        picture_of(path).write_bytes(b"p")
        yield Made(path.name, 0, "0" * 64, ())

    def close(self):
        self.is_closed = True


@pytest.fixture
def slot():
    return WaitingSlot()


@pytest.fixture
def waiting(tiny_checkpoint, slot):
    """A client of a server whose slot waits and whose line takes two."""
    from starlette.testclient import TestClient

    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), max_waiting=2), slots=[slot])
    with TestClient(app, base_url=LOCAL) as opened:
        opened.line = app.state.line
        yield described(opened)
        slot.gate.release(1000)


@pytest.fixture
def demos(slot):
    """A client of a server of every demo whose slot waits, so that none is loaded."""
    from starlette.testclient import TestClient

    with TestClient(build_app(ServeConfig(), slots=[slot]), base_url=LOCAL) as opened:
        yield described(opened)
        slot.gate.release(1000)


@pytest.fixture
def until():
    """Wait until something is so."""

    def wait(holds):
        end = time.monotonic() + 300  # of a machine that is busy elsewhere
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait
