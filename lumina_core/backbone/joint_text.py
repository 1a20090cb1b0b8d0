"""Where text stands that shares the sequence of its sample: order, positions and segments.

A sample is its text and then its tokens; both carry positions on three axes. (Z-Image has them the
other way round, which changes no number: attention sees positions, not places.) Text counts on
along the first axis, tokens stand behind it with their frame, row and column. A text has
the time of its sample's first segment: that of the tokens that are not given.

Source: Lumina-Image-2.0 (Alpha-VLLM/Lumina-Image-2.0) and Z-Image as in diffusers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.sequence import TokenBatch, sent


@dataclass(frozen=True)
class JointLayout:
    """Of a batch and its texts; `own` are the positions of the batch, `whole` those with text."""

    text_lengths: tuple[int, ...]
    """Of each text, pads included."""
    lengths: tuple[int, ...]
    """Of each sample with its text."""
    text_source: Int[Tensor, "text"]
    """Number of the token of the text that stands here; behind the last one: a pad."""
    own_positions: Float[Tensor, "own 3"]
    text_positions: Float[Tensor, "text 3"]
    order: Int[Tensor, "whole"]
    """Number of what stands here: the own positions are counted first, then those of text."""
    places: Int[Tensor, "own"]
    """Where the own positions stand in the whole."""
    segment_index: Int[Tensor, "whole"]


def joint_layout(
    batch: TokenBatch, text_lengths: Sequence[int], config: BackboneConfig
) -> JointLayout:
    """Lay out the texts of a batch between its samples.

    Args:
        batch: of samples.
        text_lengths: tokens of each sample's text.
        config: says where positions start and what lengths are filled up to.
    """
    padded = tuple(n + -n % config.pad_multiple for n in text_lengths)
    num_own, num_text = sum(batch.lengths), sum(text_lengths)
    starts = list(accumulate(text_lengths, initial=0))
    source, order = [], []
    own, text = 0, num_own
    for length, filled, own_length, start in zip(
        text_lengths, padded, batch.lengths, starts, strict=False
    ):
        source.append(
            pad(torch.arange(start, start + length), (0, filled - length), value=num_text)
        )
        order += [torch.arange(text, text + filled), torch.arange(own, own + own_length)]
        text, own = text + filled, own + own_length
    whole = torch.cat(order)
    places = torch.empty_like(whole).index_copy(0, whole, torch.arange(len(whole)))[:num_own]
    device = batch.state.device
    whole = sent(whole, device)
    counts = sent(torch.tensor(padded), device)
    first = torch.searchsorted(
        batch.segment_sample, torch.arange(batch.num_samples, device=device)
    ).repeat_interleave(counts, output_size=sum(padded))
    return JointLayout(
        padded,
        tuple(n + m for n, m in zip(padded, batch.lengths, strict=True)),
        sent(torch.cat(source), device),
        _behind(batch, config.text_start + counts),
        _along([torch.arange(n, device=device) + config.text_start for n in padded]),
        whole,
        sent(places, device),
        torch.cat([batch.segment_index, first]).index_select(0, whole),
    )


def _along(places: Sequence[Int[Tensor, "_text"]]) -> Float[Tensor, "text 3"]:
    """Positions of text: along the first axis, at the beginning of the others."""
    return pad(torch.cat(list(places)).float()[:, None], (0, 2))


def _behind(batch: TokenBatch, offsets: Int[Tensor, "sample"]) -> Float[Tensor, "own 3"]:
    """Positions of a batch behind its texts; pads stay where every axis begins."""
    lengths = sent(torch.tensor(batch.lengths), batch.state.device)
    offset = offsets.repeat_interleave(lengths, output_size=sum(batch.lengths))
    is_patch = batch.source < len(batch.content_index)
    return batch.index.float() + pad((offset * is_patch).float()[:, None], (0, 2))
