"""What the checks of a contract look at: media of a plugin, of each size that it makes.

A world draws them. Where there is none they are decoded from random latents, which shows nothing
of what people want to see, but goes through every part.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from lumina_core.errors import LuminaError
from lumina_core.modality import Media, Modality
from lumina_core.records import setting_of
from lumina_core.sequence import Grid

MAX_TOKENS = 1200  # of a sample that is checked; larger ones are left out where there are smaller
NO_CAPTION = "a medium"  # of one that no world drew
GROWTH = 4  # of an option that makes media larger


@dataclass(frozen=True)
class Sample:
    """A medium, and how it came about."""

    caption: str
    options: Any
    media: Tensor
    latent: Tensor
    grid: Grid

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """Channels, frames, height, width."""
        channels, frames, height, width = self.latent.shape
        return channels, frames, height, width


@dataclass(frozen=True)
class Size:
    """One of the sizes of a plugin's media."""

    split: str | None
    """Of the world; None without one."""
    number: int
    """In its split."""
    options: Any
    grid: Grid


def grid_of(modality: Modality, options: Any) -> Grid:
    """The grid of media with these options."""
    shape = modality.vae.latent_shape(modality.media_shape(options))
    return modality.tokenizer.grid(shape)


def all_sizes(modality: Modality, options: Any, split: str | None = None) -> list[Size]:
    """The sizes of a split, or of all; that of the options themselves where there is no world."""
    world = modality.world
    if world is None:
        return [Size(None, 0, options, grid_of(modality, options))]
    found = []
    for name in world.splits if split is None else (split,):
        for number, variant in enumerate(world.variants(name) or ({},)):
            one = replace(options, **variant)
            found.append(Size(name, number, one, grid_of(modality, one)))
    return found


def small_sizes(sizes: Sequence[Size]) -> list[Size]:
    """Those of at most MAX_TOKENS tokens; the smallest where there are none."""
    small = [size for size in sizes if size.grid.num_patches <= MAX_TOKENS]
    return small or [min(sizes, key=lambda size: size.grid.num_patches)]


def medium(
    modality: Modality, options: Any, generator: Generator, split: str | None = None
) -> tuple[str, Media]:
    """A caption and media that show it; without a world those of a random latent.

    Args:
        modality: whose.
        options: their size.
        generator: decides both.
        split: of the world; None: the first.
    """
    world = modality.world
    if world is None:
        latent_shape = modality.vae.latent_shape(modality.media_shape(options))
        latent = torch.randn(latent_shape, generator=generator)
        return NO_CAPTION, modality.decode(latent, options)
    caption = world.caption(split or world.splits[0], generator)
    return caption, world.draw(caption, options, generator)


def growing_keys(modality: Modality, options: Any) -> list[str]:
    """The options by which media become larger: a length, a side, a number of frames."""
    found = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        is_number = type(value) in (int, float) and not setting_of(field).fixed
        if not is_number or value <= 0:
            continue
        try:
            larger = replace(options, **{field.name: value * GROWTH})
            grids = grid_of(modality, options), grid_of(modality, larger)
        except LuminaError:
            continue
        if grids[1].num_patches >= 2 * grids[0].num_patches:
            found.append(field.name)
    return found
