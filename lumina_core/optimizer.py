"""AdamW with warm-up and a final linear decay, and the moving average of the weights."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from lumina_core.errors import LuminaError


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated."""

    learning_rate: float
    """Peak."""
    betas: tuple[float, float]
    weight_decay: float
    warmup_steps: int
    """Steps of linear rise to the peak."""
    decay_share: float
    """Last share of the steps over which the rate falls linearly to zero."""
    clip_norm: float
    """Gradients are scaled down to this norm."""
    ema_decay: float
    """Of the moving average that is saved and sampled; early on it is (1 + step) / (10 + step)."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.clip_norm <= 0:
            raise LuminaError(
                f"optimizer.learning_rate={self.learning_rate} and optimizer.clip_norm="
                f"{self.clip_norm} must be positive"
            )
        if not 0 <= self.ema_decay < 1 or not 0 <= self.decay_share <= 1 or self.warmup_steps < 0:
            raise LuminaError(
                f"optimizer.ema_decay={self.ema_decay} must be in [0, 1), optimizer.decay_share="
                f"{self.decay_share} in [0, 1], optimizer.warmup_steps={self.warmup_steps} not below 0"
            )

    def rate_at(self, step: int, max_steps: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = (step + 1) / (self.warmup_steps + 1)
        fall = (max_steps - step) / (self.decay_share * max_steps) if self.decay_share else 1.0
        return self.learning_rate * min(1.0, rise, fall)


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW; vectors (norms, biases, gates, separators) do not decay."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """average <- d average + (1 - d) model, with d = min(decay, (1 + step) / (10 + step))."""
    now = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - now)
