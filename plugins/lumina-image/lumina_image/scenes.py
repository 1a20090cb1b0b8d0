"""What a picture of the synthetic image world may show, and how often each thing is asked for.

It knows no wordings: grammar.py puts a scene into words.
"""

from dataclasses import dataclass
from itertools import combinations

import torch

from lumina_core.media.worlds.captions import chance, pick
from lumina_core.media.worlds.words import (
    COLOURS,
    FREE_BACKGROUNDS,
    HELD_OUT_PAIRS,
    SHAPES,
    any_background,
)

SIZES = ("small", "large")
RELATIONS = ("left", "right", "above", "below", "beside")

MAX_COUNT, MAX_THINGS = 4, 3
MAX_RELATED = 2
"""Objects of one kind that stand in a relation: three in a row would be too small to tell apart."""

TASKS = (
    *("one_object", "two_objects", "counting", "colours", "position", "colour_attribution"),
    *("next_to", "background", "sizes", "counts_of_two", "three_objects"),
)

# Combinations that stand in no training caption, beside HELD_OUT_PAIRS.
HELD_OUT_TRIPLES = frozenset(
    {
        ("star", "left", "ring"),
        ("triangle", "left", "circle"),
        ("cross", "left", "snowman"),
        ("square", "above", "circle"),
        ("ring", "above", "cross"),
        ("snowman", "above", "star"),
    }
)
# One object and two objects name no colour, so no caption of theirs can be held out.
HELD_OUT_TASKS = tuple(task for task in TASKS if task not in ("one_object", "two_objects"))

# Shares of the captions that say it; the rest leaves it to the renderer. Colours are named often,
# because a word that stands in half of the captions was learned several times more slowly.
COLOUR_NAMED, SIZE_NAMED = 0.8, 0.4
RELATION_NAMED = 0.5  # of several kinds where the task leaves it open
SIZE_OF_SEVERAL_NAMED = 0.2


_MIRRORED = {"right": "left", "below": "above"}


@dataclass(frozen=True)
class Thing:
    """One kind of object that a caption names. None means that the caption does not say."""

    colour: str | None
    shape: str
    size: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    things: tuple[Thing, ...]
    """In the order of the caption."""
    relation: str | None = None
    """Where the first thing is as seen from the second, one of RELATIONS."""
    background: str | None = None

    @property
    def count(self) -> int:
        """How many objects the picture shows in all."""
        return sum(thing.count for thing in self.things)


def scene_of(
    things: tuple[Thing, ...],
    relation: str | None = None,
    background: str | None = None,
    *,
    is_counted: bool = False,
) -> Scene:
    """The scene of what a caption says, and its task; `is_counted`: it says "one", not "a"."""
    return Scene(_task_of(things, relation, background, is_counted), things, relation, background)


def _task_of(
    things: tuple[Thing, ...], relation: str | None, background: str | None, is_counted: bool
) -> str:
    num_objects = sum(thing.count for thing in things)
    is_sized = any(thing.size for thing in things)
    is_coloured = any(thing.colour for thing in things)
    if len(things) == MAX_THINGS:
        return "three_objects"
    if len(things) == 2 and num_objects > 2:
        return "counts_of_two"
    if num_objects > 1 and is_sized:
        return "sizes"
    if len(things) == 2:
        if relation:
            return "next_to" if relation == "beside" else "position"
        return "colour_attribution" if is_coloured else "two_objects"
    if is_counted or num_objects > 1:
        return "counting"
    if background not in (None, *FREE_BACKGROUNDS):
        return "background"
    return "colours" if is_coloured else "one_object"


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    if any((thing.colour, thing.shape) in HELD_OUT_PAIRS for thing in scene.things):
        return True
    return scene.relation is not None and triple_of(scene) in HELD_OUT_TRIPLES


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`.

    Each two things are told apart by their shapes, or else by two named colours. Nothing has the
    colour of its background.
    """
    if scene.background and scene.background in {thing.colour for thing in scene.things}:
        return False
    return all(
        one.shape != other.shape or (one.colour and other.colour and one.colour != other.colour)
        for one, other in combinations(scene.things, 2)
    )


def triple_of(scene: Scene) -> tuple[str, str | None, str]:
    """The shapes and relation of two things, with right read as left and below as above."""
    first, second = (thing.shape for thing in scene.things)
    if scene.relation in _MIRRORED:
        return second, _MIRRORED[scene.relation], first
    return first, scene.relation, second


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    things = tuple(_sample_things(generator, task))
    relation = None
    if task == "position":
        relation = pick(RELATIONS[:4], generator)
    elif task == "next_to":
        relation = "beside"
    elif task in ("sizes", "counts_of_two") and _may_stand_in_relation(things):
        relation = pick(RELATIONS, generator) if chance(RELATION_NAMED, generator) else None
    colours = [thing.colour for thing in things]
    if task == "background":
        background = pick([name for name in COLOURS if name not in colours], generator)
    else:  # a light one behind one object is a task of its own
        is_alone = task in ("one_object", "colours")
        background = any_background(generator, COLOURS if is_alone else colours)
    return Scene(task, things, relation, background)


def _may_stand_in_relation(things: tuple[Thing, ...]) -> bool:
    return len(things) == 2 and max(thing.count for thing in things) <= MAX_RELATED


def _sample_things(generator: torch.Generator, task: str) -> list[Thing]:
    counts, is_sized = _sample_counts(generator, task), task == "sizes"
    if task in ("one_object", "colours", "background"):
        is_sized = chance(SIZE_NAMED, generator)
    elif task in ("counts_of_two", "three_objects"):
        is_sized = chance(SIZE_OF_SEVERAL_NAMED, generator)
    is_coloured = task in ("colours", "colour_attribution")
    if task not in ("one_object", "two_objects", "colours", "colour_attribution"):
        is_coloured = chance(COLOUR_NAMED, generator)
    while True:
        shapes = [pick(SHAPES, generator) for _ in counts]
        colours = [pick(COLOURS, generator) if is_coloured else None for _ in counts]
        sizes = [pick((*SIZES, None), generator) if is_sized else None for _ in counts]
        things = list(map(Thing, colours, shapes, sizes, counts))
        if is_drawn(Scene(task, tuple(things))) and any(sizes) == is_sized:
            return things


def _sample_counts(generator: torch.Generator, task: str) -> tuple[int, ...]:
    """How many objects of each kind."""
    if task in ("one_object", "colours", "background"):
        return (1,)
    if task == "counting":
        return (int(torch.randint(1, MAX_COUNT + 1, (), generator=generator)),)
    if task == "counts_of_two":
        return pick(((1, 2), (2, 1), (2, 2), (1, 3), (3, 1)), generator)
    if task == "three_objects":
        return pick(((1, 1, 1), (1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)), generator)
    if task == "sizes":
        return pick(((1, 1), (1, 1), (2,), (3,), (4,)), generator)
    return (1, 1)
