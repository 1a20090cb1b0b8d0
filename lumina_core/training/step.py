"""One update of the weights."""

import time
from contextlib import nullcontext
from math import isfinite, nan
from pathlib import Path
from typing import Any, NoReturn

import torch

from lumina_core.backbone.transformer import own_network
from lumina_core.data.mixture import Mixture, Pick, Place
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import LuminaError
from lumina_core.parallel import ranks
from lumina_core.parallel.sharded import clip_gradients
from lumina_core.runtime import autocast, seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training.folder import BAD_BATCH
from lumina_core.training.loss import Drawn, Objective, draw, drawn_loss, save_drawn
from lumina_core.training.networks import Networks
from lumina_core.training.optimizer import update_average
from lumina_core.training.settings import OWN_SHARES, TrainConfig
from lumina_core.training.shares import cost_by, shares_of
from lumina_core.training.start import Run
from lumina_core.training.tally import Tally

STEP_STREAM = 0  # of random numbers from the seed; the data has another
NOT_FINITE, EMPTY = "not_finite", "empty"  # in what a step that updated nothing returns

Batch = list[tuple[Pick, CaptionedSample]]
"""Samples that are computed together."""


def training_step(run: Run, config: TrainConfig) -> dict[str, Any]:
    """One update of weights and average; advances the run and returns what it measured.

    A step whose loss or gradient is not finite, or none of whose samples can be used, updates
    nothing; what it returns says so.
    """
    started = time.perf_counter()
    run.mixture.collect(run.step)
    with ranks.agreed():
        run.mixture.advance(run.step)
        picked = run.mixture.pick(run.step)
        batches = loaded(run.mixture, own_share(run, config, picked.batches))
        following = run.mixture.foreseen(run.step + 1, picked.after)
    waited = time.perf_counter() - started
    run.mixture.expect(own_share(run, config, following))  # decoded meanwhile
    shares = None if run.mesh is None else run.mesh.shares
    own_samples = torch.tensor(sum(len(batch) for batch in batches))
    num_samples = int(ranks.summed(own_samples, shares))
    is_cast = run.mesh is not None and run.base is None  # where weights are gathered
    tally = Tally(list(run.models), run.model.device)
    for number, batch in enumerate(batches, 1):
        if run.mesh is not None:
            sync_gradients(run.networks, is_last=number == len(batches))
        if not batch:  # all of it is broken, or other ranks have more
            take_part(run)
            continue
        drawn = drawn_batch(batch, config, run.step)
        with nullcontext() if is_cast else autocast(run.model.device, config.dtype):
            losses = drawn_loss(run.model, drawn, run.networks, run.teacher)
        (losses.sum() / num_samples).backward()
        lengths = [pick.num_positions for pick, _ in batch]
        tally.add([pick.modality for pick, _ in batch], lengths, drawn.t, losses.detach())
    norm = clip_gradients(run.networks.parameters(), config.optimizer.clip_norm)
    # all that is known of the step comes from the device at once: it is waited for a single time
    gradient_norm, *cells = torch.cat([norm.double()[None], tally.cells.flatten()]).tolist()
    measured = torch.tensor(cells, dtype=torch.float64).reshape(tally.cells.shape)
    measured = ranks.summed(measured, shares)
    loss = measured[0].sum().item() / num_samples if num_samples else nan
    rate = config.optimizer.rate_at(run.step, config.max_steps)
    is_good = not ranks.any_rank(not (isfinite(loss) and isfinite(gradient_norm)))
    if is_good:
        run.optimizer.set_rate(rate)
        run.optimizer.step()
        update_average(run.average, run.networks, run.step, config.optimizer.ema_decay)
        run.measured.add(measured, picked.tokens(), gradient_norm)
    run.optimizer.zero_grad()
    run.step += 1
    run.mixture.place = picked.after
    run.num_skipped += not is_good
    if not num_samples:
        return {"step": run.step, EMPTY: True, "num_skipped": run.num_skipped}
    run.num_skipped_in_a_row = 0 if is_good else run.num_skipped_in_a_row + 1
    if not is_good:
        what = "gradient" if isfinite(loss) else "loss"
        return {"step": run.step, NOT_FINITE: what, "num_skipped": run.num_skipped}
    seconds = time.perf_counter() - started
    run.meter.add(seconds, waited, [sample for batch in batches for _, sample in batch])
    return {"step": run.step, "loss": loss, "seconds": seconds}


