"""Classifier-free guidance: when it acts, and how two velocities become one by which rule.

It does not evaluate the network. The caller asks `is_guided_at` first, and evaluates without the
prompt only when the answer is yes.

Departure from the released models: they guide the first 3 latent channels and leave the others
conditional. Here all channels are guided unless a mask says otherwise (`guidance.channels`).
"""

from math import inf

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.linalg import vector_norm

from lumina_core.flow.settings import GuidanceConfig


def is_guided_at(t: float, config: GuidanceConfig) -> bool:
    """Say whether the step at time t needs the unconditional velocity.

    config.is_on and interval[0] <= t <= interval[1].

    Args:
        t: time in [0, 1].
        config: scale and interval.

    Source of the interval: Kynkaanniemi et al. 2024, arXiv:2404.07724.
    """
    return config.is_on and config.interval[0] <= t <= config.interval[1]


def end_of_guidance(times: list[float], share_of_steps: float) -> float:
    """The time from which no step is guided; infinite where all are.

    Step i of N, from times[i] to times[i + 1], is guided while (i + 1) / N <= share_of_steps. What
    a solver evaluates at the very end of the last guided step is not guided any more.

    Args:
        times: between which the solver steps, N + 1 of them.
        share_of_steps: in [0, 1].

    Source: `cfg_trunc_ratio` of Lumina2Pipeline (diffusers).
    """
    num_steps = len(times) - 1
    num_guided = sum((step + 1) / num_steps <= share_of_steps for step in range(num_steps))
    return inf if num_guided == num_steps else times[num_guided]


def guided(
    conditional: Float[Tensor, "element"],
    unconditional: Float[Tensor, "element"],
    scale: float,
    *,
    rule: str = "plain",
    channel_mask: Bool[Tensor, "element"] | None = None,
) -> Float[Tensor, "element"]:
    """Move the conditional velocity away from the unconditional one.

    v = u + scale (c - u) (plain) or c + scale (c - u) (added) where channel_mask is True, v = c
    elsewhere; the neutral scale, 1 or 0, is exactly c.

    Args:
        conditional: velocity c with the prompt.
        unconditional: velocity u without it, or with the negative prompt.
        scale: guidance scale, at least 0.
        rule: to which velocity the difference is added, one of RULES.
        channel_mask: True where an element is guided; None guides every element.

    Source: Ho and Salimans 2022, arXiv:2207.12598, equation 6 with scale = 1 + w (plain) and
    scale = w (added, as ZImagePipeline of diffusers has it).
    """
    start, neutral = (conditional, 0) if rule == "added" else (unconditional, 1)
    if scale == neutral:  # u + (c - u) rounds, and would differ from the unguided result
        return conditional
    everywhere = start + scale * (conditional - unconditional)
    if channel_mask is None:
        return everywhere
    return torch.where(channel_mask, everywhere, conditional)


def renormalised(
    velocity: Float[Tensor, "channel frame height width"],
    conditional: Float[Tensor, "channel frame height width"],
    config: GuidanceConfig,
) -> Float[Tensor, "channel frame height width"]:
    """Give the guided velocity of one sample the norm of the conditional one.

    row: v |c| / |v|, the norms over the width, so that a row may grow, too; sample: v min(1,
    norm_limit |c| / |v|), the norms over everything. What is zero stays zero.

    Args:
        velocity: the guided velocity v, laid out as the latent.
        conditional: the velocity c with the prompt.
        config: renormalise and norm_limit.

    Source: Lumina2Pipeline of diffusers (row); `renorm_cfg` of Lumina-Image-2.0 and
    `cfg_normalization` of ZImagePipeline of diffusers (sample).
    """
    if config.renormalise == "none":
        return velocity
    if config.renormalise == "row":
        own, wanted = (vector_norm(x, dim=-1, keepdim=True) for x in (velocity, conditional))
        factor = wanted / own
    else:
        own, wanted = vector_norm(velocity), vector_norm(conditional)
        factor = (wanted * config.norm_limit / own).clamp(max=1)
    return torch.where(own > 0, velocity * factor, velocity)
