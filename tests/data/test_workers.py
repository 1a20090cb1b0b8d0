import os
import signal
import time

import pytest

from lumina_core import LuminaError
from lumina_core.data.workers import AHEAD, Workers


def square(number):
    if number < 0:
        raise LuminaError(f"{number} is negative")
    return number * number, os.getpid()


@pytest.fixture
def begin():
    """Begin workers, and end them."""
    begun = []

    def begin_(function, num_workers, drop=lambda result: None):
        begun.append(Workers(function, num_workers, lambda task: f"task {task}", drop))
        return begun[-1]

    yield begin_
    for workers in begun:
        workers.close()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_workers_give_every_result_in_order(begin, num_workers):
    workers = begin(square, num_workers)
    workers.expect(range(30))
    found = [workers.result(number) for number in range(30)]
    assert [number for number, _ in found] == [number * number for number in range(30)]
    processes = {pid for _, pid in found}
    assert len(processes) == max(1, num_workers)
    assert (os.getpid() in processes) == (num_workers == 0)
    workers.close()
    assert not any(is_alive(pid) for pid in processes - {os.getpid()})


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_compute_what_was_not_expected_and_drop_what_is_not_wanted(begin, num_workers):
    dropped = []
    workers = begin(square, num_workers, lambda result: dropped.append(result[0]))
    workers.expect([1, 2, 3, 4, 4])
    workers.expect([3, 4, 5, *range(40, 60)])
    assert workers.result(4)[0] == 16
    assert workers.result(9)[0] == 81
    assert workers.result(5)[0] == 25
    assert workers.result(59)[0] == 59 * 59
    assert 16 not in dropped
    # as many as have room ahead are begun, and of these each is taken or dropped
    assert 1 <= len(dropped) <= 3 + num_workers * AHEAD + 1
    assert not (workers._done or workers._expected or workers._waiting)


def test_an_error_of_a_task_is_raised_where_its_result_is_wanted(begin):
    workers = begin(square, 2)
    workers.expect([1, -2, 3])
    assert workers.result(1)[0] == 1
    with pytest.raises(LuminaError, match="-2 is negative"):
        workers.result(-2)
    assert workers.result(3)[0] == 9


def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def test_a_worker_that_dies_is_replaced(begin, tmp_path, capsys):
    workers = begin(die_once, 2)
    tasks = [str(tmp_path / f"{number}") for number in range(8)]
    workers.expect(tasks)
    assert [workers.result(task) for task in tasks] == tasks
    told = capsys.readouterr().err
    assert told.count("warning: a process died by signal 9 at task ") == 8


def test_a_worker_killed_from_outside_is_replaced(begin):
    workers = begin(square, 1)
    _, pid = workers.result(1)
    os.kill(pid, signal.SIGKILL)
    number, other = workers.result(2)
    assert number == 4
    assert other != pid


def exit_at_three(number):
    if number == 3:
        os._exit(7)
    return number


def test_a_task_that_ends_every_process_is_one_line(begin):
    workers = begin(exit_at_three, 2)
    workers.expect(range(5))
    assert [workers.result(number) for number in range(3)] == [0, 1, 2]
    with pytest.raises(LuminaError, match="3 processes died at task 3, the last by code 7"):
        workers.result(3)


def count_in(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    return path


def test_no_more_is_computed_ahead_than_has_room(begin, tmp_path):
    workers = begin(count_in, 2)
    tasks = [str(tmp_path / f"{number}") for number in range(100)]
    workers.expect(tasks)
    workers.result(tasks[0])
    for _ in range(100):
        time.sleep(0.01)
    assert len(list(tmp_path.iterdir())) <= 2 * AHEAD + 1


def forked(folder):
    """A process that begins workers, says which, and waits."""
    workers = Workers(square, 2, str)
    workers.expect(range(4))
    pids = {workers.result(number)[1] for number in range(4)}
    (folder / "pids.part").write_text(" ".join(map(str, pids)))
    (folder / "pids.part").rename(folder / "pids")
    time.sleep(60)
    os._exit(0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_killed_process(tmp_path, number):
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        forked(tmp_path)
    while not (tmp_path / "pids").exists():
        time.sleep(0.02)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    os.kill(process, number)
    os.waitpid(process, 0)
    for _ in range(300):
        if not any(is_alive(pid) and is_running(pid) for pid in pids):
            return
        time.sleep(0.02)
    raise AssertionError("a worker outlives its process")


def is_running(pid):
    """Whether a process is more than an entry in the table that nobody has waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
