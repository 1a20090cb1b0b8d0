"""The captions of the synthetic video world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words (wordings.py). Each wording
parses back to exactly the scene it was made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import chance, pick, pick_two
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOURS,
    HELD_OUT_PAIRS,
    SHAPES,
    any_background,
    on_background,
    split_background,
)
from lumina_video.motions import (
    DIRECTIONS,
    EVENTS,
    GROWTHS,
    MOTION_OF,
    MOTIONS,
    RARE,
    WAYS,
    any_doing,
    filled,
    finite,
    infinitive,
    without_fillers,
)
from lumina_video.wordings import (
    SIZES,
    WORDINGS,
    any_name,
    coloured,
    named,
    openings,
    read_thing,
)

AXES = (("left", "right", "still"), ("up", "down", "still"))
TASKS = (
    *("motion", "growth", "colour_change", "two_motions", "passing", "order"),
    "two_ways",
)
"""Two motions are along one axis. Two ways are all else that two things may do at once: along
different axes, or one of them grows or shrinks; there is no room for both to grow or shrink."""
HELD_OUT_TASKS = TASKS
SIDES = {"above": ("left", "right"), "beside": ("up", "down")}
"""Sentences that say where one is to the other, and which ways of both leave it there."""

# Combinations that stand in no training caption, beside HELD_OUT_PAIRS.
HELD_OUT_MOTIONS = frozenset(
    {
        ("star", "right"),
        ("triangle", "left"),
        ("ring", "up"),
        ("cross", "down"),
        ("square", "grow"),
        ("snowman", "shrink"),
    }
)
HELD_OUT_ORDERS = frozenset(
    {("right", "up"), ("down", "left"), ("grow", "right"), ("up", "shrink"), ("left", "grow")}
)

# Shares of the captions that say it; the rest leaves it to the renderer.
COLOUR_NAMED, DIRECTION_NAMED, SIZE_NAMED = 0.8, 0.5, 0.2
ONE_SHARED = 0.15  # of two coloured things: they share shape or colour, or one names no colour
PLAIN = 0.5  # of the captions have the plainest wording of all


@dataclass(frozen=True)
class Thing:
    """An object that a caption names. None means that the caption does not say."""

    colour: str | None
    shape: str
    motions: tuple[str, ...]
    """What it does, in order: one of MOTIONS, or two of EVENTS; none where it changes colour, and
    where it passes or is passed without a direction."""
    size: str | None = None
    """One of SIZES, of one thing that keeps it through the clip."""


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    things: tuple[Thing, ...]
    """In the order of the caption; the first passes the second."""
    new_colour: str | None = None
    """What the colour of the one thing turns into."""
    background: str | None = None


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    words, background = split_background(without_fillers(spoken(caption)))
    for reading in WORDINGS.readings(words):
        if scene := _scene_of(reading, background):
            return scene
    raise LuminaError(
        f"{caption!r} is no caption of the video world, which knows the colours "
        f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)}, and that they move left, "
        "right, up or down, stand still, grow, shrink, pass each other and turn from one "
        "colour to another; write, say, 'a red circle moving to the right'."
    )


def _scene_of(reading: Reading, background: str | None) -> Scene | None:
    """What a sentence means; None where it means nothing that there is room for."""
    name, texts = reading.name.removesuffix("_rare"), reading.texts
    told = [thing for slot in _slots(texts, "thing") if (thing := read_thing(texts[slot]))]
    if len(told) < len(_slots(texts, "thing")):
        return None
    if name in ("change", "change_to"):
        ((size, colour, shape),) = told
        before = COLOUR_OF[texts["before"]] if name == "change" else colour
        after = COLOUR_OF[texts["after"]]
        if before == after or colour not in (None, before):
            return None
        return Scene("colour_change", (Thing(before, shape, (), size),), after, background)
    motions = tuple(MOTION_OF[texts[slot]] for slot in _slots(texts, "do", "go", "way"))
    ways: tuple[tuple[str, ...], ...] = (motions,)  # of one event, or of two in order
    if name in ("passing", "passing_way"):
        ways, task = (motions, ()), "passing"
    else:
        if name in ("both", *SIDES):
            ways = (motions, motions)
            if motions[0] not in SIDES.get(name, motions):
                return None
        elif name == "two":
            ways = tuple((motion,) for motion in motions)
        task = task_of(ways)
    has_size = any(size for size, _, _ in told)
    if task is None or (has_size and task != "motion"):
        return None
    things = tuple(
        Thing(colour, shape, way, size)
        for (size, colour, shape), way in zip(told, ways, strict=True)
    )
    return Scene(task, things, None, background)


def _slots(texts: Mapping[str, str], *kinds: str) -> list[str]:
    """The slots of some kinds in the order of their numbers."""
    return sorted((slot for slot in texts if slot.startswith(kinds)), key=lambda slot: slot[-1])


def task_of(ways: tuple[tuple[str, ...], ...]) -> str | None:
    """The task of what one or two things do, without passing; None where it fits no clip."""
    if len(ways) == 1:
        motions = ways[0]
        if len(motions) == 1:
            return "growth" if motions[0] in GROWTHS else "motion"
        return "order" if "still" not in motions and motions[0] != motions[1] else None
    (first,), (second,) = ways
    if first == second and first not in DIRECTIONS:
        return None
    is_shared = any(first in axis and second in axis for axis in AXES)
    return "two_motions" if is_shared else "two_ways"


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`."""
    if generator is not None and not unseen and chance(PLAIN, generator):
        generator = None
    first, second = scene.things[0], scene.things[-1]
    texts = {
        "thing_1": named(first.size, first.colour, first.shape, generator),
        "thing_2": named(second.size, second.colour, second.shape, generator),
        **openings(generator),
    }
    if scene.new_colour:
        name = pick(("change", "change_to"), generator) if first.colour else "change_to"
        told = None if name == "change" else first.colour
        texts["thing"] = named(first.size, told, first.shape, generator)
        name = any_name(name, generator, unseen)
        texts["before"] = coloured(first.colour, generator) if first.colour else ""
        texts["after"] = coloured(scene.new_colour, generator)
    else:
        name = _name_of(scene, generator, unseen)
    motions = [motion for thing in scene.things for motion in thing.motions]
    for number, motion in enumerate(motions, start=1):
        words = any_doing(motion, generator, unseen)
        forms = {"doing": words, "does": finite(words), "do": infinitive(words)}
        if motion in DIRECTIONS:
            way = pick(WAYS[motion] if unseen else DIRECTIONS[motion], generator)
            forms |= {"way": way, "go": infinitive(f"moving {way}")}
            forms |= {"going": words, "goes": finite(words)}
        for form, said in forms.items():
            is_plain = unseen or motion == "still" or form == "way"
            texts[f"{form}_{number}"] = said if is_plain else filled(said, generator)
    return on_background(
        WORDINGS.worded(name, texts, generator, unseen), scene.background, generator
    )


