"""The line: jobs wait, each free slot takes the next one, and results are kept for a time.

Threads and the event loop meet here alone, under one lock.
"""

import asyncio
import base64
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lumina_core.errors import LuminaError, is_full_disk
from lumina_core.files.unfinished import unfinished
from lumina_core.sampling.settings import RunConfig
from lumina_core.server.refusals import (
    FULL_DISK,
    INVALID,
    NO_ROOM,
    RefusedError,
    tell_fault,
    without_paths,
)
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slots import Cancelled, LostError, Made, Progress, Slot, Task

QUEUED, RUNNING = "queued", "in_progress"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
MAX_KEPT = 1000  # jobs that are over, whatever their size
PNG_URL = "data:image/png;base64,"
MEGABYTE = 10**6
SECONDS_BETWEEN_EVENTS = 0.05  # of progress alone: nobody sees more of them
SECONDS_TO_STOP = 60.0  # for the last step of a running job


@dataclass(eq=False)
class Job:
    """One request on its way."""

    id: str
    model: str
    """As requests name it."""
    config: RunConfig
    suffix: str
    folder: Path
    """Of what was uploaded and of the files; only its own."""
    names: Mapping[str, str]
    """What messages say in place of paths."""
    is_watched: bool = True
    """Whether anybody may look at it on its way."""
    status: str = QUEUED
    share: float = 0.0
    preview: str | None = None
    """A data URL; none once it is over."""
    created: float = field(default_factory=time.time)
    ended: float | None = None
    error: dict[str, str] | None = None
    made: list[Made] = field(default_factory=list)
    num_bytes: int = 0
    listeners: set[asyncio.Event] = field(default_factory=set)
    is_unwanted: bool = False

    @property
    def is_over(self) -> bool:
        """Whether its status stays as it is."""
        return self.status in (COMPLETED, FAILED, CANCELLED)


