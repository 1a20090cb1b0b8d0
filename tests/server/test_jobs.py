"""The line: who waits, who is cancelled, and what is kept of it."""

import asyncio
import errno
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from lumina_core import terminal
from lumina_core.files.unfinished import unwritable
from lumina_core.server.jobs import COMPLETED, Job, Line, _wake
from lumina_core.server.refusals import RefusedError
from lumina_core.server.service import Service
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import Made, Progress

REQUEST = {"prompt": "a star"}


def post(client):
    return client.post("/v1/media/image", json=REQUEST)


def state(client, job):
    return client.get(f"/v1/media/jobs/{job['id']}").json()["status"]


def test_a_full_line_refuses_and_a_cancelled_job_makes_room(waiting, slot, until):
    jobs = [post(waiting).json()]
    until(lambda: slot.tasks)
    jobs += [post(waiting).json() for _ in range(2)]
    refused = post(waiting)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert refused.headers["retry-after"] == "1"
    assert waiting.get("/health").json() == {"status": "ok", "waiting": 2, "running": 1}
    cancelled = waiting.delete(f"/v1/media/jobs/{jobs[1]['id']}").json()
    assert (cancelled["status"], state(waiting, jobs[1])) == ("cancelled", "cancelled")
    assert post(waiting).status_code == 202
    assert len(list(waiting.line.folder.iterdir())) == 4  # nothing is left of the refused one


def test_a_running_job_is_cancelled_between_steps_and_the_next_one_runs(waiting, slot, until):
    first, second = post(waiting).json(), post(waiting).json()
    until(lambda: slot.tasks)
    waiting.delete(f"/v1/media/jobs/{first['id']}")
    assert state(waiting, first) == "in_progress"
    slot.gate.release()
    until(lambda: state(waiting, first) == "cancelled")
    slot.gate.release(4)
    until(lambda: state(waiting, second) == "completed")


def test_what_was_sent_with_a_cancelled_request_goes_at_once(waiting, slot, until, tmp_path):
    post(waiting)
    until(lambda: slot.tasks)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        asked = {**REQUEST, "height": 32, "width": 32}
        job = waiting.post("/v1/media/image", data=asked, files={"image": file}).json()
    folder = waiting.line.folder / job["id"]
    assert list(folder.iterdir())
    waiting.delete(f"/v1/media/jobs/{job['id']}")
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("status", "is_there", "code"),
    [("completed", False, "not_found"), ("cancelled", True, "cancelled")],
)
def test_a_result_that_is_not_whole_is_refused(tmp_path, status, is_there, code):
    if is_there:
        (tmp_path / "0.png").write_bytes(b"x")
    job = SimpleNamespace(
        status=status, error=None, folder=tmp_path, made=[Made("0.png", 0, "0" * 64, ())]
    )
    dropped = []

    async def changes(job):
        yield job

    async def receive():
        await asyncio.sleep(300)

    line = SimpleNamespace(changes=changes, drop=dropped.append)
    with pytest.raises(RefusedError) as raised:
        asyncio.run(Service({}, line).result(SimpleNamespace(receive=receive), job))
    assert raised.value.code == code
    assert dropped == [job]


def test_silence_of_a_job_is_told_to_who_waits(tmp_path):
    job = Job("a", "model", None, ".png", tmp_path, {})
    line = Line([], ServeConfig())

    async def seen():
        found = []
        async for each in line.changes(job, 0.01):
            found.append(each)
            if len(found) == 3:
                job.status = COMPLETED
                _wake(job)
        return found

    assert asyncio.run(seen()) == [job, None, None, job]
    assert not job.listeners


def test_progress_is_told_a_few_times_a_second_and_to_none_who_cannot_look(tmp_path, monkeypatch):
    class Slot:
        def run(self, task, tell):
            for step in range(200):
                tell(Progress(step / 200, b"p" if step == 150 else None))
            return iter(())

    line, told = Line([], ServeConfig()), []
    monkeypatch.setattr(line, "_tell", lambda job: told.append((job.share, job.preview is None)))
    job = Job("a", "model", None, ".png", tmp_path, {})
    assert line._outcome(job, Slot()) == ("completed", None)
    assert told[0] == (0, True) and (0.75, False) in told and len(told) < 100
    told.clear()
    assert line._outcome(replace(job, is_watched=False), Slot()) == ("completed", None)
    assert told == []


def test_previews_are_made_where_somebody_may_look(waiting, slot, until):
    slot.gate.release(8)
    assert waiting.post("/v1/images/generations", json=REQUEST).status_code == 200
    job = post(waiting).json()
    until(lambda: state(waiting, job) == "completed")
    assert [task.is_watched for task in slot.tasks] == [False, True]


