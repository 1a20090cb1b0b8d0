"""Prints for people: results on stdout, all else on stderr. Nothing else in the project prints.

Whoever wrote what stands in a line, a terminal does not obey it: each line is made harmless here,
and stays one line. Nothing is cut. JSON is ASCII, so that it is harmless and keeps each character.
"""

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from importlib import import_module
from operator import length_hint
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from lumina_core.errors import harmless, harmless_lines

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


Item = TypeVar("Item")

MANY = 32  # items; for fewer nobody waits long
_MEGABYTE, _GIGABYTE = 10**6, 10**9
_ROUNDED_UP = 999.5  # three digits would be 1000 from here on
_DURATIONS = ((86400, "days"), (3600, "h"), (60, "min"))
FILE_WIDTH = 120  # characters of a table that goes to a file or a pipe
TALKATIVE = (
    "torchao",
    "torch.utils._pytree",
    "diffusers.quantizers.torchao.torchao_quantizer",
    "torch.distributed.tensor._redistribute",
)
"""Who says at its import, where torchao is installed, that parts which nobody uses are missing; and
who says that a weight which is cut along two sides of a mesh comes together in two steps."""
_ABOUT: ContextVar[str | None] = ContextVar("about", default=None)  # the sample being made
_MUTED: list[str] = []


def mute() -> None:
    """From here on this process says nothing: another one of its run does."""
    _MUTED.append("")
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")


def unmute() -> None:
    """Let this process speak again, of what happened to it alone."""
    _MUTED.clear()


def show(*lines: str) -> None:
    """Print results, one line each, on stdout at once."""
    _write(sys.stdout, "".join(f"{harmless(line)}\n" for line in lines))


