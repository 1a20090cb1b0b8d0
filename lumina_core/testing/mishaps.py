"""Mishaps played while a call runs: a full disk, Ctrl-C at a moment or at a line of its code."""

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Within the block no file of this process grows beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _PlayedInterrupt(KeyboardInterrupt):
    """Ctrl-C as it is played here: the user's own goes through."""


@contextmanager
def _played_interrupt() -> Iterator[None]:
    """Within the block an interrupt that is played ends the block, and nothing else."""
    try:
        yield
    except KeyboardInterrupt as error:  # the plugin may have raised it anew
        if not any(isinstance(each, _PlayedInterrupt) for each in (error, error.__context__)):
            raise


def lines_reached(call: Callable[[], object], folder: Path) -> list[tuple[str, int]]:
    """The lines in files below a folder that a call reaches, file and number, each once."""
    found: dict[tuple[str, int], None] = {}
    with _tracing(lambda file, number: found.setdefault((file, number)), str(folder)):
        call()
    return list(found)


@contextmanager
def interrupted_at(place: tuple[str, int]) -> Iterator[None]:
    """Within the block that line is not reached: it raises as Ctrl-C does, which ends the block."""

    def interrupt(file: str, number: int) -> None:
        if (file, number) == place:
            raise _PlayedInterrupt

    with _played_interrupt(), _tracing(interrupt, place[0]):
        yield


@contextmanager
def _tracing(look: Callable[[str, int], object], where: str) -> Iterator[None]:
    """Within the block each line of files that begin so is shown before it runs."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(where):
            return None
        if event == "line":
            look(file, frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def interrupted(call: Callable[[], object], seconds: float) -> None:
    """Call, and interrupt it after some seconds, as Ctrl-C does, if it still runs then."""
    is_running = [True]

    def interrupt(number: int, frame: FrameType | None) -> None:
        if is_running:
            raise _PlayedInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with _played_interrupt():
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                call()
            finally:
                is_running.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
