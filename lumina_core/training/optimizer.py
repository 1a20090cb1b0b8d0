"""How weights are updated: AdamW, or Muon for the matrices of the blocks and AdamW for the rest.

Warm-up, a final linear decay, and the moving average of the weights.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lumina_core.backbone.transformer import block_matrices
from lumina_core.parallel.sharded import by_mesh, for_each_mesh
from lumina_core.training.muon import Muon
from lumina_core.training.settings import OptimizerConfig


class Optimizers:
    """Several torch optimizers that step together."""

    def __init__(self, members: list[torch.optim.Optimizer]) -> None:
        self.members = members
        self._states: dict[Tensor, Any] = {}  # of each weight those of the member that updates it
        for member in members:
            for group in member.param_groups:
                group["peak"] = group["lr"]
                self._states |= dict.fromkeys(group["params"], member.state)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all members, in order."""
        return [group for member in self.members for group in member.param_groups]

    def set_rate(self, share: float) -> None:
        """Set every learning rate to this share of its peak."""
        for group in self.param_groups:
            group["lr"] = share * group["peak"]

    def step(self) -> None:
        """Update all weights."""
        for member in self.members:
            member.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for member in self.members:
            member.zero_grad()

    def state_of(self, weight: Tensor) -> dict[str, Tensor]:
        """The moments of one weight by name, to be read and filled; none of one not trained."""
        return self._states[weight][weight] if weight in self._states else {}


def build_optimizer(
    networks: nn.Module, config: OptimizerConfig, dtype: torch.dtype = torch.float32
) -> Optimizers:
    """The optimizer of every trainable weight; vectors (norms, biases, gates) do not decay.

    Muon is for matrices that map hidden features to hidden features: those in the blocks of a
    backbone. A text encoder keeps to AdamW, whatever its parts are called.

    Args:
        networks: what is trained.
        config: which optimizer, and how fast.
        dtype: in which Muon multiplies on a CPU.
    """
    trained = [p for p in networks.parameters() if p.requires_grad]
    matrices = set(block_matrices(networks)) if config.name == "muon" else set()
    muon = [p for p in trained if p in matrices]
    rest = [p for p in trained if p not in matrices]
    kinds = (
        ([p for p in rest if p.ndim > 1], config.weight_decay),
        ([p for p in rest if p.ndim <= 1], 0.0),
    )
    groups = [
        {"params": [params[place] for place in places], "weight_decay": decay}
        for params, decay in kinds
        for places in by_mesh(params)
    ]
    members: list[torch.optim.Optimizer] = []
    if groups:  # an adapter of attention has matrices of blocks alone
        rate, betas = config.learning_rate, config.betas
        members.append(torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True))
    if muon:
        members.append(Muon(muon, config.muon_learning_rate, config.weight_decay, dtype))
    return Optimizers(members)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Average <- d average + (1 - d) model, with d = min(decay, (1 + step) / (10 + step))."""
    now = min(decay, (1 + step) / (10 + step))
    both = zip(average.parameters(), model.parameters(), strict=True)
    averages, weights = zip(*[pair for pair in both if pair[1].requires_grad], strict=True)
    for_each_mesh(torch._foreach_lerp_, averages, weights, weight=1 - now)
