"""Train a backbone (and a text encoder) by flow matching.

sample -> pool of latents -> packed batch -> caption features -> t, noise, x_t -> velocity -> loss
-> step, moving average. Everything random follows from the seed and the step, so a resumed run
needs no stored generator and repeats the uninterrupted one to the bit on a CPU.
"""

import copy
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lumina_core import checkpoint, host
from lumina_core.backbone.flag_dit import FlagDiT
from lumina_core.checkpoint import Model
from lumina_core.conditioning import draw_known
from lumina_core.contact_sheet import save_contact_sheet
from lumina_core.data.files import QUARANTINE
from lumina_core.data.pool import CaptionedSample, LatentPool
from lumina_core.data.source import build_pool
from lumina_core.errors import LuminaError
from lumina_core.files import UNFINISHED
from lumina_core.flow.objective import TimeConfig, sample_time, velocity_loss
from lumina_core.flow.path import interpolate, velocity
from lumina_core.frozen_text import FrozenTextEncoder
from lumina_core.hub import local_folder
from lumina_core.init_from import init_folder, start_from, text_encoder_folder
from lumina_core.modality import Modality
from lumina_core.optimizer import Optimizers, build_optimizer, update_average
from lumina_core.runtime import resolve_device, resolve_dtype, seeded
from lumina_core.sampling import Request, Sampling, sample
from lumina_core.sequence import TokenSample, pack
from lumina_core.text import (
    MAX_COSINE,
    TextEncoder,
    load_text_encoder,
    one_word_cosine,
)
from lumina_core.tiny_text import create_tiny
from lumina_core.training_log import MetricsLog, TrainingBar, stop_on_signal
from lumina_core.vae_folder import find_vae

if TYPE_CHECKING:
    from lumina_core.config import TrainConfig

NUM_VOCABULARY_CAPTIONS = 4000  # enough that every word of a small grammar stands in one
NUM_PROBE_CAPTIONS = 32  # for the check that words are told apart
INTERRUPTED = 130  # exit code
STEP_STREAM = 0  # of random numbers from the seed; the pool of data has another
CHECKPOINTS, SAMPLES, METRICS = "checkpoints", "samples", "metrics.jsonl"  # what a run writes
STEP = "step-" + "[0-9]" * 7  # glob of what a run writes at a step


@dataclass
class Run:
    """What changes while a run goes on."""

    model: Model
    networks: nn.ModuleDict
    average: nn.ModuleDict
    optimizer: Optimizers
    pool: LatentPool
    step: int


@dataclass(frozen=True)
class Objective:
    """What is asked of the networks."""

    time: TimeConfig
    caption_dropout: float
    """Share of captions replaced by the empty one, for guidance."""
    condition_share: float
    """Share of samples of which a part is given, for filling and continuing."""


def training_loss(
    model: Model,
    samples: Sequence[CaptionedSample],
    objective: Objective,
    generator: torch.Generator,
) -> Float[Tensor, "sample"]:
    """Mean squared error of the velocity of what is not given, one number per sample.

    Args:
        model: networks to train.
        samples: clean tokens and captions.
        objective: how t is drawn, which captions are dropped and which parts are given.
        generator: for t, noise, dropout and masks; nothing else is random.
    """
    device = model.device
    keep = torch.rand(len(samples), generator=generator) >= objective.caption_dropout
    texts = [s.caption if kept else "" for s, kept in zip(samples, keep.tolist(), strict=True)]
    tokens = [_with_known(s.tokens, objective.condition_share, generator) for s in samples]
    batch = pack(tokens, separators=model.backbone.config.separators)
    t = sample_time(len(samples), objective.time, generator)
    x_0 = torch.randn(batch.state.shape, generator=generator)
    t_element = t.repeat_interleave(batch.element_counts).masked_fill(~batch.unknown, 1.0)
    noisy = batch.with_state(interpolate(x_0, batch.state, t_element)).to(device)
    features, lengths = model.text_encoder(texts)
    context = model.backbone.prepare(noisy, features, lengths)
    predicted = model.backbone(noisy, batch.segment_time(t).to(device), context)
    target = velocity(x_0, batch.state).to(device)
    return velocity_loss(predicted, target, noisy.element_counts, weight=noisy.unknown)


def _with_known(tokens: TokenSample, share: float, generator: torch.Generator) -> TokenSample:
    is_led = bool(torch.rand((), generator=generator) < share)
    return replace(tokens, known=draw_known(tokens.grid, generator)) if is_led else tokens


