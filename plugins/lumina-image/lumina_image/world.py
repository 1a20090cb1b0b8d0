"""The synthetic image world: pictures drawn on the fly at any size, from a caption alone.

Objects stand on slots with jitter, not anywhere: free placement is learned far more slowly. All
lengths are shares of the shorter side, so that a scene looks alike at every size and aspect ratio.
It does not judge pictures: oracle.py does, and shares only the grammar with this file.
"""

import math
from functools import cache
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core import LuminaError

from . import grammar, oracle
from .grammar import Scene

PALETTE = {
    "red": (220, 40, 45),
    "green": (60, 200, 80),
    "blue": (50, 100, 240),
    "yellow": (250, 230, 50),
    "purple": (160, 60, 210),
    "orange": (245, 130, 20),
    "white": (250, 250, 250),
    "grey": (150, 150, 150),
}
"""RGB of the named colours, at least 100 apart from each other, so that blur mixes up no two."""
BACKGROUND_PALETTE = {
    "black": (12, 12, 12),
    "navy": (14, 14, 80),
    "brown": (68, 38, 16),
    "teal": (0, 66, 58),
}
"""At least 50 apart from each other and 140 from every colour of an object."""

TASK_WEIGHTS = {
    "one_object": 0.08,
    "two_objects": 0.15,
    "counting": 0.17,
    "colours": 0.15,
    "position": 0.23,
    "colour_attribution": 0.22,
}
"""How often training draws each task: the hard ones (where words have an order) more often."""

# Half the longer side of an object, as a share of the shorter side of the picture. The gaps between
# the three ranges are what makes "small" and "large" true or false, with no case between.
RADII = {"small": (0.16, 0.185), None: (0.225, 0.275), "large": (0.33, 0.38)}
SLOT_RADII = (0.16, 0.2)  # of one among several; below .16 a 32 pixel side leaves 5 pixels
CENTRE_JITTER, SLOT_JITTER = 0.05, 0.03  # each way, as a share of the shorter side
MIN_GAP, MIN_MARGIN = 3, 1  # pixels between two objects, and to the edge of the picture
MIN_SPREAD = 0.9  # sizes still vary by a tenth where four in a line of 80 pixels leave little room
LINE_ASPECT = 1.6  # from here on three or four stand in a line, before that in two rows

QUARTERS = (0.25, 0.75)  # where two rows or columns have their centres

RING_HOLE = 0.52  # of the radius: a hole of 5 pixels in the smallest ring
CROSS_ARM = 0.38  # half width of an arm, of the radius
STAR_POINTS = 5
STAR_WAIST = 0.45  # inner radius of the outer; a pentagram's .38 loses its points at 5 pixels
SNOWMAN_BODY, SNOWMAN_HEAD = 0.62, 0.46  # radii of the two balls; they overlap by .16

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


@runtime_checkable
class Canvas(Protocol):
    """The options of a picture that drawing reads, in pixels."""

    height: int
    width: int


class ImageWorld:
    """Captions, the pictures they describe, and the verdict on what claims to be one."""

    version = "3"
    splits = tuple(_SIZES)

    def tasks(self, split: str) -> tuple[str, ...]:
        """The tasks of a split; where no colour is named, none can be held out."""
        return grammar.HELD_OUT_TASKS if split == "held_out" else grammar.TASKS

    def caption(self, split: str, generator: torch.Generator, task: str | None = None) -> str:
        """Draw a caption.

        Args:
            split: one of `splits`; only "held_out" names combinations that training never shows.
            generator: where the randomness comes from.
            task: one of `tasks(split)`; None draws it by TASK_WEIGHTS.

        Raises:
            LuminaError: the split is unknown, or the task has no captions in it.
        """
        _check_split(split)
        if task is None:
            tasks = self.tasks(split)
            weights = torch.tensor([TASK_WEIGHTS[name] for name in tasks])
            task = tasks[int(torch.multinomial(weights, 1, generator=generator))]
        return grammar.caption_of(grammar.sample_scene(generator, split, task), generator)

    def task_of(self, caption: str) -> str:
        """The task that a caption belongs to. Raises LuminaError if it belongs to none."""
        return grammar.parse(caption).task

    def variants(self, split: str) -> tuple[dict[str, int], ...]:
        """The sizes of a split's pictures, as options. Raises LuminaError for an unknown split."""
        _check_split(split)
        return tuple({"height": height, "width": width} for height, width in _SIZES[split])

    def draw(
        self, caption: str, options: Canvas, generator: torch.Generator
    ) -> UInt8[Tensor, "3 height width"]:
        """Draw what the caption says, and choose at random what it leaves open.

        A free colour never makes a held-out pair: only a caption that names one shows it.
        """
        scene = grammar.parse(caption)
        height, width = options.height, options.width
        background = scene.background or grammar.pick(grammar.BACKGROUNDS, generator)
        canvas = _rgb(BACKGROUND_PALETTE[background]).expand(3, height, width).clone()
        centres, radius = _place(scene, height, width, generator)
        shared = _colour(scene.things[0], generator)
        for index, centre in enumerate(centres):
            thing = scene.things[min(index, len(scene.things) - 1)]
            is_another_kind = 0 < index < len(scene.things)
            colour = _colour(thing, generator) if is_another_kind else shared
            _paint(canvas, thing.shape, PALETTE[colour], centre, radius)
        return canvas.round().to(torch.uint8)

    def judge(self, media: UInt8[Tensor, "3 height width"], caption: str) -> dict[str, bool]:
        """Say for each thing that the caption says whether the picture shows it."""
        return oracle.judge(media, caption)


