"""What training minimises: how times are drawn, and the error of a velocity per sample.

The loss of a step is the mean over all its samples of what `velocity_loss` returns, so a large
sample counts as much as a small one. Taking that mean (over micro-batches and ranks) is the
trainer's part.

Departure from the released trainer: its `shift_f` moves training times towards data, the opposite
of its sampling shift. Here both are the same map; that trainer's f is shift = 1 / f.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumina_core.flow.path import shift_time
from lumina_core.flow.settings import TimeConfig


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
        weight: 1 where an element counts, 0 where it is known and carries no loss; None is all 1. A
            sample without a 1 has no mean, it gives nan: to look for it would wait for the device.

    Raises:
        RuntimeError: the counts do not sum to the length of the state (torch.segment_reduce).

    Source: Lipman et al. 2023, arXiv:2210.02747, equation 23 with sigma_min = 0.
    """
    # On the CPU segment_reduce adds the elements one by one: in float32 the mean of 4 million came
    # out 0.35 % too small (torch 2.13).
    squared_error = (predicted - target).square().double()
    if weight is None:
        return torch.segment_reduce(squared_error, "mean", lengths=element_counts).float()
    total = torch.segment_reduce(squared_error * weight, "sum", lengths=element_counts)
    return (total / torch.segment_reduce(weight.double(), "sum", lengths=element_counts)).float()
