"""Train a backbone (and a text encoder) by flow matching.

sample -> pool of latents -> packed batch -> caption features -> t, noise, x_t -> velocity -> loss
-> step, moving average. Everything random follows from the seed and the step, so a resumed run
needs no stored generator, only the number of the sample that did not fit the last batch, and
repeats the uninterrupted one to the bit on a CPU.
"""

import copy
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
from torch import nn

from lumina_core import checkpoint, terminal
from lumina_core.backbone.attention import resolve_backend
from lumina_core.backbone.flag_dit import FlagDiT
from lumina_core.checkpoint import Model
from lumina_core.checkpoint_folder import CHECKPOINTS
from lumina_core.contact_sheet import save_contact_sheet
from lumina_core.data.pool import CaptionedSample, LatentPool
from lumina_core.data.source import build_pool
from lumina_core.errors import LuminaError
from lumina_core.faults import when_interrupted
from lumina_core.files import check_writable
from lumina_core.init_from import init_folder, start_from
from lumina_core.loss import Objective, draw, save_drawn, training_loss
from lumina_core.manifest import data_seen
from lumina_core.modality import Modality, feature_dims, has_weights
from lumina_core.optimizer import Optimizers, build_optimizer, update_average
from lumina_core.parts import make_modality
from lumina_core.recipe import check_resumed, recipe
from lumina_core.resume import newest_checkpoint
from lumina_core.runtime import autocast, resolve_device, resolve_dtype, seeded
from lumina_core.sampling import Request, Sampling, sample
from lumina_core.text import TextEncoder
from lumina_core.training_folder import (
    BAD_BATCH,
    METRICS,
    SAMPLES,
    check_out,
    clear,
    finished_checkpoints,
    used_alone,
)
from lumina_core.training_log import MetricsLog, TrainingBar, stop_on_signal
from lumina_core.training_settings import resume_command, write_settings
from lumina_core.training_text import encode_captions_ahead, text_encoder_of, word_notes
from lumina_core.vae_folder import find_vae
from lumina_core.validation import held_samples, is_due, measures

if TYPE_CHECKING:
    from lumina_core.command_records import TrainConfig

INTERRUPTED = 130  # exit code
BEFORE_THE_FIRST_STEP = "before the first step; nothing is lost, give the same command again"
STEP_STREAM = 0  # of random numbers from the seed; the pool of data has another


@dataclass
class Run:
    """What changes while a run goes on."""

    model: Model
    networks: nn.ModuleDict
    average: nn.ModuleDict
    optimizer: Optimizers
    pool: LatentPool
    step: int
    sampling: dict[str, Any] = field(default_factory=dict)
    """How its checkpoints recommend to sample: as the one that it began with."""
    num_skipped: int = 0
    """Steps that updated nothing, because their loss or gradient was not finite."""
    num_skipped_in_a_row: int = 0
    carried: int | None = None
    """Number of the sample that did not fit the last batch and begins the next one."""
    data_before: list[str] = field(default_factory=list)
    """Kinds of data of the checkpoint that it began with, and of those before that."""


def training_step(run: Run, config: "TrainConfig", pool: LatentPool) -> dict[str, Any]:
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
    config: "TrainConfig", pool: LatentPool, generator: torch.Generator, carried: int | None
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


def objective_of(config: "TrainConfig") -> Objective:
    """The part of the configuration that says what is asked of the networks."""
    shares = (config.caption_dropout, config.condition_share, config.position_jitter)
    return Objective(config.time, *shares)


