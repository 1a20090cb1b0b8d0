"""A run of one to many ranks that does little but save: for the tests that kill it.

Its parts are those of a training: cut weights, averages and moments, `Saver`, the log, and what
reads the newest checkpoint. Only what a step computes is made up, so that it takes no time.
"""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import distribute_tensor

from lumina_core.checkpoints.folder import write_manifest
from lumina_core.checkpoints.manifest import read_manifest
from lumina_core.checkpoints.newest import CHECKPOINTS
from lumina_core.files.unfinished import remove_unfinished
from lumina_core.parallel.ranks import is_many, joined, num_ranks, rank
from lumina_core.runtime import seeded
from lumina_core.training import saving
from lumina_core.training.log import MetricsLog
from lumina_core.training.optimizer import build_optimizer, update_average
from lumina_core.training.resume import newest_checkpoint
from lumina_core.training.saving import Kept, Saver, new_group
from lumina_core.training.settings import OptimizerConfig
from lumina_core.training.state import restore_training_state, training_state

MADE = Path(__file__).parents[1] / "made_before" / "training" / "checkpoints" / "step-0000003"
SHAPES = ((301, 64), (64, 301), (301, 301), (1, 9), (7,), (301,))
SAMPLES = 3  # of a step


def fill(folder, contents, weights, hashes):
    """As that of checkpoints, without autoencoder and text encoder."""
    save_file(dict(weights), folder / "backbone.safetensors")
    write_manifest(folder, contents, hashes)


class Run:
    """Weights, their average and the optimizer, cut over the ranks where there are several."""

    def __init__(self):
        weights = [
            torch.randn(shape, generator=seeded(0, number)) for number, shape in enumerate(SHAPES)
        ]
        self.networks = nn.ParameterDict({f"w{n}": nn.Parameter(w) for n, w in enumerate(weights)})
        self.average = deepcopy(self.networks).requires_grad_(False)
        if is_many():
            self.mesh = init_device_mesh("cpu", (num_ranks(),))
            for module in (self.networks, self.average):
                fully_shard(module, mesh=self.mesh)
        self.optimizer = build_optimizer(self.networks, OptimizerConfig())

    @property
    def parts(self):
        """What a state is made of."""
        return self.networks, self.average, self.optimizer

    def train(self, step):
        """A step whose gradients are the same on any number of ranks."""
        for number, weight in enumerate(self.networks.parameters()):
            whole = torch.randn(SHAPES[number], generator=seeded(1, step, number))
            weight.grad = whole
            if is_many():
                weight.grad = distribute_tensor(whole, self.mesh, weight.placements)
        self.optimizer.step()
        update_average(self.average, self.networks, step, 0.9)


def main(out, max_steps):
    """Go on with the run in a folder, or begin it."""
    out, max_steps = Path(out), int(max_steps)
    saving.fill = fill
    with joined():
        run, step = Run(), 0
        newest = newest_checkpoint(SimpleNamespace(resume=True, out=out))
        if newest is not None:
            restore_training_state(newest, *run.parts, new_group())
            step = read_manifest(newest)["training"]["step"]
        (out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        if rank() == 0:
            remove_unfinished(out / CHECKPOINTS)
        log = MetricsLog(out / "metrics.jsonl", step) if rank() == 0 else None
        with Saver(Kept(2, 0), new_group()) as saver:
            while step < max_steps:
                run.train(step)
                samples = list(range(step * SAMPLES, (step + 1) * SAMPLES))
                step += 1
                if log is not None:
                    log.write({"step": step, "samples": samples})
                about = read_manifest(MADE) | {"training": {"step": step}}
                folder = out / CHECKPOINTS / f"step-{step:07d}"
                saver.begin(folder, training_state(*run.parts), about)


def weights_after(num_steps):
    """The average of a run that nothing interrupts."""
    run = Run()
    for step in range(num_steps):
        run.train(step)
    return {name: value.data for name, value in run.average.items()}
