"""Compiled layers of a network that is trained: one graph for batches of any size.

Only feed-forward layers are compiled. A whole block is not: rotations are complex numbers, which
torch does not compile, and attention reads the lengths of a packing as plain numbers, so that each
new packing would be compiled again.
"""

import time

import torch

from lumina_core.backbone.block import FeedForward
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import resolve_dtype
from lumina_core.terminal import tell

SIZES = (64, 96)  # positions of two batches; what changes between them is known to change


def compile_layers(backbone: Backbone, dtype: str, *, backend: str = "inductor") -> float:
    """Compile the feed-forward layers in place; a first one of their shape pays for all of them.

    Args:
        backbone: on the device that trains it.
        dtype: in which it computes.
        backend: of torch.compile.

    Returns:
        Seconds that it took, which are told, too.

    Raises:
        LuminaError: torch cannot compile here.
    """
    started, device = time.perf_counter(), backbone.final_modulation.weight.device
    computed, width = resolve_dtype(dtype), backbone.config.hidden_size
    with torch.device(device):
        first = FeedForward(backbone.config).to(computed)
        inputs = [torch.zeros(size, width, dtype=computed) for size in SIZES]
    first.compile(dynamic=True, backend=backend)
    try:
        for x in inputs:
            first(x.requires_grad_()).sum().backward()
    except Exception as error:  # a compiler may be absent or fail in any way
        raise LuminaError(
            f"compile=true: torch cannot compile here: {reason_of(error)}; leave compile out"
        ) from error
    for module in backbone.modules():
        if isinstance(module, FeedForward):
            module.compile(dynamic=True, backend=backend)
    seconds = time.perf_counter() - started
    tell(f"note: compiled the feed-forward layers in {seconds:.1f} s")
    return seconds
