"""Draws the solids of the synthetic multi-view world from any side.

Each solid is a ball or a union of convex polyhedra, round ones with many sides. Parallel rays meet
it where they meet the last of the planes that face the camera. Light comes from above the camera's
left shoulder, so that shading turns with the camera and a ball of one colour looks alike from
everywhere. It draws no shadows. oracle.py recognises the solids by other means.
"""

from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from lumina_core.media.worlds.drawing import PALETTE
from lumina_multiview.camera import SPAN, axes
from lumina_multiview.grammar import Scene

BACKGROUND = (24, 24, 28)
AMBIENT, DIFFUSE = 0.45, 0.55  # shares of a colour without light and by light from straight ahead
LIGHT = (-0.4, 0.5, 0.8)  # right, up, towards the camera
SUBSAMPLES = 3  # rays of a pixel along each side
NUM_SIDES = 48  # of a round polyhedron
BALL_RADIUS = 1.15
AXES = {"front_back": (1, -1), "top_bottom": (2, 1), "left_right": (0, -1)}
"""The axis along which a solid is halved, and on which side of it the first half is."""
EPSILON = 1e-6  # a plane that faces the camera less is seen edge-on
MAX_RAYS = 1 << 18  # in memory at once

Directions = Float[Tensor, "_ 3"]


@dataclass(frozen=True)
class Planes:
    """A convex polyhedron: the points x with normals @ x <= offsets."""

    normals: Float[Tensor, "plane 3"]
    offsets: Float[Tensor, "plane"]


