"""A slot that is a process of its own: what ends it fails one job, and nothing else.

The process ends when its pipe does, which is when the server ends, in whatever way. It belongs to
no terminal, so that Ctrl-C reaches the server alone, which then ends it.
"""

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Thread

import torch

from lumina_core import terminal
from lumina_core.server.remote import Message, Messages, Over, RemoteSlot, compute
from lumina_core.server.slots import LostError, Task, ThreadSlot

SECONDS_TO_END = 5.0
LOST = (
    "the process that computed this is gone, maybe because memory ran out; the next request gets "
    "a new one"
)


class ProcessSlot(RemoteSlot):
    """A process with its models.

    Args:
        device: on which it computes.
        num_threads: of the CPU.
        front: answers what needs no weights.
    """

    def __init__(self, device: str, num_threads: int, front: ThreadSlot) -> None:
        super().__init__(front)
        self.device = device
        self.num_threads = num_threads
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = Pipe()
        with theirs:
            words = [str(theirs.fileno()), str(self.num_threads), self.device]
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, *words],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def send(self, task: Task) -> Messages:
        """As in RemoteSlot."""
        if self.process.poll() is not None:
            self.pipe.close()
            self._start()
        self._put(task)
        return self._messages()

    def stop(self) -> None:
        """As in RemoteSlot."""
        self._put(None)

    def _put(self, task: Task | None) -> None:
        try:
            self.pipe.send(task)
        except OSError as error:
            raise self._lost() from error

    def _messages(self) -> Messages:
        message: Message | None = None
        while not isinstance(message, Over):
            try:
                message = self.pipe.recv()
            except (EOFError, OSError) as error:
                raise self._lost() from error
            yield message

    def _lost(self) -> LostError:
        self.close()  # it ends now, if it has not yet: the next job must not meet it
        return LostError(LOST)

    def close(self) -> None:
        """As in Slot."""
        self.pipe.close()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main(descriptor: int, num_threads: int, device: str) -> None:
    """The life of the process: it computes the jobs that come, one after the other.

    Args:
        descriptor: of its end of the pipe.
        num_threads: of the CPU.
        device: on which it computes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server gets it, too, and ends this
    torch.set_num_threads(num_threads)
    pipe, stop, tasks = Connection(descriptor), Event(), SimpleQueue[Task]()

    def listen() -> None:
        while True:
            try:
                task = pipe.recv()
            except (EOFError, OSError):
                os._exit(0)  # the server is gone: nobody waits for what is computed
            if task is None:
                stop.set()
            else:
                stop.clear()
                tasks.put(task)

    def say(message: Message) -> None:
        try:
            pipe.send(message)
        except OSError:
            os._exit(0)

    Thread(target=listen, daemon=True).start()
    slot = ThreadSlot(device)
    while True:
        compute(slot, tasks.get(), say, stop.is_set)


if __name__ == "__main__":
    with terminal.libraries_harmless():
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
