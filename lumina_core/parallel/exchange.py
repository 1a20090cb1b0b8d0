"""Exchanges between ranks through which gradients pass.

Ulysses: each rank has some positions of a sequence; for attention it gets all positions of some
heads, and gives them back. Packed sequences of any lengths are shared out, evenly or not.

Source: DeepSpeed Ulysses (arXiv 2309.14509).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from einops import rearrange, repeat
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Split:
    """Positions that are shared out over a group, each rank's behind those of the one before."""

    group: Any
    rank: int
    counts: tuple[int, ...]
    """Positions of each rank; some may have none."""

    @property
    def size(self) -> int:
        """Ranks of the group."""
        return len(self.counts)

    @property
    def own(self) -> slice:
        """The positions of this rank."""
        ends = list(accumulate(self.counts, initial=0))
        return slice(ends[self.rank], ends[self.rank + 1])


def split_evenly(total: int, group: Any) -> Split:
    """Share out positions over a group so that no rank has two more than another."""
    size = dist.get_world_size(group)
    counts = tuple(total // size + (number < total % size) for number in range(size))
    return Split(group, dist.get_rank(group), counts)


def to_heads(parts: Sequence[Tensor], split: Split) -> list[Tensor]:
    """All positions of this rank's heads, of each of several tensors.

    Args:
        parts: (own position, head, channel) each, alike but for their heads.
        split: of the positions.
    """
    parts = [_divisible(part, split.size) for part in parts]
    num_heads = [part.shape[1] // split.size for part in parts]
    by_rank = [rearrange(part, "l (w h) c -> w l h c", w=split.size) for part in parts]
    sent = rearrange(torch.cat(by_rank, dim=2), "w l h c -> (w l) h c")
    own = (split.counts[split.rank],) * split.size
    return list(_Exchanged.apply(sent, own, split.counts, split.group).split(num_heads, dim=1))


def to_positions(x: Tensor, split: Split) -> Tensor:
    """The way back: (position, head of this rank, channel) -> (own position, head, channel)."""
    own = (split.counts[split.rank],) * split.size
    received = _Exchanged.apply(x, split.counts, own, split.group)
    return rearrange(received, "(w l) h c -> l (w h) c", w=split.size)


def own_heads(x: Tensor, split: Split) -> Tensor:
    """The heads of this rank of a tensor (position, head, channel), or (head), that all have."""
    if x.ndim == 1:
        return x.chunk(split.size)[split.rank]
    return _divisible(x, split.size).chunk(split.size, dim=1)[split.rank]


def _divisible(x: Tensor, size: int) -> Tensor:
    """Heads of keys that fewer ranks could share: each once for every rank that reads it."""
    times = size // x.shape[1] if x.shape[1] < size else 1
    return x if times == 1 else repeat(x, "l h c -> l (h n) c", n=times)


def gathered(x: Tensor, split: Split) -> Tensor:
    """The rows of all ranks, each of which goes on with rows of its own: gradients are summed."""
    return _Gathered.apply(x, split, True)


def completed(x: Tensor, split: Split) -> Tensor:
    """The rows of all ranks, which all compute one and the same of them: a gradient is that."""
    return _Gathered.apply(x, split, False)


def shared(x: Tensor, group: Any) -> Tensor:
    """A tensor that every rank of a group has, and uses for a part: gradients are summed."""
    return _Shared.apply(x, group)


def own_part(x: Tensor, group: Any) -> Tensor:
    """The part of this rank, which alone it uses, of a vector that every rank has."""
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    return shared(x, group).chunk(size)[rank]


def summed(x: Tensor, group: Any) -> Tensor:
    """The sum of the tensors of a group, which each rank uses for a part."""
    return _Summed.apply(x, group)


def exchanged(x: Tensor, sent: Sequence[int], received: Sequence[int], group: Any) -> Tensor:
    """Rows to every rank and rows of every rank, in the order of the ranks; without gradients.

    Args:
        x: rows for the first rank, then those for the second one, and so on.
        sent: rows for each rank.
        received: rows of each rank.
        group: the ranks.
    """
    # a view would be read in the order of its memory, and the result silently be wrong
    x = x.contiguous()
    out = x.new_empty(sum(received), *x.shape[1:])
    dist.all_to_all_single(out, x, list(received), list(sent), group=group)
    return out


class _Exchanged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, sent: tuple[int, ...], received: tuple[int, ...], group: Any
    ) -> Tensor:
        ctx.sent, ctx.received, ctx.group = received, sent, group
        return exchanged(x, sent, received, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return exchanged(gradient, ctx.sent, ctx.received, ctx.group), None, None, None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, split: Split, is_partial: bool) -> Tensor:
        ctx.split, ctx.is_partial = split, is_partial
        most = max(split.counts)
        rows = pad(x, (0, 0) * (x.ndim - 1) + (0, most - len(x))).contiguous()
        parts = [torch.empty_like(rows) for _ in split.counts]
        dist.all_gather(parts, rows, group=split.group)
        counted = zip(parts, split.counts, strict=True)
        return torch.cat([part[:count] for part, count in counted])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        if ctx.is_partial:
            gradient = gradient.contiguous().clone()
            dist.all_reduce(gradient, group=ctx.split.group)
        return gradient[ctx.split.own], None, None


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _sum(gradient, ctx.group), None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _sum(x, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _sum(gradient, ctx.group), None


def _sum(x: Tensor, group: Any) -> Tensor:
    x = x.contiguous().clone()
    dist.all_reduce(x, group=group)
    return x