def draw_view(
    scene: Scene,
    *,
    scale: float,
    size: tuple[int, int],
    camera: tuple[float, float],
) -> UInt8[Tensor, "3 height width"]:
    """One view of a solid, of one colour or halved by a plane through its middle.

    Args:
        scene: the solid, which leaves no colour open.
        scale: of the solid, in units.
        size: height and width in pixels.
        camera: azimuth and elevation in degrees.
    """
    basis = axes(*camera).float()
    rows = max(1, MAX_RAYS // (size[1] * SUBSAMPLES**2))
    ups, rights = _rays(*size)
    bands = [_drawn(scene, scale, basis, band, rights) for band in ups.split(rows * SUBSAMPLES)]
    return torch.cat(bands, dim=1)


def _drawn(
    scene: Scene,
    scale: float,
    basis: Float[Tensor, "axis 3"],
    ups: Float[Tensor, "ray_row"],
    rights: Float[Tensor, "ray_column"],
) -> UInt8[Tensor, "3 row column"]:
    """Some rows of a view."""
    places = torch.cartesian_prod(ups, rights).flip(1) / scale  # right, up
    depth, normals, is_hit = _hit(scene.shape, basis, places)
    points = torch.cat([places, depth[:, None]], dim=1) @ basis
    paints = [torch.tensor(PALETTE[colour], dtype=torch.float32) for colour in scene.colours]
    painted = paints[0]
    if scene.task in AXES:
        axis, sign = AXES[scene.task]
        painted = torch.where((points[:, axis] * sign > 0)[:, None], *paints)
    light = normalize(torch.tensor(LIGHT), dim=0) @ basis
    brightness = AMBIENT + DIFFUSE * (normals @ light).clamp(min=0)
    pixels = painted * brightness[:, None]
    pixels = torch.where(is_hit[:, None], pixels, torch.tensor(BACKGROUND, dtype=torch.float32))
    grid = rearrange(pixels, "(row column) rgb -> rgb row column", column=len(rights))
    averaged = reduce(
        grid, "rgb (row y) (column x) -> rgb row column", "mean", y=SUBSAMPLES, x=SUBSAMPLES
    )
    return averaged.round().to(torch.uint8)


def _rays(height: int, width: int) -> tuple[Float[Tensor, "ray_row"], Float[Tensor, "ray_column"]]:
    """How far up and to the right of the centre the rays are, in units."""
    unit = SPAN / min(height, width) / SUBSAMPLES
    ups, rights = (
        (torch.arange(side * SUBSAMPLES) + 0.5 - side * SUBSAMPLES / 2) * unit
        for side in (height, width)
    )
    return -ups, rights


def _hit(
    shape: str, basis: Float[Tensor, "axis 3"], places: Float[Tensor, "ray 2"]
) -> tuple[Float[Tensor, "ray"], Directions, Bool[Tensor, "ray"]]:
    """How far towards the camera each ray meets the solid, the normal there, and if it does."""
    if shape == "sphere":
        rest = BALL_RADIUS**2 - places.square().sum(1)
        depth = rest.clamp(min=0).sqrt()
        return depth, torch.cat([places, depth[:, None]], 1) @ basis / BALL_RADIUS, rest > 0
    parts = [_hit_planes(part, basis, places) for part in _solid(shape)]
    depth, normals, is_hit = parts[0]
    for other_depth, other_normals, is_other in parts[1:]:
        is_nearer = is_other & (~is_hit | (other_depth > depth))
        depth = torch.where(is_nearer, other_depth, depth)
        normals = torch.where(is_nearer[:, None], other_normals, normals)
        is_hit = is_hit | is_other
    return depth, normals, is_hit


def _hit_planes(
    solid: Planes, basis: Float[Tensor, "axis 3"], places: Float[Tensor, "ray 2"]
) -> tuple[Float[Tensor, "ray"], Directions, Bool[Tensor, "ray"]]:
    """As `_hit`: a ray leaves through the first plane that faces the camera."""
    turned = solid.normals @ basis.T
    slack = solid.offsets - places @ turned[:, :2].T  # (ray, plane)
    facing = turned[:, 2]
    is_front, is_back = facing > EPSILON, facing < -EPSILON
    exits, which = (slack[:, is_front] / facing[is_front]).min(dim=1)
    entries = (slack[:, is_back] / facing[is_back]).amax(dim=1)
    is_beside = (slack[:, ~is_front & ~is_back] < 0).any(dim=1)
    return exits, solid.normals[is_front][which], (exits > entries) & ~is_beside


@cache
def _solid(shape: str) -> tuple[Planes, ...]:
    """The convex parts of a solid, which reaches about 1 to 1.5 from its centre.

    Their proportions differ, so that four views tell a cylinder from a cube, a cone from a pyramid.
    """
    if shape == "cube":
        return (_box((-0.85, -0.85, -0.85), (0.85, 0.85, 0.85)),)
    if shape == "cylinder":
        return (_tapered(radius=0.7, height=2.1, num_sides=NUM_SIDES, has_apex=False),)
    if shape == "cone":
        return (_tapered(radius=0.95, height=2.2, num_sides=NUM_SIDES, has_apex=True),)
    if shape == "pyramid":
        return (_tapered(radius=0.95, height=1.6, num_sides=4, has_apex=True),)
    return (
        _box((-0.95, -0.6, -0.95), (-0.2, 0.6, 0.95)),
        _box((-0.95, -0.6, -0.95), (0.95, 0.6, -0.2)),
    )


def _box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Planes:
    directions = torch.eye(3)
    normals = torch.cat([directions, -directions])
    return Planes(normals, torch.tensor([*high, *(-value for value in low)]))


def _tapered(*, radius: float, height: float, num_sides: int, has_apex: bool) -> Planes:
    """A prism or pyramid around the vertical; the radius is that of the circle in its base."""
    half = height / 2
    slope = radius / height if has_apex else 0.0  # how much nearer a side comes per unit of height
    angles = [2 * pi * number / num_sides for number in range(num_sides)]
    sides = normalize(torch.tensor([[cos(a), sin(a), slope] for a in angles]), dim=1)
    lengths = (1 + slope**2) ** 0.5
    offset = (slope * half if has_apex else radius) / lengths
    ends = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    return Planes(
        torch.cat([sides, ends]),
        torch.cat([torch.full((num_sides,), offset), torch.full((2,), half)]),
    )