def _check_split(split: str) -> None:
    if split not in _SIZES:
        raise LuminaError(
            f"The image world has no split {split!r}; choose one of {', '.join(_SIZES)}."
        )


def _colour(thing: grammar.Thing, generator: torch.Generator) -> str:
    if thing.colour:
        return thing.colour
    trained = [name for name in PALETTE if (name, thing.shape) not in grammar.HELD_OUT_PAIRS]
    return grammar.pick(trained, generator)


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


def _paint(
    canvas: Float[Tensor, "3 height width"],
    shape: str,
    colour: tuple[int, int, int],
    centre: tuple[float, float],
    radius: float,
) -> None:
    """Draw one object onto the canvas, in place, touching only the pixels around it."""
    (row, column), reach = centre, radius + 1
    rows = slice(max(0, math.floor(row - reach)), math.ceil(row + reach))
    columns = slice(max(0, math.floor(column - reach)), math.ceil(column + reach))
    crop = canvas[:, rows, columns]
    y = torch.arange(rows.start, rows.start + crop.shape[1]) + (0.5 - row)
    x = torch.arange(columns.start, columns.start + crop.shape[2]) + (0.5 - column)
    distance = _signed_distance(shape, y[:, None], x[None, :], radius)
    coverage = (0.5 - distance).clamp(0, 1)
    crop += coverage * (_rgb(colour) - crop)


def _signed_distance(
    shape: str, y: Float[Tensor, "row 1"], x: Float[Tensor, "1 column"], radius: float
) -> Float[Tensor, "row column"]:
    """Pixels to the outline, negative inside; y and x are seen from the centre, y downwards."""
    if shape == "circle":
        return torch.hypot(y, x) - radius
    if shape == "ring":
        inner = RING_HOLE * radius
        return (torch.hypot(y, x) - (radius + inner) / 2).abs() - (radius - inner) / 2
    if shape == "snowman":
        body, head = SNOWMAN_BODY * radius, SNOWMAN_HEAD * radius
        lower = torch.hypot(y - (radius - body), x) - body
        upper = torch.hypot(y + (radius - head), x) - head
        return torch.minimum(lower, upper)
    return _polygon_distance(_outline(shape) * radius, y, x)


def _polygon_distance(
    corners: Float[Tensor, "corner 2"], y: Float[Tensor, "row 1"], x: Float[Tensor, "1 column"]
) -> Float[Tensor, "row column"]:
    """Distance to the nearest edge; inside where a ray to the right crosses an odd number."""
    start_y, start_x = rearrange(corners, "corner yx -> yx corner 1 1")
    edge_y, edge_x = rearrange(corners.roll(-1, 0) - corners, "corner yx -> yx corner 1 1")
    to_y, to_x = y - start_y, x - start_x
    along = ((to_y * edge_y + to_x * edge_x) / (edge_y**2 + edge_x**2)).clamp(0, 1)
    distance = torch.hypot(to_y - along * edge_y, to_x - along * edge_x).amin(0)
    is_between = (to_y < 0) != (to_y < edge_y)
    is_crossed = is_between & (to_x * edge_y.abs() < to_y * edge_x * edge_y.sign())
    return torch.where(is_crossed.sum(0) % 2 == 1, -distance, distance)


@cache
def _outline(shape: str) -> Float[Tensor, "corner 2"]:
    """Corners (y down, x) of a polygon whose bounding box has the longer side 2 and centre 0."""
    if shape == "square":
        corners = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
    elif shape == "triangle":
        corners = [(-math.sqrt(3), 0), (0, 1), (0, -1)]
    elif shape == "cross":
        a = CROSS_ARM
        corners = [(-a, -a), (-1, -a), (-1, a), (-a, a), (-a, 1), (a, 1)]
        corners += [(-y, -x) for y, x in corners]  # the other half, turned by 180 degrees
    else:
        radii = (1, STAR_WAIST) * STAR_POINTS
        angles = [math.pi * index / STAR_POINTS for index in range(len(radii))]
        corners = [(-r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]
    outline = torch.tensor(corners, dtype=torch.float32)
    low, high = outline.amin(0), outline.amax(0)
    return (outline - (low + high) / 2) / ((high - low).amax() / 2)


@cache
def _rgb(colour: tuple[int, int, int]) -> Float[Tensor, "3 1 1"]:
    return rearrange(torch.tensor(colour, dtype=torch.float32), "rgb -> rgb 1 1")
