"""The visual hull: the largest body that looks from every side as the views show it.

Hollows that no outline shows, such as the inside of a bowl, are filled. Where no view looks along
a flat top or bottom it gets a roof or a foot: views from one elevation e leave one as steep as e.
Units and axes are the cameras': z up, the front towards negative y. How vertices get their colours
stands in vertex_colours.py.

Source: Laurentini, The visual hull concept for silhouette-based image understanding, PAMI 1994.
Carved in a grid of distances instead of yes and no, whose surface is smooth.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from lumina_core import LuminaError
from lumina_multiview.camera import axes
from lumina_multiview.options import DEFAULT_VIEWS, listed, wrapped
from lumina_multiview.picture_reading import Pictures
from lumina_multiview.silhouettes import pixel_of, signed_distance, silhouette_of, values_at
from lumina_multiview.vertex_colours import Axes, Faces, Vertices, colours_of

MIN_VIEWS = 3  # different azimuths
MIN_SPREAD = 40.0  # degrees; the hull of a ball is then at most 1 / sin 40 = 1.56 times as deep
NUM_LINES = 2000  # that are tried as the line nearest to all lines of sight, 5 degrees apart
REACHES = (1.0, 0.1, 0.01)  # around the best of them; finds it within a tenth of a degree
GOLDEN_TURN = 2.399963  # radians between neighbours of a spiral of even points on a ball
MIN_CELLS, MAX_CELLS = 64, 128  # of the grid along the longest side of the object
COARSE_CELLS = 32  # of the grid that finds where the object is
NUM_SEARCHES = 3  # each in the box that the last one found
NEVER_ZERO = 0.05  # cells; a surface through a node of the grid has faces without area


@dataclass(frozen=True)
class Mesh:
    """A closed surface of one body; faces turn counterclockwise as seen from outside."""

    vertices: Vertices
    """Units of the cameras, z up."""
    faces: Faces
    """Numbers of vertices."""
    colours: UInt8[np.ndarray, "vertex rgb"]
    """As in the pictures: sRGB."""


@dataclass(frozen=True)
class Grid:
    """Nodes at equal distances, and how far each is inside."""

    start: Float32[np.ndarray, "xyz"]
    """Coordinates of the first node, in units."""
    cell: float
    """Units between neighbours."""
    depths: Float32[np.ndarray, "x y z"]
    """Units from the surface, positive inside."""


def carve(
    views: Pictures,
    azimuths: tuple[float, ...],
    elevations: tuple[float, ...],
) -> Mesh:
    """The largest body of the visual hull, watertight, coloured as the views show it.

    An object that a picture cuts continues beyond its border as far as a view from the front
    would reach.

    Args:
        views: pictures before a plain background.
        azimuths: of each view, in degrees.
        elevations: of each view, in degrees.

    Raises:
        LuminaError: as `check_views`, or a view shows no object, or the views contradict each
            other.
        ValueError: the numbers of views and angles differ.
    """
    check_views(azimuths, elevations)
    cameras = _cameras(azimuths, elevations)
    if len(views) != len(cameras):
        raise ValueError(f"{len(views)} views have {len(cameras)} cameras")
    views = views.cpu()
    silhouettes = [silhouette_of(view) for view in views]
    for number, silhouette in enumerate(silhouettes, start=1):
        if not silhouette.any():
            raise LuminaError(
                f"view {number} of {len(views)} shows nothing that stands out from a plain "
                "background, so no mesh can be carved; ask for another seed or another prompt"
            )
    distances = [signed_distance(silhouette) for silhouette in silhouettes]
    grid = _carved(distances, cameras)
    vertices, faces = _largest_body(*_surface(grid))
    colours = colours_of(vertices, faces, views, silhouettes, cameras, cell=grid.cell)
    return Mesh(vertices, faces, colours)


def check_views(azimuths: tuple[float, ...], elevations: tuple[float, ...]) -> None:
    """Refuse views from too few sides: the hull would be far too deep along some line of sight.

    Opposite views have the same outline, mirrored; so what counts is how far the lines of sight
    spread. A ball carved by views that all lie within an angle a of one line is 1 / sin(a) times
    as deep along it as it is wide.

    Args:
        azimuths: of each view, in degrees.
        elevations: of each view, in degrees.

    Raises:
        LuminaError: fewer than MIN_VIEWS different azimuths, or lines of sight that all lie within
            MIN_SPREAD degrees of one.
    """
    different = {round(wrapped(azimuth), 3) for azimuth in azimuths}
    got = f"[{listed([round(azimuth, 1) for azimuth in azimuths])}]"
    advice = f"use modality.azimuths=null with modality.views={DEFAULT_VIEWS}"
    if len(different) < MIN_VIEWS:
        raise LuminaError(
            f"views from azimuths {got} are of {len(different)} different sides; a mesh needs "
            f"{MIN_VIEWS} or more: {advice}"
        )
    spread = _spread(_cameras(azimuths, elevations)[:, 2])
    if spread < MIN_SPREAD:
        raise LuminaError(
            f"views from azimuths {got} at elevations from {min(elevations):g} to "
            f"{max(elevations):g} all look along one line, give or take {spread:.0f} degrees; a "
            f"mesh needs {MIN_SPREAD:g} or more: {advice} and modality.elevation between -45 and 45"
        )


def _cameras(azimuths: tuple[float, ...], elevations: tuple[float, ...]) -> Axes:
    """Right, up and towards of each view."""
    pairs = zip(azimuths, elevations, strict=True)
    return torch.stack([axes(*angles).float() for angles in pairs]).numpy()


def _spread(sights: Float32[np.ndarray, "view xyz"]) -> float:
    """Degrees by which lines of sight leave the line that is nearest to all of them."""
    numbers = np.arange(NUM_LINES)
    heights, turns = 1 - 2 * numbers / NUM_LINES, GOLDEN_TURN * numbers
    radii = np.sqrt(1 - heights**2)
    even = np.stack([radii * np.cos(turns), radii * np.sin(turns), heights], 1)
    best = np.zeros(3)
    for reach in REACHES:  # everywhere, then about the best
        lines = best + reach * even
        lines /= np.linalg.norm(lines, axis=1, keepdims=True)
        farthest = np.abs(lines @ sights.T).min(1)  # the cosine of each line's farthest sight
        best = lines[farthest.argmax()]
    return float(np.degrees(np.arccos(min(farthest.max(), 1))))


def _carved(
    distances: list[Float32[np.ndarray, "height width"]],
    cameras: Axes,
) -> Grid:
    """A grid around the object, MIN_CELLS to MAX_CELLS long."""
    height, width = distances[0].shape
    pixel = pixel_of(distances[0])
    top = np.array([width, width, height], dtype=np.float32) * pixel / 2
    low, high = -top, top
    for _ in range(NUM_SEARCHES):
        grid = _grid(low, high, float((high - low).max()) / COARSE_CELLS, distances, cameras)
        # nothing changes faster than by two cells from a node to the farthest point around it
        found = np.argwhere(grid.depths > -2 * grid.cell)
        if not len(found):
            raise _contradiction()
        low = np.maximum(grid.start + found.min(0) * grid.cell, -top).astype(np.float32)
        high = np.minimum(grid.start + found.max(0) * grid.cell, top).astype(np.float32)
        if (low >= high).any():  # it only continues beyond the pictures
            raise _contradiction()
    size = float((high - low).max())
    num_cells = min(max(round(size / pixel), MIN_CELLS), MAX_CELLS)
    return _grid(low, high, size / num_cells, distances, cameras)


def _contradiction() -> LuminaError:
    return LuminaError(
        "no body looks like all of the views, so no mesh can be carved; they show different "
        "objects or contradict each other: ask for another seed or for fewer views"
    )


def _grid(
    low: Float32[np.ndarray, "xyz"],
    high: Float32[np.ndarray, "xyz"],
    cell: float,
    distances: list[Float32[np.ndarray, "height width"]],
    cameras: Axes,
) -> Grid:
    """Nodes from one cell below `low` to at least one above `high`; depth = min over views."""
    start = low - np.float32(cell)
    counts = np.ceil((high - low) / cell).astype(int) + 3  # two around, one more than cells
    pixel = pixel_of(distances[0])
    depths = np.full(counts, np.inf, dtype=np.float32)
    for distance, (right, up, _) in zip(distances, cameras, strict=True):
        along = [_along(axis, start, cell, counts) for axis in (right, up)]
        np.minimum(depths, pixel * values_at(distance, *along), out=depths)
    return Grid(start, cell, depths)


def _along(
    direction: Float32[np.ndarray, "xyz"],
    start: Float32[np.ndarray, "xyz"],
    cell: float,
    counts: Int64[np.ndarray, "xyz"],
) -> Float32[np.ndarray, "x y z"]:
    """How far each node of a grid lies in a direction, in units."""
    parts = [
        np.float32(part) * (first + np.float32(cell) * np.arange(count, dtype=np.float32))
        for part, first, count in zip(direction, start, counts, strict=True)
    ]
    x, y, z = np.ix_(*parts)
    return x + y + z


def _surface(
    grid: Grid,
) -> tuple[Vertices, Faces]:
    """Where the depth is 0, closed where the grid ends.

    Raises:
        LuminaError: there is nothing inside.
    """
    from skimage.measure import marching_cubes

    cells = np.full_like(grid.depths, -1)  # in cells; the sides of the grid are outside
    inner = (slice(1, -1),) * cells.ndim
    cells[inner] = np.clip(grid.depths[inner] / grid.cell, -1, 1)
    if not (cells > 0).any():
        raise _contradiction()
    cells = np.where(np.abs(cells) < NEVER_ZERO, np.where(cells > 0, 1, -1) * NEVER_ZERO, cells)
    # "ascent" is scikit-image's name for what is larger inside
    vertices, faces, _, _ = marching_cubes(cells, 0.0, gradient_direction="ascent")
    return (grid.start + vertices * grid.cell).astype(np.float32), faces.astype(np.int64)


def _largest_body(
    vertices: Vertices, faces: Faces
) -> tuple[Float32[np.ndarray, "kept xyz"], Int64[np.ndarray, "kept_face corner"]]:
    """The connected surface around the most volume, and only its vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other, third = faces.T
    ends = np.concatenate([one, other]), np.concatenate([other, third])
    edges = coo_matrix((np.ones(len(ends[0])), ends), shape=(len(vertices),) * 2)
    _, labels = connected_components(edges, directed=False)
    a, b, c = vertices[one], vertices[other], vertices[third]
    volumes = np.bincount(labels[one], (a * np.cross(b, c)).sum(1))  # six times too large
    is_kept = labels == volumes.argmax()
    numbers = np.cumsum(is_kept) - 1
    return vertices[is_kept], numbers[faces[is_kept[one]]]
