"""What the loop of training adds to a bare loop of torch on the same network and the same batch.

    python benchmarks/training_step.py [ROUNDS [TOKEN_BUDGET [DEVICE]]]

The bare loop gets batches that are packed and noised already, and the texts: it computes velocities
and the mean error, goes back, clips, updates and drops the gradients. The step of a training also
picks samples, draws times, noise and given parts, packs, measures losses by time and size, and
keeps the average. Both run in turn on the batch of the same step; a pool that is full draws nothing
new. Prints the median of the ratios of both, by wall clock and by CPU time of one thread.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from lumina_core.runtime import autocast
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import Drawn, text_of
from lumina_core.training.settings import TrainConfig
from lumina_core.training.start import Run, start
from lumina_core.training.step import drawn_batch, loaded, training_step

WARM_UP = 2  # rounds that are not counted


def bare_step(run: Run, config: TrainConfig, batches: list[Drawn]) -> Callable[[], None]:
    """An update by torch alone, of what is packed and noised here."""
    ready = []
    for drawn in batches:
        batch = run.model.backbone.pack([sample.tokens for sample in drawn.samples])
        t = drawn.t.repeat_interleave(batch.element_counts).masked_fill(~batch.unknown, 1.0)
        noisy = batch.with_state(torch.lerp(drawn.x_0, batch.state, t)).to(run.model.device)
        target = (batch.state - drawn.x_0).to(run.model.device)
        texts = [text_of(sample.caption) for sample in drawn.samples]
        ready.append((noisy, batch.segment_time(drawn.t).to(run.model.device), texts, target))

    def step() -> None:
        for noisy, segment_time, texts, target in ready:
            with autocast(run.model.device, config.dtype):
                features, lengths = run.model.text_reader(texts)
                context = run.model.backbone.prepare(noisy, features, lengths)
                velocity = run.model.backbone(noisy, segment_time, context)
            (nn.functional.mse_loss(velocity, target) / len(ready)).backward()
        nn.utils.clip_grad_norm_(run.networks.parameters(), config.optimizer.clip_norm).item()
        run.optimizer.step()
        run.optimizer.zero_grad()

    return step


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """By the clock on the wall, and of this process on a CPU."""
    wall, spent = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - spent


def main() -> None:
    """Measure rounds of both, in turn."""
    num_rounds, budget, device = (*sys.argv[1:], *("20", "2000", "cpu")[len(sys.argv) - 1 :])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        words = ["+modality=image", f"out={folder}/run", "seed=1", f"token_budget={budget}"]
        words += [f"device={device}", "optimizer=adamw", "data.pool_size=64"]
        words += ["data.refresh_per_step=0", "data.pool_start=64"]
        config = compose_train(words)
        run = start(config)
        found = []
        for number in range(WARM_UP + int(num_rounds)):
            run.mixture.advance(run.step)
            picked = loaded(run.mixture, run.mixture.pick(run.step).batches)
            bare = bare_step(run, config, [drawn_batch(b, config, run.step) for b in picked])
            order = [bare, lambda: training_step(run, config)]
            both = [seconds(call) for call in (order if number % 2 else order[::-1])]
            if number >= WARM_UP:
                found.append(both if number % 2 else both[::-1])
    for place, name in enumerate(("wall", "CPU")):
        bare_seconds, own = (median(pair[which][place] for pair in found) for which in (0, 1))
        ratio = median(pair[1][place] / pair[0][place] for pair in found)
        print(f"{name}: bare {bare_seconds:.3f} s, own {own:.3f} s, overhead {ratio - 1:+.1%}")


if __name__ == "__main__":
    main()
