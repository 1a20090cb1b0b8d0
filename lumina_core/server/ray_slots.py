"""Slots that are actors of Ray: on this machine, or on any machine of a cluster.

The models must be at the same paths on each machine. Files pass through Ray, so that the machines
share no folder. Without RAY_ADDRESS, by which Ray names a cluster, one starts that this machine
alone reaches, and ends with the server.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayActorError

from lumina_core.errors import LuminaError, reason_of
from lumina_core.server.remote import Message, Messages, Over, RemoteSlot, compute, over_of
from lumina_core.server.slots import LostError, Made, Progress, Task, ThreadSlot, picture_of

ADDRESS = "RAY_ADDRESS"  # of Ray itself
LOOPBACK = "127.0.0.1"  # who reaches the ports of Ray may execute anything
SECONDS_BETWEEN = 1.0  # two looks whether a job is still wanted, while an actor starts
LOST = "the actor that computed this is gone; the next request gets a new one"


@dataclass(frozen=True)
class Sent:
    """A file that is there, with its picture."""

    made: Made
    file: bytes
    picture: bytes


class Worker:
    """What lives in the actor."""

    def __init__(self) -> None:
        self.slot = ThreadSlot()
        self.is_stopped = Event()

    def run(self, task: Task, given: dict[str, bytes]) -> Iterator[Message | Sent]:
        """Compute a job; the last message is Over.

        Args:
            task: as the server has it.
            given: files of its folder, by name.
        """
        said: SimpleQueue[Message] = SimpleQueue()
        with TemporaryDirectory(prefix="lumina-serve-") as name:
            folder = Path(name)
            try:
                for file, content in given.items():
                    (folder / file).write_bytes(content)
            except OSError as error:
                yield over_of(error)
                return
            words = (self.slot, _moved(task, folder), said.put, self.is_stopped.is_set)
            Thread(target=compute, args=words).start()
            message: Message | None = None
            while not isinstance(message, Over):
                message = said.get()
                if isinstance(message, Made):
                    path = folder / message.name
                    yield Sent(message, path.read_bytes(), picture_of(path).read_bytes())
                else:
                    yield _moved_back(message, folder, task.folder)

    def set_stopped(self, value: bool) -> None:
        """Whether to leave the rest of the job that runs, or of the next one."""
        (self.is_stopped.set if value else self.is_stopped.clear)()


def _moved(task: Task, folder: Path) -> Task:
    """The task with another folder, in which its files are."""
    condition = task.config.condition
    if condition.wanted is not None:
        names = {
            key: value.replace(str(task.folder), str(folder))
            for key, value in vars(condition.wanted).items()
            if isinstance(value, str)
        }
        condition = replace(condition, wanted=replace(condition.wanted, **names))
    return replace(task, folder=folder, config=replace(task.config, condition=condition))


def _moved_back(message: Message, folder: Path, home: Path) -> Message:
    """A message that calls files as the server does."""
    if isinstance(message, Over) and isinstance(message.error, LuminaError):
        return Over(LuminaError(str(message.error).replace(str(folder), str(home))))
    return message


class RaySlot(RemoteSlot):
    """An actor with its models.

    Args:
        num_gpus: that it needs.
        front: answers what needs no weights.
    """

    def __init__(self, num_gpus: int, front: ThreadSlot) -> None:
        super().__init__(front)
        self.num_gpus = num_gpus
        self._start()

    def _start(self) -> None:
        actor = ray.remote(concurrency_groups={"control": 1})(Worker)
        self.worker = actor.options(num_cpus=1, num_gpus=self.num_gpus).remote()

    def send(self, task: Task) -> Messages:
        """As in RemoteSlot."""
        yield from self._actor_starts()
        given = {path.name: path.read_bytes() for path in task.folder.iterdir()}
        stream = self.worker.run.options(num_returns="streaming").remote(task, given)
        yield from _messages(stream, task.folder)

    def _actor_starts(self) -> Messages:
        """Wait until it is there; a new one starts where it is gone."""
        for _ in range(2):
            there = self._set_stopped(False)
            while not ray.wait([there], timeout=SECONDS_BETWEEN)[0]:
                yield Progress(0)
            try:
                ray.get(there)
                return
            except RayActorError:
                self._start()
        raise LostError(LOST)

    def stop(self) -> None:
        """As in RemoteSlot."""
        try:
            ray.get(self._set_stopped(True))
        except RayActorError as error:
            raise LostError(LOST) from error

    def _set_stopped(self, value: bool) -> Any:
        call = self.worker.set_stopped.options(concurrency_group="control")
        return call.remote(value)

    def close(self) -> None:
        """As in Slot; ends all that this server has in Ray."""
        ray.shutdown()


def _messages(stream: Any, folder: Path) -> Messages:
    """What the actor says, its files written into the folder of the job."""
    try:
        for each in stream:
            message = ray.get(each)
            if isinstance(message, Sent):
                path = folder / message.made.name
                path.write_bytes(message.file)
                picture_of(path).write_bytes(message.picture)
                message = message.made
            yield message
    except (RayActorError, ObjectLostError) as error:
        raise LostError(LOST) from error


def ray_slots(count: int | None) -> list[RaySlot]:
    """Actors, each with a GPU where the cluster has any.

    Args:
        count: of them; None: as many as there are GPUs, or one.

    Raises:
        LuminaError: there is no cluster, or it has less than they need.
    """
    is_elsewhere = ADDRESS in os.environ
    try:
        ray.init(
            None if is_elsewhere else "local",
            _node_ip_address=None if is_elsewhere else LOOPBACK,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # whatever Ray meets
        raise LuminaError(
            f"Ray cannot be used: {reason_of(error)}; look at {ADDRESS}, or choose other slots"
        ) from error
    there = ray.cluster_resources()
    num_gpus, num_cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    wanted = count or max(1, num_gpus)
    if wanted > (num_gpus or num_cpus):
        ray.shutdown()
        raise LuminaError(
            f"slots=ray:{wanted} needs as many GPUs, or CPUs where there are none; Ray has "
            f"{num_gpus} GPUs and {num_cpus} CPUs"
        )
    front = ThreadSlot("cpu")
    return [RaySlot(min(1, num_gpus), front) for _ in range(wanted)]
