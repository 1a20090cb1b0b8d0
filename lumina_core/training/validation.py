"""What a run measures of its averaged weights on a schedule.

Validation loss: the error of the velocity on samples, noise and times that never change, so that
two numbers differ only because the weights do. It is measured without captions, too, and with
those of other samples: how much worse that is, the caption gap, says whether captions are learned.
Accuracy: what `evaluate` measures, on few prompts. None of them drops captions at random or gives
parts of a sample, nor takes random numbers that training takes.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lumina_core.checkpoints.model import Model
from lumina_core.data.source import CaptionedSample, Source
from lumina_core.data.synthetic import trained_split, world_of
from lumina_core.errors import LuminaError
from lumina_core.evaluation.oracle import cases, judge, summarise
from lumina_core.runtime import autocast, derived_seed, seeded
from lumina_core.sampling.settings import Sampling
from lumina_core.terminal import announced
from lumina_core.training.loss import Drawn, drawn_loss
from lumina_core.training.settings import TrainConfig

VALIDATION, SHUFFLED, NO_CAPTIONS = "validation_loss", "shuffled_loss", "uncaptioned_loss"
GAP = "caption_gap"
NOISE_STREAM = 2  # of random numbers from the seed of a run; its steps and its data have others


class Held(NamedTuple):
    """Samples that are measured and never trained on."""

    own: Sequence[CaptionedSample]
    """Of the data of the run."""
    of_start: Sequence[CaptionedSample]
    """Of that with which the weights were trained that it began with."""


def is_due(step: int, every: int) -> bool:
    """Whether something happens after a step that happens every so many; 0 is never."""
    return every > 0 and step % every == 0


def sampling_dtype(config: TrainConfig) -> str:
    """In which samples are computed while a run trains: float32, as not every backend computes in
    another type, unless the weights below an adapter stand in one.
    """
    return config.dtype if config.adapter.is_used else "float32"


def held_samples(config: TrainConfig, source: Source) -> list[CaptionedSample]:
    """The samples of `validation_samples` that a run needs: none, if it never validates."""
    return (
        validation_samples(source, config.num_validation_samples) if config.validate_every else []
    )


def measures(
    models: Mapping[str, Model],
    step: int,
    config: TrainConfig,
    sampling: Mapping[str, Sampling],
    held: Mapping[str, Held],
    is_stopped: Callable[[], bool],
    done: Collection[str] = (),
) -> Iterator[tuple[dict[str, Any], str]]:
    """What is due after a step, each as a line of the log and a line for people.

    A line of several modalities has the figures of each by its name.

    Args:
        models: the averaged weights, by modality.
        step: the number of steps done.
        config: what is measured how often.
        sampling: of the evaluation, by modality.
        held: that validation measures, by modality.
        is_stopped: whether the run was asked to stop.
        done: what has been measured at this step already, as the log calls it.
    """
    first = next(iter(models))
    for key, samples, what in (
        (VALIDATION, {n: of.own for n, of in held.items()}, "validation loss"),
        (
            "start_validation_loss",
            {n: of.of_start for n, of in held.items()},
            "validation loss on the data of its start",
        ),
    ):
        if not any(samples.values()) or not is_due(step, config.validate_every) or key in done:
            continue
        of_each = {
            name: _losses(key, model, samples[name], config) for name, model in models.items()
        }
        texts = {name: _figures(key, of) for name, of in of_each.items()}
        keys = dict.fromkeys(each for of in of_each.values() for each in of)
        by_key = {k: {name: of[k] for name, of in of_each.items() if k in of} for k in keys}
        yield (
            {"step": step, **(by_key if len(models) > 1 else of_each[first])},
            f"step {step}  {what} {_told(texts)}",
        )
    if is_due(step, config.evaluate_every) and "evaluation" not in done:
        count, seed = config.num_evaluation_prompts, config.seed
        found = {}
        for name, model in models.items():
            if model.modality.world is None:
                continue
            options = config.members[name].options
            with autocast(model.device, sampling_dtype(config)):
                of = accuracy(
                    model, options, sampling[name], is_stopped, num_prompts=count, seed=seed
                )
            if of is None:
                return
            found[name] = of
        texts = {name: f"{of['accuracy']:.1%}" for name, of in found.items()}
        line = {"step": step, "evaluation": found if len(models) > 1 else found[first]}
        yield line, f"step {step}  right {_told(texts)} of {count} prompts"


def _losses(
    key: str, model: Model, samples: Sequence[CaptionedSample], config: TrainConfig
) -> dict[str, dict[str, float]]:
    """The losses of a modality, by what the log calls them; those on its own data with the gap."""

    def loss(of: Sequence[CaptionedSample]) -> dict[str, float]:
        times, budget = config.validation_times, config.token_budget
        return validation_loss(
            model, of, times, config.seed, token_budget=budget, dtype=config.dtype
        )

    found = {key: loss(samples)}
    if key != VALIDATION:
        return found
    if others := with_other_captions(samples):
        found[SHUFFLED] = loss(others)
        found[GAP] = caption_gap(found[key], found[SHUFFLED])
    return found | {NO_CAPTIONS: loss([replace(sample, caption="") for sample in samples])}


def _figures(key: str, losses: Mapping[str, Mapping[str, float]]) -> str:
    """The mean loss over the times, and the caption gap at the earliest of them."""
    text = f"{sum(losses[key].values()) / len(losses[key]):.4f}"
    if GAP not in losses:
        return text
    time = min(losses[GAP], key=float)
    gap = losses[GAP][time]
    more = f"{abs(gap):.1%} {'more' if gap >= 0 else 'less'}"
    return f"{text}, {more} at t = {time} with captions of others"


def with_other_captions(samples: Sequence[CaptionedSample]) -> list[CaptionedSample]:
    """Each sample with the caption of another one; none where all captions are the same.

    Half of the samples later stands the other one, or behind that the first with another caption.
    """
    count = len(samples)
    if len({sample.caption for sample in samples}) < 2:
        return []
    found = []
    for number, sample in enumerate(samples):
        later = (samples[(number + count // 2 + n) % count].caption for n in range(count))
        caption = next(each for each in later if each != sample.caption)
        found.append(replace(sample, caption=caption))
    return found


def caption_gap(right: Mapping[str, float], shuffled: Mapping[str, float]) -> dict[str, float]:
    """By the time as text, the share by which the loss is larger with captions of others."""
    return {time: shuffled[time] / loss - 1 if loss else 0.0 for time, loss in right.items()}


def _told(texts: Mapping[str, str]) -> str:
    """The figure of one modality, or that of each behind its name."""
    return "  ".join(texts.values() if len(texts) == 1 else map(" ".join, texts.items()))


def validation_samples(source: Source, count: int) -> list[CaptionedSample]:
    """Samples that are measured again and again, and never trained on.

    Raises:
        LuminaError: not one of them can be used.
    """
    note = f"encoding {count:,} samples to validate on"
    numbers = announced(range(count), "encoding", note)
    drawn = [source.held_out(number) for number in numbers]
    samples = [sample for sample in drawn if sample is not None]
    if not samples:
        raise LuminaError(
            f"none of num_validation_samples={count} samples can be used; mend the data"
        )
    return samples


@torch.no_grad()
def validation_loss(
    model: Model,
    samples: Sequence[CaptionedSample],
    times: Sequence[float],
    seed: int,
    *,
    token_budget: int,
    dtype: str,
) -> dict[str, float]:
    """Mean loss over the samples at each time, by the time as text.

    Args:
        model: the averaged weights.
        samples: from `validation_samples`.
        times: in [0, 1].
        seed: of the noise; a sample has the same noise at each time.
        token_budget: positions computed at once, separators included; at least one sample.
        dtype: in which the networks compute.
    """
    totals = dict.fromkeys(times, 0.0)
    stream = derived_seed(seed, NOISE_STREAM)
    for numbers in _groups(samples, token_budget, model.backbone.separators):
        part = [samples[number] for number in numbers]
        noise = [
            torch.randn(sample.tokens.tokens.numel(), generator=seeded(stream, number))
            for number, sample in zip(numbers, part, strict=True)
        ]
        for t in times:
            drawn = Drawn(part, torch.full((len(part),), t), torch.cat(noise))
            with autocast(model.device, dtype):
                totals[t] += drawn_loss(model, drawn).double().sum().item()
    return {f"{t:g}": total / len(samples) for t, total in totals.items()}


def _groups(
    samples: Sequence[CaptionedSample], token_budget: int, separators: bool
) -> Iterator[list[int]]:
    """Numbers of the samples that are computed together."""
    group: list[int] = []
    total = 0
    for number, sample in enumerate(samples):
        length = sample.tokens.grid.num_positions(separators)
        if group and total + length > token_budget:
            yield group
            group, total = [], 0
        group.append(number)
        total += length
    yield group


def accuracy(
    model: Model,
    options: Any,
    sampling: Sampling,
    is_stopped: Callable[[], bool],
    *,
    num_prompts: int,
    seed: int,
) -> dict[str, Any] | None:
    """Share of prompts of the trained split that the oracle finds right, as `evaluate` has it.

    Args:
        model: the averaged weights, in float32.
        options: of the modality.
        sampling: solver and guidance.
        is_stopped: asked after each prompt; if it says so, nothing is measured.
        num_prompts: at least 1.
        seed: of prompts and noise.

    Returns:
        Accuracy, its interval and number of prompts, over all and per task; None if stopped.
    """
    world = world_of(model.modality)
    found = cases(world, trained_split(world), options, num_prompts, seed)
    verdicts = []
    model = replace(model, attention="auto")  # in float32, as not every backend computes
    with tempfile.TemporaryDirectory() as folder:
        for verdict in judge(model, found, sampling, Path(folder), dtype="float32"):
            verdicts.append(verdict)
            if is_stopped():
                return None
    return summarise(verdicts)
