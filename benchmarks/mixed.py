"""A batch of many sizes beside diffusers' classes, which pad it or take its samples one by one.

    python benchmarks/mixed.py [next_dit|lumina_image_2|z_image ...] [rounds=5] [out=FILE.json]

Eight samples have sides of 16 to 64 cells, patches 2 x 2. Z-Image's class takes a list and pads it.
The others take latents of one size, so each sample is padded to 64 x 64 before. A ratio is theirs
over ours, forward alone, with the text keys made before, as `run` does.
"""

from collections.abc import Iterator

import torch
from peers import (
    DIFFUSERS,
    DTYPES,
    Case,
    Inputs,
    distance,
    ours_of,
    ratio,
    show,
    start,
    theirs_of,
    timed,
)

SIZES = [(16, 16), (16, 32), (32, 16), (24, 24), (32, 32), (48, 32), (32, 64), (64, 64)]


@torch.no_grad()
def measure(family: str, dtype: torch.dtype, rounds: int) -> Case:
    """The figures of a family."""
    model = theirs_of(family)
    ours = ours_of(family, model).to(dtype)
    model = model.to(dtype)
    mixed = Inputs(SIZES)
    padded = mixed if family == "z_image" else Inputs([(64, 64)] * len(SIZES))
    singles = [alone.theirs(family, model) for alone in mixed.one_by_one()]
    calls = {
        "ours": mixed.ours(ours)[0],
        "padded": padded.theirs(family, model),
        "one by one": lambda: [made for call in singles for made in call()],
    }
    apart = distance(calls["ours"](), calls["one by one"]())
    times = timed(calls, rounds)
    return {
        "family": family,
        "dtype": str(dtype).removeprefix("torch."),
        "useful_share_of_padded": sum(h * w for h, w in SIZES) / (64 * 64 * len(SIZES)),
        "ratio_padded": ratio(times["padded"], times["ours"]),
        "ratio_one_by_one": ratio(times["one by one"], times["ours"]),
        "distance": apart,
    }


def cases(families: list[str], rounds: int) -> Iterator[Case]:
    """Each, as it is measured."""
    yield from (measure(family, dtype, rounds) for family in families for dtype in DTYPES)


if __name__ == "__main__":
    named, words = start()
    show(cases(named or list(DIFFUSERS), int(words.get("rounds", 5))), words)
