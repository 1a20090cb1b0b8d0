"""What time and text do to a layer: shift, scale and gate of each segment, applied to positions.

A segment has many positions. Gradients need the rows of segments and the segment of each position;
rows of positions, six of the hidden width in each block, are made for a moment and never kept.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Rows = Float[Tensor, "segment hidden"]
Positions = Float[Tensor, "position hidden"]


class _BySegment(torch.autograd.Function):
    """base + factor[segment] * x; the base is a row per position, a row per segment, or 0.

    The gradients of rows of segments are sums over their positions, in the order of these on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Positions,
        factor: Rows,
        index: Int[Tensor, "position"],
        rows: Rows | None,
        added: Positions | None,
    ) -> Positions:
        ctx.save_for_backward(x, factor, index)
        ctx.rows_dtype = None if rows is None else rows.dtype
        ctx.added_dtype = None if added is None else added.dtype
        of_position = factor.index_select(0, index)
        base = added if rows is None else rows.index_select(0, index)
        return x * of_position if base is None else torch.addcmul(base, x, of_position)

    @staticmethod
    def backward(ctx: Any, grad: Positions) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, factor, index = ctx.saved_tensors
        needs_x, needs_factor, _, needs_rows, needs_added = ctx.needs_input_grad
        of_x = of_factor = of_rows = None
        if needs_x:
            of_x = (grad * factor.index_select(0, index)).to(x.dtype)
        if needs_factor:
            of_factor = _sums(grad * x, index, len(factor)).to(factor.dtype)
        if needs_rows:
            of_rows = _sums(grad, index, len(factor)).to(ctx.rows_dtype)
        return of_x, of_factor, None, of_rows, grad.to(ctx.added_dtype) if needs_added else None


def _sums(values: Positions, index: Int[Tensor, "position"], num_segments: int) -> Rows:
    """The sum of the positions of each segment, at least in float32."""
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    return wide.new_zeros(num_segments, wide.shape[1]).index_add_(0, index, wide)


class Modulation(NamedTuple):
    """What the condition does to one layer, by segment; None does nothing."""

    segment_index: Int[Tensor, "position"] | None = None
    """Segment of each position."""
    shift: Rows | None = None
    scale: Rows | None = None
    gate: Rows | None = None

    def of_input(self, x: Positions) -> Positions:
        """Shift + x (1 + scale)."""
        if self.scale is None:
            return x
        return _BySegment.apply(x, 1 + self.scale, self.segment_index, self.shift, None)  # type: ignore[no-any-return]

    def add(self, x: Positions, y: Positions) -> Positions:
        """X + gate y."""
        if self.gate is None:
            return x + y
        return _BySegment.apply(y, self.gate, self.segment_index, None, x)  # type: ignore[no-any-return]