def _name_of(scene: Scene, generator: torch.Generator | None, unseen: bool) -> str:
    """The key of the sentences that say a scene without a new colour."""
    first, second = scene.things[0], scene.things[-1]
    if scene.task == "order":
        is_way = set(first.motions) <= set(DIRECTIONS)
        name = pick(("order", "order_way"), generator) if is_way else "order"
    elif scene.task == "passing":
        name = "passing_way" if first.motions else "passing"
    elif len(scene.things) == 1:
        name = "event"
    elif first.motions == second.motions:
        if generator is not None and not unseen and chance(RARE, generator):
            return next(name for name, ways in SIDES.items() if first.motions[0] in ways)
        name = pick(("two", "both"), generator)
    else:
        name = "two"
    return any_name(name, generator, unseen)


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    colours = [(thing.colour, thing.shape) for thing in scene.things]
    colours.append((scene.new_colour, scene.things[0].shape))
    motions = [(thing.shape, motion) for thing in scene.things for motion in thing.motions]
    return (
        any(pair in HELD_OUT_PAIRS for pair in colours)
        or any(pair in HELD_OUT_MOTIONS for pair in motions)
        or scene.things[0].motions in HELD_OUT_ORDERS
    )


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`: two things of one shape have two colours, none has the background's."""
    colours = [thing.colour for thing in scene.things]
    if scene.background in {scene.new_colour, *colours} - {None}:
        return False
    first, second = scene.things[0], scene.things[-1]
    is_told = None not in colours and first.colour != second.colour
    return first is second or first.shape != second.shape or is_told


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    things, new_colour = _sample_things(generator, task), None
    if task == "colour_change":
        taken = things[0].colour
        new_colour = pick([colour for colour in COLOURS if colour != taken], generator)
    seen = (new_colour, *(thing.colour for thing in things))
    return Scene(task, things, new_colour, any_background(generator, seen))


def _sample_things(generator: torch.Generator, task: str) -> tuple[Thing, ...]:
    shapes = pick_two(SHAPES, generator)
    colours: tuple[str | None, str | None] = (None, None)
    if chance(COLOUR_NAMED, generator):
        colours = pick_two(COLOURS, generator)
    if task in ("motion", "growth", "colour_change", "order"):
        motions = _sample_motions(generator, task)
        has_size = task in ("motion", "colour_change") and chance(SIZE_NAMED, generator)
        size = pick(tuple(SIZES), generator) if has_size else None
        return (Thing(colours[0], shapes[0], motions, size),)
    if colours[0] and chance(ONE_SHARED, generator):
        shapes, colours = pick(
            [
                ((shapes[0], shapes[0]), colours),
                (shapes, (colours[0], colours[0])),
                (shapes, (colours[0], None)),
                (shapes, (None, colours[1])),
            ],
            generator,
        )
    if task == "passing":
        is_told = chance(DIRECTION_NAMED, generator)
        first, second = (pick(tuple(DIRECTIONS), generator),) if is_told else (), ()
    else:
        first, second = pick(_WAYS[task], generator)
    return Thing(colours[0], shapes[0], first), Thing(colours[1], shapes[1], second)


def _sample_motions(generator: torch.Generator, task: str) -> tuple[str, ...]:
    if task == "motion":
        return (pick((*DIRECTIONS, "still"), generator),)
    if task == "growth":
        return (pick(GROWTHS, generator),)
    return pick_two(EVENTS, generator) if task == "order" else ()


_WAYS = {
    task: [
        ((one,), (other,))
        for one in MOTIONS
        for other in MOTIONS
        if task_of(((one,), (other,))) == task
    ]
    for task in ("two_motions", "two_ways")
}
_WAYS["two_ways"] += [pair for pair in _WAYS["two_ways"] if {*pair[0], *pair[1]} <= set(DIRECTIONS)]
