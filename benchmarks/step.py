"""One update of the network beside diffusers' class: forward, backward, AdamW.

    python benchmarks/step.py [next_dit|lumina_image_2|z_image ...] [rounds=5] [out=FILE.json]

The loss is the mean square of the velocity's error, and each step reads the text, as training does.
Both have the fused AdamW; `ratio_usual` has torch's usual one on their side. In bfloat16 both cast
as torch.autocast does, with weights in float32. A ratio is theirs over ours.
"""

from statistics import median

import torch
from peers import (
    DIFFUSERS,
    Call,
    Case,
    Inputs,
    ours_of,
    ratio,
    show,
    sized_cases,
    start,
    theirs_of,
    timed,
)
from torch import nn

RATE = 1e-4


def step_of(network: nn.Module, velocity: Call, dtype: torch.dtype, *, fused: bool | None) -> Call:
    """One update; gives the loss before it."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, fused=fused)

    def step() -> float:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            made = torch.cat([each.flatten() for each in velocity()])
        loss = (made.float() - 1).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def measure(family: str, dtype: torch.dtype, side: int, count: int, rounds: int) -> Case:
    """The figures of a case."""
    inputs = Inputs([(side, side)] * count)
    model, usual = theirs_of(family), theirs_of(family)
    ours = ours_of(family, theirs_of(family))  # which shares memory with what it is made of
    for network in (model, usual, ours):
        network.train().requires_grad_(True)
    calls = {
        "ours": step_of(ours, inputs.ours(ours)[1], dtype, fused=True),
        "theirs": step_of(model, inputs.theirs(family, model), dtype, fused=True),
        "usual": step_of(usual, inputs.theirs(family, usual), dtype, fused=None),
    }
    losses = {name: call() for name, call in calls.items()}
    times = timed(calls, rounds)
    return {
        "family": family,
        "dtype": str(dtype).removeprefix("torch."),
        "cells": side,
        "samples": count,
        "ratio": ratio(times["theirs"], times["ours"]),
        "ratio_usual": ratio(times["usual"], times["ours"]),
        "milliseconds": 1000 * median(times["ours"]),
        "losses_apart": abs(losses["ours"] / losses["theirs"] - 1),
    }


if __name__ == "__main__":
    named, words = start()
    show(sized_cases(measure, named or list(DIFFUSERS), int(words.get("rounds", 5))), words)
