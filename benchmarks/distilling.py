"""Losses of the ways to few steps that few_steps.py compares; its text has what each learns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from convergence import (
    BATCH,
    GUIDANCE,
)
from torch import Tensor, nn

from lumina_core.backbone.transformer import TimeEmbedding
from lumina_core.data.source import CaptionedSample
from lumina_core.flow.objective import sample_time, velocity_loss
from lumina_core.flow.path import interpolate, velocity
from lumina_core.flow.settings import TimeConfig
from lumina_core.runtime import seeded

WINDOWS = 4
SUBSTEPS = 3  # of the teacher within a window
FINE = 16  # steps of the teacher from noise to data
NUM_PAIRS, NEW_PAIRS = 768, 4  # of reflow: at the beginning, and more per step
SHORTEST = 1 / 16  # step of shortcut, which counts as none
DELTA = 1 / 256  # between the two times of a derivative
UNIFORM = TimeConfig()


class TwoTimes(nn.Module):
    """A time embedding with a second time, which is set before each evaluation."""

    def __init__(self, first: TimeEmbedding, second: TimeEmbedding) -> None:
        super().__init__()
        self.first, self.second = first, second
        nn.init.zeros_(second.out.weight)
        nn.init.zeros_(second.out.bias)
        self.span: Tensor | None = None

    @property
    def hidden(self) -> nn.Linear:
        """Of the first."""
        return self.first.hidden

    @property
    def out(self) -> nn.Linear:
        """Of the first."""
        return self.first.out

    def forward(self, t: Tensor) -> Tensor:
        """Embed both."""
        assert self.span is not None
        return self.first(t) + self.second(self.span.expand_as(t))


@dataclass
class Field:
    """The velocity of networks over samples of one batch."""

    networks: nn.ModuleDict
    batch: Any
    context: Any

    def __call__(self, t: Tensor, x: Tensor, span: Tensor | float = 0.0) -> Tensor:
        """At one time per sample; with the second time for networks that have one."""
        backbone: Any = self.networks["backbone"]
        if isinstance(backbone.time_embedding, TwoTimes):
            spans = torch.as_tensor(span, dtype=torch.float32).expand(len(t))
            backbone.time_embedding.span = self.batch.segment_time(spans)
        return backbone(self.batch.with_state(x), self.batch.segment_time(t), self.context)


def field(networks: nn.ModuleDict, batch: Any, captions: Sequence[str]) -> Field:
    """Networks that have read the captions."""
    backbone: Any = networks["backbone"]
    features, lengths = networks["text_encoder"](list(captions))
    return Field(networks, batch, backbone.prepare(batch, features, lengths))


class Guided:
    """The teacher's velocity: two evaluations."""

    @torch.no_grad()
    def __init__(self, teacher: nn.ModuleDict, batch: Any, captions: Sequence[str]) -> None:
        self.told = field(teacher, batch, captions)
        self.untold = field(teacher, batch, [""] * len(captions))

    @torch.no_grad()
    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        """At one time per sample."""
        told, untold = self.told(t, x), self.untold(t, x)
        return untold + GUIDANCE * (told - untold)


@dataclass
class Task:
    """What all methods have."""

    student: nn.ModuleDict
    average: nn.ModuleDict
    teacher: nn.ModuleDict
    samples: list[CaptionedSample]
    seed: int

    def batch(self, step: int) -> tuple[Any, list[str], Tensor, torch.Generator]:
        """Packed samples of a step, captions, noise, and what else is random of it."""
        generator = seeded(self.seed, 2, step)
        picks = torch.randint(len(self.samples), (BATCH,), generator=generator).tolist()
        part = [self.samples[pick] for pick in picks]
        backbone: Any = self.student["backbone"]
        packed = backbone.pack([sample.tokens for sample in part])
        x_0 = torch.randn(packed.state.numel(), generator=generator)
        return packed, [sample.caption for sample in part], x_0, generator


def per_element(batch: Any, t: Tensor) -> Tensor:
    """The time of each element of the state."""
    return t.repeat_interleave(batch.element_counts)


