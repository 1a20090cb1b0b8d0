"""How much memory a call needs at most: of tensors and of everything that Python allocates."""

import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made within the block and still live."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


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
