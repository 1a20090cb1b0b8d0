"""Draws flat coloured shapes: what the synthetic worlds of pictures and of clips are made of.

finding.py recognises them again, and shares only the words with this file.
"""

import math
from functools import cache

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

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
    "white": (250, 250, 250),
    "grey": (88, 88, 88),
    "red": (160, 10, 20),
    "green": (15, 130, 35),
    "blue": (20, 60, 175),
    "yellow": (255, 240, 120),
    "purple": (92, 20, 125),
    "orange": (255, 136, 0),
}
"""At least 58 apart from each other and 107 from every colour of an object that is named otherwise.
Those that share a name are darker or paler, to leave room for their neighbours."""

RING_HOLE = 0.52  # of the radius: a hole of 5 pixels in the smallest ring
CROSS_ARM = 0.38  # half width of an arm, of the radius
STAR_POINTS = 5
STAR_WAIST = 0.45  # inner radius of the outer; a pentagram's .38 loses its points at 5 pixels
SNOWMAN_BODY, SNOWMAN_HEAD = 0.62, 0.46  # radii of the two balls; they overlap by .16


def paint(
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
    crop += coverage * (rgb(colour) - crop)


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
    corners: list[tuple[float, float]]
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
def rgb(colour: tuple[int, int, int]) -> Float[Tensor, "3 1 1"]:
    """A colour as a picture of one pixel, to be expanded."""
    return rearrange(torch.tensor(colour, dtype=torch.float32), "rgb -> rgb 1 1")
