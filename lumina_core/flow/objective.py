"""What training minimises: how times are drawn, and the error of a velocity per sample.

The loss of a step is the mean over all its samples of what `velocity_loss` returns, so a large
sample counts as much as a small one. Taking that mean (over micro-batches and ranks) is the
trainer's part.

Departure from the released trainer: its `shift_f` moves training times towards data, the opposite
of its sampling shift. Here both are the same map; that trainer's f is shift = 1 / f.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumina_core.errors import LuminaError, nearest
from lumina_core.flow.path import shift_time

DISTRIBUTIONS = ("uniform", "logit_normal")


@dataclass(frozen=True)
class TimeConfig:
    """How the times of training samples are drawn; `time` in the YAML."""

    distribution: str
    """uniform: t ~ U(0, 1); logit_normal: t = sigmoid(n), n ~ N(mean, std^2)."""
    mean: float
    """Mean of the logit; above 0 is nearer to data. Read by logit_normal only."""
    std: float
    """Standard deviation of the logit, above 0. Read by logit_normal only."""
    shift: float
    """Sampling shift applied to the drawn times; 1 is none, above 1 is more noise."""

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise LuminaError(
                f"time.distribution is {self.distribution!r}; choose one of "
                f"{', '.join(DISTRIBUTIONS)}.{nearest(self.distribution, DISTRIBUTIONS)}"
            )
        if not math.isfinite(self.mean):
            raise LuminaError(f"time.mean is {self.mean}; set a finite number, usually 0.")
        if not 0 < self.std < math.inf:
            raise LuminaError(f"time.std is {self.std}; set a finite number above 0, usually 1.")
        if not 0 < self.shift < math.inf:
            raise LuminaError(f"time.shift is {self.shift}; set a finite number above 0 (1: none).")


def sample_time(
    count: int, config: TimeConfig, generator: torch.Generator
) -> Float[Tensor, "sample"]:
    """Draw one training time per sample, float32 in [0, 1] on the CPU.

    t = shift_time(u), u ~ U(0, 1) or u = sigmoid(mean + std n), n ~ N(0, 1).

    Args:
        count: number of samples.
        config: the distribution and the shift.
        generator: a CPU generator; the only source of randomness.

    Source: Esser et al. 2024, arXiv:2403.03206, section 3.1 (logit-normal).
    """
    if config.distribution == "uniform":
        t = torch.rand(count, generator=generator)
    else:
        t = torch.sigmoid(config.mean + config.std * torch.randn(count, generator=generator))
    return shift_time(t, config.shift)


def velocity_loss(
    predicted: Float[Tensor, "element"],
    target: Float[Tensor, "element"],
    element_counts: Int[Tensor, "sample"],
    *,
    weight: Bool[Tensor, "element"] | Float[Tensor, "element"] | None = None,
) -> Float[Tensor, "sample"]:
    """Give each sample's mean squared velocity error over the elements that count, in float32.

    loss_i = sum_e w_e (predicted_e - target_e)^2 / sum_e w_e, e over the elements of sample i.

    Args:
        predicted: velocity from the network.
        target: x_1 - x_0.
        element_counts: elements of each sample, in order, at least 1, on the device of the state.
        weight: 1 where an element counts, 0 where it is known and carries no loss; None is all 1.

    Raises:
        RuntimeError: the counts do not sum to the length of the state (torch.segment_reduce).
        ValueError: a sample has no element of weight 1, so its mean does not exist.

    Source: Lipman et al. 2023, arXiv:2210.02747, equation 23 with sigma_min = 0.
    """
    # On the CPU segment_reduce adds the elements one by one: in float32 the mean of 4 million came
    # out 0.35 % too small (torch 2.13).
    squared_error = (predicted - target).square().double()
    if weight is None:
        return torch.segment_reduce(squared_error, "mean", lengths=element_counts).float()
    total = torch.segment_reduce(squared_error * weight, "sum", lengths=element_counts)
    counted = torch.segment_reduce(weight.double(), "sum", lengths=element_counts)
    if not bool((counted > 0).all()):
        empty = (counted == 0).nonzero()[0].item()
        raise ValueError(f"sample {empty} has no element of weight 1; leave one element unknown")
    return (total / counted).float()
