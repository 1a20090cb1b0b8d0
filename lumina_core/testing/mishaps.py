"""Mishaps played while a call runs: a full disk, Ctrl-C at a moment or at a line of its code."""

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


def lines_of(call: Callable[[], object], folder: Path) -> list[tuple[str, int]]:
    """The lines in files below a folder that a call reaches, file and number, each once."""
    found: dict[tuple[str, int], None] = {}
    with _tracing(lambda file, number: found.setdefault((file, number)), str(folder)):
        call()
    return list(found)


def interrupted_at(place: tuple[str, int]) -> AbstractContextManager[None]:
    """Within the block that line is not reached: it raises as Ctrl-C does."""

    def interrupt(file: str, number: int) -> None:
        if (file, number) == place:
            raise KeyboardInterrupt

    return _tracing(interrupt, place[0])


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
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            call()
        finally:
            is_running.clear()
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
