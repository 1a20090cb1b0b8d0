"""Muon: momentum whose matrices are made orthogonal before they are subtracted.

The formulas are those of `torch.optim.Muon` (K. Jordan and others, 2024, "Muon: An optimizer for
hidden layers in neural networks"). That one computes in bfloat16 also on a CPU, which most CPUs
emulate; here a CPU does so only if the training does, and matrices of one shape are one batch. Of
matrices that are cut over ranks, each rank makes some orthogonal, which it gets whole and gives
back in parts.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from lumina_core.parallel.exchange import exchanged, split_evenly
from lumina_core.parallel.sharded import cut_as, local, mesh_of, whole

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic that rises fastest at zero
NUM_ITERATIONS = 5
MIN_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """For matrices of hidden layers, with Nesterov's momentum and decoupled weight decay."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """As an optimizer of torch; `dtype` is that of products on a CPU, bfloat16 on a GPU."""
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    cut = (mesh_of(matrix), getattr(matrix, "placements", None))
                    alike.setdefault((matrix.shape, *cut), []).append(matrix)
            for (shape, *_), matrices in alike.items():
                updates = _updates(self._momenta(matrices), self.dtype)
                rate = group["lr"] * sqrt(max(1.0, shape[0] / shape[1]))
                own = [local(matrix) for matrix in matrices]
                torch._foreach_mul_(own, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(own, updates, alpha=-rate)

    def _momenta(self, matrices: Sequence[Tensor]) -> list[Tensor]:
        """The gradients with the averages of those before, as Nesterov has it."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        buffers = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(buffers, gradients, 1 - MOMENTUM)
        return list(torch._foreach_lerp(gradients, buffers, MOMENTUM))


def _updates(momenta: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Each matrix made orthogonal; of one that is cut over ranks this rank's part."""
    mesh = mesh_of(momenta[0])
    if mesh is None:
        return list(orthogonal(torch.stack(list(momenta)), dtype))
    from torch.distributed.tensor import Shard

    placements = momenta[0].placements  # type: ignore[attr-defined]
    cut = [dim for dim, each in enumerate(placements) if not each.is_replicate()]
    if len(cut) > 1 or placements[cut[0]] != Shard(0):  # each rank makes all of them
        made = orthogonal(torch.stack([whole(each) for each in momenta]), dtype)
        return [local(cut_as(each, momenta[0])) for each in made]
    own = torch.stack([local(each) for each in momenta])
    group = mesh.get_group(cut[0])
    return list(_orthogonal_by_turns(own, momenta[0].shape[0], group, dtype))


def _orthogonal_by_turns(own: Tensor, num_rows: int, group: Any, dtype: torch.dtype) -> Tensor:
    """Matrices of which each rank has some rows, made orthogonal where they are whole.

    Args:
        own: (matrix, own row, column).
        num_rows: of all ranks, shared out as torch's `chunk` does.
        group: the ranks.
        dtype: as in `orthogonal`.
    """
    numbers = split_evenly(len(own), group)
    most = -(-num_rows // numbers.size)
    rows = [min(most, max(0, num_rows - rank * most)) for rank in range(numbers.size)]
    mine, columns = numbers.counts[numbers.rank], own.shape[2]
    sent = [number * own.shape[1] for number in numbers.counts]
    received = [mine * count for count in rows]
    parts = exchanged(own.flatten(0, 1), sent, received, group).split(received)
    matrices = torch.cat(
        [part.reshape(mine, count, columns) for part, count in zip(parts, rows, strict=True)], dim=1
    )
    made = orthogonal(matrices, dtype) if mine else matrices
    back = torch.cat([part.flatten(0, 1) for part in made.split(rows, dim=1)])
    return exchanged(back, received, sent, group).view_as(own)


def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Matrices with the same singular vectors and all singular values between about 0.7 and 1.2.

    Args:
        matrices: (matrix, row, column).
        dtype: in which a CPU multiplies; a GPU does so in bfloat16.
    """
    a, b, c = NEWTON_SCHULZ
    given, dtype = matrices.dtype, dtype if matrices.device.type == "cpu" else torch.bfloat16
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=MIN_NORM)  # no singular value above 1
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).to(given)
