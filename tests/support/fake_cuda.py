"""A GPU that is not there: fake tensors, which ask torch's real dispatcher, and what they lack."""

from contextlib import contextmanager
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


class Stream:
    """A stream that is played: `done` is what is over when it does its next thing."""

    def __init__(self, device=None):
        self.done = set()

    def wait_stream(self, other):
        self.done |= other.done


class Streams:
    """The current stream, and by thing that was done what was over before."""

    def __init__(self):
        self.main = self.current = Stream()
        self.before, self.log = {}, []
        self.pinned = []

    def do(self, what):
        self.log.append(what)
        self.before[what] = frozenset(self.current.done)
        self.current.done.add(what)

    @contextmanager
    def inside(self, stream):
        self.current, outer = stream, self.current
        yield
        self.current = outer


def played_streams(monkeypatch):
    """CUDA's streams and pinned memory, played in memory that is there."""
    played, empty, copied = Streams(), torch.empty, Tensor.copy_

    def of_host(*size, pin_memory=False, **named):
        made = empty(*size, **named)
        if pin_memory:
            played.pinned.append(made)
        return made

    def copy_(self, other, non_blocking=False):
        if non_blocking:
            (number,) = [n for n, flat in enumerate(played.pinned) if flat is other]
            played.do(("copy", number, played.current is played.main))
        return copied(self, other)

    monkeypatch.setattr(torch, "empty", of_host)
    monkeypatch.setattr(Tensor, "copy_", copy_)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: played.current)
    monkeypatch.setattr(torch.cuda, "stream", played.inside)
    return played
