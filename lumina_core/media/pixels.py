"""For plugins: pictures and frames as grey levels, and as autoencoders see them.

It brings no frames to another size: fitting.py does.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core.errors import LuminaError

NUM_COLOURS = 3
MAX_LEVEL = 255

Frames = UInt8[Tensor, "frame 3 height width"]
Pixels = Float[Tensor, "frame 3 height width"]


def pixels_of(frames: Frames) -> Pixels:
    """Frames as autoencoders see them, in [-1, 1]."""
    return frames.float() / MAX_LEVEL * 2 - 1


def levels_of(pixels: Pixels) -> Frames:
    """Pixels in about [-1, 1] as whole grey levels."""
    return ((pixels + 1) / 2 * MAX_LEVEL).round().clamp(0, MAX_LEVEL).to(torch.uint8)


def check_multiple(height: int, width: int, unit: int, width_unit: int | None = None) -> None:
    """Refuse a side that is no multiple of its unit.

    Args:
        height: pixels.
        width: pixels.
        unit: pixels, of both sides.
        width_unit: of the width, if it is another.

    Raises:
        LuminaError: names the nearest legal ones.
    """
    sides = (("height", height, unit), ("width", width, width_unit or unit))
    for key, size, multiple in sides:
        if size % multiple:
            below = size // multiple * multiple
            legal = f"{below} or {below + multiple}" if below else f"{multiple}"
            raise LuminaError(
                f"modality.{key}={size} is not a multiple of {multiple} pixels; use {legal}"
            )
