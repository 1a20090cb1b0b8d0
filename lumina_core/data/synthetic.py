"""Training samples drawn from a modality's synthetic world, as a pool of latents in memory.

Encoding a sample costs about as much as learning from it, so latents wait in a pool that is renewed
a few at a time. The pool at a step depends on the seed and the step alone: a resumed run draws the
same pool again instead of storing it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from lumina_core.errors import LuminaError
from lumina_core.modality import Modality, World
from lumina_core.runtime import progress, seeded
from lumina_core.sequence import TokenSample

TRAINED = "trained"


@dataclass(frozen=True)
class SyntheticConfig:
    """The pool of latents."""

    name: str
    """`synthetic`, the only kind today."""
    pool_size: int
    """Latents in memory."""
    refresh_per_step: int
    """Latents replaced per step."""

    def __post_init__(self) -> None:
        if self.name != "synthetic":
            raise LuminaError(f"data.name={self.name!r} is unknown; use synthetic")
        if self.pool_size < 1 or not 0 <= self.refresh_per_step <= self.pool_size:
            raise LuminaError(
                f"data.pool_size={self.pool_size} and data.refresh_per_step="
                f"{self.refresh_per_step}: use a pool of at least 1 and refresh 0 to its size"
            )


@dataclass(frozen=True)
class CaptionedSample:
    """A tokenized latent and its caption."""

    tokens: TokenSample
    caption: str


def world_of(modality: Any) -> World:
    """The world of a modality, whose autoencoder need not exist yet.

    Raises:
        LuminaError: it has none.
    """
    if modality.world is None:
        raise LuminaError("this modality has no synthetic world to draw from; choose one that has")
    return cast(World, modality.world)


def refuse_varied_options(name: str, options: Any, world: World) -> None:
    """Refuse an option that the world varies itself: a size, say.

    Raises:
        LuminaError: such an option differs from the modality's default.
    """
    from lumina_core.config import compose_options

    default = compose_options(name)
    for key in sorted({key for split in world.splits for v in world.variants(split) for key in v}):
        if getattr(options, key) != getattr(default, key):
            raise LuminaError(
                f"modality.{key}={getattr(options, key)} has no effect here: the world of {name} "
                "draws every size that it has; leave it out"
            )


def draw_captions(modality: Modality, count: int, generator: torch.Generator) -> list[str]:
    """Captions of the trained split."""
    world = world_of(modality)
    return [world.caption(TRAINED, generator) for _ in range(count)]


def draw_variant(world: World, options: Any, generator: torch.Generator) -> Any:
    """The options of a modality at one of its world's training sizes."""
    variants = world.variants(TRAINED)
    choice = int(torch.randint(len(variants), (), generator=generator))
    return replace(options, **variants[choice])


def longest_sample(modality: Modality, separators: bool) -> int:
    """Positions of the longest sample that training draws, separators included."""
    lengths = []
    for variant in world_of(modality).variants(TRAINED):
        media_shape = modality.media_shape(replace(modality.options, **variant))
        grid = modality.tokenizer.grid(modality.vae.latent_shape(media_shape))
        lengths.append(grid.num_positions(separators))
    return max(lengths)


def draw_sample(
    modality_name: str, modality: Modality, generator: torch.Generator
) -> CaptionedSample:
    """Draw, encode and tokenize one sample of the trained split."""
    world = world_of(modality)
    options = draw_variant(world, modality.options, generator)
    caption = world.caption(TRAINED, generator)
    latent = modality.vae.encode(world.draw(caption, options, generator))
    channels, frames, height, width = latent.shape
    grid = modality.tokenizer.grid((channels, frames, height, width))
    tokens = TokenSample(modality_name, grid, modality.tokenizer.tokenize(latent).cpu())
    return CaptionedSample(tokens, caption)


class SyntheticPool:
    """The newest `pool_size` samples of an endless stream; sample k has the seed (seed, k)."""

    def __init__(
        self, modality_name: str, modality: Modality, config: SyntheticConfig, seed: int
    ) -> None:
        self._name = modality_name
        self._modality = modality
        self._config = config
        self._seed = seed
        self._samples: deque[CaptionedSample] = deque(maxlen=config.pool_size)
        self._end = 0

    def advance(self, step: int) -> None:
        """Bring the pool to its state at `step`, drawing what is missing."""
        end = self._config.pool_size + step * self._config.refresh_per_step
        start = max(self._end, end - self._config.pool_size)
        numbers = range(start, end)
        is_filling = len(numbers) > self._config.refresh_per_step
        for number in progress(numbers, "drawing") if is_filling else numbers:
            generator = seeded(self._seed, number)
            self._samples.append(draw_sample(self._name, self._modality, generator))
        self._end = end

    def batch(
        self, generator: torch.Generator, token_budget: int, separators: bool
    ) -> list[CaptionedSample]:
        """Samples picked at random until the next one would pass the budget of positions.

        Args:
            generator: of this step.
            token_budget: positions, separators included.
            separators: whether separators count.

        Raises:
            LuminaError: not even one sample fits.
        """
        picked: list[CaptionedSample] = []
        total = 0
        for sample in self._endless(generator):
            length = sample.tokens.grid.num_positions(separators)
            if total + length > token_budget:
                break
            picked.append(sample)
            total += length
        if not picked:
            raise LuminaError(
                f"token_budget={token_budget} is shorter than one sample of {length} positions"
            )
        return picked

    def _endless(self, generator: torch.Generator) -> Iterator[CaptionedSample]:
        while True:
            for index in torch.randperm(len(self._samples), generator=generator).tolist():
                yield self._samples[index]
