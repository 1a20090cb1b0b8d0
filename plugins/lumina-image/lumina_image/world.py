"""The synthetic image world: pictures drawn on the fly at any size, from a caption alone.

Objects stand on slots with jitter, not anywhere: free placement is learned far more slowly. All
lengths are shares of the shorter side, so that a scene looks alike at every size and aspect ratio.
It does not judge pictures: oracle.py does, and shares only the grammar with this file.
"""

import math
from collections.abc import Iterator
from itertools import combinations, islice
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.caption_worlds import UNSEEN_WORDINGS, CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.drawing import BACKGROUND_PALETTE, PALETTE, paint, rgb
from lumina_core.media.worlds.words import FREE_BACKGROUNDS, free_colours

from . import grammar, nearest
from .scenes import MAX_RELATED, Scene, Thing

TASK_WEIGHTS = {
    "one_object": 0.05,
    "two_objects": 0.06,
    "counting": 0.1,
    "colours": 0.08,
    "position": 0.15,
    "colour_attribution": 0.12,
    "next_to": 0.05,
    "background": 0.07,
    "sizes": 0.1,
    "counts_of_two": 0.11,
    "three_objects": 0.11,
}
"""The hard ones, where words have an order, more often."""

# Half the longer side of an object, as a share of the shorter side of the picture: of one alone,
# and of one among several. The gaps between the three ranges are what makes "small" and "large"
# true or false, with no case between. Below .125 a side of 40 pixels leaves less than 5; four of
# .21 still stand apart in it.
RADII = {"small": (0.16, 0.185), None: (0.225, 0.275), "large": (0.33, 0.38)}
RADII_OF_SEVERAL = {"small": (0.125, 0.132), None: (0.156, 0.167), "large": (0.198, 0.21)}
CENTRE_JITTER, SLOT_JITTER = 0.05, 0.03  # each way, as a share of the shorter side
MIN_GAP, MIN_MARGIN = 3, 1  # pixels between two objects, and to the edge of the picture
LINE_ASPECT = 2.0  # from here on three or four have room in a line, before that in two rows

QUARTERS = (0.25, 0.75)  # where two rows or columns have their centres

_TRAINED_SIZES = tuple((side, side) for side in (40, 48, 56, 64, 72, 80, 88, 104, 112)) + tuple(
    size
    for short, long in (
        *((48, 64), (48, 80), (56, 72), (64, 80), (56, 88)),
        *((72, 104), (80, 104), (88, 112)),
        *((40, 72), (40, 80), (40, 96), (48, 104), (40, 112)),  # 1.8 to 2.8
    )
    for size in ((short, long), (long, short))
)
_SIZES = {
    "trained": _TRAINED_SIZES,
    "held_out": _TRAINED_SIZES,
    UNSEEN_WORDINGS: _TRAINED_SIZES,
    "unseen_sizes": ((96, 96), (128, 128)),
    "unseen_aspects": ((40, 128), (128, 40)),
}
_VARIANTS = {
    split: tuple({"height": height, "width": width} for height, width in sizes)
    for split, sizes in _SIZES.items()
}


@runtime_checkable
class Canvas(Protocol):
    """The options of a picture that drawing reads, in pixels."""

    height: int
    width: int


class ImageWorld(CaptionWorld):
    """Captions, the pictures they describe, and the verdict on what claims to be one."""

    name, version = "image", "5"
    grammar, words = grammar, nearest
    split_variants, weights = _VARIANTS, TASK_WEIGHTS

    def draw(
        self, caption: str, options: Canvas, generator: torch.Generator
    ) -> UInt8[Tensor, "3 height width"]:
        """A picture that shows the caption, and chance colours where it names none."""
        scene = grammar.parse(caption)
        height, width = options.height, options.width
        background = scene.background or pick(FREE_BACKGROUNDS, generator)
        canvas = rgb(BACKGROUND_PALETTE[background]).expand(3, height, width).clone()
        for thing, radius, centres in _placed(scene, height, width, generator):
            colour = thing.colour or pick(free_colours(thing.shape, background), generator)
            for centre in centres:
                paint(canvas, thing.shape, PALETTE[colour], centre, radius)
        return canvas.round().to(torch.uint8)

    def judge(
        self, media: UInt8[Tensor, "3 height width"], caption: str, options: object
    ) -> dict[str, bool]:
        """The verdict of the oracle; a picture says all itself."""
        from . import oracle

        return oracle.judge(media, caption)


def _placed(
    scene: Scene, height: int, width: int, generator: torch.Generator
) -> Iterator[tuple[Thing, float, list[tuple[float, float]]]]:
    """Each kind, its radius, and the centres (row, column) of its objects."""
    shorter = min(height, width)
    sizes = RADII if scene.count == 1 else RADII_OF_SEVERAL
    draws = iter(torch.rand(len(scene.things) + 2 * scene.count, generator=generator).tolist())
    radii = [
        shorter * (low + (high - low) * next(draws))
        for low, high in (sizes[thing.size] for thing in scene.things)
    ]
    slots = _slots(scene, height, width)
    jitter = CENTRE_JITTER * shorter if scene.count == 1 else SLOT_JITTER * shorter
    jitter = max(0.0, min(jitter, _room(slots, height, width) - max(radii)))
    places = iter(
        [
            (row + (2 * next(draws) - 1) * jitter, column + (2 * next(draws) - 1) * jitter)
            for row, column in slots
        ]
    )
    for thing, radius in zip(scene.things, radii, strict=True):
        yield thing, radius, list(islice(places, thing.count))


def _room(slots: list[tuple[float, float]], height: int, width: int) -> float:
    """The largest radius of objects on these slots that touch neither each other nor the edge."""
    gaps = [
        max(abs(one[0] - other[0]), abs(one[1] - other[1])) for one, other in combinations(slots, 2)
    ]
    margins = [min(row, height - row, column, width - column) for row, column in slots]
    return min((min(gaps, default=math.inf) - MIN_GAP) / 2, min(margins) - MIN_MARGIN)


def _slots(scene: Scene, height: int, width: int) -> list[tuple[float, float]]:
    """Centres (row, column) of the objects, in the order of the caption.

    The first kind stands to the left or above, unless the caption says otherwise.
    """
    counts = [thing.count for thing in scene.things]
    is_wide = width >= height
    if scene.relation:
        is_wide = scene.relation in ("left", "right", "beside")
    along, across = map(float, (width, height) if is_wide else (height, width))
    is_line = max(height, width) >= LINE_ASPECT * min(height, width)
    if scene.count <= 2:
        slots = _spread(scene.count, along, across / 2)
    elif len(counts) == 2 and max(counts) <= MAX_RELATED:  # each kind in a half of its own
        slots = [
            place[::-1]
            for half, count in zip(QUARTERS, counts, strict=True)
            for place in _spread(count, across, half * along)
        ]
    elif is_line:
        slots = _spread(scene.count, along, across / 2)
    else:
        slots = [(row * height, column * width) for row in QUARTERS for column in QUARTERS]
        if scene.count < len(slots):  # three: two above, one below them in the middle
            slots[2:] = [(slots[2][0], width / 2)]
        return slots
    if scene.relation in ("right", "below"):
        slots = [(along - place, other) for place, other in slots]
    return [(other, place) if is_wide else (place, other) for place, other in slots]


def _spread(count: int, length: float, other: float) -> list[tuple[float, float]]:
    """Places at equal distances along a length, all at one place along the other axis."""
    return [((2 * index + 1) / (2 * count) * length, other) for index in range(count)]
