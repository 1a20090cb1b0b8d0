"""Layers along time applied to a stream of frames, exactly and in bounded memory.

A layer that looks at a few neighbouring frames is run on windows that overlap by as many, and only
the outputs are kept that saw all they look at. What a layer does at the true ends of a clip, it
does there, for the first and the last window reach them. Layers run one after the other, so each
repeats no more than its own neighbourhood.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Frames = Float[Tensor, "1 channel frame row column"]


@dataclass(frozen=True)
class Layer:
    """A layer along time, in which the first frame stands alone.

    1 + n frames give 1 + n * up / down; input i makes outputs up to i * up / down.
    """

    run: Callable[[Tensor], Tensor]
    before: int
    """Inputs before its own at which an output looks."""
    after: int
    """Inputs after its own at which an output looks."""
    up: int = 1
    down: int = 1


def streamed(layers: Sequence[Layer], chunks: Iterator[Frames]) -> Iterator[Frames]:
    """Pass chunks of a clip through all layers.

    Args:
        layers: the first one first.
        chunks: of the clip, in order.

    Returns:
        Chunks of the result, in order; together what the layers make of the whole clip, up to the
        rounding of kernels that see other sizes.
    """
    for layer in layers:
        chunks = _through(layer, chunks)
    return chunks


def _through(layer: Layer, chunks: Iterator[Frames]) -> Iterator[Frames]:
    window, start, made = None, 0, 0  # inputs from `start` on; outputs that are out
    for chunk, is_last in _marked(chunks):
        window = chunk if window is None else torch.cat([window, chunk], dim=2)
        end = (start + window.shape[2] - 1) // layer.down * layer.down
        stop = (end if is_last else end - layer.after) * layer.up // layer.down + 1
        if stop <= made:
            continue
        first = start * layer.up // layer.down
        output = layer.run(window[:, :, : end - start + 1])[:, :, made - first : stop - first]
        made = stop
        own = -(-made * layer.down // layer.up)  # the input of the next output
        keep = max(start, (own - layer.before) // layer.down * layer.down)
        window, start = window[:, :, keep - start :].clone(), keep  # a view would keep all of it
        yield output


def _marked(chunks: Iterator[Frames]) -> Iterator[tuple[Frames, bool]]:
    """Each chunk, and whether it is the last one."""
    previous = next(chunks)
    for chunk in chunks:
        yield previous, False
        previous = chunk
    yield previous, True
