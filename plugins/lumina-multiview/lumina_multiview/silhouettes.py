"""Which pixels of a view show the object, and how far each is from its outline.

The background is plain: the median colour at the border of the picture. Nothing here knows what an
object is; a shadow on a white floor belongs to it.
"""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from lumina_multiview.camera import SPAN

THRESHOLD = 30.0  # RGB distance from the background; noise of decoders and JPEG stays below 20
MAX_HOLE = 0.02  # of the silhouette: a gloss in the background's colour; a handle's hole is larger
MIN_PART = 0.05  # of the largest part: what is smaller is a speck
SMOOTHING = 0.7  # pixels; 1 would wipe out lines one pixel wide
PURE_DEPTH = 2  # pixels inside the outline; nearer ones may hold background
THIN_WINDOW = 7  # pixels along the side of a window; around a thin part it holds no pure pixel
NEIGHBOURS = 3  # pixels along the side of the window around a pixel


def silhouette_of(view: UInt8[Tensor, "3 height width"]) -> Bool[np.ndarray, "height width"]:
    """True where a picture shows its object; nowhere, where nothing stands out.

    An object that reaches the border continues beyond it. Of pixels at the outline, half object
    and half background, those count that are nearer to their neighbours inside.
    """
    from scipy import ndimage

    contrast = _contrast(view)
    found = contrast > THRESHOLD
    inner = ndimage.binary_erosion(found, np.ones((NEIGHBOURS, NEIGHBOURS)), border_value=1)
    inside = ndimage.maximum_filter(np.where(found, contrast, 0), NEIGHBOURS)
    found &= inner | (contrast > inside / 2)
    if found.all():  # the border has no one colour
        return np.zeros_like(found)
    return _without_holes(_without_specks(found))


def signed_distance(
    silhouette: Bool[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height width"]:
    """Distance of each pixel's centre from the outline in pixels, positive inside, smoothed.

    Args:
        silhouette: of a picture; it has pixels of both kinds.
    """
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(silhouette)
    outside = ndimage.distance_transform_edt(~silhouette)
    signed = np.where(silhouette, inside - 0.5, 0.5 - outside)  # the outline is a pixel's edge
    return ndimage.gaussian_filter(signed, SMOOTHING, mode="nearest").astype(np.float32)


def continued_colours(
    view: UInt8[Tensor, "3 height width"], silhouette: Bool[np.ndarray, "height width"]
) -> Float32[np.ndarray, "3 height width"]:
    """The picture with the colours of its object continued over outline and background.

    Pixels at the outline hold some background and are replaced, too. Parts so thin that they have
    no others keep those in their middle.
    """
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(silhouette)
    is_pure = depth >= PURE_DEPTH
    is_thin = silhouette & ~ndimage.maximum_filter(is_pure, THIN_WINDOW)
    is_pure |= is_thin & (depth == ndimage.maximum_filter(depth, NEIGHBOURS))
    rows, columns = ndimage.distance_transform_edt(
        ~is_pure, return_distances=False, return_indices=True
    )
    return view.numpy()[:, rows, columns].astype(np.float32)


def pixel_of(picture: Float32[np.ndarray, "height width"]) -> float:
    """Units along the side of a pixel."""
    return SPAN / min(picture.shape[-2:])


def values_at(
    picture: Float32[np.ndarray, "height width"],
    right: Float32[np.ndarray, "*places"],
    up: Float32[np.ndarray, "*places"],
) -> Float32[np.ndarray, "*places"]:
    """A picture between its pixels, bilinear; beyond its border it is as at the border.

    Args:
        picture: a value for each pixel.
        right: units from its centre.
        up: units from its centre.
    """
    from scipy import ndimage

    height, width = picture.shape
    pixel = pixel_of(picture)
    places = np.stack([(height - 1) / 2 - up / pixel, (width - 1) / 2 + right / pixel])
    return ndimage.map_coordinates(picture, places, order=1, mode="nearest", output=np.float32)


def _contrast(view: UInt8[Tensor, "3 height width"]) -> Float32[np.ndarray, "height width"]:
    """RGB distance of each pixel from the background."""
    rows, columns = view[:, [0, -1], :], view[:, :, [0, -1]]
    border = torch.cat([rearrange(part, "rgb a b -> rgb (a b)") for part in (rows, columns)], 1)
    background = border.float().median(1).values
    return (view.float() - rearrange(background, "rgb -> rgb 1 1")).norm(dim=0).numpy()


def _without_specks(found: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Without parts much smaller than the largest.

    All others stay: which is the largest may differ from view to view, and no body fits then.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(found, np.ones((NEIGHBOURS, NEIGHBOURS)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # the background
    return (sizes > sizes.max() * MIN_PART)[labels]


def _without_holes(found: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    from scipy import ndimage

    labels, _ = ndimage.label(ndimage.binary_fill_holes(found) & ~found)
    is_small = np.bincount(labels.ravel()) <= MAX_HOLE * found.sum()
    is_small[0] = False  # no hole
    return found | is_small[labels]
