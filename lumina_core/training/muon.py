"""Muon: momentum whose matrices are made orthogonal before they are subtracted.

The formulas are those of `torch.optim.Muon` (K. Jordan and others, 2024, "Muon: An optimizer for
hidden layers in neural networks"). That one computes in bfloat16 also on a CPU, which most CPUs
emulate; here a CPU computes in float32, and matrices of one shape are one batch.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic that rises fastest at zero
NUM_ITERATIONS = 5
MIN_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """For matrices of hidden layers, with Nesterov's momentum and decoupled weight decay."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(matrix.shape, []).append(matrix)
            for (rows, columns), matrices in alike.items():
                updates = orthogonal(torch.stack([self._momentum(matrix) for matrix in matrices]))
                rate = group["lr"] * sqrt(max(1.0, rows / columns))
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, list(updates.to(matrices[0].dtype)), alpha=-rate)

    def _momentum(self, matrix: Tensor) -> Tensor:
        """The gradient with the average of those before, as Nesterov has it."""
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(state["momentum_buffer"], MOMENTUM)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and all singular values between about 0.7 and 1.2.

    Args:
        matrices: (matrix, row, column).
    """
    a, b, c = NEWTON_SCHULZ
    dtype = torch.float32 if matrices.device.type == "cpu" else torch.bfloat16
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=MIN_NORM)  # no singular value above 1
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
