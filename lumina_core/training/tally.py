"""Losses of many samples as sums: per modality, time and length, on the device that computes.

A step adds to a tensor there and fetches it once. What is told about several steps is the quotient
of sums, so a modality or a time that no sample had is left out.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.sequence import sent

NUM_TIMES = 10  # bins of t, each of the same width
SIZES = tuple(2**power for power in range(5, 14))
"""Positions at which a bin of lengths ends: 32, 64, ..., 8192; the last bin has no end."""


class Tally:
    """Sums of losses and numbers of samples, by modality, bin of t and bin of length."""

    def __init__(self, modalities: Sequence[str], device: torch.device) -> None:
        self.modalities = list(modalities)
        shape = (2, len(self.modalities), NUM_TIMES, len(SIZES) + 1)
        self.cells: Float[Tensor, "2 modality time size"] = torch.zeros(
            shape, dtype=torch.float64, device=device
        )
        """Sums of losses, then numbers of samples."""

    def add(
        self,
        modalities: Sequence[str],
        num_positions: Sequence[int],
        t: Float[Tensor, "sample"],
        losses: Float[Tensor, "sample"],
    ) -> None:
        """Add the samples of a batch, without waiting for the device.

        Args:
            modalities: of each sample.
            num_positions: of each sample, separators included.
            t: times in [0, 1], on the CPU.
            losses: without gradient, where the tally is.
        """
        bins = (t * NUM_TIMES).long().clamp(max=NUM_TIMES - 1).tolist()
        _, _, num_times, num_sizes = self.cells.shape
        places = [
            (self.modalities.index(name) * num_times + time) * num_sizes + bisect_right(SIZES, size)
            for name, time, size in zip(modalities, bins, num_positions, strict=True)
        ]
        index = sent(torch.tensor(places), self.cells.device)
        sums, counts = self.cells.flatten(1)
        sums.index_add_(0, index, losses.double())
        counts.index_add_(0, index, torch.ones_like(losses, dtype=torch.float64))


class Measured:
    """What the steps since the last line of the log have measured, on the CPU."""

    def __init__(self, modalities: Sequence[str]) -> None:
        self._tally = Tally(modalities, torch.device("cpu"))
        self._tokens: Counter[str] = Counter()
        self._norms: list[float] = []

    def add(
        self,
        cells: Float[Tensor, "2 modality time size"],
        tokens: Mapping[str, int],
        gradient_norm: float,
    ) -> None:
        """Add the cells of a step, the positions that it had of each modality, and its gradient."""
        self._tally.cells += cells
        self._tokens.update(tokens)
        self._norms.append(gradient_norm)

    def take(self) -> dict[str, Any]:
        """Mean losses, of all samples and by modality, lower end of a bin of t and of lengths.

        Beside them the mean norm of the gradients, and shares of the tokens. Begins anew.
        """
        cells = self._tally.cells
        total = self._tokens.total()
        losses, count = cells.sum((1, 2, 3)).tolist()
        found = {
            "loss": losses / count,
            "gradient_norm": sum(self._norms) / len(self._norms),
            "loss_of": _means(self._tally.modalities, cells.sum((2, 3))),
            "loss_at": _means([f"{n / NUM_TIMES:g}" for n in range(NUM_TIMES)], cells.sum((1, 3))),
            "loss_sized": _means([str(size) for size in (0, *SIZES)], cells.sum((1, 2))),
            "token_share": {name: count / total for name, count in self._tokens.items()},
        }
        cells.zero_()
        self._tokens.clear()
        self._norms.clear()
        return found


def _means(names: Sequence[str], pairs: Float[Tensor, "2 name"]) -> dict[str, float]:
    sums, counts = pairs.tolist()
    return {n: s / count for n, s, count in zip(names, sums, counts, strict=True) if count}
