"""How the frames of a film are to be turned and mirrored, by the matrix that it carries.

Source: ISO 14496-12, 8.3.2. A stored pixel at column x and row y is shown at column `a x + c y` and
row `b x + d y`; the scale, the shift and the perspective of the matrix are left alone, as FFmpeg
leaves them.
"""

import struct
from math import hypot, radians, tan
from typing import Any, NamedTuple

from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

MATRIX = "DISPLAYMATRIX"  # FFmpeg's name of it: nine numbers of 32 bits, row by row
MAX_ANGLE = 1.0  # degrees beside a right angle, as in FFmpeg


class Orientation(NamedTuple):
    """One of the eight ways in which a picture may lie; first rows and columns change places."""

    is_transposed: bool
    is_upside_down: bool
    is_mirrored: bool


def orientation_of(frame: Any) -> Orientation:
    """How a frame of FFmpeg is to be shown; as it is stored where its file does not say.

    Raises:
        ValueError: it is turned by another angle than a right one, or skewed.
    """
    found = frame.side_data.get(MATRIX)
    if found is None:
        return Orientation(False, False, False)
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(found))
    if not (a or b or c or d):  # some programs leave it empty
        return Orientation(False, False, False)
    is_transposed = hypot(b, c) > hypot(a, d)
    along, beside = ((b, c), (a, d)) if is_transposed else ((a, d), (b, c))
    most = tan(radians(MAX_ANGLE)) * min(map(abs, along))
    if max(map(abs, beside)) >= most:
        raise ValueError(
            "its frames are to be shown turned by no right angle, or skewed; turn them upright "
            "with another program"
        )
    rows, columns = (b, c) if is_transposed else (d, a)
    return Orientation(is_transposed, rows < 0, columns < 0)


def oriented(
    picture: UInt8[Tensor, "3 height width"], orientation: Orientation
) -> UInt8[Tensor, "3 shown_height shown_width"]:
    """A picture as it is to be shown."""
    if orientation.is_transposed:
        picture = rearrange(picture, "rgb height width -> rgb width height")
    dims = [1] * orientation.is_upside_down + [2] * orientation.is_mirrored
    return picture.flip(dims).contiguous()
