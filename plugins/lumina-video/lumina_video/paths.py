"""Where the things of a scene are at every moment: what the renderer of the video world draws.

Paths are shares of the side along which they lead, radii of the shorter side, so that a scene looks
alike at every size. Each thing has one place or one path for what it does, a little moved at
random: what no word names and chance decides would be learned at the cost of the rest.
"""

from dataclasses import dataclass

import torch

from lumina_video.motions import DIRECTIONS, GROWTHS
from lumina_video.scenes import Scene, Thing

# Half the longer side of an object where it is largest, as a share of the shorter side of the clip.
RADII = (0.19, 0.25)  # of one that has one thing to do
SIZED_RADII = {"small": (0.15, 0.165), "large": (0.27, 0.3)}
STARTS = {
    ("small", "grow"): 0.16,
    ("small", "shrink"): 0.192,
    ("large", "grow"): 0.252,
    ("large", "shrink"): 0.32,
}  # of what is small or large and then grows or shrinks: the radius, before it does
LARGE_BUSY_RADII = (0.25, 0.28)
BUSY_RADII = (0.2, 0.26)  # of one that has two
GROWN_RADII = (0.32, 0.36)  # of one that only grows or shrinks
LANE_RADII = (0.16, 0.2)  # of one of two
BESIDE_RADII = (0.23, 0.26)  # of one that grows or shrinks beside another
OTHER_SCALE = 0.66  # of the other, seen from that one
GROWTH, BUSY_GROWTH = 2.0, 1.5  # by how much something grows; less where it also moves
LARGE_GROWTH = 1.7  # of what is large before it grows
SMALL_GROWTH = 1.5  # of what is small before it shrinks: what is drawn smaller is blurred
BESIDE_GROWTH = 1.6  # and where another one is in the clip
JITTER, LANE_JITTER = 0.03, 0.02  # each way, as a share of the shorter side
MIN_GAP, MIN_MARGIN = 3, 1  # pixels between two objects, and to the edge of the clip
MIN_SPREAD = 0.9  # sizes still vary by a tenth where there is little room
PATH = (0.25, 0.75)  # from where to where something moves, as shares of the side
LARGE_PATH = (0.34, 0.66)  # shorter, for what is large
BUSY_PATH = (0.31, 0.69)  # and for what may grow there
MIDDLE = 0.5
FORWARD = ("right", "down")  # in which rows and columns are counted
# Across the side along which two objects move; the first above or to the left.
LANES = (0.25, 0.75)
WIDE_LANES = (0.295, 0.79)  # where the first grows or shrinks
LARGE_LANES = (0.3, 0.8)  # where the first is large
LARGE_SCALE = 0.6  # of the other, seen from a large one
GROWTH_LANES = (0.275, 0.725)  # where one grows and the other shrinks
CORNER, LEG = 0.21, 0.33  # two that move along different axes: how near to an edge, and how far
NUM_CHECKED = 33  # moments of two paths whose distance is measured


@dataclass(frozen=True)
class Pose:
    """One object at one moment: row and column of its centre and its radius, in pixels."""

    row: float
    column: float
    radius: float


Way = tuple[float, float]
"""Begin and end along a side, as shares of it."""


@dataclass(frozen=True)
class Lane:
    """What one of two objects does."""

    row: Way
    column: Way
    scale: Way
    """Its radius, in that of the larger one where it is largest."""