def stop_at_bad_batch(
    run: Run, config: "TrainConfig", pool: LatentPool, carried: int | None
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


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
def start(config: "TrainConfig") -> Run:
    """Fresh networks, or those of the newest checkpoint where `resume` says so."""
    device = resolve_device(config.device)
    resolve_backend(config.attention, device.type, resolve_dtype(config.dtype))  # or refuses it
    modality = _modality(config)
    pool = build_pool(config, modality)
    modality.vae.to(device)
    encoder = text_encoder_of(config, pool, device)
    shape = replace(
        config.backbone,
        token_dims={config.modality: modality.tokenizer.token_dim},
        feature_dims=feature_dims(config.modality, modality),
        text_dim=encoder.text_dim,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone = FlagDiT(shape).to(device)
    model = Model(config.modality, modality, backbone, encoder, "", config.attention)
    data_before: list[str] = []
    newest = newest_checkpoint(config)
    sampling: dict[str, Any] = {}
    if config.init_from is not None and newest is None:
        first = init_folder(config.init_from, config.modality)
        sampling = start_from(first, model)
        data_before = data_seen(checkpoint.read_manifest(first))
    networks = nn.ModuleDict({"backbone": backbone})
    if isinstance(encoder, TextEncoder):  # a frozen one is neither averaged nor kept in the state
        networks["text_encoder"] = encoder
    average = copy.deepcopy(networks).requires_grad_(False).eval()
    optimizer = build_optimizer(networks, config.optimizer)
    run = Run(model, networks, average, optimizer, pool, 0, sampling, data_before=data_before)
    if newest is not None:
        path = newest / checkpoint.TRAINING
        manifest = checkpoint.read_manifest(newest)
        checkpoint.check_architecture(newest, model)
        check_resumed(newest, manifest["training"], recipe(config, pool))
        pool.restore(manifest["training"]["data"])
        checkpoint.restore_training_state(path, networks, average, optimizer)
        run.step = manifest["training"]["step"]
        run.sampling = manifest["sampling"]
        run.num_skipped = manifest["training"].get("num_skipped", 0)  # older ones skipped none
        run.carried = manifest["training"].get("carried")  # and carried none
        run.data_before = manifest["training"].get("data_before", [])
    return run


def _modality(config: "TrainConfig") -> Modality:
    name = config.modality
    folder = None
    if has_weights(config.options):
        folder = find_vae(name, config.options.vae, download=config.download)
    return make_modality(name, config.options, folder)


def save_checkpoint(run: Run, config: "TrainConfig") -> Path:
    """Write `out/checkpoints/step-N`, averaged weights and training state; thin out older ones."""
    folder = Path(config.out) / CHECKPOINTS / f"step-{run.step:07d}"
    if folder.exists():
        return folder
    state = {
        "step": run.step,
        "num_skipped": run.num_skipped,
        "carried": run.carried,
        "data_before": run.data_before,
    }
    checkpoint.save(
        folder,
        averaged(run),
        summary=state | recipe(config, run.pool),
        sampling=run.sampling,
        dtype=resolve_dtype(config.save_dtype),
        training_state=checkpoint.training_state(run.networks, run.average, run.optimizer),
    )
    checkpoint.drop_old_training_states(finished_checkpoints(Path(config.out)))
    return folder


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
def prepare(config: "TrainConfig", run: Run) -> list[CaptionedSample]:
    """What may refuse a run and computes: it comes before anything of an earlier run is deleted.

    Returns:
        The samples that validation measures.

    Raises:
        LuminaError: the folder cannot be written, or the data cannot be used.
    """
    for folder in (CHECKPOINTS, SAMPLES) if config.sample_every else (CHECKPOINTS,):
        check_writable(Path(config.out) / folder)
    run.pool.advance(run.step)
    run.pool.batch(seeded(config.seed), config.token_budget, config.backbone.separators)
    held = held_samples(config, run.pool)
    encode_captions_ahead(run.model.text_encoder, run.pool, held)
    return held


def train(config: "TrainConfig", run: Run, sampling: Sampling, held: list[CaptionedSample]) -> Path:
    """Train until `max_steps` or until a signal asks to stop; the state is saved either way.

    A second signal stops at once. Nothing is measured or saved at a step that was skipped. What a
    killed run owes of the step that it is resumed at is made first.

    Args:
        config: of the run.
        run: changed in place.
        sampling: of sheets of samples and accuracies.
        held: from `prepare`.

    Returns:
        The newest checkpoint.
    """
    out = Path(config.out)
    pool = run.pool
    log = MetricsLog(out / METRICS, run.step)
    with (
        when_interrupted(lambda: _kept(run, config)),
        stop_on_signal() as is_stopped,
        TrainingBar(config.max_steps, run.step) as bar,
    ):

        def measure(done: Collection[str] = ()) -> None:
            model = averaged(run)
            for found, text in measures(model, run.step, config, sampling, held, is_stopped, done):
                log.write(found)
                bar.say(text)

        if run.step and "not_finite" not in log.recorded:  # a kill may have come before these
            measure(log.recorded)
            if has_sheet(run, config) and not sheet_path(run, config).exists():
                save_samples(run, config, sampling)
        while run.step < config.max_steps and not is_stopped():
            carried = run.carried
            metrics = training_step(run, config, pool)
            if run.num_skipped_in_a_row:
                log.write(metrics)
                bar.say(f"warning: step {run.step} skipped: {metrics['not_finite']} not finite")
                if run.num_skipped_in_a_row >= config.max_nonfinite_steps:
                    stop_at_bad_batch(run, config, pool, carried)
                continue
            bar.show(metrics)
            if run.step % config.log_every == 0 or run.step == config.max_steps:
                log.write(metrics)
                bar.show_line(metrics)
            measure()
            if is_due(run.step, config.save_every):
                save_checkpoint(run, config)
            if has_sheet(run, config):
                save_samples(run, config, sampling)
        return save_checkpoint(run, config)


def averaged(run: Run) -> Model:
    """The model with its averaged weights, for samples and checkpoints."""
    model = replace(run.model, backbone=cast(FlagDiT, run.average["backbone"]))
    if "text_encoder" not in run.average:  # frozen
        return model
    return replace(model, text_encoder=cast(TextEncoder, run.average["text_encoder"]))


def has_sheet(run: Run, config: "TrainConfig") -> bool:
    """Whether the step has a sheet of samples."""
    return is_due(run.step, config.sample_every) and config.num_sample_prompts > 0


def sheet_path(run: Run, config: "TrainConfig") -> Path:
    """Where the sheet of the step is."""
    return Path(config.out) / SAMPLES / f"step-{run.step:07d}.png"


def save_samples(run: Run, config: "TrainConfig", sampling: Sampling) -> None:
    """Generate from fixed prompts and seeds, with the function that `run` uses."""
    model = replace(averaged(run), attention="auto")  # in float32, as not every backend computes
    captions = run.pool.captions(config.num_sample_prompts, seeded(config.seed))
    variants = run.pool.variants()
    requests = [
        Request(
            caption,
            "",
            config.seed + number,
            replace(config.options, **variants[number % len(variants)]),
        )
        for number, caption in enumerate(captions)
    ]
    previews = [
        model.modality.decoder.preview(item.media) for item in sample(model, requests, sampling)
    ]
    save_contact_sheet(sheet_path(run, config), previews, [request.prompt for request in requests])


def train_command(config: "TrainConfig") -> int:
    """Run `train` and print the newest checkpoint as JSON."""
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    if resolve_dtype(config.dtype) == torch.float16:
        raise LuminaError(
            "dtype=float16 would need its loss scaled, which this version does not; train with "
            "dtype=bfloat16 or float32"
        )
    resolve_dtype(config.save_dtype)
    with used_alone(Path(config.out)):
        return _train_alone(config)


def _train_alone(config: "TrainConfig") -> int:
    from lumina_core.config import compose_sampling

    out = Path(config.out)
    check_out(out, config)
    run = start(config)
    if config.evaluate_every and run.model.modality.world is None:
        raise LuminaError(
            f"evaluate_every={config.evaluate_every} needs the oracle of a synthetic world, and "
            f"modality {config.modality!r} has none; leave it out"
        )
    notes = list(word_notes(config, run.model.text_encoder, run.pool))  # while it has its weights
    held = prepare(config, run)
    sampling = compose_sampling(config.modality, run.sampling)  # a checkpoint of others may lie
    terminal.tell(*notes)
    clear(out, config)
    write_settings(config)
    folder = train(config, run, sampling, held)
    made = {"checkpoint": str(folder), "step": run.step, "num_skipped": run.num_skipped}
    terminal.show_json(made, indent=None)
    if run.step >= config.max_steps:
        return 0
    terminal.tell(
        f"stopped at step {run.step} of {config.max_steps}; go on with: "
        f"{resume_command(config.out)}"
    )
    return INTERRUPTED


def _kept(run: Run, config: "TrainConfig") -> str:
    """What is left of a run that is interrupted before it could save, and how it goes on."""
    found = finished_checkpoints(Path(config.out))
    kept = f"the checkpoint {found[-1].name} is kept" if found else "no checkpoint was saved yet"
    return (
        f"at step {run.step} of {config.max_steps}, without saving; {kept}, go on with: "
        f"{resume_command(config.out)}"
    )
