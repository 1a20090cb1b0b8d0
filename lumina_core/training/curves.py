"""The log of a run as curves: of any version, of a run that goes on, with lines that are damaged.

A value of a line is a number, or a mapping to values; what is neither is left out, and so is a
number that cannot be drawn. Of several values at one step the last one counts.
"""

from collections.abc import Iterator, Mapping
from math import inf, isfinite
from pathlib import Path
from typing import Any

from lumina_core.errors import MAX_NAME, printable
from lumina_core.evaluation.charts import Points, finite
from lumina_core.files.reading import json_lines

Name = tuple[str, ...]
"""Of a curve: the keys that lead to its values, such as ("validation_loss", "0.1")."""

MAX_DEPTH = 5  # keys of a name
MAX_CURVES = 2000  # of a log; ours has less than a hundred
MAX_STEP = 1e15


class Curves:
    """Every number of a log over the steps.

    Args:
        found: the values of the lines.
    """

    def __init__(self, found: list[Any]) -> None:
        by_name: dict[Name, dict[float, float]] = {}
        for entry in found:
            step = finite(entry.get("step")) if isinstance(entry, dict) else None
            if step is None or not 0 <= step <= MAX_STEP:
                continue
            for name, value in _numbers(entry, ()):
                if name in by_name or len(by_name) < MAX_CURVES:
                    by_name.setdefault(name, {})[step] = value
        self._points = {name: sorted(values.items()) for name, values in by_name.items()}

    def points(self, *name: str) -> Points:
        """One curve; empty where there is none."""
        return self._points.get(name, [])

    def below(self, *name: str) -> dict[str, Points]:
        """The curves whose names have one key more, by this key, numbers in their order."""
        keys = [full[-1] for full in self._points if full[:-1] == name]
        return {key: self._points[*name, key] for key in sorted(keys, key=_order)}

    def inner(self, *name: str) -> list[str]:
        """The next keys of the curves whose names begin so and go on for two keys and more."""
        count = len(name)
        found = {n[count] for n in self._points if n[:count] == name and len(n) > count + 1}
        return sorted(found, key=_order)

    @property
    def last_step(self) -> int:
        """The last step of any line; 0 where there is none."""
        return int(max((points[-1][0] for points in self._points.values()), default=0))


def read_curves(path: Path) -> Curves:
    """The curves of a log; none where there is no file.

    Raises:
        LuminaError: it cannot be read, or is no regular file.
    """
    return Curves([value for _, value in json_lines(path)])


def _numbers(values: Mapping[str, Any], name: Name) -> Iterator[tuple[Name, float]]:
    for key, inner in values.items():
        full = (*name, printable(key, MAX_NAME))
        if isinstance(inner, dict):
            if len(full) < MAX_DEPTH:
                yield from _numbers(inner, full)
        elif (value := finite(inner)) is not None:
            yield full, value


def number(key: str) -> float:
    """A key that is a number as one; any other comes after all numbers."""
    try:
        found = float(key)
    except ValueError:
        return inf
    return found if isfinite(found) else inf


def _order(key: str) -> tuple[float, str]:
    return number(key), key