def test_results_go_when_they_are_too_old_or_too_many(waiting, slot, until):
    jobs = [post(waiting).json() for _ in range(2)]
    slot.gate.release(8)
    until(lambda: state(waiting, jobs[1]) == "completed")
    waiting.line.jobs[jobs[0]["id"]].ended = time.time() - 3601
    assert waiting.get(f"/v1/media/jobs/{jobs[0]['id']}").status_code == 404
    waiting.line.jobs[jobs[1]["id"]].num_bytes = 2 * 10**9
    assert waiting.get(f"/v1/media/jobs/{jobs[1]['id']}").status_code == 404
    assert list(waiting.line.folder.iterdir()) == []


def test_a_result_that_cannot_be_kept_is_refused_and_leaves_nothing(waiting, slot, until):
    waiting.line.config = replace(waiting.line.config, keep_megabytes=1)
    slot.content = b"x" * 10**6
    first = post(waiting).json()
    slot.gate.release(4)
    until(lambda: state(waiting, first) == "failed")
    found = waiting.get(f"/v1/media/jobs/{first['id']}").json()
    assert "keeps 1000000; ask for less" in found["error"]["message"]
    assert found["files"] == [] and not list(slot.tasks[0].folder.iterdir())


def test_a_file_that_goes_while_it_is_counted_stops_no_slot(waiting, slot, until):
    good = slot.run

    def run(task, tell):
        (task.folder / "gone").symlink_to("nowhere")
        yield from good(task, tell)

    slot.run = run
    jobs = [post(waiting).json() for _ in range(2)]
    slot.gate.release(8)
    until(lambda: all(state(waiting, job) == "completed" for job in jobs))
    assert waiting.line.jobs[jobs[0]["id"]].num_bytes == 2


@pytest.mark.parametrize("fault", [RuntimeError, SystemExit])
def test_a_fault_of_ours_ends_one_job_and_says_nothing_of_itself(
    waiting, slot, until, capsys, fault
):
    def broken(task, tell):
        raise fault("/home/secret")
        yield

    good, slot.run = slot.run, broken
    first = post(waiting).json()
    until(lambda: state(waiting, first) == "failed")
    error = waiting.get(f"/v1/media/jobs/{first['id']}").json()["error"]
    assert error == {"code": "server_error", "message": "internal error"}
    slot.run = good
    second = post(waiting).json()
    slot.gate.release(4)
    until(lambda: state(waiting, second) == "completed")
    assert fault.__name__ in capsys.readouterr().err


def test_a_fault_that_nobody_can_read_ends_one_job(waiting, slot, until, monkeypatch):
    def broken(*anything):
        raise BrokenPipeError
        yield

    monkeypatch.setattr(terminal, "tell_trace", lambda error: next(broken()))
    good, slot.run = slot.run, broken
    first = post(waiting).json()
    until(lambda: state(waiting, first) == "failed")
    slot.run = good
    second = post(waiting).json()
    slot.gate.release(4)
    until(lambda: state(waiting, second) == "completed")


@pytest.mark.parametrize("is_told", [True, False])
def test_a_disk_that_fills_meanwhile_is_told_and_leaves_nothing(waiting, slot, until, is_told):
    def full(task, tell):
        (task.folder / "0.png").write_bytes(b"x")
        yield Made("0.png", 0, "0" * 64, ())
        (task.folder / "1.preview.png").write_bytes(b"ha")
        error = OSError(errno.ENOSPC, "No space left on device", "/secret")
        if is_told:
            raise unwritable(task.folder / "1.png", error) from error
        raise error

    good, slot.run = slot.run, full
    first = post(waiting).json()
    until(lambda: state(waiting, first) == "failed")
    found = waiting.get(f"/v1/media/jobs/{first['id']}").json()
    text = "there is no room left on the disk of the server; try again later"
    assert found["error"] == {"code": "no_space", "message": text}
    assert found["files"] == []
    assert not list((waiting.line.folder / first["id"]).iterdir())
    slot.run = good
    second = post(waiting).json()
    slot.gate.release(4)
    until(lambda: state(waiting, second) == "completed")


def test_a_disk_that_fills_before_a_file_is_whole_is_told_to_who_waits(client, monkeypatch):
    def full(*anything, **more):
        raise OSError(errno.ENOSPC, "No space left on device", "/secret")

    monkeypatch.setattr("lumina_core.files.writing.publish", full)
    small = {**REQUEST, "height": 32, "width": 32, "num_steps": 1}
    answer = client.post("/v1/images/generations", json=small)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "no_space")
    assert not list(client.app.state.line.folder.iterdir())


def test_the_end_of_the_server_ends_jobs_and_removes_their_files(waiting, slot, until):
    jobs = [post(waiting).json() for _ in range(2)]
    until(lambda: slot.tasks)
    waiting.line.stop()
    assert post(waiting).status_code == 503
    slot.gate.release(4)
    until(lambda: all(state(waiting, job) == "cancelled" for job in jobs))
    waiting.line.close()
    assert not waiting.line.folder.exists()
    assert slot.is_closed
