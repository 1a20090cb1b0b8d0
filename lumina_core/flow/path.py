"""The straight path between noise and data: the point, its velocity, and the shift of times.

Everything acts on the flat float32 state of a packed batch (samples laid end to end) and holds at
each element by itself, so `t` is one number, a tensor of one element, or one time per element
(`time_of_sample.repeat_interleave(element_counts)`). Time t = 0 is noise, t = 1 is data.

Departure from the released transport package: its GVP and VP paths are left out; its default, and
the path of the released text-to-image models, is this one.

Source of the path: Lipman et al. 2023, Flow Matching for Generative Modeling, arXiv:2210.02747,
section 4.1 with sigma_min = 0.
"""

from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

ElementTime = Float[Tensor, "#element"] | float
Time = TypeVar("Time", float, Float[Tensor, "*time"])


def interpolate(
    x_0: Float[Tensor, "element"], x_1: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the point at time t on the straight path from noise to data.

    x_t = (1 - t) x_0 + t x_1, exactly x_0 at t = 0 and exactly x_1 at t = 1.

    Args:
        x_0: noise.
        x_1: data.
        t: time in [0, 1].
    """
    return (1 - t) * x_0 + t * x_1


def velocity(
    x_0: Float[Tensor, "element"], x_1: Float[Tensor, "element"]
) -> Float[Tensor, "element"]:
    """Give the velocity of the straight path, the same at every time.

    v = d x_t / dt = x_1 - x_0.

    Args:
        x_0: noise.
        x_1: data.
    """
    return x_1 - x_0


def shift_time(t: Time, shift: float) -> Time:
    """Move times in [0, 1] towards noise (shift > 1) or towards data (shift < 1).

    t -> t / (t + shift (1 - t)), which is t / (t + s - s t) with both ends exact. Shift 1 changes
    nothing; a shift by s and one by 1 / s undo each other. Sampling and training share this map.

    Args:
        t: time in [0, 1].
        shift: factor on the odds (1 - t) / t of noise against data, above 0.

    Source: Esser et al. 2024, Stable Diffusion 3, arXiv:2403.03206, equation 23, written for
    t = 1 at data; the released `time_shifting_factor`.
    """
    return t / (t + shift * (1 - t))
