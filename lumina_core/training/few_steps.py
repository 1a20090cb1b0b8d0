"""Few steps instead of many: a network learns to go straight where its teacher goes by and by.

Time is cut into as many windows as samples will take steps. A training sample with noise stands at
the beginning a of the window that holds its t; the teacher, which is the network that the run began
with, takes it to the end b with guidance. The student learns the velocity of the straight line
between both, at the point of that line at t. So one evaluation of it, without guidance, does what
several pairs of the teacher do.

Source: Yan et al. 2024, PeRFlow, arXiv:2405.07510, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.flow.guidance import is_guided_at
from lumina_core.flow.path import interpolate
from lumina_core.flow.settings import GuidanceConfig, SolverConfig
from lumina_core.flow.solver import integrate
from lumina_core.runtime import autocast
from lumina_core.sequence import TokenBatch, sent
from lumina_core.text.encoder import Features
from lumina_core.text.settings import Text
from lumina_core.training.networks import Networks
from lumina_core.training.settings import ObjectiveConfig

SOLVER = "ab2"  # of the teacher


@dataclass(frozen=True)
class Teacher:
    """The network that a run began with, and how it is guided."""

    networks: Networks
    guidance: Mapping[str, GuidanceConfig]
    """Of each modality."""
    objective: ObjectiveConfig
    dtype: str
    """In which it computes."""

    @torch.no_grad()
    def lesson(
        self,
        batch: TokenBatch,
        x_0: Float[Tensor, "element"],
        t: Float[Tensor, "sample"],
        told: Sequence[Text] | Features,
        untold: Sequence[Text] | Features,
    ) -> tuple[TokenBatch, Float[Tensor, "element"]]:
        """Where the student stands at t, and the velocity that it is to have there.

        Args:
            batch: clean samples, on the CPU.
            x_0: noise.
            t: of each sample.
            told: its caption, as `Networks.forward` takes it.
            untold: what guidance moves away from.

        Returns:
            The samples at t, and the velocity of the line through their window, both on the device
            of the teacher. What is given stays, and has the velocity 0.
        """
        device = next(self.networks.parameters()).device
        num_steps, solver = self.objective.num_steps, SolverConfig(SOLVER)
        a = (t * num_steps).floor().clamp(max=num_steps - 1) / num_steps
        begin = batch.with_state(interpolate(x_0, batch.state, batch.element_time(a))).to(device)
        strength = sent(self._strength(batch, a), device)
        unknown = begin.unknown

        with autocast(device, self.dtype):
            with_text, without = (
                self.networks.prepare(begin, texts, keeps_text=True) for texts in (told, untold)
            )

            def by_window(u: float, x: Tensor) -> Tensor:
                time = sent(batch.segment_time(a + u / num_steps), device)
                noisy = begin.with_state(x)
                conditional = self.networks["backbone"](noisy, time, with_text)
                unconditional = self.networks["backbone"](noisy, time, without)
                guided = conditional + strength * (conditional - unconditional)
                return guided * unknown / num_steps

            times = [k / self.objective.teacher_steps for k in range(self.objective.teacher_steps)]
            end = integrate(by_window, begin.state, solver, times=[*times, 1.0])
        mean = (end - begin.state) * num_steps
        passed = sent((t - a).repeat_interleave(batch.element_counts), device)
        return begin.with_state(begin.state + passed * mean), mean

    def _strength(self, batch: TokenBatch, a: Float[Tensor, "sample"]) -> Float[Tensor, "element"]:
        """By how much of its difference from the other velocity the one with the text grows."""
        names = [span.modality for span in batch.spans for _ in range(span.num_samples)]
        strengths = [
            strength_of(self.guidance[name]) if is_guided_at(time, self.guidance[name]) else 0.0
            for name, time in zip(names, a.tolist(), strict=True)
        ]
        return torch.tensor(strengths).repeat_interleave(batch.element_counts)


def strength_of(guidance: GuidanceConfig) -> float:
    """Scale of the difference that guidance adds to the conditional velocity."""
    return guidance.scale if guidance.rule == "added" else guidance.scale - 1


def check_guidance(guidance: Mapping[str, GuidanceConfig], objective: ObjectiveConfig) -> None:
    """Refuse what no single evaluation can learn.

    Raises:
        LuminaError: a modality is guided in a way that no velocity of one evaluation has.
    """
    for name, config in guidance.items():
        is_plain = config.renormalise == "none" and config.channels is None
        if not is_plain or config.share_of_steps < 1:
            raise LuminaError(
                f"{name} is guided by more than a scale and an interval, which "
                f"objective={objective.name} cannot teach; train another model"
            )


def taught_sampling(
    objective: ObjectiveConfig, guidance: GuidanceConfig, before: Mapping[str, Any]
) -> dict[str, Any]:
    """How checkpoints recommend to sample: as many steps as were taught, without guidance.

    Args:
        objective: of the run.
        guidance: of the teacher.
        before: what the checkpoint that it began with recommends.
    """
    solver = {"name": "euler", "num_steps": objective.num_steps, "schedule": "even", "shift": 1.0}
    neutral = 0.0 if guidance.rule == "added" else 1.0
    own: dict[str, dict[str, Any]] = {"solver": solver, "guidance": {"scale": neutral}}
    return {**before, **{key: {**before.get(key, {}), **value} for key, value in own.items()}}
