"""Training samples drawn from a modality's synthetic world: an endless stream, never repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, cast

import torch

from lumina_core.data.pool import LatentPool, encode_sample
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality, World
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid

FIRST_HELD = 2**40  # number of a sample that no training reaches
NUM_VOCABULARY_CAPTIONS = 6000  # enough that every word of a small grammar stands in one


def world_of(modality: Any) -> World:
    """The world of a modality, whose autoencoder need not exist yet.

    Raises:
        LuminaError: it has none.
    """
    if modality.world is None:
        raise LuminaError("this modality has no synthetic world to draw from; choose one that has")
    return cast(World, modality.world)


def trained_split(world: World) -> str:
    """The set of captions that is trained on, whatever a world calls it."""
    return world.splits[0]


def refuse_varied_options(name: str, options: Any, world: World) -> None:
    """Refuse an option that the world varies itself: a size, say.

    Raises:
        LuminaError: such an option differs from the modality's default.
    """
    from lumina_core.config.compose import compose_options

    default = compose_options(name)
    for key in sorted(varied_options(world)):
        if getattr(options, key) != getattr(default, key):
            raise LuminaError(
                f"modality.{key}={getattr(options, key)} has no effect here: the world of {name} "
                "draws every size that it has; leave it out"
            )


def varied_options(world: World) -> set[str]:
    """Options of the modality that a world varies itself."""
    return {key for split in world.splits for each in world.variants(split) for key in each}


def draw_captions(modality: Modality, count: int, generator: torch.Generator) -> list[str]:
    """Captions of the trained split."""
    world = world_of(modality)
    return [world.caption(trained_split(world), generator) for _ in range(count)]


def training_variants(
    modality: Modality, max_tokens: int | None = None
) -> Sequence[Mapping[str, Any]]:
    """The sizes of the trained split, those of more than `max_tokens` tokens left out.

    Raises:
        LuminaError: none is left.
    """
    world = world_of(modality)
    variants = world.variants(trained_split(world)) or ({},)
    if max_tokens is None:
        return variants
    num_tokens = [_grid(modality, variant).num_patches for variant in variants]
    found = [v for v, count in zip(variants, num_tokens, strict=True) if count <= max_tokens]
    if not found:
        raise LuminaError(
            f"data.max_tokens={max_tokens} leaves nothing to draw; the smallest sample has "
            f"{min(num_tokens)} tokens"
        )
    return found


def longest_sample(
    modality: Modality, variants: Sequence[Mapping[str, Any]], separators: bool
) -> int:
    """Positions of the longest sample that training draws, separators included."""
    return max(_grid(modality, variant).num_positions(separators) for variant in variants)


def _grid(modality: Modality, variant: Mapping[str, Any]) -> Grid:
    media_shape = modality.media_shape(replace(modality.options, **variant))
    return modality.tokenizer.grid(modality.vae.latent_shape(media_shape))


def draw_variant(
    variants: Sequence[Mapping[str, Any]], options: Any, generator: torch.Generator
) -> Any:
    """The options of a modality at one of these sizes."""
    choice = int(torch.randint(len(variants), (), generator=generator))
    return replace(options, **variants[choice])


def begin_sample(
    modality: Modality, variants: Sequence[Mapping[str, Any]], seed: int, number: int
) -> tuple[str, Any, torch.Generator]:
    """Caption and options of a sample of the stream, and the generator that draws its medium."""
    world, generator = world_of(modality), seeded(seed, number)
    options = draw_variant(variants, modality.options, generator)
    return world.caption(trained_split(world), generator), options, generator


class SyntheticPool(LatentPool):
    """The newest samples of the world; sample k has the seed (seed, k)."""

    def __init__(
        self,
        modality_name: str,
        modality: Modality,
        config: SyntheticConfig,
        seed: int,
        *,
        separators: bool = True,
    ) -> None:
        size, refresh, start = config.pool_size, config.refresh_per_step, config.pool_start
        super().__init__(size, refresh, start, seed=seed, separators=separators)
        self._name = modality_name
        self._modality = modality
        self._config = config

    @cached_property
    def _variants(self) -> Sequence[Mapping[str, Any]]:
        return training_variants(self._modality, self._config.max_tokens)

    def draw(self, number: int) -> CaptionedSample:
        """Draw, encode and tokenize sample `number` of the stream."""
        begun = begin_sample(self._modality, self._variants, self._seed, number)
        caption, options, generator = begun
        media = world_of(self._modality).draw(caption, options, generator)
        return encode_sample(self._name, self._modality, media, options, caption)

    def held_out(self, number: int) -> CaptionedSample:
        """As `draw`, from beyond where training gets in the stream."""
        return self.draw(FIRST_HELD + number)

    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """Captions of the trained split, exactly `count`."""
        return draw_captions(self._modality, count, generator)

    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """All words of the trained split as one text, or so many captions that few are missing."""
        words = world_of(self._modality).vocabulary()
        return (
            [" ".join(sorted(words))]
            if words
            else self.captions(NUM_VOCABULARY_CAPTIONS, generator)
        )

    def variants(self) -> Sequence[Mapping[str, Any]]:
        """The sizes that are drawn."""
        return self._variants

    def summary(self) -> dict[str, Any]:
        """The configuration."""
        return self._known(asdict(self._config))
