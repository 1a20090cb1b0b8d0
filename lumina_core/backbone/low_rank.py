"""Low-rank changes of linear layers (LoRA, DoRA): merged into the weight, or computed beside it.

    D = scale up down                                           LoRA
    D = magnitude V / |V| - W  with  V = W + scale up down      DoRA; |V| is the norm of each row

W becomes W + strength D. Each D is that of the stored W, so several changes add up in any order,
and a strength of 0 changes nothing. Nothing here is trained.

Source: LoRA, arXiv 2106.09685; DoRA, arXiv 2402.09353. peft puts the strength of a DoRA into its
scale, so that it agrees with this at strength 1 alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

BRANCH = "low_rank"  # the name of a branch in its linear layer


@dataclass(frozen=True)
class LowRank:
    """What an adapter does to one linear layer."""

    down: Float[Tensor, "rank input"]
    up: Float[Tensor, "output rank"]
    scale: float
    """alpha / rank, or alpha / sqrt(rank)."""
    magnitude: Float[Tensor, "output"] | None = None
    """Of the rows of a DoRA; None: a LoRA."""


Weighted = tuple[float, LowRank]
"""A strength and a change."""


@torch.no_grad()
def merged_weight(
    weight: Float[Tensor, "output input"], changes: Sequence[Weighted]
) -> Float[Tensor, "output input"]:
    """W + sum of strength D, in float32.

    Args:
        weight: W, in any type.
        changes: of one layer; they may lie on another device.
    """
    stored = weight.float()
    result = stored.clone()
    for strength, change in changes:
        if change.magnitude is None:
            up, down = change.up.to(stored), change.down.to(stored)
            result.addmm_(up, down, alpha=strength * change.scale)
        else:
            added, factor = _direction(stored, change)
            result += strength * (factor[:, None] * added - stored)
    return result


@torch.no_grad()
def keep_apart(linear: nn.Linear, changes: Sequence[Weighted]) -> None:
    """Let a linear layer compute changes beside its weight, which stays as it is.

    Args:
        linear: changed in place, once; its weight is read where a change is a DoRA.
        changes: of this layer.
    """
    linear.add_module(BRANCH, _Branch(linear.weight, changes))
    linear.register_forward_hook(_with_branch)


def _with_branch(linear: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Finds the branch in the layer, for a copy of the layer has a branch of its own."""
    branch = cast(_Branch, getattr(linear, BRANCH))
    return branch(inputs[0], output, cast(Tensor | None, linear.bias))


class _Branch(nn.Module):
    """gain (W x) + up down x: all changes of a layer as one."""

    def __init__(self, weight: Tensor, changes: Sequence[Weighted]) -> None:
        super().__init__()
        ups, gain = [], None
        for strength, change in changes:
            up = strength * change.scale * change.up.to(weight.device, torch.float32)
            if change.magnitude is not None:
                _, factor = _direction(weight.float(), change)
                up = factor[:, None] * up
                gain = strength * (factor - 1) + (0 if gain is None else gain)
            ups.append(up)
        down = torch.cat([each.down.to(weight.device, torch.float32) for _, each in changes])
        self.down = nn.Parameter(down, requires_grad=False)
        self.up = nn.Parameter(torch.cat(ups, dim=1), requires_grad=False)
        self.gain = None if gain is None else nn.Parameter(gain, requires_grad=False)

    def forward(self, x: Tensor, output: Tensor, bias: Tensor | None) -> Tensor:
        """The output of the layer, and what the changes add to it."""
        added = functional.linear(functional.linear(x, self.down), self.up)
        if self.gain is not None:
            added = added + self.gain * (output if bias is None else output - bias)
        return output + added


def _direction(
    weight: Float[Tensor, "output input"], change: LowRank
) -> tuple[Float[Tensor, "output input"], Float[Tensor, "output"]]:
    """V of a DoRA, and magnitude / |V|."""
    up, down = change.up.to(weight), change.down.to(weight)
    added = torch.addmm(weight, up, down, alpha=change.scale)
    magnitude = cast(Tensor, change.magnitude).to(weight)
    return added, magnitude / torch.linalg.norm(added, dim=1)