def show_json(value: Any, indent: int | None = 2) -> None:
    """Print a result for machines."""
    _write(sys.stdout, json.dumps(value, indent=indent) + "\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # a plain text would be read for [marks]

    table = Table()
    for name in columns:
        table.add_column(Text(harmless(name)))
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console = Console(file=sys.stdout, width=None if is_terminal(sys.stdout) else FILE_WIDTH)
    with console.capture() as captured:
        console.print(table)
    _write(sys.stdout, captured.get())


def tell(*lines: str) -> None:
    """Say something beside the result, such as `note: ...`, one line each, on stderr."""
    _write(sys.stderr, "".join(f"{harmless(line)}\n" for line in lines))


def tell_trace(error: BaseException) -> None:
    """Print the traceback of an exception on stderr."""
    text = "".join(traceback.format_exception(error))
    _write(sys.stderr, harmless_lines(text))


def tell_above(bar: "Progress", line: str) -> None:
    """Say something on stderr while a bar is shown there, above it and unbroken."""
    bar.console.print(harmless(line), markup=False, highlight=False, soft_wrap=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream of this process leads to a terminal; one that is closed does not."""
    return stream is not None and not _MUTED and stream.isatty()


def progress_bar(*columns: "ProgressColumn") -> "Progress":
    """A progress bar on stderr, which is shown only where that is a terminal.

    Args:
        columns: what it consists of; none: what rich shows else, and it goes when it is done.
    """
    from rich.console import Console
    from rich.progress import Progress

    return Progress(
        *columns,
        console=Console(stderr=True),
        transient=not columns,
        disable=not is_terminal(sys.stderr),
        redirect_stdout=is_terminal(sys.stdout),  # else results would go to stderr, too
    )


def progress(items: Iterable[Item], text: str) -> Iterator[Item]:
    """The items, with a progress bar where stderr is a terminal, and in a notebook."""
    if is_notebook() and (count := length_hint(items)):
        with notebook_bar(text) as fill:
            for number, item in enumerate(items, 1):
                yield item
                fill(number / count)
        return
    if not is_terminal(sys.stderr):
        yield from items
        return
    with progress_bar() as bar:
        yield from bar.track(items, description=harmless(text))


def is_notebook() -> bool:
    """Whether this process runs the cells of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel") and not _MUTED


@contextmanager
def notebook_bar(text: str) -> Iterator[Callable[[float], None]]:
    """A progress bar below the cell of a notebook, which goes when the block ends.

    It is plain HTML that is shown anew: a live bar of rich needs ipywidgets.

    Args:
        text: beside the bar.

    Yields:
        What takes the share that is done, from 0 to 1.
    """
    handle = import_module("IPython.display").display(_bar(text, 0), raw=True, display_id=True)
    shown = 0

    def fill(share: float) -> None:
        nonlocal shown
        if (percent := int(100 * min(share, 1))) != shown:  # at most 100 messages to the page
            shown = percent
            handle.update(_bar(text, percent), raw=True)

    try:
        yield fill
    finally:
        handle.update({"text/html": "", "text/plain": ""}, raw=True)


def _bar(text: str, percent: int) -> dict[str, str]:
    told = f"{harmless(text)} {percent} %"
    return {
        "text/html": f'<progress max="100" value="{percent}"></progress> {escape(told)}',
        "text/plain": told,
    }


def announced(items: Sequence[Item], text: str, note: str) -> Iterator[Item]:
    """Many items for which something waits: a bar where one can be shown, else a line before.

    Args:
        items: a few of them are not worth a line.
        text: beside the bar.
        note: what is done with how many.
    """
    if len(items) >= MANY and not (is_terminal(sys.stderr) or is_notebook()):
        tell(f"note: {note}")
    return progress(items, text)


@contextmanager
def about(what: str) -> Iterator[None]:
    """Within the block each warning that a part of a plugin logs is a note about one sample.

    Args:
        what: tells the sample from others, for people.
    """
    token = _ABOUT.set(what)
    try:
        yield
    finally:
        _ABOUT.reset(token)


@contextmanager
def libraries_harmless() -> Iterator[None]:
    """Within the block what libraries say by warnings and by logging is made harmless, too.

    What TALKATIVE ones say is left out.
    """
    format_, factory = warnings.formatwarning, logging.getLogRecordFactory()
    levels = {logger: logger.level for logger in map(logging.getLogger, TALKATIVE)}

    def formatted(message: Any, *words: Any, **more: Any) -> str:
        return harmless_lines(format_(message, *words, **more))

    warnings.formatwarning = formatted
    logging.setLogRecordFactory(_HarmlessRecord)
    for logger in levels:
        logger.setLevel(logging.ERROR)  # of its children, too
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        warnings.formatwarning = format_
        logging.setLogRecordFactory(factory)


class _HarmlessRecord(logging.LogRecord):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.about = _ABOUT.get() if self.levelno == logging.WARNING else None

    def getMessage(self) -> str:  # noqa: N802 - the name is that of the standard library
        told = super().getMessage()
        return harmless_lines(told if self.about is None else f"note: {self.about}: {told}")


def size_text(num_bytes: float) -> str:
    """A number of bytes for people: `12.3 GB`, of small ones `0.4 MB`."""
    is_large = num_bytes >= _GIGABYTE / 10
    text = f"{num_bytes / _GIGABYTE:.1f} GB" if is_large else f"{num_bytes / _MEGABYTE:.1f} MB"
    return "0.1 MB" if text == "0.0 MB" else text


def duration_text(seconds: float) -> str:
    """A time for people: `3.25 h`, `45 s`."""
    for size, unit in _DURATIONS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def flop_text(num_operations: float) -> str:
    """A number of operations for people: `12.3 GFLOP`."""
    value = num_operations
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < _ROUNDED_UP:
            return f"{value:.3g} {unit}FLOP"
        value /= 1000
    return f"{value:.3g} EFLOP"


def _write(stream: TextIO | None, text: str) -> None:
    """Write at once; what the stream cannot encode is written as an escape."""
    if stream is None or _MUTED:  # None: who started this process closed it
        return
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
