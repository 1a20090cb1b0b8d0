"""Watches the import of a plugin's modules: what it prints, changes and loads, and its time.

Each function is a context for one import and appends sentences to a list that `doctor` and
`plugins --check` show. Three things are undone, for they would reach other plugins or our output:
what is printed goes to stderr, the warnings filters are as before, and functions and classes of
the core that were replaced are put back. Everything else is reported only. The contexts change
what the whole process shares; the host holds its lock around them.
"""

import ctypes
import io
import locale
import os
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from lumina_core.errors import harmless_lines, printable

SLOW_IMPORT_SECONDS = 0.5  # half of what `import torch` takes; a light entry module takes 0.01 s
MAX_NOTE = 300  # characters
_STDOUT, _STDERR = 1, 2  # file descriptors
_MAX_BROUGHT = 5  # packages that a note names
_CORE = "lumina_core"
_UNKNOWN = "unknown"  # depends on the machine where torch was not imported before


@contextmanager
def stdout_kept_clean(module: str, notes: list[str]) -> Iterator[None]:
    """Whatever is printed goes to stderr: stdout carries results, perhaps as JSON."""
    stdout = sys.stdout
    _flush_all(stdout)
    printed = _Printed(sys.stderr or io.StringIO())
    saved = _swapped_descriptor()
    sys.stdout = printed  # type: ignore[assignment]
    try:
        yield
    finally:
        if sys.stdout is not printed:
            notes.append(f"importing {module} replaces sys.stdout, which was put back")
        sys.stdout = stdout
        if saved is not None:
            _flush_all(stdout)  # what was written past sys.stdout goes to stderr, too
            os.dup2(saved, _STDOUT)
            os.close(saved)
        if printed.is_used:
            notes.append(f"importing {module} prints to stdout; that went to stderr")


class _Printed:
    """Stands for stdout, writes to another stream, and knows whether anything came."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.is_used = False

    def write(self, text: str) -> int:
        self.is_used = self.is_used or bool(text)
        self._stream.write(harmless_lines(text))
        return len(text)

    def close(self) -> None:
        """Nothing: the other stream is still needed."""

    detach = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _flush_all(stdout: Any) -> None:
    """Let go of what Python and libraries in C have not written yet."""
    streams: tuple[Any, ...] = stdout, sys.__stdout__
    for stream in streams:
        with suppress(AttributeError, ValueError):  # there is none, or somebody closed it
            stream.flush()
    with suppress(TypeError, AttributeError):  # a system without one library of C for all
        ctypes.CDLL(None).fflush(None)


def _swapped_descriptor() -> int | None:
    """Let file descriptor 1 lead to stderr, for libraries that do not print through Python.

    Returns:
        A copy of what it was; None if one of the two is closed.
    """
    try:
        os.fstat(_STDERR)
        saved = os.dup(_STDOUT)
    except OSError:
        return None
    os.dup2(_STDERR, _STDOUT)
    return saved


@contextmanager
def timed(module: str, notes: list[str]) -> Iterator[None]:
    """Note an import of more than SLOW_IMPORT_SECONDS, and the packages that it brought."""
    before, start = set(sys.modules), time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        if seconds > SLOW_IMPORT_SECONDS:
            own = module.partition(".")[0]
            tops = (name.partition(".")[0] for name in list(sys.modules) if name not in before)
            left_out = sys.stdlib_module_names | {own, _CORE}
            counts = Counter(top for top in tops if top not in left_out and not top.startswith("_"))
            brought = ", ".join(name for name, _ in counts.most_common(_MAX_BROUGHT))
            what = f" and brings {brought}" if brought else ""
            notes.append(
                f"importing {module} takes {seconds:.1f} s{what}; an entry module and its options "
                f"should stay below {SLOW_IMPORT_SECONDS} s"
            )


@contextmanager
def warnings_kept(module: str, notes: list[str]) -> Iterator[None]:
    """Note warnings instead of printing or raising them, also where Python was told to raise."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        filters = list(warnings.filters)
        try:
            yield
        finally:
            if list(warnings.filters) != filters:
                notes.append(f"importing {module} changes the warnings filters; they were put back")
            notes += [
                printable(f"importing {module} warns: {w.category.__name__}: {w.message}", MAX_NOTE)
                for w in caught
            ]


@contextmanager
def core_kept(module: str, notes: list[str]) -> Iterator[None]:
    """Put back the functions and classes of the core's modules that an import replaces."""
    before = {name: dict(vars(found)) for name, found in _core_modules()}
    try:
        yield
    finally:
        for name, found in _core_modules():
            for attribute, value in before.get(name, {}).items():
                is_code = callable(value) and not attribute.startswith("__")
                if is_code and vars(found).get(attribute) is not value:
                    setattr(found, attribute, value)
                    notes.append(
                        f"importing {module} replaces {name}.{attribute}, which was put back"
                    )


def _core_modules() -> list[tuple[str, ModuleType]]:
    modules = list(sys.modules.items())
    return [
        (name, found)
        for name, found in modules
        if (name == _CORE or name.startswith(f"{_CORE}.")) and isinstance(found, ModuleType)
    ]


@contextmanager
def process_compared(module: str, notes: list[str], parts: "tuple[str, ...]") -> Iterator[None]:
    """Note what an import changes of the process.

    Args:
        module: what is imported.
        notes: where sentences are appended.
        parts: keys of PROCESS_STATE to look at.
    """
    before = {part: PROCESS_STATE[part]() for part in parts}
    try:
        yield
    finally:
        for part, value in before.items():
            now = PROCESS_STATE[part]()
            if now != value and value != _UNKNOWN:
                notes.append(printable(f"importing {module} {_change(part, value, now)}", MAX_NOTE))


def _change(part: str, before: Any, now: Any) -> str:
    if part == "environment":  # names only: values may be secrets
        names = sorted(name for name in before.keys() | now.keys() if _differs(name, before, now))
        return f"changes the environment: {', '.join(names)}"
    if part == "sys.path":
        return "changes sys.path"
    names = [getattr(value, "__qualname__", value) for value in (before, now)]
    return f"changes the {part} from {names[0]} to {names[1]}"


def _differs(name: str, before: dict[str, str], now: dict[str, str]) -> bool:
    return before.get(name) != now.get(name)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "a removed folder"


def _of_torch(question: str, without: str) -> str:
    """An answer of torch, if it was imported, else what it would be."""
    function = getattr(sys.modules.get("torch"), question, None)
    return str(function()) if function else without


PROCESS_STATE: dict[str, Callable[[], Any]] = {
    "working folder": _working_folder,
    "environment": lambda: dict(os.environ),
    "sys.path": lambda: list(sys.path),
    "handler of SIGINT": lambda: signal.getsignal(signal.SIGINT),
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "default dtype of torch": lambda: _of_torch("get_default_dtype", "torch.float32"),
    "number of threads of torch": lambda: _of_torch("get_num_threads", _UNKNOWN),
}
"""What can be asked cheaply, by the name that notes use."""

LASTING_STATE = (
    *("working folder", "handler of SIGINT", "locale"),
    *("default dtype of torch", "number of threads of torch"),
)
"""What no library that a plugin may need changes when it is imported."""
