"""Rotary position embedding on adjacent pairs of channels, in float32.

`sequence` is the released 1-D form: the position counts every token, separators included. `axial`
gives each of the axes frame, row and column (and row and column in one common unit) its own share
of the channels and takes positions from the grid's coordinates. Scaling to sizes that were never
trained is an argument of the call; nothing is stored.

Source: RoFormer (arXiv 2104.09864); NTK-aware scaling; time-aware scaling of Lumina-Next
(arXiv 2406.18583): linear while t is small, where layout forms, NTK after.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lumina_core.backbone.settings import RopeScaling
from lumina_core.sequence import TokenBatch

Table = Complex[Tensor, "position 1 pair"]
"""cos + i sin per position and pair of channels; one table serves all heads."""


@dataclass(frozen=True)
class RopeTables:
    """The rotation of a batch, computed once per request."""

    early: Table
    """Used while t < watershed, and always without a watershed."""
    late: Table | None
    watershed: float


def rope_tables(
    batch: TokenBatch, *, theta: float, dims: tuple[int, ...], scaling: RopeScaling
) -> RopeTables:
    """The rotation of each position.

    angle[position, i] = coordinate / linear * (theta * ntk) ^ (-2 i / dim)

    Args:
        batch: gives positions: its first `len(dims)` coordinates, or the sequence index for one.
        theta: base of the frequencies.
        dims: channels per axis, each even; they sum to head_dim.
        scaling: see RopeScaling.
    """
    positions = batch.coordinates if len(dims) > 1 else batch.sequence_index[:, None].float()
    if scaling.watershed is None:
        return RopeTables(_table(positions, theta * scaling.ntk, dims, scaling.linear), None, 0.0)
    return RopeTables(
        early=_table(positions, theta, dims, scaling.linear),
        late=_table(positions, theta * scaling.ntk, dims, 1.0),
        watershed=scaling.watershed,
    )


def _table(
    positions: Float[Tensor, "position axis"], theta: float, dims: tuple[int, ...], linear: float
) -> Table:
    angles = []
    for axis, dim in enumerate(dims):
        exponent = torch.arange(0, dim, 2, device=positions.device).float() / max(dim, 1)
        angles.append(torch.outer(positions[:, axis] / linear, theta**-exponent))
    angle = torch.cat(angles, dim=1)[:, None]
    return torch.polar(torch.ones_like(angle), angle)


def table_at(tables: RopeTables, time: Float[Tensor, "position"]) -> Table:
    """The table of each position at its own time: no value leaves the device."""
    if tables.late is None:
        return tables.early
    is_early = (time < tables.watershed)[:, None, None]
    return torch.where(is_early, tables.early, tables.late)


def rotate(x: Float[Tensor, "position head channel"], table: Table) -> Tensor:
    """Rotate channel pairs (2i, 2i + 1): (a, b) -> (a cos - b sin, a sin + b cos), in float32."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * table).flatten(-2).type_as(x)
