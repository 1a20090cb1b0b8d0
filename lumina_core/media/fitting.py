"""For plugins: brings pictures of any size, and the frames of clips, to one the network takes.

The rules, for tokens of `unit` x `unit` pixels:

1. A picture whose longer side is more than max_aspect times its shorter one is refused, and so is
   one that holds fewer than min_tokens whole tokens. Nothing is ever enlarged.
2. A picture of more than max_tokens tokens is scaled down, both sides alike, until it has at most
   that many; any other keeps its scale.
3. What then stands over at the sides, less than a token, is cut off evenly.

Departure from the released trainers, which scale every picture to one area and crop at random.
"""

from math import sqrt

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.media.pictures import as_image
from lumina_core.media.pixels import Frames
from lumina_core.modality import SizeLimits

Fitted = UInt8[Tensor, "frame 3 fitted_height fitted_width"]


def fit_frames(media: Frames, unit: int, limits: SizeLimits) -> Fitted:
    """Frames at the size of `fitted_size`, scaled with a Lanczos filter, cut at the centre.

    Args:
        media: frames of one size, whichever it is.
        unit: pixels of a token along a side.
        limits: of one frame.

    Raises:
        LuminaError: they are too small or too long.
    """
    height, width = media.shape[2:]
    size = fitted_size(height, width, unit, limits)
    scale = 1.0
    if height // unit * (width // unit) > limits.max_tokens:
        scale = max(size[0] / height, size[1] / width)
    scaled = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
    media = resized(media, *scaled)
    top, left = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    return media[:, :, top : top + size[0], left : left + size[1]].contiguous()


def fit_together(
    media: Frames, unit: int, limits: SizeLimits, *, num_layers: int, noun: str = "frames"
) -> Fitted:
    """Frames at one legal size; the limits count the tokens of all of them.

    Args:
        media: frames of one size, whichever it is.
        unit: pixels of a token along a side.
        limits: of all frames together.
        num_layers: tokens along the frames.
        noun: what messages call the frames.

    Raises:
        LuminaError: they are too small, too long or too many.
    """
    if limits.max_tokens < num_layers:
        raise LuminaError(
            f"its {len(media)} {noun} are more tokens than max_tokens={limits.max_tokens}"
        )
    each = SizeLimits(1, limits.max_tokens // num_layers, limits.max_aspect)
    fitted = fit_frames(media, unit, each)
    num_tokens = num_layers * (fitted.shape[2] // unit) * (fitted.shape[3] // unit)
    if num_tokens < limits.min_tokens:
        raise LuminaError(
            f"it is too small: {len(media)} {noun} of {media.shape[3]} x {media.shape[2]} pixels "
            f"hold {num_tokens} tokens, fewer than min_tokens={limits.min_tokens}"
        )
    return fitted


def fitted_size(height: int, width: int, unit: int, limits: SizeLimits) -> tuple[int, int]:
    """Height and width in pixels, multiples of `unit`, that a picture of this size gets.

    Raises:
        LuminaError: it is too small or too long.
    """
    aspect = max(height, width) / min(height, width)
    if aspect > limits.max_aspect:
        raise LuminaError(
            f"its aspect ratio, {width} x {height} pixels, is {aspect:.2f}, more than "
            f"max_aspect={limits.max_aspect}"
        )
    rows, columns = height // unit, width // unit
    if rows * columns < limits.min_tokens:
        raise LuminaError(
            f"it is too small: {width} x {height} pixels hold {rows * columns} tokens of {unit} x "
            f"{unit}, fewer than min_tokens={limits.min_tokens}"
        )
    if rows * columns > limits.max_tokens:
        scale = sqrt(limits.max_tokens / (height * width))  # tokens per pixel of a side
        rows, columns = max(1, int(height * scale)), max(1, int(width * scale))
        rows, columns = min(rows, limits.max_tokens // columns), columns
        columns = min(columns, limits.max_tokens // rows)
    return rows * unit, columns * unit


def square_unit(stride: int, patch_height: int, patch_width: int) -> int:
    """Pixels of a token along a side.

    Args:
        stride: pixels of a cell of the latent.
        patch_height: cells of a token.
        patch_width: cells of a token.

    Raises:
        LuminaError: its sides differ.
    """
    if patch_height != patch_width:
        raise LuminaError("files are fitted to square tokens; use a patch with equal sides")
    return stride * patch_height


def resized(media: Frames, height: int, width: int) -> Fitted:
    """Frames at another size in pixels, by Pillow's Lanczos filter."""
    if media.shape[2:] == (height, width):
        return media
    return torch.stack([_resized(frame, height, width) for frame in media])


def _resized(frame: UInt8[Tensor, "3 _ _"], height: int, width: int) -> UInt8[Tensor, "3 _ _"]:
    resized = as_image(frame).resize((width, height), Image.Resampling.LANCZOS)
    array = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8)
    return array.reshape(height, width, 3).permute(2, 0, 1)
