"""How the ranks of a run share their work: the record. Imports no torch."""

from dataclasses import dataclass
from typing import NamedTuple

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting


class Axes(NamedTuple):
    """The sides of a mesh of ranks, the outermost first; their product is the number of ranks."""

    replicate: int
    shard: int
    sequence: int
    tensor: int

    @property
    def num_shares(self) -> int:
        """Groups of ranks that have samples of their own."""
        return self.replicate * self.shard

    @property
    def num_alike(self) -> int:
        """Ranks that have the same samples."""
        return self.sequence * self.tensor


@dataclass(frozen=True)
class ParallelConfig(Settings, block="parallel"):
    """How the ranks that torchrun starts share their work; one process is one rank."""

    replicate: int | None = setting(
        1,
        "copies of the weights; null: one per node, or all that a given `shard` leaves",
        at_least=1,
    )
    shard: int | None = setting(
        None,
        "ranks over which each copy of weights, gradients and moments is cut; null: all that the "
        "others leave",
        at_least=1,
    )
    sequence: int = setting(1, "ranks that share the positions of the same samples", at_least=1)
    tensor: int = setting(1, "ranks that share each matrix of the blocks", at_least=1)

    def axes(self, num_ranks: int, num_nodes: int) -> Axes:
        """The mesh of so many ranks.

        Raises:
            LuminaError: the sides do not multiply to the number of ranks.
        """
        replicate, shard = self.replicate, self.shard
        rest = num_ranks // (self.sequence * self.tensor)
        if replicate is None:
            replicate = num_nodes if shard is None else max(1, rest // shard)
        if shard is None:
            shard = max(1, rest // replicate)
        axes = Axes(replicate, shard, self.sequence, self.tensor)
        if replicate * shard * self.sequence * self.tensor != num_ranks:
            sides = " x ".join(f"{name} {side}" for name, side in axes._asdict().items())
            raise LuminaError(
                f"parallel gives a mesh of {sides}, and the run has {num_ranks} "
                f"rank{'s' * (num_ranks > 1)}; set sides that multiply to that, or start another "
                "number of ranks"
            )
        return axes
