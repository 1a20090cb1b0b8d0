"""What a plan asks of a network: its weights, operations and memory.

Of ours formulas and a few blocks tell it (backbone/cost.py, backbone/trace.py); the network of a
package computes as a whole on tensors without memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch

from lumina_core.backbone.cost import Flops, Sizes, flops, num_parameters
from lumina_core.backbone.network import PackagedNetwork
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.trace import Traced, evaluation, sampling_bytes
from lumina_core.records import BLOCKS, INT8
from lumina_core.sequence import TokenSample

Planned = BackboneConfig | PackagedNetwork
"""The settings of one of ours, or the network of a package on the meta device."""
NUM_STREAMED = 2  # blocks on the GPU at once: one computes, the next one comes


def matrix_shape(network: Planned) -> tuple[int, int]:
    """As in Network."""
    if isinstance(network, BackboneConfig):
        return network.hidden_size, network.ffn_dim
    return network.matrix_shape


def num_weights(network: Planned) -> int:
    """Weights of it."""
    if isinstance(network, BackboneConfig):
        return num_parameters(network)
    return sum(weight.numel() for weight in network.parameters())


def weight_bytes(network: Planned, dtype: torch.dtype, offload: str, quantise: str) -> int:
    """Memory of the weights on the device that computes."""
    if not isinstance(network, BackboneConfig):
        made = _fresh(network, dtype)
        waiting = sum(
            (len(blocks) - NUM_STREAMED) * sum(weight.nbytes for weight in blocks[0].parameters())
            for blocks in (getattr(*place) for place in made.block_lists())
        )
        total = sum(weight.nbytes for weight in made.parameters())
        return total - waiting if offload == BLOCKS else total
    total = num_parameters(network)
    block = num_parameters(replace(network, depth=network.depth + 1)) - total
    rest = (total - network.depth * block) * dtype.itemsize
    if offload == BLOCKS:
        return rest + NUM_STREAMED * block * dtype.itemsize
    return rest + network.depth * block * (1 if quantise == INT8 else dtype.itemsize)


def operations(network: Planned, item: TokenSample, sizes: Sizes, text_dim: int) -> Flops:
    """Operations for one sample.

    Args:
        network: that is planned.
        item: the sample.
        sizes: of it.
        text_dim: width of the features of texts.
    """
    if isinstance(network, BackboneConfig):
        return flops(network, item.modality, sizes)
    # in the type in which memory is counted as well
    found = _evaluation(network, (item,), (sizes.text, text_dim), torch.bfloat16)
    return Flops({}, {"network": found.flops})


def evaluation_bytes(
    network: Planned,
    items: Sequence[TokenSample],
    text: tuple[int, int],
    dtype: torch.dtype,
    *,
    is_guided: bool,
) -> int:
    """Memory of an evaluation beside the weights.

    Args:
        network: that is planned.
        items: computed at once.
        text: tokens of the text of each, and their width.
        dtype: of the network.
        is_guided: each is computed twice at once.
    """
    if isinstance(network, BackboneConfig):
        return sampling_bytes(network, list(items), text[0], dtype, is_guided=is_guided)
    return _evaluation(network, (*items,) * (1 + is_guided), text, dtype).num_bytes


@lru_cache(maxsize=4)  # of one plan
def _evaluation(
    network: PackagedNetwork,
    items: tuple[TokenSample, ...],
    text: tuple[int, int],
    dtype: torch.dtype,
) -> Traced:
    return evaluation(_fresh(network, dtype), items, text)


def _fresh(network: PackagedNetwork, dtype: torch.dtype) -> PackagedNetwork:
    """The same network in a type: a trace takes the weights away."""
    made = network.made(network.about, network.tokenizer)
    made.to(dtype=dtype)
    return made
