"""A server of one tiny checkpoint, and one whose slot waits for the test."""

import threading
import time

import pytest

from lumina_core.server.app import build_app
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import Made, Progress, picture_of

LOCAL = "http://localhost:8000"
NUM_FAKE_STEPS = 4


@pytest.fixture(scope="module")
def client(tiny_checkpoint):
    from starlette.testclient import TestClient

    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), max_work=5000))
    with TestClient(app, base_url=LOCAL) as opened:
        yield opened


class WaitingSlot:
    """Makes files of one byte; each step waits until the test lets it."""

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.tasks = []

    def size(self, config, suffix):
        return 16

    def run(self, task, tell):
        self.tasks.append(task)
        for step in range(NUM_FAKE_STEPS):
            assert self.gate.acquire(timeout=20)
            tell(Progress((step + 1) / NUM_FAKE_STEPS))
        path = task.folder / f"0{task.suffix}"
        path.write_bytes(b"x")
        picture_of(path).write_bytes(b"p")
        yield Made(path.name, 0, "0" * 64, ())


@pytest.fixture
def slot():
    return WaitingSlot()


@pytest.fixture
def waiting(tiny_checkpoint, slot):
    """A client of a server whose slot waits and whose line takes two."""
    from starlette.testclient import TestClient

    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), max_waiting=2), slot=slot)
    with TestClient(app, base_url=LOCAL) as opened:
        opened.line = app.state.line
        yield opened
        slot.gate.release(1000)


@pytest.fixture
def until():
    """Wait until something is so."""

    def wait(holds):
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)

    return wait
