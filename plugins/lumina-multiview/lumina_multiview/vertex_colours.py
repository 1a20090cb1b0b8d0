"""Which colour each vertex of a mesh has in the views that see it best.

Shading stays in: the colours are those of the pictures, from where the light was.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from lumina_core.media.pixels import MAX_LEVEL
from lumina_multiview.picture_reading import Pictures
from lumina_multiview.silhouettes import continued_colours, values_at

Vertices = Float32[np.ndarray, "vertex xyz"]
Faces = Int64[np.ndarray, "face corner"]
"""Numbers of vertices, counterclockwise as seen from outside."""
Axes = Float32[np.ndarray, "view axis xyz"]
"""Right, up and towards of each camera."""

SHARPNESS = 6  # power of the cosine: high is crisp where views differ, low has no seams
MIN_FACING = 0.1  # cosine; from flatter than this no view counts as one that sees a vertex
BUFFER_CELLS = 2.0  # side of a pixel of the depth buffer: vertices lie closer, so it has no gaps
SLACK_CELLS = 2.0  # by which a vertex may lie behind the nearest one and still be seen


def colours_of(
    vertices: Vertices,
    faces: Faces,
    views: Pictures,
    silhouettes: list[Bool[np.ndarray, "height width"]],
    cameras: Axes,
    *,
    cell: float,
) -> UInt8[np.ndarray, "vertex rgb"]:
    """Mean of the views that see a vertex, weighted by max(0, normal . towards)^SHARPNESS.

    What no view sees has the colour of the nearest vertex that one does.

    Args:
        vertices: in units.
        faces: their corners, counterclockwise as seen from outside.
        views: pictures.
        silhouettes: where each shows the object.
        cameras: right, up and towards of each view.
        cell: units; the longest edge of a face is not much longer.
    """
    normals = normals_of(vertices, faces)
    total = np.zeros((len(vertices), 3), dtype=np.float32)
    weight = np.zeros((len(vertices), 1), dtype=np.float32)
    for view, silhouette, camera in zip(views, silhouettes, cameras, strict=True):
        right, up, depth = (vertices @ camera.T).T
        facing = normals @ camera[2]
        is_seen = (facing > MIN_FACING) & _in_front(right, up, depth, facing, cell)
        seen = (is_seen * facing**SHARPNESS)[:, None]
        picture = continued_colours(view, silhouette)
        total += seen * np.stack([values_at(level, right, up) for level in picture], 1)
        weight += seen
    colours = total / np.maximum(weight, MIN_FACING**SHARPNESS)
    levels = np.clip(np.round(colours), 0, MAX_LEVEL).astype(np.uint8)
    return levels[_nearest_seen(vertices, weight[:, 0] > 0)]


def normals_of(vertices: Vertices, faces: Faces) -> Vertices:
    """Unit vectors outward: of each vertex the mean of its faces', weighted by their areas."""
    a, b, c = (vertices[corner] for corner in faces.T)
    doubled = np.cross(b - a, c - a).astype(np.float64)
    sums = [
        np.bincount(faces.ravel(), np.repeat(part, faces.shape[1]), len(vertices))
        for part in doubled.T
    ]
    normals = np.stack(sums, 1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def _in_front(
    right: Float32[np.ndarray, "vertex"],
    up: Float32[np.ndarray, "vertex"],
    depth: Float32[np.ndarray, "vertex"],
    facing: Float32[np.ndarray, "vertex"],
    cell: float,
) -> Bool[np.ndarray, "vertex"]:
    """Whether no other vertex hides one: a depth buffer whose pixels are BUFFER_CELLS wide.

    Within a pixel a slanted surface may itself be nearer, by the diagonal times its slope.
    """
    size = BUFFER_CELLS * cell
    columns, rows = (((axis - axis.min()) / size).astype(int) for axis in (right, up))
    nearest = np.full((rows.max() + 1, columns.max() + 1), -np.inf, dtype=np.float32)
    np.maximum.at(nearest, (rows, columns), depth)
    slope = np.sqrt(np.maximum(1 - facing**2, 0)) / np.maximum(facing, MIN_FACING)
    return depth >= nearest[rows, columns] - SLACK_CELLS * cell - size * 2**0.5 * slope


def _nearest_seen(
    vertices: Vertices, is_seen: Bool[np.ndarray, "vertex"]
) -> Int64[np.ndarray, "vertex"]:
    """The number of each vertex that some view sees; of another, that of the nearest such."""
    from scipy.spatial import KDTree

    numbers = np.arange(len(vertices))
    if is_seen.all() or not is_seen.any():
        return numbers
    _, nearest = KDTree(vertices[is_seen]).query(vertices[~is_seen])
    numbers[~is_seen] = numbers[is_seen][nearest]
    return numbers
