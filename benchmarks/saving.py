"""How long a training waits for a checkpoint: for all of it, and only for the copy of its state.

    python benchmarks/saving.py [ROUNDS]

A run of 28 million weights on one thread; nothing else differs between the two. Prints the median
seconds of each, the bytes of a checkpoint, and their ratio. The first copy takes new memory, so it
is told apart.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from lumina_core.training import start, train
from lumina_core.training.compose import compose_train
from lumina_core.training.saving import Kept, Saver
from lumina_core.training.step import training_step

WORDS = (
    "+modality=image backbone.hidden_size=512 backbone.depth=7 backbone.num_heads=8 "
    "backbone.rope_dims=[0,16,16,16,16] token_budget=300 data.pool_size=2 data.pool_start=2 "
    "data.refresh_per_step=0 sample_every=0 device=cpu num_threads=1"
)


def main() -> None:
    """Measure in turn."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    copied, whole = [], []
    with tempfile.TemporaryDirectory() as folder, Saver(Kept(last=1, every=0)) as saver:
        config = compose_train([*WORDS.split(), f"out={folder}"])
        run = start.start(config)
        num_weights = sum(weight.numel() for weight in run.networks.parameters())
        for _ in range(rounds + 1):
            training_step(run, config)
            begun = time.perf_counter()
            made = train.save_checkpoint(run, config, saver)
            copied.append(time.perf_counter() - begun)
            saver.wait()
            whole.append(time.perf_counter() - begun)
        num_bytes = sum(path.stat().st_size for path in Path(made).rglob("*") if path.is_file())
    print(f"{num_weights / 1e6:.1f} million weights, {num_bytes / 2**20:.0f} MiB a checkpoint")
    print(f"first copy {copied[0]:7.3f} s")
    first, second = statistics.median(copied[1:]), statistics.median(whole[1:])
    print(
        f"copy       {first:7.3f} s\nwhole      {second:7.3f} s\nratio      {second / first:7.1f}"
    )


if __name__ == "__main__":
    main()
