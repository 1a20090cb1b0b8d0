"""The ranks of a run as a mesh: who has which samples, weights, positions and columns."""

from dataclasses import dataclass
from typing import Any

from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from lumina_core.parallel.ranks import num_nodes, num_ranks
from lumina_core.parallel.settings import Axes, ParallelConfig


@dataclass(frozen=True)
class Mesh:
    """The groups of ranks to which this one belongs."""

    axes: Axes
    weights: DeviceMesh
    """Over which weights are cut: ranks of one axis, or copies of them as a second one. Ranks that
    share positions hold other parts of the weights, too."""
    tensor: DeviceMesh
    """Ranks that share each matrix."""
    sequence: Any
    """Group of the ranks that share positions; None: each rank has all positions of its samples."""
    share: int
    """Which of the shares of the samples this rank has."""
    shares: Any
    """Group of ranks, one for each share of the samples."""


def mesh_of(config: ParallelConfig, device_type: str) -> Mesh:
    """The mesh of all ranks, which have met; the sides of it are consecutive ranks, inner first.

    Raises:
        LuminaError: the sides do not multiply to the number of ranks.
    """
    axes = config.axes(num_ranks(), num_nodes())
    cut = axes.shard * axes.sequence
    by_weight = init_device_mesh(
        device_type,
        (axes.replicate, cut, axes.tensor),
        mesh_dim_names=("replicate", "shard", "tensor"),
    )
    by_sample = init_device_mesh(
        device_type,
        (axes.num_shares, axes.sequence, axes.tensor),
        mesh_dim_names=("share", "sequence", "tensor"),
    )
    weights = by_weight["replicate", "shard"] if axes.replicate > 1 else by_weight["shard"]
    return Mesh(
        axes,
        weights,
        by_weight["tensor"],
        by_sample.get_group("sequence") if axes.sequence > 1 else None,
        by_sample.get_local_rank("share"),
        by_sample.get_group("share"),
    )