def own_share(run: Run, config: TrainConfig, batches: list[list[Pick]]) -> list[list[Pick]]:
    """The batches of this rank; one process has all of a step as they were cut."""
    if run.mesh is None or run.mesh.axes.num_shares == 1:
        return batches
    picks = [pick for batch in batches for pick in batch]
    cost, num_shares = cost_by(own_network(run.model.backbone).config), run.mesh.axes.num_shares
    return shares_of(picks, num_shares, config.token_budget, cost)[run.mesh.share]


def sync_gradients(networks: Networks, *, is_last: bool) -> None:
    """Let the next backward pass sum gradients over the ranks only if it is the last one."""
    from torch.distributed.fsdp import FSDPModule

    assert isinstance(networks, FSDPModule)
    networks.set_requires_gradient_sync(is_last)


def take_part(run: Run) -> None:
    """Compute something that changes no gradient: ranks gather weights and sum gradients together.

    Without a mesh nobody waits, and nothing is done.
    """
    if run.mesh is None:
        return
    model = run.model
    features = model.backbone.feature_dims.get(model.name)
    one = TokenSample(
        model.name,
        Grid(1, 1, 1, (1.0, 1.0, 1.0)),
        torch.zeros(1, model.modality.tokenizer.token_dim),
        features=None if features is None else torch.zeros(1, features),
    )
    drawn = Drawn([CaptionedSample(one, "")], torch.zeros(1), torch.zeros_like(one.tokens[0]))
    (0 * drawn_loss(model, drawn, run.networks).sum()).backward()


def loaded(mixture: Mixture, batches: list[list[Pick]]) -> list[Batch]:
    """The samples of batches without broken ones, those of a modality beside each other."""
    mixture.expect(batches)
    return [_loaded(mixture, picks) for picks in batches]


def _loaded(mixture: Mixture, picks: list[Pick]) -> Batch:
    found = [(pick, mixture.sources[pick.modality].get(pick.number)) for pick in picks]
    order = list(mixture.sources)
    whole = [(pick, sample) for pick, sample in found if sample is not None]
    return sorted(whole, key=lambda each: order.index(each[0].modality))


def drawn_batch(batch: Batch, config: TrainConfig, step: int) -> Drawn:
    """What is random of a batch: of each sample it follows from the seed, the step and its number.

    So it is the same whatever else stands in the batch, and on whatever process.
    """
    generators = (seeded(config.seed, STEP_STREAM, step, pick.n) for pick, _ in batch)
    return draw([sample for _, sample in batch], objectives_of(config), generators)


def objectives_of(config: TrainConfig) -> dict[str, Objective]:
    """What is asked of the networks for each modality."""
    return {
        name: Objective(member.time, *(getattr(member, key) for key in OWN_SHARES))
        for name, member in config.members.items()
    }


def stop_at_bad_batch(run: Run, config: TrainConfig, place: Place) -> NoReturn:
    """Save the batches of the step before, whose loss or gradient was not finite, and give up.

    Args:
        run: after that step; its sources are still ready for it.
        config: of the run.
        place: of the mixture when the step began.

    Raises:
        LuminaError: always.
    """
    step = run.step - 1
    batches = loaded(run.mixture, run.mixture.pick(step, place).batches)
    drawn = [drawn_batch(batch, config, step) for batch in batches if batch]
    path = Path(config.out) / BAD_BATCH
    save_drawn(path, drawn, {"step": str(run.step), "seed": str(config.seed)})
    raise LuminaError(
        f"{run.num_skipped_in_a_row} steps in a row, up to step {run.step}, had a loss or gradient "
        f"that is not finite: the training diverged. The last batch is in {path}, and the "
        "checkpoints before are kept; train anew with an optimizer.learning_rate below "
        f"{config.optimizer.learning_rate}"
    )
