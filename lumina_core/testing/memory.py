"""How much memory a call needs at most: of tensors and of everything that Python allocates."""

import tracemalloc
from collections.abc import Callable

import torch

from lumina_core.backbone.trace import TensorBytes


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that tensors, arrays and objects made by a call take at once, in bytes."""
    with TensorBytes():  # the first of a process imports modules that take 65 MB
        torch.zeros(1)
    tracemalloc.start()
    try:
        with TensorBytes() as tensors:
            call()
        return tensors.peak + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
