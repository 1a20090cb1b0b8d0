"""The straight path between noise and data: the point, its velocity, and what follows from them.

Everything acts on the flat float32 state of a packed batch (samples laid end to end) and holds at
each element by itself, so `t` is one number, a tensor of one element, or one time per element
(`time_of_sample.repeat_interleave(element_counts)`). Time t = 0 is noise, t = 1 is data.

Departure from the released transport package: its GVP and VP paths are left out; its default, and
the path of the released text-to-image models, is this one. Nothing here checks for a singular
time: dividing by zero gives inf or nan, and the docstrings say where.

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


def data_from_velocity(
    x_t: Float[Tensor, "element"], v: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the data that a straight path through x_t with velocity v ends in.

    x_1 = x_t + (1 - t) v, singular nowhere.

    Args:
        x_t: state at time t.
        v: velocity there.
        t: time in [0, 1].
    """
    return x_t + (1 - t) * v


def noise_from_velocity(
    x_t: Float[Tensor, "element"], v: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the noise that a straight path through x_t with velocity v started from.

    x_0 = x_t - t v, singular nowhere.

    Args:
        x_t: state at time t.
        v: velocity there.
        t: time in [0, 1].
    """
    return x_t - t * v


def velocity_from_data(
    x_t: Float[Tensor, "element"], x_1: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the velocity that leads from x_t straight to the data x_1.

    v = (x_1 - x_t) / (1 - t), singular at t = 1.

    Args:
        x_t: state at time t.
        x_1: data, usually a prediction of it.
        t: time in [0, 1).
    """
    return (x_1 - x_t) / (1 - t)


def velocity_from_noise(
    x_t: Float[Tensor, "element"], x_0: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the velocity that led from the noise x_0 straight to x_t.

    v = (x_t - x_0) / t, singular at t = 0.

    Args:
        x_t: state at time t.
        x_0: noise, usually a prediction of it.
        t: time in (0, 1].
    """
    return (x_t - x_0) / t


def score_from_velocity(
    x_t: Float[Tensor, "element"], v: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the score, the gradient of log p_t at x_t, that belongs to a velocity.

    score = -x_0 / (1 - t) = (t v - x_t) / (1 - t), singular at t = 1, where p_t is the data.

    Args:
        x_t: state at time t.
        v: velocity there.
        t: time in [0, 1).

    Source: Lumina-T2X, transport/path.py, get_score_from_velocity, for alpha = t, sigma = 1 - t.
    """
    return (t * v - x_t) / (1 - t)


def velocity_from_score(
    x_t: Float[Tensor, "element"], score: Float[Tensor, "element"], t: ElementTime
) -> Float[Tensor, "element"]:
    """Give the velocity that belongs to a score: the inverse of `score_from_velocity`.

    v = (x_t + (1 - t) score) / t, singular at t = 0, where the score is -x_0 and says nothing of v.

    Args:
        x_t: state at time t.
        score: gradient of log p_t at x_t.
        t: time in (0, 1].
    """
    return (x_t + (1 - t) * score) / t


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
