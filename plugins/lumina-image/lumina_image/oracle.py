"""Whether a picture shows what its caption says: measured from the pixels alone.

It shares only the grammar with the renderer; objects are found by
`lumina_core.media.worlds.finding`. It forgives blur, noise and ragged edges; it does not forgive
anything in the picture that nobody asked for.
"""

import math
from collections.abc import Sequence
from itertools import islice, permutations

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.finding import Found, find_objects, is_background

from . import grammar
from .grammar import Scene, Thing

# Half the longer side, as a share of the shorter of the picture: of one object, and among several.
MAX_SMALL, MIN_LARGE = 0.205, 0.302
MAX_SMALL_OF_SEVERAL, MIN_LARGE_OF_SEVERAL = 0.1435, 0.182
MIN_COSINE = 0.7  # between the direction of two groups and the axis of a relation: 45 degrees
MAX_LOOKED_AT = 5  # objects that may be meant: one more than a caption names
_NOTHING = Found(None, None, 0.0, 0.0, 0.0)

Group = Sequence[Found]


def judge(media: UInt8[Tensor, "3 height width"], caption: str) -> dict[str, bool]:
    """Say for each thing that the caption says whether the picture shows it.

    Args:
        media: the picture, RGB.
        caption: a caption of the grammar. What it leaves open is not judged, except that objects
            must have one of the eight colours, and that nothing else may be in the picture.

    Returns:
        A verdict by name: count, then shape_1, colour_1, size_1 and the same for the second and
        third kind of object, position, background, as far as the caption says it. The picture is
        right if all are true.
    """
    scene = grammar.parse(caption)
    objects = find_objects(media)
    is_counted = len(objects) == scene.count and all(found.colour for found in objects)
    verdict = {"count": is_counted} | _judge_things(scene, objects)
    if scene.background:
        verdict["background"] = is_background(media, scene.background)
    return verdict


def _judge_things(scene: Scene, objects: list[Found]) -> dict[str, bool]:
    """Nobody says which object is meant by which name: take the reading that fits best."""
    if len(scene.things) == 1:
        return _judge_groups(scene, [objects or [_NOTHING]])
    largest = sorted(objects, key=lambda found: -found.radius)[:MAX_LOOKED_AT]
    largest += [_NOTHING] * (scene.count - len(largest))
    readings = []
    for order in permutations(largest, scene.count):
        rest = iter(order)
        groups = [list(islice(rest, thing.count)) for thing in scene.things]
        readings.append(_judge_groups(scene, groups))
    return max(readings, key=lambda reading: sum(reading.values()))


def _judge_groups(scene: Scene, groups: Sequence[Group]) -> dict[str, bool]:
    verdict = {}
    for number, (thing, group) in enumerate(zip(scene.things, groups, strict=True), start=1):
        verdict[f"shape_{number}"] = all(found.shape == thing.shape for found in group)
        if thing.colour:
            verdict[f"colour_{number}"] = all(found.colour == thing.colour for found in group)
        if thing.size:
            verdict[f"size_{number}"] = all(_is_sized(thing, scene, found) for found in group)
    if scene.relation:
        verdict["position"] = _stand(scene.relation, *groups)
    return verdict


def _is_sized(thing: Thing, scene: Scene, found: Found) -> bool:
    is_alone = scene.count == 1
    if thing.size == "small":
        return 0 < found.radius < (MAX_SMALL if is_alone else MAX_SMALL_OF_SEVERAL)
    return found.radius > (MIN_LARGE if is_alone else MIN_LARGE_OF_SEVERAL)


def _stand(relation: str, first: Group, second: Group) -> bool:
    """Whether the groups stand so as wholes, and each object of one so to each of the other."""
    if relation == "beside":
        return _stand("left", first, second) or _stand("right", first, second)
    axis = "column" if relation in ("left", "right") else "row"
    before, after = (first, second) if relation in ("left", "above") else (second, first)
    ahead, aside = (
        _mean(after, name) - _mean(before, name)
        for name in (axis, "row" if axis == "column" else "column")
    )
    is_apart = max(getattr(found, axis) for found in before) < min(
        getattr(found, axis) for found in after
    )
    return is_apart and ahead > MIN_COSINE * math.hypot(ahead, aside)


def _mean(group: Group, axis: str) -> float:
    return sum(getattr(found, axis) for found in group) / len(group)
