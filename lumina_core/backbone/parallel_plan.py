"""What of a network is cut how over a mesh of ranks, by torch's own engines.

| side of the mesh | what is cut | by |
|---|---|---|
| shard, replicate | weights, gradients and moments, block by block | fully_shard (FSDP2, HSDP) |
| tensor | matrices of the blocks, by heads and by columns of the feed-forward layer | DTensor |
| sequence | positions, and heads within attention: `shared_out` in context.py     | exchange |

Weights stay float32 however they compute, and gradients are summed in float32, not averaged: the
loss is divided by the samples of all ranks.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn import functional

from lumina_core.backbone.block import Block
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.errors import LuminaError
from lumina_core.parallel.exchange import own_part, shared, summed
from lumina_core.parallel.mesh import Mesh
from lumina_core.parallel.settings import Axes

BY_ROWS = ("attention.wo", "feed_forward.w2")
"""Matrices whose inputs are cut; what they give is summed over the ranks."""
BY_COLUMNS = (
    "attention.wq",
    "attention.wk",
    "attention.wv",
    "attention.text_wk",
    "attention.text_wv",
    "feed_forward.w1",
    "feed_forward.w3",
)
"""Matrices whose outputs are cut: heads, and columns of the feed-forward layer."""


def check_fit(config: BackboneConfig, axes: Axes) -> None:
    """Refuse a mesh over which a network cannot be cut.

    Raises:
        LuminaError: heads or columns cannot be shared out evenly.
    """
    heads, kv_heads = config.num_heads, config.kv_heads
    for key, side, what, number in (
        ("tensor", axes.tensor, "num_heads", heads),
        ("tensor", axes.tensor, "num_kv_heads", kv_heads),
        ("tensor", axes.tensor, "columns of the feed-forward layer", config.ffn_dim),
        ("sequence", axes.sequence, f"num_heads/{axes.tensor}", heads // axes.tensor),
    ):
        if number % side:
            raise LuminaError(
                f"parallel.{key}={side} does not divide the backbone's {what}={number}; choose a "
                "number that does"
            )
    own = kv_heads // axes.tensor
    if own % axes.sequence and axes.sequence % own:
        raise LuminaError(
            f"parallel.sequence={axes.sequence} and the {own} heads of keys of a rank do not go "
            "into each other; choose a number that divides them, or a multiple of them"
        )


def distribute(networks: nn.Module, mesh: Mesh, dtype: torch.dtype | None) -> None:
    """Cut networks over a mesh in place, each rank from the same weights.

    Args:
        networks: one module whose `forward` calls all that is trained, on every rank and in every
            batch: of ranks that lack different ones unlike gradients would be added up in silence.
        mesh: of the ranks.
        dtype: in which they compute; None: each weight as it is.
    """
    blocks = [module for module in networks.modules() if isinstance(module, Block)]
    if mesh.axes.tensor > 1:
        for block in blocks:
            _cut_matrices(block, mesh.tensor)
    precision = MixedPrecisionPolicy(
        param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for part in (*blocks, *_layers_of_others(networks), networks):
        fully_shard(part, mesh=mesh.weights, mp_policy=precision)
    for module in networks.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other factor


def _layers_of_others(networks: nn.Module) -> Iterator[nn.Module]:
    """The layers of networks that are no backbone, such as a text encoder that learns along."""
    for module in networks.modules():
        if isinstance(module, nn.ModuleList):
            yield from (each for each in module if not isinstance(each, Block) and _is_layer(each))


def _is_layer(module: nn.Module) -> bool:
    has_lists = any(isinstance(part, nn.ModuleList) for part in module.modules())
    return not has_lists and next(module.parameters(), None) is not None


def _cut_matrices(block: Block, tensor: DeviceMesh) -> None:
    names = {name for name, _ in block.named_modules()}
    plan: dict[str, Any] = {name: ColwiseParallel() for name in BY_COLUMNS if name in names}
    plan |= {name: RowwiseParallel() for name in BY_ROWS}
    parallelize_module(block, tensor, plan)
    attention, group = block.attention, tensor.get_group()
    attention.tensor_group = group
    for name in ("q_norm", "k_norm", "text_k_norm"):
        norm = getattr(attention, name, None)
        if isinstance(norm, nn.LayerNorm):
            setattr(attention, name, WideNorm(norm, group))
        elif isinstance(norm, nn.RMSNorm):
            setattr(attention, name, HeadNorm(norm, group))


class WideNorm(nn.Module):
    """LayerNorm over a width of which each rank has a part.

    Two sums per position are those of all ranks. Their difference gives the variance, which is
    exact enough because projections have a mean near zero.
    """

    def __init__(self, norm: nn.LayerNorm, group: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.group = norm.weight, norm.bias, norm.eps, group

    def forward(self, x: Tensor) -> Tensor:
        """Normalise this rank's columns (position, column) over those of all."""
        wide, width = x.float(), len(self.weight)
        moments = torch.stack([wide.sum(-1), wide.square().sum(-1)])
        mean, square = summed(moments, self.group) / width
        normed = (wide - mean[:, None]) * torch.rsqrt(square - mean.square() + self.eps)[:, None]
        weight, bias = (own_part(vector, self.group) for vector in (self.weight, self.bias))
        return (normed * weight + bias).type_as(x)


class HeadNorm(nn.Module):
    """RMSNorm of each head, of which each rank has some."""

    def __init__(self, norm: nn.RMSNorm, group: Any) -> None:
        super().__init__()
        self.weight, self.eps, self.group = norm.weight, norm.eps, group

    def forward(self, x: Tensor) -> Tensor:
        """Normalise this rank's heads (position, head, channel)."""
        weight = shared(self.weight, self.group)
        return functional.rms_norm(x, weight.shape, weight, self.eps)
