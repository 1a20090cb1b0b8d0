"""Classifier-free guidance: when it acts and how two velocities become one.

It does not evaluate the network. The caller asks `is_guided_at` first, and evaluates without the
prompt only when the answer is yes.

Departure from the released models: they guide the first 3 latent channels and leave the others
conditional. Here all channels are guided unless a mask says otherwise (`guidance.channels`).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting


@dataclass(frozen=True)
class GuidanceConfig(Settings, block="guidance"):
    """How strongly, when and on which channels guidance acts."""

    scale: float = setting(4.0, "1 is no guidance, 0 ignores the prompt", at_least=0)
    interval: tuple[float, float] = setting(
        (0.0, 1.0), "times between which guidance acts, 0 is noise", at_least=0, at_most=1
    )
    channels: int | None = setting(
        None, "guide only the first latent channels; null: all", at_least=1
    )
    """The released image models guide 3."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval[0] > self.interval[1]:
            raise LuminaError(
                f"guidance.interval is {list(self.interval)}; set two times in order, such as "
                "[0.0, 1.0]."
            )


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
