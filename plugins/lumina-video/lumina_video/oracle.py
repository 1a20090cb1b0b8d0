"""Whether a clip shows what its caption says: measured from the pixels alone.

It shares only the grammar with the renderer. Objects are found in every frame
(`lumina_core.media.worlds.finding`) and followed from frame to frame; what they are is what they
are in most frames, what they do is read off their tracks. It forgives a flaw in a frame or two,
nothing that stays.
"""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, permutations

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.finding import Found, find_objects, is_background
from lumina_video import grammar
from lumina_video.motions import DIRECTIONS, GROWTHS, TURN
from lumina_video.scenes import Scene, Thing, turning_of

MIN_GOOD_FRAMES = 0.8  # of all, with as many objects as the caption says
MIN_ALIKE = 0.75  # of the good ones, in which a shape or colour is the one that is asked for
MAX_SMALL, MIN_LARGE = 0.2, 0.235  # of the shorter side: radii of what is small or large
MIN_STRAIGHT = 0.85  # of the way lies along the direction that is asked for
MAX_BACK = 0.06  # of the side: how far it may go back on its way
MAX_DRIFT = 0.09  # of the shorter side: how far something that stands still may move
MAX_STEP = 0.3  # of the longer side, between two frames that follow each other: else it jumped
START = 0.15  # of the clip, in which what grows or shrinks has the size that is asked for
ENDS = 0.3  # of the time of a change, at either end: it has not begun there, or is done


@dataclass(frozen=True)
class Limits:
    """How much has to happen."""

    travel: float
    """Of the side: the least way of something that moves."""
    growth: float
    """Least ratio of the radii of something that grows or shrinks."""
    wobble: float
    """Largest ratio of the radii of something that does not."""


ALONE = Limits(travel=0.22, growth=1.4, wobble=1.4)  # it goes half of the side, and doubles
SMALL = Limits(travel=0.22, growth=1.22, wobble=1.4)  # it shrinks by a third
IN_TURN = Limits(travel=0.13, growth=1.18, wobble=1.4)  # in one half of the clip
IN_LANES = Limits(travel=0.22, growth=1.4, wobble=1.3)
TWO_WAYS = Limits(travel=0.16, growth=1.3, wobble=1.3)  # it goes a third of the side


@dataclass(frozen=True)
class Sighting:
    """One object in one frame."""

    moment: float
    """From 0 to 1."""
    found: Found


Track = list[Sighting]


def judge(media: UInt8[Tensor, "frame 3 height width"], caption: str) -> dict[str, bool]:
    """Say for each thing that the caption says whether the clip shows it.

    Args:
        media: the clip, RGB.
        caption: a caption of the grammar. What it leaves open is not judged, except that objects
            must have one of the eight colours, and that nothing else may be in the clip.

    Returns:
        A verdict by name: count, shape_1, colour_1, size_1, motion_1, shape_2, colour_2, motion_2,
        passing, change, continuity, background, as far as the caption says it. The clip is right if
        all are true.
    """
    scene = grammar.parse(caption)
    frames = [find_objects(frame) for frame in media]
    good = [number for number, found in enumerate(frames) if len(found) == len(scene.things)]
    is_counted = len(good) >= max(1, MIN_GOOD_FRAMES * len(frames))
    verdict = {"count": is_counted}
    sides = (media.shape[2], media.shape[3])
    sightings = [
        [Sighting((number + 0.5) / len(frames), found) for found in frames[number]]
        for number in good
    ]
    tracks = _tracks(sightings) or [[] for _ in scene.things]
    # Nobody says which object is meant by which name: take the reading that fits best.
    readings = [_judge_tracks(scene, order, sides) for order in permutations(tracks)]
    verdict |= max(readings, key=lambda reading: sum(reading.values()))
    if scene.background:
        alike = [is_background(frame, scene.background) for frame in media]
        verdict["background"] = sum(alike) >= MIN_ALIKE * len(alike)
    return verdict


def _tracks(frames: list[list[Sighting]]) -> list[Track]:
    """One track per object of the first frame: in each frame it is the nearest, as a whole."""
    if not frames:
        return []
    tracks = [[sighting] for sighting in frames[0]]
    for sightings in frames[1:]:
        orders = permutations(sightings)
        nearest = min(
            orders,
            key=lambda order: sum(
                _distance(track[-1], sighting)
                for track, sighting in zip(tracks, order, strict=True)
            ),
        )
        for track, sighting in zip(tracks, nearest, strict=True):
            track.append(sighting)
    return tracks


def _distance(before: Sighting, after: Sighting) -> float:
    return math.hypot(after.found.row - before.found.row, after.found.column - before.found.column)


