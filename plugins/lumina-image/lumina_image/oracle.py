"""Whether a picture shows what its caption says: measured from the pixels alone.

It shares only the grammar with the renderer; objects are found by
`lumina_core.media.worlds.finding`. It forgives blur, noise and ragged edges; it does not forgive
anything in the picture that nobody asked for.
"""

import math
from itertools import permutations

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.finding import Found, find_objects, is_background

from . import grammar
from .grammar import Scene, Thing

MAX_SMALL, MIN_LARGE = (
    0.205,
    0.302,
)  # half the longer side, as a share of the shorter of the picture
MIN_COSINE = 0.7  # between the direction of two objects and the axis of a relation: 45 degrees


def judge(media: UInt8[Tensor, "3 height width"], caption: str) -> dict[str, bool]:
    """Say for each thing that the caption says whether the picture shows it.

    Args:
        media: the picture, RGB.
        caption: a caption of the grammar. What it leaves open is not judged, except that objects
            must have one of the eight colours, and that nothing else may be in the picture.

    Returns:
        A verdict by name: count, shape_1, colour_1, shape_2, colour_2, size, position, background,
        as far as the caption says it. The picture is right if all are true.
    """
    scene = grammar.parse(caption)
    objects = find_objects(media)
    is_counted = len(objects) == scene.count and all(found.colour for found in objects)
    verdict = {"count": is_counted} | _judge_things(scene, objects)
    if scene.background:
        verdict["background"] = is_background(media, scene.background)
    return verdict


def _judge_things(scene: Scene, objects: list[Found]) -> dict[str, bool]:
    if len(scene.things) == 1:
        return _judge_alike(scene.things[0], objects)
    # Nobody says which object is meant by which name: take the reading that fits best.
    readings = [_judge_pair(scene, pair) for pair in permutations(objects, 2)]
    nothing = Found(None, None, 0.0, 0.0, 0.0)
    return max(readings, key=lambda reading: sum(reading.values()), default=None) or _judge_pair(
        scene, (*objects, nothing, nothing)[:2]
    )


def _judge_alike(thing: Thing, objects: list[Found]) -> dict[str, bool]:
    """One kind of object, however many: each must be as the caption says."""
    verdict = {"shape_1": _all(found.shape == thing.shape for found in objects)}
    if thing.colour:
        verdict["colour_1"] = _all(found.colour == thing.colour for found in objects)
    if thing.size == "small":
        verdict["size"] = _all(0 < found.radius < MAX_SMALL for found in objects)
    elif thing.size == "large":
        verdict["size"] = _all(found.radius > MIN_LARGE for found in objects)
    return verdict


def _judge_pair(scene: Scene, pair: tuple[Found, ...]) -> dict[str, bool]:
    verdict = {}
    for number, (thing, found) in enumerate(zip(scene.things, pair, strict=True), start=1):
        verdict[f"shape_{number}"] = found.shape == thing.shape
        if thing.colour:
            verdict[f"colour_{number}"] = found.colour == thing.colour
    if scene.relation:
        first, second = pair
        down, right = first.row - second.row, first.column - second.column
        towards = {"left": -right, "right": right, "above": -down, "below": down}[scene.relation]
        verdict["position"] = towards > MIN_COSINE * math.hypot(down, right)
    return verdict


def _all(verdicts) -> bool:
    """Like all(), but false for none: an empty picture shows nothing."""
    verdicts = list(verdicts)
    return bool(verdicts) and all(verdicts)
