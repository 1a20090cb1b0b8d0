"""CPU time of a step of Muon beside torch's own and beside AdamW, on the matrices of a demo.

    python benchmarks/muon.py [STEPS]

One thread. Prints seconds and their ratio to AdamW.
"""

import sys
import time

import torch

from lumina_core.training.muon import Muon

SHAPES = ((384, 128), (128, 128), (352, 128), (352, 128), (128, 352)) * 6  # of backbone=tiny
RATE = 0.02


def seconds(kind: type[torch.optim.Optimizer], num_steps: int) -> float:
    """CPU seconds of a step, the first one left out."""
    torch.manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = kind(matrices, lr=RATE, weight_decay=0.0)
    spent = []
    for _ in range(num_steps + 1):
        for matrix in matrices:
            matrix.grad = torch.randn_like(matrix)
        start = time.process_time()
        optimizer.step()
        spent.append(time.process_time() - start)
    return sum(spent[1:]) / num_steps


def main() -> None:
    """Measure all three in turn."""
    num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    kinds = {"AdamW": torch.optim.AdamW, "Muon": Muon, "torch's Muon": torch.optim.Muon}
    found = {name: seconds(kind, num_steps) for name, kind in kinds.items()}
    for name, value in found.items():
        print(f"{name:<14}{value:8.4f} s {value / found['AdamW']:8.1f}")


if __name__ == "__main__":
    main()
