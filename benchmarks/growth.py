"""One evaluation as a sample grows, beside diffusers' class of the family.

    python benchmarks/growth.py [next_dit|lumina_image_2|z_image ...] [cells=32,64,128] [rounds=2]

Weights and inputs are bfloat16. A side of 64 cells has 1,024 patches, one of 512 has 65,536 and
takes some six minutes of one CPU. Prints milliseconds per patch of each, and the share of the
matmul peak that ours reaches.
"""

from collections.abc import Iterator
from statistics import median

import torch
from forward import share_of_peak
from peers import (
    DIFFUSERS,
    Case,
    Inputs,
    distance,
    ours_of,
    peak_call,
    ratio,
    show,
    start,
    theirs_of,
    timed,
)


@torch.no_grad()
def measure(family: str, side: int, rounds: int) -> Case:
    """The figures of a length."""
    model = theirs_of(family).to(torch.bfloat16)
    ours = ours_of(family, model)
    inputs = Inputs([(side, side)])
    calls = {"ours": inputs.ours(ours)[0], "theirs": inputs.theirs(family, model)}
    apart = distance(calls["ours"](), calls["theirs"]())
    times = timed({**calls, "peak": peak_call(torch.bfloat16)}, rounds)
    patches = inputs.grids[0].num_patches
    return {
        "family": family,
        "patches": patches,
        "ours_milliseconds_per_patch": 1000 * median(times["ours"]) / patches,
        "theirs_milliseconds_per_patch": 1000 * median(times["theirs"]) / patches,
        "ratio": ratio(times["theirs"], times["ours"]),
        "peak_share": share_of_peak(ours, inputs, times),
        "distance": apart,
    }


def cases(families: list[str], sides: list[int], rounds: int) -> Iterator[Case]:
    """Each, as it is measured."""
    yield from (measure(family, side, rounds) for family in families for side in sides)


if __name__ == "__main__":
    named, words = start()
    sides = [int(side) for side in words.get("cells", "32,64,128").split(",")]
    show(cases(named or list(DIFFUSERS), sides, int(words.get("rounds", 2))), words)
