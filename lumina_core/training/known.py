"""Which parts of a sample are given in training: beginnings, blocks, single frames."""

import torch
from jaxtyping import Bool
from torch import Tensor

from lumina_core.sequence import Grid

CUT_SHARE = 0.5  # how often an axis is cut that need not be: else halves, bands, first frames
INSIDE_SHARE = 0.5  # how often the inside of the box is given; else its surroundings
LEADING_SHARE = 0.5  # how often the first frames of several are given; else a box
ONE_FRAME_SHARE = 0.4  # how often that is the first alone


def draw_known(grid: Grid, generator: torch.Generator) -> Bool[Tensor, "patch"]:
    """Which patches of a training sample are given: its first frames, a random box, or all but one.

    The box takes each axis as a whole or an interval of it, so that halves, bands, holes and
    surroundings all occur. At least one patch is given and one is not, if there are two.

    Args:
        grid: patches along each axis.
        generator: on the CPU; nothing else is random.
    """
    sizes = (grid.frames, grid.rows, grid.columns)
    box = torch.ones(sizes, dtype=torch.bool)
    axes = [axis for axis, size in enumerate(sizes) if size > 1]
    if not axes:
        return ~box.flatten()
    if grid.frames > 1 and _chance(LEADING_SHARE, generator):
        count = 1
        if not _chance(ONE_FRAME_SHARE, generator):
            count = int(torch.randint(1, grid.frames, (), generator=generator))
        box[count:] = False
        return box.flatten()
    must_cut = axes[int(torch.randint(len(axes), (), generator=generator))]
    for axis in axes:
        interval = _interval(sizes[axis], generator)
        if axis == must_cut or _chance(CUT_SHARE, generator):
            shape = [size if i == axis else 1 for i, size in enumerate(sizes)]
            box &= interval.reshape(shape)
    return (box if _chance(INSIDE_SHARE, generator) else ~box).flatten()


def _interval(size: int, generator: torch.Generator) -> Bool[Tensor, "place"]:
    """A random interval of an axis: not empty, not all of it."""
    length = int(torch.randint(1, size, (), generator=generator))
    start = int(torch.randint(size - length + 1, (), generator=generator))
    place = torch.arange(size)
    return (place >= start) & (place < start + length)


def _chance(share: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < share)
