"""Processes that compute ahead: a function of one argument, in the order that is asked for.

Each process has its tasks in a pipe of its own, so that it works while this one computes something
else, and so that a death is that of one known task: the process is replaced and the task is given
again. torch's DataLoader raises the death of a worker from a signal handler, in the middle of
whatever the training computes at that moment, which no run can survive; hence this module.

Processes are forks. They end with this one, however it ends, and leave Ctrl-C to it.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from lumina_core.errors import LuminaError
from lumina_core.terminal import tell

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

AHEAD = 8  # tasks of each process that are begun or done and not yet asked for
MAX_DEATHS = 3  # of processes by one task, one after the other
_PATIENCE = 1.0  # seconds that a process has to end before it is killed


class _Failure(NamedTuple):
    """What a task raised."""

    error: Exception


class _Worker:
    """One process, and the tasks that it has."""

    def __init__(self, function: Callable[[Any], Any], others: Sequence[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, inner = context.Pipe()
        ends = [self.pipe, *others]
        self.process = context.Process(target=_work, args=(function, inner, ends), daemon=True)
        self.process.start()
        inner.close()
        self.tasks: deque[Any] = deque()

    def give(self, task: Any) -> None:
        self.tasks.append(task)
        try:
            self.pipe.send(task)
        except OSError:  # it is dead, which is seen where its results are waited for
            return

    def end(self) -> None:
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


class Workers(Generic[Task, Result]):
    """The results of tasks, each computed by one of some processes, or by this one."""

    def __init__(
        self,
        function: Callable[[Task], Result],
        num_workers: int,
        name_of: Callable[[Task], str],
        drop: Callable[[Result], object] = lambda result: None,
    ) -> None:
        """Begin no process yet.

        Args:
            function: what is computed; tasks and results are sent, so they are small.
            num_workers: processes; 0: this one computes when it is asked.
            name_of: what messages call a task.
            drop: takes results that nobody asks for.
        """
        self._function, self._num = function, num_workers
        self._name_of, self._drop = name_of, drop
        self._workers: list[_Worker] = []
        self._expected: deque[Task] = deque()  # in order; those that wait are the last of them
        self._waiting: deque[Task] = deque()
        self._unwanted: set[Task] = set()
        self._done: dict[Task, Result | _Failure] = {}
        self._deaths: dict[Task, int] = {}

    def expect(self, tasks: Sequence[Task]) -> None:
        """Begin with tasks whose results will be asked for, in this order."""
        if not self._num:
            return
        known = set(self._expected)
        new = [task for task in dict.fromkeys(tasks) if task not in known]
        self._expected += new
        self._waiting += new
        self._give()

    def result(self, task: Task) -> Result:
        """The result of a task; what was expected before it and never asked for is forgotten.

        Raises:
            LuminaError: it ends every process that computes it.
            Exception: whatever the function raises.
        """
        if not self._num:
            return self._function(task)
        if task in self._expected:
            while (first := self._expected.popleft()) != task:
                self._forget(first)
        else:
            self._waiting.appendleft(task)
        while task not in self._done:
            self._give(task)
            self._receive()
        found = self._done.pop(task)
        self._give()
        if isinstance(found, _Failure):
            raise found.error
        return found

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _forget(self, task: Task) -> None:
        if task in self._waiting:
            self._waiting.remove(task)
        elif task in self._done:
            self._keep(task, self._done.pop(task), is_wanted=False)
        else:
            self._unwanted.add(task)

    def _keep(self, task: Task, found: Result | _Failure, *, is_wanted: bool) -> None:
        if is_wanted:
            self._done[task] = found
        elif not isinstance(found, _Failure):
            self._drop(found)

    def _give(self, wanted: Task | None = None) -> None:
        """Hand out tasks; one that is waited for does not wait for room."""
        while len(self._workers) < self._num:
            self._workers.append(self._begun())
        while self._waiting:
            free = min(self._workers, key=lambda worker: len(worker.tasks))
            num_open = len(self._done) + sum(len(worker.tasks) for worker in self._workers)
            if num_open >= AHEAD * self._num and self._waiting[0] != wanted:
                return
            free.give(self._waiting.popleft())

    def _begun(self) -> _Worker:
        return _Worker(self._function, [worker.pipe for worker in self._workers])

    def _receive(self) -> None:
        """Take what processes have done, waiting for one; replace those that died."""
        ready = wait([worker.pipe for worker in self._workers])
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            try:
                found, task = worker.pipe.recv(), worker.tasks.popleft()
                self._deaths.pop(task, None)
                self._keep(task, found, is_wanted=task not in self._unwanted)
                self._unwanted.discard(task)
            except (EOFError, OSError):
                self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        worker.end()
        code = worker.process.exitcode
        self._workers.remove(worker)
        if worker.tasks:  # it was at the first of them
            task = worker.tasks[0]
            self._deaths[task] = self._deaths.get(task, 0) + 1
            how = f"signal {-code}" if code and code < 0 else f"code {code}"
            if self._deaths[task] >= MAX_DEATHS:
                raise LuminaError(
                    f"{self._deaths[task]} processes died at {self._name_of(task)}, the last by "
                    f"{how}: too little memory, or a fault in what reads it; set fewer "
                    "data.num_workers, or leave the file out"
                )
            tell(f"warning: a process died by {how} at {self._name_of(task)}; it is replaced")
        self._waiting.extendleft(reversed(worker.tasks))
        self._workers.append(self._begun())


def _work(function: Callable[[Any], Any], pipe: Connection, others: Sequence[Connection]) -> None:
    """What a process does until the other end of its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to all; one handles it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in others:  # else a pipe would outlive the process that holds its other end
        end.close()
    torch.set_num_threads(1)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        try:
            found = function(task)
        except Exception as error:
            found = _Failure(error)
        try:
            pipe.send(found)
        except OSError:
            os._exit(0)
        except Exception as error:  # one that cannot be sent
            pipe.send(_Failure(RuntimeError(str(error))))
