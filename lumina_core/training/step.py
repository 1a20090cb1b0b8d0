"""One update of the weights."""

import time
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from lumina_core.data.pool import CaptionedSample, LatentPool
from lumina_core.errors import LuminaError
from lumina_core.runtime import autocast, seeded
from lumina_core.training.folder import BAD_BATCH
from lumina_core.training.loss import Objective, draw, save_drawn, training_loss
from lumina_core.training.optimizer import update_average
from lumina_core.training.settings import TrainConfig
from lumina_core.training.start import Run

STEP_STREAM = 0  # of random numbers from the seed; the pool of data has another


def training_step(run: Run, config: TrainConfig, pool: LatentPool) -> dict[str, Any]:
    """One update of weights and average; advances `run.step` and returns what it measured.

    A step whose loss or gradient is not finite updates nothing; what it returns says so.
    """
    started = time.perf_counter()
    pool.advance(run.step)
    generator = seeded(config.seed, STEP_STREAM, run.step)
    batches, carried = draw_batches(config, pool, generator, run.carried)
    num_samples = sum(len(samples) for samples in batches)
    loss = 0.0
    for samples in batches:
        with autocast(run.model.device, config.dtype):
            losses = training_loss(run.model, samples, objective_of(config), generator)
        share = losses.sum() / num_samples
        share.backward()
        loss += share.item()
    norm = nn.utils.clip_grad_norm_(run.networks.parameters(), config.optimizer.clip_norm).item()
    rate = config.optimizer.rate_at(run.step, config.max_steps)
    is_good = isfinite(loss) and isfinite(norm)
    if is_good:
        run.optimizer.set_rate(rate)
        run.optimizer.step()
        update_average(run.average, run.networks, run.step, config.optimizer.ema_decay)
    run.optimizer.zero_grad()
    run.step += 1
    run.carried = carried
    run.num_skipped += not is_good
    run.num_skipped_in_a_row = 0 if is_good else run.num_skipped_in_a_row + 1
    if not is_good:
        what = "gradient" if isfinite(loss) else "loss"
        return {"step": run.step, "not_finite": what, "num_skipped": run.num_skipped}
    seconds = time.perf_counter() - started
    separators = config.backbone.separators
    positions = sum(s.tokens.grid.num_positions(separators) for part in batches for s in part)
    return {
        "step": run.step,
        "loss": loss,
        "gradient_norm": norm,
        "learning_rate": rate * config.optimizer.learning_rate,
        "tokens_per_second": positions / seconds,
        "seconds": seconds,
    }


def draw_batches(
    config: TrainConfig, pool: LatentPool, generator: torch.Generator, carried: int | None
) -> tuple[list[list[CaptionedSample]], int | None]:
    """The batches of one step.

    Args:
        config: of the run.
        pool: at the step.
        generator: of the step.
        carried: number of the sample that the step before left over; None: there is none.

    Returns:
        The batches, and the number of the sample that they leave over.
    """
    batches = []
    for _ in range(config.gradient_accumulation):
        samples, carried = pool.batch(
            generator, config.token_budget, config.backbone.separators, carried=carried
        )
        batches.append(samples)
    return batches, carried


def objective_of(config: TrainConfig) -> Objective:
    """The part of the configuration that says what is asked of the networks."""
    shares = (config.caption_dropout, config.condition_share, config.position_jitter)
    return Objective(config.time, *shares)


def stop_at_bad_batch(
    run: Run, config: TrainConfig, pool: LatentPool, carried: int | None
) -> NoReturn:
    """Save the batches of the step before, whose loss or gradient was not finite, and give up.

    Args:
        run: after that step.
        config: of the run.
        pool: still that of the step.
        carried: number of the sample that the step began with.

    Raises:
        LuminaError: always.
    """
    step = run.step - 1
    generator = seeded(config.seed, STEP_STREAM, step)
    batches, _ = draw_batches(config, pool, generator, carried)
    drawn = [draw(run.model, samples, objective_of(config), generator) for samples in batches]
    path = Path(config.out) / BAD_BATCH
    save_drawn(path, drawn, {"step": str(run.step), "seed": str(config.seed)})
    raise LuminaError(
        f"{run.num_skipped_in_a_row} steps in a row, up to step {run.step}, had a loss or gradient "
        f"that is not finite: the training diverged. The last batch is in {path}, and the "
        "checkpoints before are kept; train anew with an optimizer.learning_rate below "
        f"{config.optimizer.learning_rate}"
    )
