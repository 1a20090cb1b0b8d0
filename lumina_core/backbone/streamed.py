"""Blocks that wait in the memory of the host and come to a GPU one ahead of the computing.

Two places on the GPU are filled in turn by a stream of their own: while a block computes, the next
one is copied. A block lies in the host as one piece of pinned memory, so that it is one copy, and
the GPU need not wait for the host.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor, nn

ALIGNED = 128  # bytes; matrix kernels are fast where a weight begins at their multiples


class StreamedBlocks(nn.Module):
    """Blocks of one shape, to be iterated over like an nn.ModuleList.

    A block that was given is there until the next is asked for. Threads may share them: each
    iteration has places of its own on the GPU, which the next one takes over.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], device: torch.device, dtype: torch.dtype | None
    ) -> None:
        """Copy blocks into pinned memory; they are left on the meta device.

        Args:
            blocks: at least one, all of one shape.
            device: a GPU.
            dtype: in which they compute; None: each weight in its own.
        """
        super().__init__()
        self._device = device
        self._shapes = {name: tuple(w.shape) for name, w in blocks[0].named_parameters()}
        self._dtypes = [dtype or weight.dtype for weight in blocks[0].parameters()]
        pairs = zip(self._shapes.values(), self._dtypes, strict=True)
        self._sizes = [prod(shape) * each.itemsize for shape, each in pairs]
        spaces = (-(-size // ALIGNED) * ALIGNED for size in self._sizes)
        *self._starts, self._size = accumulate(spaces, initial=0)
        self._waiting: list[Tensor] = []
        for block in blocks:
            if {name: tuple(w.shape) for name, w in block.named_parameters()} != self._shapes:
                raise ValueError("blocks of several shapes cannot take turns in one place")
            self._waiting.append(self._pinned(block))
            block.to("meta")
        self._pattern = (blocks[0],)  # not a part whose weights count
        self._free: list[_Places] = []

    def _pinned(self, block: nn.Module) -> Tensor:
        flat = torch.empty(self._size, dtype=torch.uint8, pin_memory=True)
        for view, weight in zip(self._views(flat), block.parameters(), strict=True):
            view.copy_(weight.detach())
        return flat

    def _views(self, flat: Tensor) -> list[Tensor]:
        """The weights of a block in one piece of memory."""
        places = zip(self._starts, self._sizes, self._dtypes, self._shapes.values(), strict=True)
        return [
            flat.narrow(0, start, size).view(dtype).view(shape)
            for start, size, dtype, shape in places
        ]

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[nn.Module]:
        places = self._free.pop() if self._free else _Places(self)
        current, side = torch.cuda.current_stream(self._device), places.stream

        def fetch(number: int) -> None:
            with torch.cuda.stream(side):
                places.flats[number % 2].copy_(self._waiting[number], non_blocking=True)

        try:
            side.wait_stream(current)  # what computed here before
            fetch(0)
            for number in range(len(self)):
                current.wait_stream(side)  # this block has come
                if number + 1 < len(self):
                    side.wait_stream(current)  # the block before has computed: its place is free
                    fetch(number + 1)
                yield places.blocks[number % 2]
        finally:
            current.wait_stream(side)  # a copy may be on its way: the iteration may end early
            side.wait_stream(current)  # the next iteration may compute on another stream
            self._free.append(places)


class _Places:
    """Two places for blocks on a GPU, and the stream that fills them."""

    def __init__(self, streamed: StreamedBlocks) -> None:
        pattern = streamed._pattern[0]
        self.stream = torch.cuda.Stream(streamed._device)
        self.flats: list[Tensor] = []
        self.blocks: list[nn.Module] = []
        for _ in range(2):
            flat = torch.empty(streamed._size, dtype=torch.uint8, device=streamed._device)
            weights = [nn.Parameter(view, requires_grad=False) for view in streamed._views(flat)]
            own = {id(w): new for w, new in zip(pattern.parameters(), weights, strict=True)}
            self.flats.append(flat)
            self.blocks.append(copy.deepcopy(pattern, own))
