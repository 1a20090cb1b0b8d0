"""A GPU that is not there: fake tensors, which ask torch's real dispatcher, and what they lack."""

from dataclasses import fields, replace

import torch
from torch import Tensor, nn

CUDA = torch.device("cuda")


def indexed(x, index):
    """Square brackets in operators, which need no device; torch's own ask for it."""
    if isinstance(index, Tensor):
        return torch.ops.aten.index(x, [index])
    for dim, part in enumerate(index if isinstance(index, tuple) else (index,)):
        if part is None:
            x = x.unsqueeze(dim)
        elif isinstance(part, int):  # the last one, here
            x = x.select(dim, part)
        else:
            x = torch.ops.aten.slice(x, dim, part.start, part.stop)
    return x


def fake(batch):
    """A batch of the same shapes on a device that is not there."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    moved = {
        name: torch.empty(value.shape, dtype=value.dtype, device=CUDA)
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    return replace(batch, **moved)


def on_cuda(model, dtype):
    """Put empty weights of the same shapes in place of those of a model."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            empty = torch.empty(weight.shape, dtype=dtype, device=CUDA)
            setattr(module, name, nn.Parameter(empty, requires_grad=False))