def poses_of(
    scene: Scene, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[list[Pose]]:
    """Every thing of a scene at every moment.

    Args:
        scene: of one thing or two; what passes has a direction.
        height: of the clip, in pixels.
        width: the same.
        moments: from 0 to 1.
        generator: chooses size and place within their bounds.
    """
    if len(scene.things) == 1:
        tracks = [_alone(scene.things[0], height, width, moments, generator)]
    else:
        tracks = _beside(scene, height, width, moments, generator)
    return [list(poses) for poses in zip(*tracks, strict=True)]


def _alone(
    thing: Thing, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[Pose]:
    """One thing around the middle of the clip, with one or two things to do in turn."""
    events = thing.motions or ("still",)
    is_busy = len(events) > 1
    path = LARGE_PATH if thing.size == "large" else BUSY_PATH if is_busy else PATH
    start = {axis: MIDDLE for axis in ("row", "column")}
    for event in reversed(events):  # so that the first one along an axis decides
        if event in DIRECTIONS:
            start[_axis(event)] = _along(event, path)[0]
    places, scales = [(start["row"], start["column"])], [1.0]
    sized = (thing.size, events[0])
    growth = {("large", "grow"): LARGE_GROWTH, ("small", "shrink"): SMALL_GROWTH}.get(sized, GROWTH)
    if is_busy:
        growth = BUSY_GROWTH
    for event in events:
        row, column = places[-1]
        if event in DIRECTIONS:
            end = _along(event, path)[1]
            row, column = (end, column) if _axis(event) == "row" else (row, end)
        places.append((row, column))
        scales.append(scales[-1] * {"grow": growth, "shrink": 1 / growth}.get(event, 1.0))
    scales = [scale / max(scales) for scale in scales]
    shorter = min(height, width)
    down, across, size = torch.rand(3, generator=generator).tolist()
    jitter = JITTER * shorter
    keys = [(row * height, column * width) for row, column in places]
    rooms = [
        (min(row, height - row, column, width - column) - jitter - MIN_MARGIN) / scale
        for (row, column), scale in zip(keys, scales, strict=True)
    ]
    range_ = BUSY_RADII if is_busy else GROWN_RADII if events[0] in GROWTHS else RADII
    if thing.size:
        low, high = _sized_radii(thing.size, events)
        range_ = (low / scales[0], high / scales[0])
        if low == high:
            size = 1.0  # there is no room to vary it
    radius = _radius(range_, min(rooms), shorter, size)
    moved = ((2 * down - 1) * jitter, (2 * across - 1) * jitter)
    return _interpolated(
        [
            Pose(row + moved[0], column + moved[1], scale * radius)
            for (row, column), scale in zip(keys, scales, strict=True)
        ],
        moments,
    )


def _sized_radii(size: str, events: tuple[str, ...]) -> tuple[float, float]:
    """Of one thing with a size, at the beginning."""
    grown = [event for event in events if event in GROWTHS]
    if size == "large" and len(events) > 1:
        low, high = LARGE_BUSY_RADII
        return (high, high) if grown else (low, high)
    return (STARTS[size, grown[0]],) * 2 if grown else SIZED_RADII[size]


def _beside(
    scene: Scene, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[list[Pose]]:
    """Two things at once, as large as there is room for on their ways, moved together."""
    first, second = (thing.motions[0] if thing.motions else "still" for thing in scene.things)
    sizes = [thing.size for thing in scene.things]
    lanes = _lanes(first, second)
    if "large" in sizes:
        lanes = _large_lanes(first, second, sizes.index("large"))
    shorter = min(height, width)
    down, across, size = torch.rand(3, generator=generator).tolist()
    jitter = LANE_JITTER * shorter
    range_ = SIZED_RADII["small"] if "small" in sizes else LANE_RADII
    if first in GROWTHS or second in GROWTHS or "large" in sizes:
        range_ = BESIDE_RADII
    if "large" in sizes:
        size = 1.0  # there is no room to vary it
    radius = _radius(range_, _room(lanes, height, width), shorter, size)
    moved = ((2 * down - 1) * jitter, (2 * across - 1) * jitter)
    tracks = []
    for lane in lanes:
        keys = [
            Pose(row * height + moved[0], column * width + moved[1], scale * radius)
            for row, column, scale in zip(lane.row, lane.column, lane.scale, strict=True)
        ]
        tracks.append(_interpolated(keys, moments))
    return tracks


def _lanes(first: str, second: str) -> tuple[Lane, Lane]:
    """Two lanes side by side; or, along different axes, two ways around a corner."""
    moving = [motion for motion in (first, second) if motion in DIRECTIONS]
    axes = [_axis(motion) for motion in moving] or ["row"]  # one that grows is left or right
    if len(set(axes)) == 2:
        ways = _around_a_corner(first, second)
        scales: list[Way] = [(1.0, 1.0), (1.0, 1.0)]
    else:
        places = LANES
        if first in GROWTHS and second in GROWTHS:
            places = GROWTH_LANES
        elif first in GROWTHS:
            places = WIDE_LANES
        elif second in GROWTHS:
            places = (1 - WIDE_LANES[1], 1 - WIDE_LANES[0])
        ways = [
            (_along(motion, PATH), (place, place))
            for motion, place in zip((first, second), places, strict=True)
        ]
        scales = [_scale(first, second), _scale(second, first)]
    one, other = (
        Lane(along, across, scale) if axes[0] == "row" else Lane(across, along, scale)
        for (along, across), scale in zip(ways, scales, strict=True)
    )
    return one, other


def _large_lanes(first: str, second: str, large: int) -> tuple[Lane, Lane]:
    """Two lanes side by side, the wider one for what is large."""
    moving = [motion for motion in (first, second) if motion in DIRECTIONS]
    is_row = not moving or _axis(moving[0]) == "row"
    places = LARGE_LANES if large == 0 else (1 - LARGE_LANES[1], 1 - LARGE_LANES[0])
    lanes = []
    for number, (motion, place) in enumerate(zip((first, second), places, strict=True)):
        along, across = _along(motion, LARGE_PATH), (place, place)
        scale = 1.0 if number == large else LARGE_SCALE
        row, column = (along, across) if is_row else (across, along)
        lanes.append(Lane(row, column, (scale, scale)))
    return lanes[0], lanes[1]


def _around_a_corner(first: str, second: str) -> list[tuple[Way, Way]]:
    """Ways along the axis of the first and across it.

    The first keeps to its lane. A second that moves away from that lane does so where the first is
    going to, one that comes nearer where the first has been: so they are far apart along one axis
    as long as they are not along the other.
    """
    far = 1 - CORNER
    begin, end = (CORNER, CORNER + LEG), (far - LEG, far)
    is_away = second in FORWARD
    if first in FORWARD:
        way, place = (begin, far) if is_away else (end, CORNER)
    else:
        way, place = (end[::-1], CORNER) if is_away else (begin[::-1], far)
    return [(way, (CORNER, CORNER)), ((place, place), end if is_away else end[::-1])]


def _scale(motion: str, beside: str) -> Way:
    if motion == "grow":
        return 1 / BESIDE_GROWTH, 1.0
    if motion == "shrink":
        return 1.0, 1 / BESIDE_GROWTH
    return (OTHER_SCALE, OTHER_SCALE) if beside in GROWTHS else (1.0, 1.0)


def _room(lanes: tuple[Lane, Lane], height: int, width: int) -> float:
    """The largest radius with which two lanes keep off each other and off the edges, in pixels."""
    margin = LANE_JITTER * min(height, width) + MIN_MARGIN
    rooms = []
    for number in range(NUM_CHECKED):
        share = number / (NUM_CHECKED - 1)
        now = [
            (_at(lane.row, share) * height, _at(lane.column, share) * width, _at(lane.scale, share))
            for lane in lanes
        ]
        for row, column, scale in now:
            rooms.append((min(row, height - row, column, width - column) - margin) / scale)
        (row, column, scale), (other_row, other_column, other_scale) = now
        apart = max(abs(row - other_row), abs(column - other_column)) - MIN_GAP
        rooms.append(apart / (scale + other_scale))
    return min(rooms)


def _at(way: Way, share: float) -> float:
    return way[0] + share * (way[1] - way[0])


def _along(motion: str, path: Way) -> Way:
    """The way of a motion along its axis."""
    if motion not in DIRECTIONS:
        return MIDDLE, MIDDLE
    return path if motion in FORWARD else path[::-1]


def _axis(direction: str) -> str:
    return "row" if direction in ("up", "down") else "column"


def _radius(wanted: tuple[float, float], room: float, shorter: int, size: float) -> float:
    """A radius in pixels between the wanted shares of the shorter side, as far as there is room."""
    low, high = wanted
    high = min(high, room / shorter)
    low = min(low, MIN_SPREAD * high)
    return (low + size * (high - low)) * shorter


def _interpolated(keys: list[Pose], moments: list[float]) -> list[Pose]:
    """Poses at moments from 0 to 1, in straight lines between keys at equal distances."""
    poses = []
    for moment in moments:
        number = min(int(moment * (len(keys) - 1)), len(keys) - 2)
        share = moment * (len(keys) - 1) - number
        before, after = keys[number], keys[number + 1]
        poses.append(
            Pose(
                before.row + share * (after.row - before.row),
                before.column + share * (after.column - before.column),
                before.radius + share * (after.radius - before.radius),
            )
        )
    return poses
