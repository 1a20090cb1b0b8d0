"""Training samples drawn from a modality's synthetic world: an endless stream, never repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch

from lumina_core.data.pool import CaptionedSample, LatentPool, check_pool, encode_sample
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality, World
from lumina_core.runtime import seeded

TRAINED = "trained"
FIRST_HELD = 2**40  # number of a sample that no training reaches
NUM_VOCABULARY_CAPTIONS = 4000  # enough that every word of a small grammar stands in one


@dataclass(frozen=True)
class SyntheticConfig:
    """The pool of latents."""

    name: str
    """`synthetic`."""
    pool_size: int
    """Latents in memory."""
    refresh_per_step: int
    """Latents replaced per step."""

    def __post_init__(self) -> None:
        check_pool(self.pool_size, self.refresh_per_step)


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
    media = world.draw(caption, options, generator)
    return encode_sample(modality_name, modality, media, options, caption)


class SyntheticPool(LatentPool):
    """The newest samples of the world; sample k has the seed (seed, k)."""

    def __init__(
        self, modality_name: str, modality: Modality, config: SyntheticConfig, seed: int
    ) -> None:
        super().__init__(config.pool_size, config.refresh_per_step)
        self._name = modality_name
        self._modality = modality
        self._config = config
        self._seed = seed

    def draw(self, number: int) -> CaptionedSample:
        """Draw sample `number` of the stream."""
        return draw_sample(self._name, self._modality, seeded(self._seed, number))

    def held_out(self, number: int) -> CaptionedSample:
        """As `draw`, from beyond where training gets in the stream."""
        return self.draw(FIRST_HELD + number)

    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """Captions of the trained split, exactly `count`."""
        return draw_captions(self._modality, count, generator)

    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """So many of the trained split that hardly a word is missing."""
        return self.captions(NUM_VOCABULARY_CAPTIONS, generator)

    def variants(self) -> Sequence[Mapping[str, Any]]:
        """The sizes of the trained split."""
        return world_of(self._modality).variants(TRAINED)

    def summary(self) -> dict[str, Any]:
        """The configuration."""
        return asdict(self._config)
