"""Rotary position embedding on adjacent pairs of channels, in float32.

| rope | positions | channels |
|---|---|---|
| sequence | the place in the sequence, separators included | all |
| axial | frame, row and column in the units of the modality | a share per axis |
| alternating | numbers of row and column | pairs of row and column in turn |
| concatenated | text, then numbers of row and column behind it | a share per axis |

Scaling to sizes that were never trained is an argument of the call; nothing is stored.

Source: RoFormer (arXiv 2104.09864); NTK-aware scaling; time-aware scaling of Lumina-Next
(arXiv 2406.18583): linear while t is small, where layout forms, NTK after; Lumina-Next
(alternating) and Lumina-Image-2.0 (concatenated) as released.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lumina_core.backbone.settings import (
    ALTERNATING,
    CONCATENATED,
    SEQUENCE,
    BackboneConfig,
    RopeScaling,
)
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


def positions_of(batch: TokenBatch, rope: str) -> Float[Tensor, "position axis"]:
    """What the rotation of each position of a batch follows from, without text."""
    if rope == SEQUENCE:
        return batch.sequence_index[:, None].float()
    return batch.index.float() if rope in (ALTERNATING, CONCATENATED) else batch.coordinates


def rope_tables(
    positions: Float[Tensor, "position axis"], config: BackboneConfig, scaling: RopeScaling
) -> RopeTables:
    """The rotation of each position.

    angle[position, i] = coordinate / linear * (theta * ntk) ^ (-2 i / dim)

    Args:
        positions: as `positions_of` gives them, of concatenated ones with text on the first axis.
        config: says which rotation, its base and the channels per axis.
        scaling: see RopeScaling; it leaves the axis of text alone.
    """

    def table(linear: float, ntk: float) -> Table:
        angle = _angles(positions, config, linear, ntk)[:, None]
        return torch.polar(torch.ones_like(angle), angle)

    if scaling.watershed is None:
        return RopeTables(table(scaling.linear, scaling.ntk), None, 0.0)
    return RopeTables(table(scaling.linear, 1.0), table(1.0, scaling.ntk), scaling.watershed)


def _angles(
    positions: Float[Tensor, "position axis"], config: BackboneConfig, linear: float, ntk: float
) -> Float[Tensor, "position pair"]:
    theta = config.rope_theta
    if config.rope == ALTERNATING:
        exponent = torch.arange(0, config.head_dim, 4, device=positions.device).float()
        frequency = (theta * ntk) ** -(exponent / config.head_dim)
        return (positions[:, 1:, None] / linear * frequency).transpose(1, 2).flatten(1)
    angles = []
    for axis, dim in enumerate(config.axis_dims):
        place, exponent = positions[:, axis], torch.arange(0, dim, 2, device=positions.device)
        if config.rope == CONCATENATED:  # in float64, as released
            is_text = axis == 0
            base, own = (theta, place) if is_text else (theta * ntk, place / linear)
            angles.append(torch.outer(own.double(), base ** -(exponent.double() / max(dim, 1))))
        else:
            base = theta * ntk
            angles.append(torch.outer(place / linear, base ** -(exponent.float() / max(dim, 1))))
    return torch.cat(angles, dim=1).float()


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
