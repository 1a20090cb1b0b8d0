"""Classifier-free guidance: when it acts and how two velocities become one.

It does not evaluate the network. The caller asks `is_guided_at` first, and evaluates without the
prompt only when the answer is yes.

Departure from the released models: they guide the first 3 latent channels and leave the others
conditional. Here all channels are guided unless a mask says otherwise (`guidance.channels`).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumina_core.flow.settings import GuidanceConfig


def is_guided_at(t: float, config: GuidanceConfig) -> bool:
    """Say whether the step at time t needs the unconditional velocity.

    scale != 1 and interval[0] <= t <= interval[1].

    Args:
        t: time in [0, 1].
        config: scale and interval.

    Source of the interval: Kynkaanniemi et al. 2024, arXiv:2404.07724.
    """
    return config.scale != 1 and config.interval[0] <= t <= config.interval[1]


def guided(
    conditional: Float[Tensor, "element"],
    unconditional: Float[Tensor, "element"],
    scale: float,
    *,
    channel_mask: Bool[Tensor, "element"] | None = None,
) -> Float[Tensor, "element"]:
    """Move the conditional velocity away from the unconditional one.

    v = u + scale (c - u) where channel_mask is True, v = c elsewhere; scale 1 is exactly c.

    Args:
        conditional: velocity c with the prompt.
        unconditional: velocity u without it, or with the negative prompt.
        scale: guidance scale, at least 0.
        channel_mask: True where an element is guided; None guides every element.

    Source: Ho and Salimans 2022, arXiv:2207.12598, equation 6 with scale = 1 + w.
    """
    if scale == 1:  # u + (c - u) rounds, and would differ from the unguided result
        return conditional
    everywhere = unconditional + scale * (conditional - unconditional)
    if channel_mask is None:
        return everywhere
    return torch.where(channel_mask, everywhere, conditional)
