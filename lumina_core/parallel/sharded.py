"""Tensors of which each rank may hold a part (DTensors), beside plain ones, which are whole.

Torch's functions on lists of tensors take those of one mesh at a time; here lists may mix them.
"""

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

NORM_EPS = 1e-6  # as torch's clip_grad_norm_


def mesh_of(tensor: Tensor) -> Any:
    """The mesh over which a tensor is cut; None of a plain one."""
    return getattr(tensor, "device_mesh", None)


def whole(tensor: Tensor) -> Tensor:
    """The tensor with the parts of all ranks, each of which asks."""
    return tensor if mesh_of(tensor) is None else tensor.full_tensor()  # type: ignore[attr-defined]


def cut_as(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A tensor that every rank has whole, cut over the ranks as another one is."""
    mesh = mesh_of(pattern)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    own = tensor.to(pattern.device)
    everywhere = DTensor.from_local(own, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return everywhere.redistribute(placements=pattern.placements)  # type: ignore[attr-defined]


def by_mesh(tensors: Iterable[Tensor]) -> list[list[int]]:
    """The places of tensors that are cut over one mesh, in the order of their first ones."""
    places: dict[Any, list[int]] = {}
    for place, tensor in enumerate(tensors):
        places.setdefault(mesh_of(tensor), []).append(place)
    return list(places.values())


def for_each_mesh(function: Callable[..., Any], *lists: Sequence[Tensor], **named: Any) -> None:
    """Call a function on lists of tensors, with those of one mesh at a time."""
    for places in by_mesh(lists[0]):
        function(*([tensors[place] for place in places] for tensors in lists), **named)


def clip_gradients(weights: Iterable[Tensor], most: float) -> Tensor:
    """Scale the gradients of all ranks so that their norm is at most that.

    Returns:
        The norm that they had, equal on every rank; 0 where no weight has a gradient.
    """
    weights = list(weights)
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not gradients:
        return torch.zeros((), device=weights[0].device)
    own = [local(gradient) for gradient in gradients]
    if all(mesh_of(gradient) is None for gradient in gradients):
        total = torch.nn.utils.get_total_norm(own)
    else:
        squares = torch.stack(torch._foreach_norm(own)).square()
        copies = torch.tensor([_num_copies(gradient) for gradient in gradients])
        total = (squares / copies.to(squares.device)).sum()
        dist.all_reduce(total)
        total = total.sqrt()
    torch._foreach_mul_(own, (most / (total + NORM_EPS)).clamp(max=1.0))
    return total


def _num_copies(tensor: Tensor) -> int:
    """Ranks that hold the same part of a tensor."""
    mesh = mesh_of(tensor)
    cut = [dim for dim, each in enumerate(tensor.placements) if not each.is_replicate()]  # type: ignore[attr-defined]
    return dist.get_world_size() // prod(mesh.size(dim) for dim in cut)


def local(tensor: Tensor) -> Tensor:
    """The part of this rank of a tensor."""
    return tensor if mesh_of(tensor) is None else tensor.to_local()  # type: ignore[attr-defined]
