"""A given picture on a canvas: filling a mask, extending a picture, starting from one.

What is not known is filled from the nearest known pixel before encoding, so that the cells beside
it see a smooth continuation and nothing of what is to be replaced.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor

from lumina_core import LuminaError
from lumina_image.options import ImageCondition
from lumina_image.picture_files import Picture

MASK_LEVEL = 128  # of 255: from here on a pixel of the mask is white


def place(
    wanted: ImageCondition,
    read: Callable[[Path], Picture],
    canvas: tuple[int, int],
    unit: int,
) -> tuple[Picture, Bool[Tensor, "height width"]]:
    """Put the given picture on a canvas.

    Args:
        wanted: files and offset.
        read: gives the picture of a file.
        canvas: height and width in pixels.
        unit: pixels of a token along each axis; an image in a larger canvas stands on multiples.

    Returns:
        The canvas, filled throughout, and which of its pixels are given: all of them where there
        is a picture but no mask.

    Raises:
        LuminaError: a picture that is larger than the canvas or leaves it, or a mask of another
            size or without a white pixel.
    """
    assert wanted.image is not None  # checked by the record
    image = read(Path(wanted.image))
    known = torch.ones(image.shape[1:], dtype=torch.bool)
    if wanted.mask is not None:
        known = _kept(wanted, read, image)
    top, left = _offset(wanted, image, canvas, unit)
    picture = torch.zeros(3, *canvas, dtype=torch.uint8)
    given = torch.zeros(canvas, dtype=torch.bool)
    rows, columns = slice(top, top + image.shape[1]), slice(left, left + image.shape[2])
    picture[:, rows, columns] = image
    given[rows, columns] = known
    return _filled(picture, given), given


def _kept(
    wanted: ImageCondition, read: Callable[[Path], Picture], image: Picture
) -> Bool[Tensor, "height width"]:
    mask = read(Path(str(wanted.mask)))
    if mask.shape != image.shape:
        raise LuminaError(
            f"condition.mask={wanted.mask} is {_size(mask)}, the image {_size(image)} (height x "
            "width); make them the same size"
        )
    kept = mask.amax(dim=0) < MASK_LEVEL
    if kept.all():
        raise LuminaError(
            f"condition.mask={wanted.mask} has no white pixel, so nothing is to be filled; paint "
            "white what is to be filled"
        )
    return kept


def _offset(
    wanted: ImageCondition, image: Picture, canvas: tuple[int, int], unit: int
) -> tuple[int, int]:
    room = [size - own for size, own in zip(canvas, image.shape[1:], strict=True)]
    if min(room) < 0:
        legal = [-(-size // unit) * unit for size in image.shape[1:]]
        raise LuminaError(
            f"condition.image={wanted.image} is {_size(image)} (height x width), larger than the "
            f"picture of {canvas[0]}x{canvas[1]}; add modality.height={legal[0]} "
            f"modality.width={legal[1]}, or make the image smaller"
        )
    if wanted.offset is None:
        return room[0] // 2 // unit * unit, room[1] // 2 // unit * unit
    top, left = wanted.offset
    if top > room[0] or left > room[1]:
        raise LuminaError(
            f"condition.offset={list(wanted.offset)} moves the image of {_size(image)} out of the "
            f"picture of {canvas[0]}x{canvas[1]}; use at most {room}"
        )
    return top, left


def _filled(picture: Picture, given: Bool[Tensor, "height width"]) -> Picture:
    """Every pixel that is not given takes the colour of the nearest one that is."""
    if given.all() or not given.any():
        return picture
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(
        ~given.numpy(), return_distances=False, return_indices=True
    )
    pixels = rearrange(picture, "c h w -> h w c").numpy()[tuple(np.asarray(nearest))]
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").contiguous()


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[2]}"
