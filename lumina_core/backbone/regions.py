"""Several texts for the parts of a sample: each position reads one of them by cross-attention.

Positions are brought into the order of the texts that they read, so packed attention needs no mask.
Self-attention stays global, which blends the parts.

Source: lumina_next_compositional_generation (Alpha-VLLM/Lumina-T2X).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """What the positions of a batch read."""

    text_of: Int[Tensor, "position"]
    """Number of the text of each position, counted through the batch; each is read somewhere."""
    pooled: Float[Tensor, "pooled text_dim"]
    """Features of one caption per sample, end to end, whose mean conditions the whole sample."""
    pooled_lengths: tuple[int, ...]


@dataclass(frozen=True)
class Readers:
    """The positions of a batch in the order of the texts that they read."""

    order: Int[Tensor, "position"]
    places: Int[Tensor, "position"]
    """Where each position stands in that order."""
    lengths: tuple[int, ...]
    """Positions that read each text."""


def readers_of(text_of: Int[Tensor, "position"], num_texts: int) -> Readers:
    """The readers of each text.

    Args:
        text_of: as in Regions.
        num_texts: how many texts there are.

    Raises:
        ValueError: a text is read nowhere, or one is read that is not there.
    """
    lengths = torch.bincount(text_of.cpu(), minlength=num_texts).tolist()
    if len(lengths) != num_texts or min(lengths) < 1:
        raise ValueError(f"each of {num_texts} texts is read somewhere, got {lengths} positions")
    order = torch.argsort(text_of, stable=True)
    return Readers(order, torch.argsort(order), tuple(lengths))