class Line:
    """The jobs of a server, and a thread for each slot that works them off."""

    def __init__(self, slots: Sequence[Slot], config: ServeConfig) -> None:
        self.slots = slots
        self.config = config
        self.jobs: dict[str, Job] = {}
        self.waiting: deque[Job] = deque()
        self.running: set[Job] = set()
        self.is_stopping = False
        self.folder: Path  # from `open` on
        self._is_open = False
        self._ending = ExitStack()  # removes the folder
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name="lumina-slot", daemon=True)
            for slot in slots
        ]

    def open(self) -> None:
        """Make the folder of the jobs, once.

        It is locked while this process lives. A server that is killed leaves its own, which the
        next one removes.

        Raises:
            LuminaError: there is no room for it.
        """
        if self._is_open:
            return
        try:
            place = Path(tempfile.gettempdir(), "lumina-serve")
        except FileNotFoundError as error:
            raise LuminaError(
                "no folder for temporary files can be written to; name one in TMPDIR"
            ) from error
        self.folder = self._ending.enter_context(unfinished(place, _make_private))
        self._is_open = True

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work.

        Args:
            loop: on which `changes` are awaited.

        Raises:
            LuminaError: as `open`.
        """
        self.open()
        self._loop = loop
        for thread in self._threads:
            thread.start()

    def check_room(self) -> None:
        """Refuse a request before anything is done for it.

        Raises:
            RefusedError: the line is full, or the server is stopping.
        """
        if self.is_stopping:
            raise RefusedError("the server is stopping", 503, code="stopping")
        if len(self.waiting) >= self.config.max_waiting:
            raise RefusedError(
                f"{len(self.waiting)} requests wait already, as many as may; try again later",
                429,
                code="queue_full",
            )

    def new_folder(self, prefix: str = "") -> tuple[str, Path]:
        """The id of a job to come, which nobody can guess, and its folder."""
        job_id = prefix + secrets.token_hex(16)
        folder = self.folder / job_id
        folder.mkdir()
        return job_id, folder

    def submit(self, job: Job) -> None:
        """Put a job at the end of the line.

        Raises:
            RefusedError: as `check_room`; its folder is gone then.
        """
        with self._changed:
            try:
                self.check_room()
            except RefusedError:
                shutil.rmtree(job.folder, ignore_errors=True)
                raise
            self.jobs[job.id] = job
            self.waiting.append(job)
            self._changed.notify()
        self.forget_old()

    def forget_old(self) -> None:
        """Drop results that are too old or too many."""
        with self._changed:
            over = [job for job in self.jobs.values() if job.is_over]
            over.sort(key=lambda job: job.ended or 0, reverse=True)  # the newest first
            room = self._room
            oldest = time.time() - self.config.keep_seconds
            for number, job in enumerate(over):
                room -= job.num_bytes
                if room < 0 or number >= MAX_KEPT or (job.ended or 0) < oldest:
                    self._drop(job)

    def delete(self, job: Job) -> None:
        """Cancel a job, or drop its results where it is over."""
        with self._changed:
            job.is_unwanted = True
            if job in self.waiting:
                self.waiting.remove(job)  # frees its place in the line at once
                _empty(job)  # of what was sent, which counts for nobody
                self._end(job, CANCELLED)
            elif job.is_over:
                self._drop(job)

    def drop(self, job: Job) -> None:
        """Cancel a job and forget it: nobody will ask for it again."""
        with self._changed:
            self.delete(job)
            self.jobs.pop(job.id, None)
            if job.is_over:
                self._drop(job)

    def stop(self) -> None:
        """End every job: those that run after their step."""
        with self._changed:
            self.is_stopping = True
            while self.waiting:
                self._end(self.waiting.popleft(), CANCELLED)
            for job in self.running:
                job.is_unwanted = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and remove everything that `open` and the jobs made."""
        self.stop()
        end = time.monotonic() + SECONDS_TO_STOP
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for slot in self.slots:
            slot.close()
        self._ending.close()

    async def changes(self, job: Job, patience: float | None = None) -> AsyncIterator[Job | None]:
        """The job now and after each change; of changes faster than they are read the last.

        Args:
            job: that changes.
            patience: seconds without a change, after each of which there is a None.
        """
        event = asyncio.Event()
        job.listeners.add(event)
        try:
            while True:
                event.clear()
                is_last = job.is_over  # before the yield, or an end meanwhile is never told
                yield job
                if is_last:
                    return
                while not event.is_set():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), patience)
                    if not event.is_set():
                        yield None
        finally:
            job.listeners.discard(event)

    def _drop(self, job: Job) -> None:
        self.jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _end(self, job: Job, status: str, error: dict[str, str] | None = None) -> None:
        job.preview, job.error, job.ended = None, error, time.time()
        job.status = status  # the last: who reads it without the lock sees the rest, too
        self._tell(job)

    def _tell(self, job: Job) -> None:
        if job.listeners and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_wake, job)

    def _work(self, slot: Slot) -> None:
        while (job := self._next()) is not None:
            self._tell(job)
            status, error = self._outcome(job, slot)
            with self._changed:
                self.running.remove(job)
                job.num_bytes = _num_bytes(job.folder)
                if status == COMPLETED and job.num_bytes > self._room:
                    text = (
                        f"the result has {job.num_bytes} bytes and this server keeps {self._room}; "
                        "ask for less"
                    )
                    status, error = FAILED, {"code": INVALID, "message": text}
                    _empty(job)  # it would be dropped before anybody read it
                if error is not None and error["code"] == NO_ROOM:
                    _empty(job)
                self._end(job, status, error)
                if job.id not in self.jobs:
                    self._drop(job)

    @property
    def _room(self) -> int:
        """Bytes of all results that are kept."""
        return self.config.keep_megabytes * MEGABYTE

    def _next(self) -> Job | None:
        """The first job of the line, once there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self.is_stopping)
            if self.is_stopping:
                return None
            job = self.waiting.popleft()
            self.running.add(job)
            job.status = RUNNING
            return job

    def _outcome(self, job: Job, slot: Slot) -> tuple[str, dict[str, str] | None]:
        """Compute a job, and say how it ended."""
        told = 0.0

        def tell(progress: Progress) -> None:
            nonlocal told
            if job.is_unwanted:
                raise Cancelled
            job.share = progress.share
            if progress.preview is not None:
                job.preview, told = PNG_URL + base64.b64encode(progress.preview).decode(), 0.0
            if job.is_watched and time.monotonic() - told >= SECONDS_BETWEEN_EVENTS:
                told = time.monotonic()
                self._tell(job)

        task = Task(job.config, job.suffix, job.folder, job.is_watched)
        try:
            tell(Progress(0))
            for made in slot.run(task, tell):
                job.made.append(made)
        except Cancelled:
            return CANCELLED, None
        except LostError as error:
            lost = {"code": "slot_lost", "message": str(error)}
            return (CANCELLED, None) if job.is_unwanted else (FAILED, lost)
        except (Exception, SystemExit) as error:  # whatever it is, the next job runs
            if is_full_disk(error):
                return FAILED, {"code": NO_ROOM, "message": FULL_DISK}
            if isinstance(error, LuminaError):
                return FAILED, {"code": INVALID, "message": without_paths(str(error), job.names)}
            tell_fault(error)
            return FAILED, {"code": "server_error", "message": "internal error"}
        return COMPLETED, None


def _num_bytes(folder: Path) -> int:
    """Of the files in a folder, some of which may get other names meanwhile."""
    size = 0
    with suppress(FileNotFoundError):  # the folder is gone
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                size += path.stat().st_size
    return size


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700)


def _empty(job: Job) -> None:
    job.made.clear()
    for path in job.folder.iterdir():
        path.unlink(missing_ok=True)  # who asked for another kind of a file renames it
    job.num_bytes = 0


def _wake(job: Job) -> None:
    for event in job.listeners:
        event.set()
