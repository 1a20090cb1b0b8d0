"""The synthetic video world: clips drawn on the fly at any size and length, from a caption alone.

What happens spans the whole clip, whatever its length: frame i of n shows the moment (i + 0.5) / n.
Lengths are shares of the shorter side, paths of the side along which they lead, so that a scene
looks alike at every size, aspect ratio and number of frames. It does not judge clips: oracle.py
does, and shares only the grammar with this file.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.caption_worlds import CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.drawing import BACKGROUND_PALETTE, PALETTE, paint, rgb
from lumina_core.media.worlds.words import FREE_BACKGROUNDS, free_colours
from lumina_video import grammar, nearest, oracle
from lumina_video.grammar import Scene, Thing

TASK_WEIGHTS = {
    "motion": 0.17,
    "growth": 0.12,
    "colour_change": 0.08,
    "two_motions": 0.25,
    "passing": 0.16,
    "order": 0.22,
}
"""The hard ones more often: two things, or one after another."""

# Half the longer side of an object where it is largest, as a share of the shorter side of the clip.
RADII = (0.19, 0.25)  # of one that has one thing to do
BUSY_RADII = (0.2, 0.26)  # of one that has two
GROWN_RADII = (0.32, 0.36)  # of one that only grows or shrinks
LANE_RADII = (0.16, 0.2)  # of one of two
GROWTH, BUSY_GROWTH = 2.0, 1.5  # by how much something grows; less where it also moves
JITTER, LANE_JITTER = 0.03, 0.02  # each way, as a share of the shorter side
MIN_GAP, MIN_MARGIN = 3, 1  # pixels between two objects, and to the edge of the clip
MIN_SPREAD = 0.9  # sizes still vary by a tenth where there is little room
PATH = (0.25, 0.75)  # from where to where something moves, as shares of the side
BUSY_PATH = (0.31, 0.69)  # shorter, for it may grow there
LANES = (0.25, 0.75)  # across the side along which two objects move; the first above or to the left
CHANGE = (0.4, 0.6)  # of the clip: when one colour turns into the other

_TRAINED_SIZES = tuple((side, side) for side in (32, 40, 48, 56)) + tuple(
    size
    for short, long in ((32, 48), (40, 56), (32, 64), (32, 72), (32, 80))
    for size in ((short, long), (long, short))
)
_TRAINED_FRAMES = (4, 6, 8, 10, 12)
_RATES = (6.0, 8.0, 12.0)  # frames per second, in turn


def _variants(
    sizes: tuple[tuple[int, int], ...], lengths: tuple[int, ...]
) -> tuple[dict[str, int | float], ...]:
    """Every size at every length, at one rate each."""
    found = [
        {"height": height, "width": width, "frames": frames}
        for height, width in sizes
        for frames in lengths
    ]
    return tuple(
        variant | {"fps": _RATES[index % len(_RATES)]} for index, variant in enumerate(found)
    )


_VARIANTS = {
    "trained": _variants(_TRAINED_SIZES, _TRAINED_FRAMES),
    "held_out": _variants(_TRAINED_SIZES, _TRAINED_FRAMES),
    "unseen_lengths": _variants(((32, 32), (40, 40), (48, 48)), (24,)),
    "unseen_aspects": _variants(((32, 96), (96, 32)), (8, 10)),
}


@runtime_checkable
class Canvas(Protocol):
    """The options of a clip that drawing reads, in pixels and frames."""

    height: int
    width: int

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        ...


@dataclass(frozen=True)
class Pose:
    """One object at one moment: row and column of its centre and its radius, in pixels."""

    row: float
    column: float
    radius: float


class VideoWorld(CaptionWorld):
    """Captions, the clips they describe, and the verdict on what claims to be one."""

    name, version = "video", "2"
    grammar, words = grammar, nearest
    split_variants, weights = _VARIANTS, TASK_WEIGHTS

    def draw(
        self, caption: str, options: Canvas, generator: torch.Generator
    ) -> UInt8[Tensor, "frame 3 height width"]:
        """A clip that shows the caption, with chance colours and ways where it names none."""
        scene = grammar.parse(caption)
        height, width, count = options.height, options.width, options.num_frames
        background = scene.background or pick(FREE_BACKGROUNDS, generator)
        colours = _colours(scene, generator)
        moments = [(index + 0.5) / count for index in range(count)]
        poses = _poses(scene, height, width, moments, generator)
        filled = rgb(BACKGROUND_PALETTE[background])
        clip = filled.expand(count, 3, height, width).clone()
        for frame, moment, shown in zip(clip, moments, poses, strict=True):
            for thing, colour, pose in zip(scene.things, colours, shown, strict=True):
                now = PALETTE[colour]
                if scene.new_colour:
                    now = _mixed(now, PALETTE[scene.new_colour], moment)
                paint(frame, thing.shape, now, (pose.row, pose.column), pose.radius)
        return clip.round().to(torch.uint8)

    def judge(
        self, media: UInt8[Tensor, "frame 3 height width"], caption: str, options: object
    ) -> dict[str, bool]:
        """The verdict of the oracle; a clip says all itself."""
        return oracle.judge(media, caption)


def _colours(scene: Scene, generator: torch.Generator) -> list[str]:
    """A colour for each thing; two that are free get different ones."""
    found: list[str] = []
    for thing in scene.things:
        seen = free_colours(thing.shape, scene.background)
        free = [colour for colour in seen if colour not in found]
        found.append(thing.colour or pick(free, generator))
    return found


def _mixed(
    before: tuple[int, int, int], after: tuple[int, int, int], moment: float
) -> tuple[int, int, int]:
    start, end = CHANGE
    share = min(1.0, max(0.0, (moment - start) / (end - start)))
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(before, after, strict=True))
    return red, green, blue


def _poses(
    scene: Scene, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[list[Pose]]:
    """Where every thing is at every moment."""
    if len(scene.things) == 1:
        tracks = [_alone(scene.things[0], height, width, moments, generator)]
    else:
        tracks = _two_lanes(scene, height, width, moments, generator)
    return [list(poses) for poses in zip(*tracks, strict=True)]


def _alone(
    thing: Thing, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[Pose]:
    """One thing around the middle of the clip, with one or two things to do in turn."""
    events = thing.motions or ("still",)
    is_busy = len(events) > 1
    low, high = BUSY_PATH if is_busy else PATH
    ends = {"left": (high, low), "right": (low, high), "up": (high, low), "down": (low, high)}
    start = {axis: 0.5 for axis in ("row", "column")}
    for event in reversed(events):  # so that the first one along an axis decides
        if event in ends:
            start[_axis(event)] = ends[event][0]
    places, scales = [(start["row"], start["column"])], [1.0]
    growth = BUSY_GROWTH if is_busy else GROWTH
    for event in events:
        row, column = places[-1]
        if event in ends:
            end = ends[event][1]
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
    range_ = BUSY_RADII if is_busy else GROWN_RADII if events[0] in grammar.GROWTHS else RADII
    radius = _radius(range_, min(rooms), shorter, size)
    moved = ((2 * down - 1) * jitter, (2 * across - 1) * jitter)
    return _interpolated(
        [
            Pose(row + moved[0], column + moved[1], scale * radius)
            for (row, column), scale in zip(keys, scales, strict=True)
        ],
        moments,
    )


def _two_lanes(
    scene: Scene, height: int, width: int, moments: list[float], generator: torch.Generator
) -> list[list[Pose]]:
    """Two things in their lanes; one that passes the other starts behind it and ends before it."""
    motions = [thing.motions[0] if thing.motions else None for thing in scene.things]
    if scene.task == "passing":
        free = [
            direction
            for direction in grammar.DIRECTIONS
            if (scene.things[0].shape, direction) not in grammar.HELD_OUT_MOTIONS
        ]
        motions = [motions[0] or pick(free, generator), "still"]
    is_row = any(motion in ("up", "down") for motion in motions)
    along, across = (height, width) if is_row else (width, height)
    shorter = min(height, width)
    jitter = LANE_JITTER * shorter
    room = min(
        (across / 2 - MIN_GAP) / 2 - jitter,
        min(across, along) * PATH[0] - jitter - MIN_MARGIN,
    )
    radius = _radius(LANE_RADII, room, shorter, torch.rand((), generator=generator).item())
    tracks = []
    for motion, lane in zip(motions, LANES, strict=True):
        path = {"left": PATH[::-1], "right": PATH, "up": PATH[::-1], "down": PATH}.get(motion or "")
        if path is None:
            where = 0.5 if scene.task == "passing" else pick((*PATH, 0.5), generator)
            path = (where, where)
        shift, slide = (2 * torch.rand(2, generator=generator) - 1).mul(jitter).tolist()
        keys = []
        for share in path:
            place = (share * along + slide, lane * across + shift)
            row, column = place if is_row else place[::-1]
            keys.append(Pose(row, column, radius))
        tracks.append(_interpolated(keys, moments))
    return tracks


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
