"""Packed batches of two modalities beside padded batches of the same samples.

    python benchmarks/packing.py [ROUNDS [SAMPLES]]

Latents have sides of 16 to 64 cells, patches 2 x 2 cells. A padded batch has every sample as long
as the longest; its attention needs no mask here, which only flatters it. Prints the useful share
of the tokens that are computed, and useful tokens per second of forward and backward, in rounds
that alternate.
"""

import random
import sys
import time
from dataclasses import replace
from statistics import median

import torch

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.sequence import Grid, TokenSample

SIDES = range(16, 65, 8)  # cells
PATCH = 2
TOKEN_DIMS = {"image": 16, "audio": 8}
TEXT = 8  # tokens of each text


def samples_of(count: int) -> list[TokenSample]:
    """Samples of both modalities, those of one beside each other; one has the largest size."""
    draw = random.Random(0)
    sides = [(draw.choice(SIDES), draw.choice(SIDES)) for _ in range(count - 1)]
    found = []
    for number, (rows, columns) in enumerate([(SIDES[-1], SIDES[-1]), *sides]):
        name = list(TOKEN_DIMS)[number * len(TOKEN_DIMS) // count]
        grid = Grid(1, rows // PATCH, columns // PATCH, step=(1.0, 1.0, 1.0))
        found.append(TokenSample(name, grid, torch.randn(grid.num_patches, TOKEN_DIMS[name])))
    return found


def padded(samples: list[TokenSample]) -> list[TokenSample]:
    """As many samples of the size of the largest."""
    grid = max((sample.grid for sample in samples), key=lambda each: each.num_patches)
    size = grid.num_patches
    return [
        replace(each, grid=grid, tokens=torch.randn(size, each.tokens.shape[1])) for each in samples
    ]


def seconds(network: Backbone, samples: list[TokenSample]) -> float:
    """Of forward and backward."""
    lengths = [TEXT] * len(samples)
    text = torch.ones(sum(lengths), network.config.text_dim)
    started = time.perf_counter()
    batch = network.pack(samples)
    context = network.prepare(batch, text, lengths)
    velocity = network(batch, batch.segment_time(torch.full((len(samples),), 0.5)), context)
    (velocity - batch.state).square().mean().backward()
    network.zero_grad()
    return time.perf_counter() - started


def main() -> None:
    """Measure rounds of both, in turn."""
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    torch.manual_seed(0)
    network = Backbone(BackboneConfig(token_dims=TOKEN_DIMS, depth=6))
    own = samples_of(count)
    kinds = {"packed": own, "padded": padded(own)}
    useful = sum(sample.grid.num_positions(True) for sample in own)
    for samples in kinds.values():
        seconds(network, samples)
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(num_rounds):
        for name in list(kinds)[:: -1 if number % 2 else 1]:
            found[name].append(seconds(network, kinds[name]))
    for name, samples in kinds.items():
        computed = len(network.pack(samples).source)
        speed = useful / median(found[name])
        print(f"{name}: useful share {useful / computed:.2f}, {speed:,.0f} useful tokens/s")
    ratios = [b / a for a, b in zip(found["packed"], found["padded"], strict=True)]
    print(f"packed over padded: {median(ratios):.2f}")


if __name__ == "__main__":
    main()