def training_step(run: Run, config: "TrainConfig", pool: LatentPool) -> dict[str, int | float]:
    """One update of weights and average; advances `run.step` and returns what it measured."""
    started = time.perf_counter()
    generator = seeded(config.seed, STEP_STREAM, run.step)
    pool.advance(run.step)
    samples = pool.batch(generator, config.token_budget, config.backbone.separators)
    objective = Objective(config.time, config.caption_dropout, config.condition_share)
    losses = training_loss(run.model, samples, objective, generator)
    loss = losses.mean()
    if not isfinite(loss.item()):
        raise LuminaError(
            f"the loss of step {run.step + 1} is {loss.item()}: the training diverged; resume=true "
            f"with an optimizer.learning_rate below {config.optimizer.learning_rate}"
        )
    loss.backward()
    norm = nn.utils.clip_grad_norm_(run.networks.parameters(), config.optimizer.clip_norm)
    rate = config.optimizer.rate_at(run.step, config.max_steps)
    run.optimizer.set_rate(rate)
    run.optimizer.step()
    run.optimizer.zero_grad()
    update_average(run.average, run.networks, run.step, config.optimizer.ema_decay)
    run.step += 1
    seconds = time.perf_counter() - started
    positions = sum(s.tokens.grid.num_positions(config.backbone.separators) for s in samples)
    return {
        "step": run.step,
        "loss": loss.item(),
        "gradient_norm": norm.item(),
        "learning_rate": rate * config.optimizer.learning_rate,
        "tokens_per_second": positions / seconds,
        "seconds": seconds,
    }


