"""A clock that runs ahead during a call, to find files that name the time of their writing.

Only the clocks of Python run ahead; a library in C that asks the system itself is not noticed.
"""

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

AHEAD = datetime.timedelta(days=400, hours=1, minutes=1, seconds=1)  # changes each part of a date


@contextmanager
def clock_ahead() -> Iterator[None]:
    """Within the block `time` and `datetime` are ahead, whatever a module calls them."""
    moved = {id(real): other for real, other in (*_functions(), *_classes())}
    names = [
        (vars(module), name, value)
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType)
        for name, value in list(vars(module).items())
        if id(value) in moved
    ]
    for attributes, name, value in names:
        attributes[name] = moved[id(value)]
    try:
        yield
    finally:
        for attributes, name, value in names:
            attributes[name] = value


def _functions() -> list[tuple[Any, Any]]:
    """The functions of `time` that look at the clock, each with one that is ahead."""
    seconds, real, real_ns = AHEAD.total_seconds(), time.time, time.time_ns

    def of_seconds(call: Callable[[float], Any]) -> Callable[..., Any]:
        return lambda moment=None: call(real() + seconds if moment is None else moment)

    localtime, strftime, asctime = time.localtime, time.strftime, time.asctime
    return [
        (real, lambda: real() + seconds),
        (real_ns, lambda: real_ns() + int(seconds) * 10**9),
        *((call, of_seconds(call)) for call in (localtime, time.gmtime, time.ctime)),
        (strftime, lambda form, parts=None: strftime(form, parts or localtime(real() + seconds))),
        (asctime, lambda parts=None: asctime(parts or localtime(real() + seconds))),
    ]


def _classes() -> list[tuple[type, type]]:
    """The classes of `datetime` that look at the clock, each with one that is ahead."""

    class LaterDate(datetime.date):
        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(time.time())  # which is ahead

    class LaterTime(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + AHEAD

        @classmethod
        def utcnow(cls) -> Any:
            return super().utcnow() + AHEAD

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    return [(datetime.date, LaterDate), (datetime.datetime, LaterTime)]
