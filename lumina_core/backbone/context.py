"""What a request needs at every step and computes once, and how ranks share its positions.

Every rank has the whole batch. Which part is its own follows from lengths alone, but for patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumina_core.backbone.block import KeysValues, Run
from lumina_core.parallel.exchange import Split, split_evenly
from lumina_core.sequence import TokenBatch


@dataclass(frozen=True)
class JointText:
    """Text that stands in the sequence of its sample."""

    tokens: Float[Tensor, "text hidden"]
    """Refined, pads included, the samples end to end."""
    order: Int[Tensor, "whole"]
    """As in JointLayout."""
    places: Int[Tensor, "position"]
    own: Run
    """The batch's own positions, on which the refiners of tokens work."""


@dataclass(frozen=True)
class Context:
    """What a request needs at every step and computes once."""

    run: Run
    """Positions on which the blocks work: the batch's own, and joint text between them."""
    texts: tuple[KeysValues | Tensor | None, ...]
    """Text keys and values of each block, or the features that it computes them of; None without
    cross-attention."""
    pooled: Float[Tensor, "sample condition"] | None
    """Mean of the text, or the label; None where text is in the sequence alone."""
    joint: JointText | None


def shared_out(context: Context, group: Any) -> Context:
    """The context of a batch whose positions the ranks of a group share, each a part of them.

    Every rank has the whole batch and gets the whole velocity. The gradients of its weights are
    those of its part.
    """

    def part(run: Run) -> Run:
        split = split_evenly(sum(run.lengths), group)
        tables, segments = run.tables, run.segment_index
        late = None if tables.late is None else tables.late[split.own]
        return replace(
            run,
            split=split,
            tables=replace(tables, early=tables.early[split.own], late=late),
            segment_index=None if segments is None else segments[split.own],
        )

    joint = context.joint
    if joint is not None:
        joint = replace(joint, own=part(joint.own))
    return replace(context, run=part(context.run), joint=joint)


def own_rows(x: Tensor, split: Split | None) -> Tensor:
    """The rows of this rank; all of them where nothing is shared."""
    return x if split is None else x[split.own]


def split_patches(content: Int[Tensor, "patch"], split: Split) -> Split:
    """How patches are shared out whose positions are; this waits for the device."""
    ends = torch.tensor(list(accumulate(split.counts, initial=0)), device=content.device)
    places = torch.searchsorted(content, ends).tolist()
    return replace(split, counts=tuple(stop - start for start, stop in pairwise(places)))


def within(own: slice, counts: Sequence[int]) -> list[int]:
    """How many of each group lie in a slice, the groups end to end."""
    ends = accumulate(counts, initial=0)
    return [max(0, min(own.stop, b) - max(own.start, a)) for a, b in pairwise(ends)]


def split_elements(patches: Split, batch: TokenBatch) -> Split:
    """How the elements of a batch are shared out whose patches are."""
    counts = [span.num_patches for span in batch.spans]
    dims = [span.token_dim for span in batch.spans]
    ranks = (replace(patches, rank=rank).own for rank in range(patches.size))
    elements = (
        sum(count * dim for count, dim in zip(within(own, counts), dims, strict=True))
        for own in ranks
    )
    return replace(patches, counts=tuple(elements))