def start(config: "TrainConfig") -> Run:
    """Fresh networks, or those of the newest checkpoint where `resume` says so."""
    device = resolve_device(config.device)
    modality = _modality(config)
    pool = build_pool(config, modality)
    modality.vae.to(device)
    encoder = _text_encoder(config, pool, device)
    shape = replace(
        config.backbone,
        token_dims={config.modality: modality.tokenizer.token_dim},
        text_dim=encoder.text_dim,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone = FlagDiT(shape).to(device)
    model = Model(config.modality, modality, backbone, encoder, "")
    if config.init_from is not None:
        start_from(init_folder(config.init_from, config.modality), model)
    networks = nn.ModuleDict({"backbone": backbone})
    if isinstance(encoder, TextEncoder):  # a frozen one is neither averaged nor kept in the state
        networks["text_encoder"] = encoder
    average = copy.deepcopy(networks).requires_grad_(False).eval()
    optimizer = build_optimizer(networks, config.optimizer)
    run = Run(model, networks, average, optimizer, pool, 0)
    if config.resume:
        folder = finished_checkpoints(Path(config.out))[-1]
        path = folder / checkpoint.TRAINING
        manifest = checkpoint.read_manifest(folder)
        checkpoint.verify(folder, manifest)
        checkpoint.check_architecture(folder, model)
        checkpoint.restore_training_state(path, networks, average, optimizer)
        run.step = manifest["training"]["step"]
    return run


def finished_checkpoints(out: Path) -> list[Path]:
    """The finished checkpoints of a training folder, the oldest first.

    Raises:
        LuminaError: there is none.
    """
    found = sorted((out / CHECKPOINTS).glob(f"{STEP}/{checkpoint.MANIFEST}"))
    if not found:
        raise LuminaError(f"out={out} holds no checkpoint to resume from; leave out resume=true")
    return [path.parent for path in found]


def _modality(config: "TrainConfig") -> Modality:
    name = config.modality
    folder = find_vae(name, config.options.vae, download=config.download)
    return host.modality_class(name)(config.options, folder)


def _text_encoder(
    config: "TrainConfig", pool: LatentPool, device: torch.device
) -> TextEncoder | FrozenTextEncoder:
    settings = config.text_encoder
    if settings.path is None and config.init_from is not None:
        begin = text_encoder_folder(init_folder(config.init_from, config.modality))
        return load_text_encoder(begin, settings.reading).to(device)
    if settings.path is None:
        captions = pool.captions(NUM_VOCABULARY_CAPTIONS, seeded(config.seed))
        with tempfile.TemporaryDirectory() as folder:
            create_tiny(Path(folder), captions, settings, config.seed)
            return load_text_encoder(Path(folder), settings.reading).to(device)
    path = local_folder(settings.path, download=config.download)
    if settings.trainable:
        return load_text_encoder(path, settings.reading).to(device)
    return FrozenTextEncoder(
        path,
        settings.reading,
        device,
        cache=None if settings.cache is None else Path(settings.cache),
        hub_id=None if Path(settings.path).is_dir() else settings.path,
    )


def save_checkpoint(run: Run, config: "TrainConfig") -> Path:
    """Write `out/checkpoints/step-N`, averaged weights and training state; thin out older ones."""
    folder = Path(config.out) / CHECKPOINTS / f"step-{run.step:07d}"
    if folder.exists():
        return folder
    checkpoint.save(
        folder,
        averaged(run),
        summary=_summary(run, config),
        sampling={},
        dtype=resolve_dtype(config.save_dtype),
        training_state=checkpoint.training_state(run.networks, run.average, run.optimizer),
    )
    checkpoint.drop_old_training_states(finished_checkpoints(Path(config.out)))
    return folder


def _summary(run: Run, config: "TrainConfig") -> dict[str, Any]:
    """How the weights came about: what one needs to train them again, but for the data's code."""
    numbers = ("seed", "max_steps", "token_budget", "caption_dropout", "condition_share")
    records = ("optimizer", "time")
    return {
        "step": run.step,
        **{key: getattr(config, key) for key in numbers},
        **{key: asdict(getattr(config, key)) for key in records},
        "data": run.pool.summary(),
    }


def train(config: "TrainConfig", run: Run, sampling: Sampling) -> Path:
    """Train until `max_steps` or until a signal asks to stop; the state is saved either way.

    Returns:
        The newest checkpoint.
    """
    out = Path(config.out)
    pool = run.pool
    log = MetricsLog(out / METRICS, run.step)
    pool.advance(run.step)
    has_samples = config.sample_every > 0 and config.num_sample_prompts > 0
    with stop_on_signal() as is_stopped, TrainingBar(config.max_steps, run.step) as bar:
        while run.step < config.max_steps and not is_stopped():
            metrics = training_step(run, config, pool)
            bar.show(metrics)
            if run.step % config.log_every == 0 or run.step == config.max_steps:
                log.write(metrics)
            if config.save_every and run.step % config.save_every == 0:
                save_checkpoint(run, config)
            if has_samples and run.step % config.sample_every == 0:
                save_samples(run, config, sampling, out / SAMPLES / f"step-{run.step:07d}.png")
    return save_checkpoint(run, config)


def averaged(run: Run) -> Model:
    """The model with its averaged weights, for samples and checkpoints."""
    model = replace(run.model, backbone=cast(FlagDiT, run.average["backbone"]))
    if "text_encoder" not in run.average:  # frozen
        return model
    return replace(model, text_encoder=cast(TextEncoder, run.average["text_encoder"]))


def save_samples(run: Run, config: "TrainConfig", sampling: Sampling, path: Path) -> None:
    """Generate from fixed prompts and seeds, with the function that `run` uses."""
    model = averaged(run)
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
    save_contact_sheet(path, previews, [request.prompt for request in requests])


def warn_if_words_look_alike(run: Run, config: "TrainConfig") -> None:
    """Warn on stderr when the text features hardly tell one word from another."""
    captions = run.pool.captions(NUM_PROBE_CAPTIONS, seeded(config.seed))
    cosine = one_word_cosine(run.model.text_encoder, captions)
    if cosine > MAX_COSINE:
        print(
            f"warning: captions that differ in one word have text features with cosine "
            f"{cosine:.3f}; the backbone can hardly tell them apart. Train the text encoder "
            f"(text_encoder.trainable=true) or choose another one.",
            file=sys.stderr,
        )


def train_command(config: "TrainConfig") -> int:
    """Run `train` and print the newest checkpoint as JSON."""
    from lumina_core.config import compose_sampling

    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    if resolve_dtype(config.dtype) != torch.float32:
        raise LuminaError(f"dtype={config.dtype}: this version trains in float32")
    resolve_dtype(config.save_dtype)
    out = Path(config.out)
    _check_out(out, config)
    run = start(config)
    warn_if_words_look_alike(run, config)
    _clear(out, config)
    folder = train(config, run, compose_sampling(config.modality))
    print(json.dumps({"checkpoint": str(folder), "step": run.step}))
    return 0 if run.step >= config.max_steps else INTERRUPTED


def _check_out(out: Path, config: "TrainConfig") -> None:
    """Refuse a folder that is in use, and a file, before anything is computed."""
    if out.exists() and not out.is_dir():
        raise LuminaError(f"out={out} is a file; choose a folder")
    is_used = out.exists() and any(path.name != QUARANTINE for path in out.iterdir())
    if is_used and not config.resume and not config.overwrite:
        raise LuminaError(
            f"out={out} exists already; continue it with resume=true, replace it with "
            "overwrite=true, or choose another folder"
        )


def _clear(out: Path, config: "TrainConfig") -> None:
    """Delete what a killed run left unfinished and, to overwrite, what an earlier run wrote."""
    for folder in (out / CHECKPOINTS).glob(f"{UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)
    if not config.resume:
        (out / QUARANTINE).unlink(missing_ok=True)
    if config.overwrite:
        for folder in (out / CHECKPOINTS).glob(STEP):
            shutil.rmtree(folder)
        for sheet in (out / SAMPLES).glob(f"{STEP}.png"):
            sheet.unlink()
        (out / METRICS).unlink(missing_ok=True)
