"""Prompts that the demos know: what `examples` prints, drawn from the worlds of the modalities."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lumina_core.config.compose import compose_options
from lumina_core.errors import LuminaError
from lumina_core.modality import has_weights
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import seeded

NUM_CAPTIONS, NUM_OTHERS = 3, 1  # of each task: of the split that is trained on, of each other
NUM_DRAWN = 20  # to find so many that differ
NO_FOLDER = Path("no-autoencoder")  # the parts of a modality read no weights until they are used


class Example(NamedTuple):
    """A caption of a world."""

    modality: str
    split: str
    task: str
    caption: str


def examples(name: str) -> Iterator[Example]:
    """Captions of every task of every split of a modality's world, the same each time.

    Raises:
        LuminaError: the modality cannot be used, or has no world.
    """
    options = compose_options(name)
    folder = NO_FOLDER if has_weights(options) else None
    modality = make_modality(name, options, folder)
    if modality.world is None:
        raise LuminaError(f"{name} has no synthetic world to draw captions from; name another one")
    world = modality.world
    for place, split in enumerate(world.splits):
        count = NUM_OTHERS if place else NUM_CAPTIONS
        for task in world.tasks(split):
            seeds = (seeded(place, number) for number in range(NUM_DRAWN))
            drawn = (world.caption(split, seed, task) for seed in seeds)
            for caption in list(dict.fromkeys(drawn))[:count]:
                yield Example(name, split, task, caption)


def example_lines(found: list[Example]) -> Iterator[str]:
    """The captions for people, below a line for each modality and split, and beside their task."""
    width = max((len(example.task) for example in found), default=0)
    title = task = ""
    for example in found:
        if title != (title := f"{example.modality}, {example.split}"):
            yield title
            task = ""
        shown = "" if example.task == task else example.task
        task = example.task
        yield f"  {shown:<{width}}  {example.caption}"
