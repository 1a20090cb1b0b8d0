"""One evaluation of the network beside diffusers' class of the same family, weights and inputs.

    python benchmarks/forward.py [next_dit|lumina_image_2|z_image ...] [rounds=9] [out=FILE.json]

The ratio is theirs over ours, once as `run` computes (text keys of a request made once) and once
with the text read anew. The share of the matmul peak is ours: operations of the products over the
time, over what a product of two square matrices of the dtype reaches in the same round. In bfloat16
the weights of both are bfloat16.
"""

from statistics import median

import torch
from peers import (
    DIFFUSERS,
    NUM_TEXT_TOKENS,
    SQUARE_FLOPS,
    Case,
    Inputs,
    distance,
    ours_of,
    peak_call,
    ratio,
    show,
    sized_cases,
    start,
    theirs_of,
    timed,
)

from lumina_core.backbone.cost import Sizes, flops
from lumina_core.backbone.transformer import Backbone


@torch.no_grad()
def measure(family: str, dtype: torch.dtype, side: int, count: int, rounds: int) -> Case:
    """The figures of a case."""
    model = theirs_of(family)
    ours = ours_of(family, model).to(dtype)
    inputs = Inputs([(side, side)] * count)
    kept, anew = inputs.ours(ours)
    theirs = inputs.theirs(family, model.to(dtype))
    apart = distance(kept(), theirs())
    times = timed(
        {"theirs": theirs, "ours": kept, "ours with text": anew, "peak": peak_call(dtype)}, rounds
    )
    return {
        "family": family,
        "dtype": str(dtype).removeprefix("torch."),
        "cells": side,
        "samples": count,
        "ratio": ratio(times["theirs"], times["ours"]),
        "ratio_with_text": ratio(times["theirs"], times["ours with text"]),
        "milliseconds": 1000 * median(times["ours"]),
        "peak_share": share_of_peak(ours, inputs, times),
        "peak_gflops": SQUARE_FLOPS / median(times["peak"]) / 1e9,
        "distance": apart,
    }


def share_of_peak(network: Backbone, inputs: Inputs, times: dict[str, list[float]]) -> float:
    """Operations of the products over our time, over what a product of squares reaches."""
    operations = 0
    for grid in inputs.grids:
        positions = grid.num_positions(network.separators)
        sizes = Sizes(grid.num_patches, positions, NUM_TEXT_TOKENS)
        operations += sum(flops(network.config, "image", sizes).evaluation.values())
    return operations / SQUARE_FLOPS * ratio(times["peak"], times["ours"])


if __name__ == "__main__":
    named, words = start()
    show(sized_cases(measure, named or list(DIFFUSERS), int(words.get("rounds", 9))), words)
