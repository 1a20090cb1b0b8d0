"""Ways to leave evaluations out, beside fewer steps: accuracy, CPU time, distance to the exact.

    python benchmarks/skipping.py +modality=image [num_prompts=200] [KEY=VALUE ...]

Prompts, figures and words are those of speed.py. Every way but the first steps as it does:

| way | what it leaves out |
|---|---|
| exact | nothing |
| half, quarter | every second step, three of four (`speed=balanced`, `speed=fast`) |
| every | every second evaluation without the prompt: the difference that guidance adds stays |
| change=D | evaluations until the input of the first block has changed by D in sum |

The last is the rule of TeaCache (Liu et al., arXiv:2411.19108) without its polynomial, which is
fitted to one model: |y - y_before| / |y_before| in the L1 norm, of the modulated input y. Until the
sum reaches D the velocity before stays. No way is offered by `run`: docs/inside/log.md says why.
"""

import sys
from typing import Any

import torch
from speed import compared
from torch import Tensor
from torch.nn import functional

from lumina_core.errors import LuminaError
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.sampling import sample
from lumina_core.sampling.velocity import GuidedVelocity
from lumina_core.terminal import show_json

CHANGES = (0.1, 0.2, 0.4)


class EverySecond(GuidedVelocity):
    """Guidance reuses its difference at every second step."""

    _difference: Tensor | None = None

    def _pair(self, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._difference is None:
            conditional, unconditional = super()._pair(t, x)
            self._difference = conditional - unconditional
            return conditional, unconditional
        difference, self._difference = self._difference, None
        conditional = self._evaluate(self.batch.with_state(x), t, self._context)
        return conditional, conditional - difference


class ByChange(GuidedVelocity):
    """A velocity stays until the input of the first block has changed enough."""

    enough = 0.0
    _input: Tensor | None = None
    _velocity: Tensor | None = None
    _sum = 0.0

    @torch.no_grad()
    def _first_input(self, t: float, x: Tensor) -> Tensor:
        backbone: Any = self._backbone
        batch, context = self.batch.with_state(x), self._context
        condition = backbone.time_embedding(batch.segment_time(torch.full((1,), t)))
        condition = condition + context.pooled.index_select(0, batch.segment_sample)
        block = backbone.blocks[0]
        outer, _ = block._modulations(functional.silu(condition), batch.segment_index)
        return outer.of_input(block.attention_norm(backbone._embed(batch)))

    def __call__(self, t: float, x: Tensor) -> Tensor:
        """Evaluate, or answer as before."""
        before, self._input = self._input, self._first_input(t, x)
        if before is not None and self._velocity is not None:
            self._sum += float((self._input - before).abs().sum() / before.abs().sum())
            if self._sum < self.enough:
                return self._velocity
        self._sum, self._velocity = 0.0, super().__call__(t, x)
        return self._velocity


def by_change(enough: float) -> type[GuidedVelocity]:
    """The class with its threshold."""
    return type("ByThisChange", (ByChange,), {"enough": enough})


WAYS: dict[str, tuple[type[GuidedVelocity], str]] = {
    "exact": (GuidedVelocity, "exact"),
    "half": (GuidedVelocity, "balanced"),
    "quarter": (GuidedVelocity, "fast"),
    "every": (EverySecond, "exact"),
    **{f"change={enough}": (by_change(enough), "exact") for enough in CHANGES},
}


def use(way: str) -> str:
    """Let samples be made in a way; the `speed` that goes with it."""
    velocity, speed = WAYS[way]
    sample.GuidedVelocity = velocity
    return speed


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        config = compose_evaluate(["num_prompts=200", *sys.argv[1:]])
        show_json(compared(config, list(WAYS), use))
    except LuminaError as error:
        sys.exit(f"error: {error}")
