"""The loss of a batch: what is drawn for it at random, and the error of the velocity there.

Drawing and computing are two functions, so that the same draw can be computed again: on the same
noise at fixed times for validation, or from a file for a batch that went wrong.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from lumina_core.checkpoints.model import Model
from lumina_core.data.source import CaptionedSample
from lumina_core.files.writing import atomic_write
from lumina_core.flow.objective import sample_time, velocity_loss
from lumina_core.flow.path import interpolate, velocity
from lumina_core.flow.settings import TimeConfig
from lumina_core.sequence import TokenSample, sent
from lumina_core.text.encoder import Features, TextEncoder
from lumina_core.text.settings import Negative, Text
from lumina_core.training.few_steps import Teacher
from lumina_core.training.known import draw_known
from lumina_core.training.networks import Networks, networks_of


@dataclass(frozen=True)
class Objective:
    """What is asked of the networks."""

    time: TimeConfig
    caption_dropout: float
    """Share of captions replaced by the empty one, for guidance."""
    given_caption_dropout: float | None
    """The same of samples of which a part is given; None: the same share."""
    condition_share: float
    """Share of samples of which a part is given, for filling and continuing."""
    position_jitter: float
    """Largest logarithm of the factor on the common unit of rows and columns, drawn per sample."""


@dataclass(frozen=True)
class Drawn:
    """Everything that the loss of a batch depends on, but for the weights."""

    samples: Sequence[CaptionedSample]
    """Clean tokens, with what of them is given; the caption is empty where it was dropped."""
    t: Float[Tensor, "sample"]
    x_0: Float[Tensor, "element"]


def draw(
    samples: Sequence[CaptionedSample],
    objectives: Mapping[str, Objective],
    generators: Iterable[torch.Generator],
) -> Drawn:
    """Draw times, noise, dropped captions and given parts for samples.

    Args:
        samples: clean tokens and captions, at least one.
        objectives: of each modality how t is drawn, which captions are dropped and which parts are
            given.
        generators: one per sample, its only source of randomness.
    """
    found: list[CaptionedSample] = []
    times, noise = [], []
    for sample, generator in zip(samples, generators, strict=True):
        objective = objectives[sample.tokens.modality]
        chance = torch.rand((), generator=generator)
        tokens = _varied(sample.tokens, objective, generator)
        share = objective.caption_dropout
        if tokens.known is not None and objective.given_caption_dropout is not None:
            share = objective.given_caption_dropout
        found.append(CaptionedSample(tokens, sample.caption if chance >= share else ""))
        times.append(sample_time(1, objective.time, generator))
        noise.append(torch.randn(tokens.tokens.numel(), generator=generator))
    return Drawn(found, torch.cat(times), torch.cat(noise))


def _varied(tokens: TokenSample, objective: Objective, generator: torch.Generator) -> TokenSample:
    """The sample with a part given, or none, and its common unit of rows and columns scaled."""
    chance, place = torch.rand(2, generator=generator).tolist()
    if objective.position_jitter:
        scale = exp(objective.position_jitter * (2 * place - 1))
        tokens = replace(tokens, grid=replace(tokens.grid, common_scale=scale))
    if chance < objective.condition_share:
        tokens = replace(tokens, known=draw_known(tokens.grid, generator))
    return tokens


def text_of(caption: str) -> Text:
    """What the encoder is asked for a caption; an empty one is read as a negative prompt is."""
    return caption or Negative("")


def drawn_loss(
    model: Model,
    drawn: Drawn,
    networks: Networks | None = None,
    teacher: Teacher | None = None,
) -> Float[Tensor, "sample"]:
    """Mean squared error of the velocity of what is not given, one number per sample.

    Nothing in it waits for the device: the next batch is prepared while that computes.

    Args:
        model: says how samples are laid out and read.
        drawn: samples, times and noise.
        networks: what computes; None: those of the model.
        teacher: whose velocity is learned; None: that of the data.
    """
    networks = networks_of(model) if networks is None else networks
    device, t = model.device, drawn.t
    tokens = [sample.tokens for sample in drawn.samples]
    batch = model.backbone.pack(tokens)
    texts = [text_of(sample.caption) for sample in drawn.samples]

    def read(texts: Sequence[Text]) -> Sequence[Text] | Features:
        is_trained = isinstance(model.text_encoder, TextEncoder)
        return texts if is_trained else model.text_reader(texts)

    if teacher is not None:
        nothing = [text_of("")] * len(texts)
        noisy, target = teacher.lesson(batch, drawn.x_0, t, read(texts), read(nothing))
    else:
        x_t = interpolate(drawn.x_0, batch.state, batch.element_time(t))
        noisy = batch.with_state(x_t).to(device)
        target = sent(velocity(drawn.x_0, batch.state), device)
    predicted = networks(noisy, sent(batch.segment_time(t), device), read(texts))
    counts, unknown = sent(batch.element_counts, device), sent(batch.unknown, device)
    return velocity_loss(predicted, target, counts, weight=unknown)


def save_drawn(path: Path, batches: Sequence[Drawn], about: Mapping[str, str]) -> None:
    """Write batches as safetensors, so that their loss can be computed again.

    Tensors are `N.t`, `N.x_0`, and `N.M.tokens`, `N.M.known` and `N.M.features` of sample M in
    batch N, the last two where there are any; the metadata holds `samples`, caption and grid of
    each as JSON, and what `about` says.

    Args:
        path: the file, replaced if it exists.
        batches: what to write.
        about: further metadata.

    Raises:
        LuminaError: as `atomic_write`.
    """
    tensors: dict[str, Tensor] = {}
    texts = []
    for number, drawn in enumerate(batches):
        tensors |= {f"{number}.t": drawn.t, f"{number}.x_0": drawn.x_0}
        for place, sample in enumerate(drawn.samples):
            # a small pool gives a sample twice, and safetensors takes no tensor twice
            tensors[f"{number}.{place}.tokens"] = sample.tokens.tokens.contiguous().clone()
            for name in ("known", "features"):
                value = getattr(sample.tokens, name)
                if value is not None:
                    tensors[f"{number}.{place}.{name}"] = value.contiguous().clone()
        texts.append([{"caption": s.caption, "grid": asdict(s.tokens.grid)} for s in drawn.samples])
    with atomic_write(path) as file:
        file.write(save(tensors, {**about, "samples": json.dumps(texts)}))
