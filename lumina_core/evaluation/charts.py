"""Curves as SVG for a page: no script, fit for light and dark, values where the pointer rests."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log, log10
from typing import ClassVar, NamedTuple

Points = Sequence[tuple[float, float]]
"""Step and value, by rising step; finite."""

WIDTH, HEIGHT = 480, 230  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 472, 8, 206  # of the curves in it, beside the texts of the axes
NUM_DRAWN = 300  # points of a line at most: more are no finer on any screen
NUM_READ = 48  # places along a chart at which its values can be read
NUM_TICKS = 5  # of an axis, about
SMOOTHED_SHARE = 0.05  # of a line's points, the window of its mean
MIN_SMOOTHED = 40  # points of a line that has noise to be smoothed
MAX_NOISY = 2  # lines of a chart that shows the noise around them
DECADE = 10
NICE = (1, 2, 5, DECADE)  # multiples of powers of ten at which axes have marks
ALMOST = 1 - 1e-9  # of a number, for the rounding of floats
LINEAR, LOGARITHMIC, WHOLE = "linear", "logarithmic", "whole numbers"  # scales of an axis
BLUE, RED = 260, 25  # hues of oklch, in degrees
GOLDEN_ANGLE = 137.5  # keeps any number of hues apart
_PREFIXES = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


class Line(NamedTuple):
    """One curve."""

    name: str
    points: Points
    is_dashed: bool = False


class DrawnLine(NamedTuple):
    """One curve as it stands in the drawing."""

    name: str
    path: str
    """Of its smoothed values."""
    noise: str
    """Path of its values as they are; empty where these are smooth, or lines are many."""
    hue: float
    is_dashed: bool
    is_dot: bool
    last: str
    """Its last value, for people."""


class Mark(NamedTuple):
    """A mark of an axis, or a place along the chart with the values there."""

    place: float
    text: str


@dataclass(frozen=True)
class Chart:
    """What the template draws."""

    title: str
    about: str
    """For those who do not see it."""
    lines: list[DrawnLine]
    across: list[Mark]
    up: list[Mark]
    readings: list[Mark]
    """What the curves are where the pointer rests."""

    width: ClassVar = WIDTH
    height: ClassVar = HEIGHT
    left: ClassVar = LEFT
    right: ClassVar = RIGHT
    top: ClassVar = TOP
    bottom: ClassVar = BOTTOM
    reach: ClassVar = (RIGHT - LEFT) / NUM_READ
    """Width of a place of `readings`."""


def chart(title: str, lines: Sequence[Line], *, is_log: bool, is_ordered: bool = False) -> Chart:
    """Draw curves over the same steps.

    Args:
        title: what is drawn, with its unit.
        lines: at least one, each with at least one point.
        is_log: the axis of values is logarithmic, if all of them are positive.
        is_ordered: colours go from blue to red in the order of the names.
    """
    steps = [step for line in lines for step, _ in line.points]
    smooth = [_smoothed(line.points) for line in lines]
    values = [value for line in lines for _, value in line.points]
    is_log = is_log and min(values) > 0
    across = _Axis(min(steps), max(steps), LEFT, RIGHT, WHOLE)
    low = min(values) if is_log else min(0.0, *values)
    up = _Axis(low, max(values), BOTTOM, TOP, LOGARITHMIC if is_log else LINEAR)
    names = list(dict.fromkeys(line.name for line in lines))
    drawn = []
    for line, mean in zip(lines, smooth, strict=True):
        is_shown = mean is not line.points and len(lines) <= MAX_NOISY
        noise = _path(_extremes(line.points), across, up) if is_shown else ""
        hue = _hue(names.index(line.name), len(names), is_ordered)
        path = _path(_thinned(mean), across, up)
        last = short(mean[-1][1])
        is_dot = len(line.points) == 1
        drawn.append(DrawnLine(line.name, path, noise, hue, line.is_dashed, is_dot, last))
    said = "; ".join(
        f"{line.name}: {short(mean[0][1])} at step {mean[0][0]:.0f}, "
        f"{short(mean[-1][1])} at step {mean[-1][0]:.0f}"
        for line, mean in zip(lines, smooth, strict=True)
    )
    readings = _readings(lines, smooth, across)
    return Chart(title, f"{title}. {said}", drawn, across.marks(), up.marks(), readings)


def short(value: float, digits: int = 3) -> str:
    """A number for people: `0.412`, `12.3k`."""
    for size, letter in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{letter}"
    return f"{value:.{digits}g}"


class _Axis:
    """From values to places in the drawing."""

    def __init__(self, low: float, high: float, begin: int, end: int, scale: str) -> None:
        self.is_log, self.is_whole = scale == LOGARITHMIC, scale == WHOLE
        if low == high:  # one value: it stands in the middle of something
            low, high = (low / 2, high * 2) if self.is_log else (low - 0.5, high + 0.5)
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def place(self, value: float) -> float:
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = log(low), log(high), log(value)
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)

    def marks(self) -> list[Mark]:
        """Round values within the axis."""
        if self.is_log and self.high > DECADE * self.low:
            powers = range(floor(log10(self.low)), floor(log10(self.high)) + 1)
            nice = NICE[:1] if len(powers) > NUM_TICKS else NICE[:-1]
            values = [factor * 10.0**power for power in powers for factor in nice]
            size = values[0]
        else:
            rough = (self.high - self.low) / NUM_TICKS
            power = 10.0 ** floor(log10(rough))
            size = power * next(factor for factor in NICE if factor * power >= rough * ALMOST)
            size = max(1, size) if self.is_whole else size
            first = floor(self.low / size)
            values = [(first + number) * size for number in range(2 * NUM_TICKS + 2)]
        slack = (self.high - self.low) * (1 - ALMOST)
        inside = [v for v in values if self.low - slack <= v <= self.high + slack]
        largest = max((abs(value) for value in inside), default=size)
        digits = max(3, 1 + ceil(log10(largest / size))) if largest > size else 3
        return [
            Mark(self.place(v), f"{v:,.0f}" if self.is_whole else short(v, digits)) for v in inside
        ]


def _smoothed(points: Points) -> Points:
    """The mean around each point; few points are as they are."""
    if len(points) < MIN_SMOOTHED:
        return points
    half = max(1, round(len(points) * SMOOTHED_SHARE / 2))
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    found = []
    for number, (step, _) in enumerate(points):
        reach = min(half, number, len(points) - 1 - number)  # narrower at the ends, never lopsided
        begin, end = number - reach, number + reach + 1
        found.append((step, (sums[end] - sums[begin]) / (end - begin)))
    return found


def _thinned(points: Points) -> Points:
    every = -(-len(points) // NUM_DRAWN)
    return points if every == 1 else [*points[:-1:every], points[-1]]


def _extremes(points: Points) -> Points:
    """The smallest and the largest of neighbours, so that no spike is lost."""
    every = -(-len(points) // NUM_DRAWN)
    if every == 1:
        return points
    found = []
    for begin in range(0, len(points), every):
        part = points[begin : begin + every]
        pair = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        found += sorted(pair)
    return found


def _path(points: Points, across: _Axis, up: _Axis) -> str:
    places = [f"{across.place(step):.1f} {up.place(value):.1f}" for step, value in points]
    return "M" + "L".join(places) + "h.1" * (len(places) == 1)


def _hue(number: int, count: int, is_ordered: bool) -> float:
    if is_ordered:
        return BLUE + (RED - BLUE) * number / max(1, count - 1)
    return round((BLUE + number * GOLDEN_ANGLE) % 360, 1)


def _readings(lines: Sequence[Line], smooth: Sequence[Points], across: _Axis) -> list[Mark]:
    """What the lines are at places along the chart, each where it has its next point."""
    found = []
    nexts = [0] * len(lines)
    for number in range(NUM_READ):
        share = (number + 0.5) / NUM_READ
        step = across.low + share * (across.high - across.low)
        text = [f"step {step:.0f}"]
        for which, (line, points) in enumerate(zip(lines, smooth, strict=True)):
            while nexts[which] < len(points) - 1 and points[nexts[which]][0] < step:
                nexts[which] += 1
            text.append(f"{line.name}: {short(points[nexts[which]][1])}")
        found.append(Mark(LEFT + number * Chart.reach, "\n".join(text)))
    return found


def finite(value: object) -> float | None:
    """A number of JSON as one that can be drawn; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of 400 digits
        return None
    return number if isfinite(number) and abs(number) < 1e100 else None