def _judge_tracks(
    scene: Scene, tracks: tuple[Track, ...], sides: tuple[int, int]
) -> dict[str, bool]:
    verdict = {}
    for number, (thing, track) in enumerate(zip(scene.things, tracks, strict=True), start=1):
        verdict[f"shape_{number}"] = _mostly(track, lambda found, t=thing: found.shape == t.shape)
        is_turning = bool(scene.new_colour) and number == turning_of(scene) + 1
        verdict[f"colour_{number}"] = is_turning or _has_colour(thing, track)
        if is_turning:  # the colours in between have no name; `change` judges both ends
            verdict["change"] = _changes(scene, thing, track)
        if thing.size:
            is_growing = bool(set(thing.motions) & set(GROWTHS))
            begun = [s for s in track if not is_growing or s.moment < START]
            verdict[f"size_{number}"] = _has_size(thing.size, begun)
        if thing.motions:
            verdict[f"motion_{number}"] = _does(scene.task, thing, track, sides)
    if scene.task == "colour_change":
        verdict["motion_1"] = _is_still(tracks[0], sides, ALONE)
    if scene.task == "passing":
        verdict["motion_2"] = _is_still(tracks[1], sides, IN_LANES)
        verdict["passing"] = _passes(scene.things[0], tracks, sides)
    verdict["continuity"] = all(
        _distance(before, after) <= MAX_STEP * max(sides)
        for track in tracks
        for before, after in pairwise(track)
    )
    return verdict


def _mostly(track: Track, test) -> bool:
    return bool(track) and sum(test(s.found) for s in track) >= MIN_ALIKE * len(track)


def _has_colour(thing: Thing, track: Track) -> bool:
    named = Counter(sighting.found.colour for sighting in track)
    colour, count = named.most_common(1)[0] if track else (None, 0)
    wanted = thing.colour or colour
    return wanted is not None and colour == wanted and count >= MIN_ALIKE * len(track)


def _has_size(size: str, track: Track) -> bool:
    if size == "small":
        return _mostly(track, lambda found: 0 < found.radius <= MAX_SMALL)
    return _mostly(track, lambda found: found.radius >= MIN_LARGE)


def _changes(scene: Scene, thing: Thing, track: Track) -> bool:
    """From the colour before, or any that has a name, to the other."""
    begin, end = 0.0, 1.0
    if len(thing.motions) == 2:
        begin, end = (0.0, 0.5) if thing.motions[0] == TURN else (0.5, 1.0)
    edge = ENDS * (end - begin)
    earlier = [s for s in track if s.moment < begin + edge]
    before = Counter(s.found.colour for s in earlier)
    del before[scene.new_colour]
    first = thing.colour or next(iter(before), None)
    return all(
        colour is not None and _mostly(part, lambda found, c=colour: found.colour == c)
        for colour, part in (
            (first, earlier),
            (scene.new_colour, [s for s in track if s.moment > end - edge]),
        )
    )


def _does(task: str, thing: Thing, track: Track, sides: tuple[int, int]) -> bool:
    """Whether a track shows one motion, or two one after the other."""
    motions, alone = thing.motions, SMALL if thing.size == "small" else ALONE
    if len(motions) == 1:
        limits = {"two_ways": TWO_WAYS, "two_motions": IN_LANES, "passing": IN_LANES}
        return _shows(motions[0], track, sides, limits.get(task, alone))
    halves = (
        [s for s in track if s.moment <= 0.5],
        [s for s in track if s.moment >= 0.5],
    )
    return all(
        _shows(motion, half, sides, IN_TURN) for motion, half in zip(motions, halves, strict=True)
    )


def _shows(motion: str, track: Track, sides: tuple[int, int], limits: Limits) -> bool:
    if len(track) < 2:
        return False
    if motion in ("still", TURN):
        return _is_still(track, sides, limits)
    first, last = track[0].found, track[-1].found
    ratio = _ratio(last.radius, first.radius)
    down, right = last.row - first.row, last.column - first.column
    drift = math.hypot(down, right)
    if motion in GROWTHS:
        growth = ratio if motion == "grow" else _ratio(first.radius, last.radius)
        return growth >= limits.growth and drift <= MAX_DRIFT * min(sides)
    towards = {"left": -right, "right": right, "up": -down, "down": down}[motion]
    is_row = motion in ("up", "down")
    side, sign = sides[0 if is_row else 1], 1 if motion in ("right", "down") else -1
    ways = [sign * (s.found.row if is_row else s.found.column) for s in track]
    goes_back = max(before - after for before, after in pairwise(ways)) > MAX_BACK * side
    is_far = towards >= limits.travel * side and towards >= MIN_STRAIGHT * drift
    return is_far and not goes_back and 1 / limits.wobble <= ratio <= limits.wobble


def _is_still(track: Track, sides: tuple[int, int], limits: Limits) -> bool:
    """Neither moves nor grows; in one frame nothing can be seen to."""
    if not track:
        return False
    first = track[0]
    radii = [sighting.found.radius for sighting in track if sighting.found.radius]
    is_steady = bool(radii) and _ratio(max(radii), min(radii)) <= limits.wobble
    return is_steady and all(_distance(first, s) <= MAX_DRIFT * min(sides) for s in track)


def _ratio(one: float, other: float) -> float:
    return one / other if other else 0.0


def _passes(thing: Thing, tracks: tuple[Track, ...], sides: tuple[int, int]) -> bool:
    """Whether the first moves in some direction from before the second to behind it."""
    passer, passed = tracks
    if not passer or not passed:
        return False
    for direction in thing.motions or DIRECTIONS:
        if _shows(direction, passer, sides, IN_LANES):
            axis = "row" if direction in ("up", "down") else "column"
            gaps = [
                getattr(a.found, axis) - getattr(b.found, axis)
                for a, b in ((passer[0], passed[0]), (passer[-1], passed[-1]))
            ]
            return gaps[0] * gaps[1] < 0
    return False
