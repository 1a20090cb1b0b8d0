"""Where a camera stands around an object, and what it sees where.

Axes of the object: x to its right as seen from the front, y to the back, z up. A camera at azimuth
0 stands in front of it; at azimuth 90 it shows the side that is at the right in the front view.
Cameras look at the centre from far away: parallel rays, no perspective. All views of an object
share one scale; the shorter side of a picture shows SPAN units.
"""

from math import atan2, cos, degrees, hypot, radians, sin

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_multiview.options import wrapped

SPAN = 3.4  # units along the shorter side of a picture; the world's solids reach 1.65 from 0


def axes(azimuth: float, elevation: float) -> Float[Tensor, "axis xyz"]:
    """Unit vectors of a camera: right and up in its picture, and from the object towards it.

    Args:
        azimuth: degrees.
        elevation: degrees.
    """
    a, e = radians(azimuth), radians(elevation)
    right = (cos(a), sin(a), 0.0)
    up = (-sin(e) * sin(a), sin(e) * cos(a), cos(e))
    towards = (cos(e) * sin(a), -cos(e) * cos(a), sin(e))
    return torch.tensor([right, up, towards])


def angles_of(towards: tuple[float, float, float]) -> tuple[float, float]:
    """Azimuth and elevation in degrees of a camera in this direction from the object."""
    x, y, z = towards
    return wrapped(degrees(atan2(x, -y))), degrees(atan2(z, hypot(x, y)))
