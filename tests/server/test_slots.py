"""Slots elsewhere: what they make and say, what a kill leaves, and cancelling between steps."""

import errno
import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import lumina_core
from lumina_core.errors import LuminaError, is_full_disk
from lumina_core.files.unfinished import unwritable
from lumina_core.server import slots
from lumina_core.server.app import build_app
from lumina_core.server.catalogue import Served, composed
from lumina_core.server.jobs import Job, Line
from lumina_core.server.remote import compute
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import Cancelled, Task, ThreadSlot, picture_of

SMALL = {"prompt": "a star", "height": 32, "width": 32, "num_steps": 2}
LONG = {**SMALL, "num_steps": 10_000, "num_samples": 5}  # minutes, unless somebody ends it


@pytest.fixture(scope="module", params=["cpu:2", "ray:2"])
def client(request, tiny_checkpoint):
    """Of a server with two slots, which compute with one thread as this process does."""
    from starlette.testclient import TestClient

    if request.param == "ray:2":
        pytest.importorskip("ray", reason="Ray is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), slots=request.param))
    with TestClient(app, base_url="http://localhost") as opened:
        opened.line = app.state.line
        yield opened
    if request.param == "cpu:2":
        assert [slot.process.poll() for slot in app.state.line.slots] == [0, 0]
    torch.set_num_threads(before)


def post(client, asked):
    answer = client.post("/v1/media/image", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def job(client, job_id):
    return client.get(f"/v1/media/jobs/{job_id}").json()


def kill(slot):
    if hasattr(slot, "process"):
        os.kill(slot.process.pid, signal.SIGKILL)
    else:
        import ray

        ray.kill(slot.worker)


def test_two_slots_make_what_run_makes(client, tiny_checkpoint, until):
    jobs = [post(client, {**SMALL, "seed": seed, "num_samples": 2}) for seed in (5, 7)]
    until(lambda: all(job(client, each)["status"] == "completed" for each in jobs))
    found = [file["media_sha256"] for each in jobs for file in job(client, each)["files"]]
    model = lumina_core.load(tiny_checkpoint, height=32, width=32, num_steps=2)
    assert found == [made.media_sha256 for made in model.generate("a star", seed=5, num_samples=4)]


@pytest.mark.parametrize(("seconds", "num_previews"), [(0.1, 3), (0.15, 2), (5.0, 1)])
def test_previews_take_a_small_share_of_the_time(
    tiny_checkpoint, tmp_path, monkeypatch, seconds, num_previews
):
    now, told = [100.0], []
    monkeypatch.setattr(slots, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def png_of(picture):
        now[0] += seconds
        return b"png"

    def tell(progress):
        now[0] += progress.preview is None  # a second of each step
        told.append(progress)

    monkeypatch.setattr(slots, "png_of", png_of)
    words = {"modality.height": "32", "modality.width": "32", "solver.num_steps": "8"}
    config = composed(Served("a", "image", str(tiny_checkpoint)), words, "a star")
    list(ThreadSlot().run(Task(config, ".png", tmp_path), tell))
    assert sum(progress.preview is not None for progress in told) == num_previews


def test_a_slot_elsewhere_says_and_leaves_what_a_thread_does(client, until, tmp_path):
    first = post(client, {**SMALL, "num_steps": 8})
    until(lambda: job(client, first)["status"] == "completed")
    config = client.line.jobs[first].config
    found = []
    for number, slot in enumerate((ThreadSlot(), client.line.slots[0])):
        folder, told = tmp_path / str(number), []
        folder.mkdir()
        (made,) = slot.run(Task(config, ".png", folder), told.append)
        steps = [each for each in told if each.share and each.preview is None]  # 0 while it starts
        first = next(each for each in told if each.preview)  # of further ones the time decides
        path = folder / made.name
        found.append((made, steps, first, path.read_bytes(), picture_of(path).read_bytes()))
    assert found[0] == found[1]
    told, folder = [], tmp_path / "unwatched"
    folder.mkdir()
    (same,) = client.line.slots[0].run(Task(config, ".png", folder, is_watched=False), told.append)
    assert same == found[0][0]
    assert told and not any(progress.preview for progress in told)

    def leave(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        list(client.line.slots[0].run(Task(config, ".png", folder), leave))


def test_a_killed_slot_fails_its_job_and_a_new_one_runs_the_next(client, until):
    long = [post(client, LONG) for _ in range(2)]
    until(lambda: all(job(client, each)["progress"] > 0 for each in long))
    kill(client.line.slots[0])
    until(lambda: "failed" in [job(client, each)["status"] for each in long])
    (lost,) = [each for each in long if job(client, each)["status"] == "failed"]
    error = job(client, lost)["error"]
    assert error["code"] == "slot_lost" and "the next request gets a new one" in error["message"]
    (other,) = set(long) - {lost}
    last = post(client, SMALL)
    until(lambda: job(client, last)["status"] == "completed")
    assert job(client, other)["status"] == "in_progress"
    client.delete(f"/v1/media/jobs/{other}")
    until(lambda: job(client, other)["status"] == "cancelled")
    assert client.get("/health").json()["running"] == 0


def test_a_refusal_elsewhere_names_no_path(client, until):
    first = post(client, SMALL)
    until(lambda: job(client, first)["status"] == "completed")
    done = client.line.jobs[first]
    job_id, folder = client.line.new_folder()
    config = replace(done.config, checkpoint=str(folder / "none"))
    client.line.submit(Job(job_id, done.model, config, ".png", folder, {}))
    until(lambda: job(client, job_id)["status"] == "failed")
    error = job(client, job_id)["error"]
    assert error["code"] == "invalid_value" and "[path]" in error["message"]


def test_a_full_disk_elsewhere_is_one_here(tmp_path):
    class Full:
        def run(self, task, tell):
            error = OSError(errno.ENOSPC, "No space left on device")
            raise unwritable(tmp_path / "0.png", error) from error

    said = []
    compute(Full(), None, said.append, lambda: False)
    (over,) = pickle.loads(pickle.dumps(said))
    assert is_full_disk(over.error)


def test_a_model_is_spared_the_search_for_garbage(tiny_checkpoint, tmp_path):
    words = {"modality.height": "32", "modality.width": "32", "solver.num_steps": "1"}
    config = composed(Served("tiny", "image", str(tiny_checkpoint)), words, "a star")
    slot, counts = ThreadSlot(), []
    try:
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            list(slot.run(Task(config, ".png", folder), lambda progress: None))
            counts.append(gc.get_freeze_count())
        (model,) = slot._held.values()
        searched = {id(each) for each in gc.get_objects()}
        assert not searched & {id(part) for part in model.backbone.modules()}
        assert counts[0] >= counts[1] > 0
    finally:
        gc.unfreeze()


SERVER = """
import asyncio, time
from lumina_core.server.jobs import Line
from lumina_core.server.process_slots import ProcessSlot
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import ThreadSlot
slot = ProcessSlot("cpu", 1, ThreadSlot())
line = Line([slot], ServeConfig())
line.start(asyncio.new_event_loop())
print(slot.process.pid, line.folder, flush=True)
time.sleep(300)
"""


def is_alive(pid):
    """Whether a process computes; nobody may have asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_killed_server_leaves_goes(until, tmp_path, monkeypatch):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert server.stdout is not None
    pid, folder = server.stdout.readline().split()
    server.kill()
    server.communicate()
    until(lambda: not is_alive(pid))
    assert Path(folder).stat().st_mode & 0o077 == 0
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines = [Line([], ServeConfig()) for _ in range(2)]
    for line in lines:
        line.start(None)
    assert set(tmp_path.iterdir()) == {line.folder for line in lines}
    for line in lines:
        line.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "threads", "cpu:0", "cpu:2,", "cuda", "ray:0", "cpu:1,ray"])
def test_slots_that_are_none_are_refused(text):
    with pytest.raises(LuminaError, match="give thread, processes as in cpu:2"):
        ServeConfig(slots=text)


def test_a_device_that_is_not_there_is_refused_at_the_start(tiny_checkpoint):
    with pytest.raises(LuminaError, match="cuda:42 is not there"):
        build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),), slots="cuda:42"))