def error(batch: Any, predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over the samples."""
    return velocity_loss(predicted, target, batch.element_counts).mean()


def begin_of_window(t: Tensor) -> Tensor:
    """Where the window of each time begins."""
    return (t * WINDOWS).floor().clamp(max=WINDOWS - 1) / WINDOWS


Loss = Callable[[Task, int], Tensor]


def reflow(task: Task) -> Loss:
    """Pairs of noise and the teacher's sample, more at each step."""
    pairs: list[tuple[CaptionedSample, Tensor, Tensor]] = []
    backbone: Any = task.student["backbone"]

    @torch.no_grad()
    def add(count: int, generator: torch.Generator) -> None:
        picks = torch.randint(len(task.samples), (count,), generator=generator).tolist()
        part = [task.samples[pick] for pick in picks]
        batch = backbone.pack([sample.tokens for sample in part])
        x_0 = torch.randn(batch.state.numel(), generator=generator)
        teach, x = Guided(task.teacher, batch, [sample.caption for sample in part]), x_0
        for number in range(FINE):
            x = x + teach(torch.full((count,), number / FINE), x) / FINE
        counts = batch.element_counts.tolist()
        pairs.extend(zip(part, x_0.split(counts), x.split(counts), strict=True))

    def loss(task: Task, step: int) -> Tensor:
        generator = seeded(task.seed, 3, step)
        for _ in range(NUM_PAIRS // BATCH if step == 0 else 0):
            add(BATCH, generator)
        add(NEW_PAIRS, generator)
        picks = torch.randint(len(pairs), (BATCH,), generator=generator).tolist()
        part, x_0, x_1 = zip(*(pairs[pick] for pick in picks), strict=True)
        batch = backbone.pack([sample.tokens for sample in part])
        noise, data = torch.cat(x_0), torch.cat(x_1)
        t = sample_time(BATCH, UNIFORM, generator)
        own = field(task.student, batch, [sample.caption for sample in part])
        return error(
            batch, own(t, interpolate(noise, data, per_element(batch, t))), velocity(noise, data)
        )

    return loss


def piecewise(_: Task) -> Loss:
    """Straight lines within windows."""

    def loss(task: Task, step: int) -> Tensor:
        batch, captions, x_0, generator = task.batch(step)
        t = sample_time(BATCH, UNIFORM, generator)
        a = begin_of_window(t)
        begin = interpolate(x_0, batch.state, per_element(batch, a))
        teach, x = Guided(task.teacher, batch, captions), begin
        width = 1 / (WINDOWS * SUBSTEPS)
        for number in range(SUBSTEPS):
            x = x + width * teach(a + number * width, x)
        mean = (x - begin) * WINDOWS
        here = begin + per_element(batch, t - a) * mean
        return error(batch, field(task.student, batch, captions)(t, here), mean)

    return loss


def consistency(_: Task) -> Loss:
    """The end of the window, the same from all of the teacher's path."""

    def loss(task: Task, step: int) -> Tensor:
        batch, captions, x_0, generator = task.batch(step)
        t = sample_time(BATCH, UNIFORM, generator)
        b = begin_of_window(t) + 1 / WINDOWS
        here = interpolate(x_0, batch.state, per_element(batch, t))
        after = torch.minimum(t + 1 / FINE, b)
        x = here + per_element(batch, after - t) * Guided(task.teacher, batch, captions)(t, here)
        with torch.no_grad():
            left = field(task.average, batch, captions)(after, x)
            end = x + per_element(batch, b - after) * left
            target = (end - here) / per_element(batch, (b - t).clamp(min=1e-4))
        return error(batch, field(task.student, batch, captions)(t, here), target)

    return loss


def meanflow(_: Task) -> Loss:
    """u(t, r) = v + (r - t) du/dt along the path; the derivative by a difference."""

    def loss(task: Task, step: int) -> Tensor:
        batch, captions, x_0, generator = task.batch(step)
        times = torch.stack([sample_time(BATCH, UNIFORM, generator) for _ in range(2)])
        t, r = times.amin(0), times.amax(0)
        r = torch.where(torch.rand(BATCH, generator=generator) < 0.25, t, r)
        here = interpolate(x_0, batch.state, per_element(batch, t))
        v = Guided(task.teacher, batch, captions)(t, here)
        own = field(task.student, batch, captions)
        with torch.no_grad():
            forward = torch.minimum(t + DELTA, torch.ones_like(t))
            backward = forward - 2 * DELTA
            ends = [
                own(at, here + per_element(batch, at - t) * v, r - at) for at in (forward, backward)
            ]
            target = v + per_element(batch, r - t) * (ends[0] - ends[1]) / (2 * DELTA)
        return error(batch, own(t, here, r - t), target)

    return loss


def shortcut(_: Task) -> Loss:
    """One step of twice the length as two."""

    def loss(task: Task, step: int) -> Tensor:
        batch, captions, x_0, generator = task.batch(step)
        doublings = torch.randint(4, (BATCH,), generator=generator)  # to steps of 1/8 to 1
        half = SHORTEST * 2.0**doublings
        is_flow = torch.rand(BATCH, generator=generator) < 0.5
        grid = (torch.rand(BATCH, generator=generator) / (2 * half)).floor() * 2 * half
        t = torch.where(is_flow, sample_time(BATCH, UNIFORM, generator), grid.clamp(max=1.0))
        t = torch.where(is_flow, t, torch.minimum(t, 1 - 2 * half))
        here = interpolate(x_0, batch.state, per_element(batch, t))
        v = Guided(task.teacher, batch, captions)(t, here)
        with torch.no_grad():
            before = field(task.average, batch, captions)
            known = torch.where(half > SHORTEST, half, 0.0)
            first = before(t, here, known)
            middle = here + per_element(batch, half) * first
            second = before(t + half, middle, known)
        target = torch.where(per_element(batch, is_flow), v, (first + second) / 2)
        span = torch.where(is_flow, torch.zeros_like(half), 2 * half)
        return error(batch, field(task.student, batch, captions)(t, here, span), target)

    return loss


METHODS: dict[str, Callable[[Task], Loss]] = {
    each.__name__: each for each in (reflow, piecewise, consistency, meanflow, shortcut)
}
WITH_SPAN = ("meanflow", "shortcut")
