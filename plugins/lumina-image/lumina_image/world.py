"""The synthetic image world: pictures drawn on the fly at any size, from a caption alone.

Objects stand on slots with jitter, not anywhere: free placement is learned far more slowly. All
lengths are shares of the shorter side, so that a scene looks alike at every size and aspect ratio.
It does not judge pictures: oracle.py does, and shares only the grammar with this file.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.caption_worlds import CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.drawing import BACKGROUND_PALETTE, PALETTE, paint, rgb
from lumina_core.media.worlds.words import FREE_BACKGROUNDS, free_colours

from . import grammar, nearest, oracle
from .grammar import Scene

TASK_WEIGHTS = {
    "one_object": 0.08,
    "two_objects": 0.15,
    "counting": 0.17,
    "colours": 0.15,
    "position": 0.23,
    "colour_attribution": 0.22,
}
"""The hard ones, where words have an order, more often."""

# Half the longer side of an object, as a share of the shorter side of the picture. The gaps between
# the three ranges are what makes "small" and "large" true or false, with no case between.
RADII = {"small": (0.16, 0.185), None: (0.225, 0.275), "large": (0.33, 0.38)}
SLOT_RADII = (0.16, 0.2)  # of one among several; below .16 a 32 pixel side leaves 5 pixels
CENTRE_JITTER, SLOT_JITTER = 0.05, 0.03  # each way, as a share of the shorter side
MIN_GAP, MIN_MARGIN = 3, 1  # pixels between two objects, and to the edge of the picture
MIN_SPREAD = 0.9  # sizes still vary by a tenth where four in a line of 80 pixels leave little room
LINE_ASPECT = 1.6  # from here on three or four stand in a line, before that in two rows

QUARTERS = (0.25, 0.75)  # where two rows or columns have their centres

_TRAINED_SIZES = tuple((side, side) for side in (32, 48, 56, 64, 72, 80, 88, 104, 112)) + tuple(
    size
    for short, long in (
        *((48, 64), (48, 80), (56, 72), (64, 80), (56, 88)),
        *((72, 104), (80, 104), (88, 112)),
        *((32, 64), (40, 72), (32, 80), (40, 96), (32, 96), (48, 104), (40, 112)),  # 1.8 to 3
    )
    for size in ((short, long), (long, short))
)
_SIZES = {
    "trained": _TRAINED_SIZES,
    "held_out": _TRAINED_SIZES,
    "unseen_sizes": ((96, 96), (128, 128)),
    "unseen_aspects": ((32, 128), (128, 32)),
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

    name, version = "image", "4"
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
        centres, radius = _place(scene, height, width, generator)
        shared = _colour(scene.things[0], scene, generator)
        for index, centre in enumerate(centres):
            thing = scene.things[min(index, len(scene.things) - 1)]
            is_another_kind = 0 < index < len(scene.things)
            colour = _colour(thing, scene, generator) if is_another_kind else shared
            paint(canvas, thing.shape, PALETTE[colour], centre, radius)
        return canvas.round().to(torch.uint8)

    def judge(
        self, media: UInt8[Tensor, "3 height width"], caption: str, options: object
    ) -> dict[str, bool]:
        """The verdict of the oracle; a picture says all itself."""
        return oracle.judge(media, caption)


def _colour(thing: grammar.Thing, scene: Scene, generator: torch.Generator) -> str:
    if thing.colour:
        return thing.colour
    return pick(free_colours(thing.shape, scene.background), generator)


def _place(
    scene: Scene, height: int, width: int, generator: torch.Generator
) -> tuple[list[tuple[float, float]], float]:
    """The centres (row, column) of the objects in the caption's order, and their common radius."""
    shorter = min(height, width)
    slots, spacing, margin = _slots(scene, height, width)
    if len(slots) == 1:
        jitter, (low, high) = CENTRE_JITTER * shorter, RADII[scene.things[0].size]
    else:
        jitter, (low, high) = SLOT_JITTER * shorter, SLOT_RADII
        room = min((spacing - MIN_GAP) / 2, margin - MIN_MARGIN) - jitter
        high = min(high, room / shorter)
        low = min(low, MIN_SPREAD * high)
    draws = torch.rand(1 + 2 * len(slots), generator=generator).tolist()
    radius = (low + (high - low) * draws[0]) * shorter
    centres = [
        (row + (2 * down - 1) * jitter, column + (2 * across - 1) * jitter)
        for (row, column), down, across in zip(slots, draws[1::2], draws[2::2], strict=True)
    ]
    return centres, radius


def _slots(scene: Scene, height: int, width: int) -> tuple[list[tuple[float, float]], float, float]:
    """The slots' centres (row, column), the least distance of two, and the least to the edge."""
    count = scene.count
    is_wide = width >= height
    if scene.relation:
        is_wide = scene.relation in ("left", "right")
    is_line = count <= 2 or max(height, width) >= LINE_ASPECT * min(height, width)
    if not is_line:
        slots = [(row * height, column * width) for row in QUARTERS for column in QUARTERS]
        if count < len(slots):  # three: two above, one below them in the middle
            slots[2:] = [(slots[2][0], width / 2)]
        spacing = min(height, width) / 2
        return slots, spacing, spacing / 2
    along = width if is_wide else height
    steps = [(2 * index + 1) / (2 * count) * along for index in range(count)]
    if scene.relation in ("right", "below"):
        steps.reverse()
    slots = [(height / 2, step) if is_wide else (step, width / 2) for step in steps]
    return slots, along / count, along / (2 * count)
