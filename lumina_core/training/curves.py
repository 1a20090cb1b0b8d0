"""The log of a run as curves: of any version, of a run that goes on, with lines that are damaged.

A value of a line is a number, or a mapping to values; what is neither is left out, and so is a
number that cannot be drawn. Of several values at one step the last one counts. A curve of very many
points is given as the means of neighbours.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from lumina_core.errors import MAX_NAME, printable
from lumina_core.evaluation.charts import Points, finite
from lumina_core.files.reading import json_lines

Name = tuple[str, ...]
"""Of a curve: the keys that lead to its values, such as ("validation_loss", "0.1")."""

ANY = "*"  # in the place of a key
MAX_DEPTH = 5  # keys of a name
MAX_CURVES = 2000  # of a log; ours has less than a hundred
MAX_POINTS = 5000  # of a curve: a page shows a few hundred
MAX_STEP = 1e15


class Curves:
    """Every number of a log over the steps.

    Args:
        found: the values of the lines.
    """

    def __init__(self, found: Iterable[Any]) -> None:
        self._steps: dict[Name, array[float]] = {}
        self._values: dict[Name, array[float]] = {}
        for entry in found:
            step = finite(entry.get("step")) if isinstance(entry, dict) else None
            if step is None or not 0 <= step <= MAX_STEP:
                continue
            for name, value in numbers(entry):
                if name not in self._steps:
                    if len(self._steps) == MAX_CURVES:
                        continue
                    self._steps[name], self._values[name] = array("d"), array("d")
                self._steps[name].append(step)
                self._values[name].append(value)

    def points(self, *name: str) -> Points:
        """One curve, of at most MAX_POINTS points; empty where there is none."""
        if name not in self._steps:
            return []
        by_step = dict(zip(self._steps[name], self._values[name], strict=True))
        points = sorted(by_step.items())
        size = -(-len(points) // MAX_POINTS)
        groups = [points[at : at + size] for at in range(0, len(points), size)]
        return [(fmean(s for s, _ in group), fmean(v for _, v in group)) for group in groups]

    def below(self, *name: str) -> dict[str, Points]:
        """The curves whose names have one key more, by this key, numbers in their order."""
        return dict(self.matching((*name, ANY)))

    def matching(self, pattern: Name) -> Iterator[tuple[str, Points]]:
        """The curves with names of a pattern, by the key in the place of its *, else the last."""
        place = pattern.index(ANY) if ANY in pattern else -1
        found = {
            name[place]: name
            for name in self._steps
            if len(name) == len(pattern)
            and all(wanted in (ANY, key) for wanted, key in zip(pattern, name, strict=True))
        }
        yield from ((key, self.points(*found[key])) for key in sorted(found, key=_order))

    def inner(self, *name: str) -> list[str]:
        """The next keys of the curves whose names begin so and go on for two keys and more."""
        count = len(name)
        found = {n[count] for n in self._steps if n[:count] == name and len(n) > count + 1}
        return sorted(found, key=_order)

    @property
    def last_step(self) -> int:
        """The last step of any line; 0 where there is none."""
        return int(max((max(steps) for steps in self._steps.values()), default=0))


def read_curves(path: Path) -> Curves:
    """The curves of a log; none where there is no file.

    Raises:
        LuminaError: it cannot be read, or is no regular file.
    """
    return Curves(value for _, value in json_lines(path))


def numbers(values: Mapping[str, Any], name: Name = ()) -> Iterator[tuple[Name, float]]:
    """The numbers of a line of a log, each with its name, those of `step` included.

    Args:
        values: of the line.
        name: keys that lead to them.
    """
    for key, inner in values.items():
        full = (*name, _shown(key))
        if isinstance(inner, dict):
            if len(full) < MAX_DEPTH:
                yield from numbers(inner, full)
        elif (value := finite(inner)) is not None:
            yield full, value


@lru_cache(MAX_CURVES)
def _shown(key: str) -> str:
    return printable(key, MAX_NAME)


def number(key: str) -> float:
    """A key that is a number as one; any other comes after all numbers."""
    try:
        found = float(key)
    except ValueError:
        return inf
    return found if isfinite(found) else inf


def _order(key: str) -> tuple[float, str]:
    return number(key), key
