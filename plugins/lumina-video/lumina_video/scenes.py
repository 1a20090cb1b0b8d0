"""What a clip of the synthetic video world may show, and how often each thing is asked for.

Words for it stand in grammar.py and the files below that.
"""

from dataclasses import dataclass, replace

import torch

from lumina_core.media.worlds.captions import chance, pick, pick_two
from lumina_core.media.worlds.words import COLOURS, HELD_OUT_PAIRS, SHAPES, any_background
from lumina_video.motions import DIRECTIONS, EVENTS, GROWTHS, MOTIONS, TURN
from lumina_video.names import SIZES

AXES = (("left", "right", "still"), ("up", "down", "still"))
TASKS = (
    *("motion", "growth", "colour_change", "two_motions", "passing", "order"),
    "two_ways",
)
"""Two motions are along one axis. Two ways are all else that two things may do at once: along
different axes, or one of them grows, shrinks or turns to another colour; there is no room for both
to grow or shrink."""
HELD_OUT_TASKS = TASKS

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
ALIKE = 0.15  # of two things, where none passes the other: no word tells them apart
TURNING = 0.2  # of those in order: one is a change of colour


@dataclass(frozen=True)
class Thing:
    """An object that a caption names. None means that the caption does not say."""

    colour: str | None
    shape: str
    motions: tuple[str, ...]
    """What it does, in order: one of MOTIONS, or two of EVENTS; none where it only changes colour,
    and where it passes or is passed without a direction. A change beside all else is TURN."""
    size: str | None = None
    """One of SIZES: of what grows or shrinks, at the beginning."""


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    things: tuple[Thing, ...]
    """In the order of the caption; the first passes the second."""
    new_colour: str | None = None
    """What the colour of the one thing, or of the one with TURN, turns into."""
    background: str | None = None


def turning_of(scene: Scene) -> int:
    """The number of the thing whose colour changes, where one does."""
    turns = [number for number, thing in enumerate(scene.things) if TURN in thing.motions]
    return turns[0] if turns else 0


def has_room(scene: Scene) -> bool:
    """Whether things of the sizes that a scene says fit into a clip."""
    sizes = [thing.size for thing in scene.things]
    if len(sizes) == 1:
        is_order = scene.task == "order"
        return not (is_order and sizes[0] == "large" and "grow" in scene.things[0].motions)
    if scene.task == "two_ways":
        return all(
            thing.size is None or (thing.size == "small" and thing.motions[0] not in GROWTHS)
            for thing in scene.things
        )
    return sizes.count("large") < len(sizes)


def task_of(ways: tuple[tuple[str, ...], ...]) -> str | None:
    """The task of what one or two things do, without passing; None where it fits no clip."""
    if len(ways) == 1:
        motions = ways[0]
        if len(motions) == 1:
            kinds = dict.fromkeys(GROWTHS, "growth") | {TURN: "colour_change"}
            return kinds.get(motions[0], "motion")
        return "order" if "still" not in motions and motions[0] != motions[1] else None
    (first,), (second,) = ways
    if first == second and first not in (*DIRECTIONS, "still"):
        return None
    is_shared = any(first in axis and second in axis for axis in AXES)
    return "two_motions" if is_shared else "two_ways"


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    colours = [(thing.colour, thing.shape) for thing in scene.things]
    colours.append((scene.new_colour, scene.things[turning_of(scene)].shape))
    motions = [(thing.shape, motion) for thing in scene.things for motion in thing.motions]
    return (
        any(pair in HELD_OUT_PAIRS for pair in colours)
        or any(pair in HELD_OUT_MOTIONS for pair in motions)
        or scene.things[0].motions in HELD_OUT_ORDERS
    )


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`: none has the background's colour; two things of one shape have two colours,
    or nothing tells them apart and none passes the other.
    """
    colours = [thing.colour for thing in scene.things]
    if scene.background in {scene.new_colour, *colours} - {None}:
        return False
    if len({thing.shape for thing in scene.things}) == len(scene.things):
        return True
    if len({replace(thing, motions=()) for thing in scene.things}) == 1:
        return scene.task != "passing"
    return None not in colours and len({*colours}) > 1


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    things, new_colour = _sample_things(generator, task), None
    if task == "colour_change" or any(TURN in thing.motions for thing in things):
        taken = {thing.colour for thing in things}
        new_colour = pick([colour for colour in COLOURS if colour not in taken], generator)
    sized = Scene(task, tuple(_sized(thing, generator) for thing in things), new_colour)
    scene = sized if has_room(sized) and is_drawn(sized) else Scene(task, things, new_colour)
    seen = (new_colour, *(thing.colour for thing in things))
    return replace(scene, background=any_background(generator, seen))


def _sized(thing: Thing, generator: torch.Generator) -> Thing:
    is_said = chance(SIZE_NAMED, generator)
    return replace(thing, size=pick(tuple(SIZES), generator)) if is_said else thing


def _sample_things(generator: torch.Generator, task: str) -> tuple[Thing, ...]:
    shapes = pick_two(SHAPES, generator)
    colours: tuple[str | None, str | None] = (None, None)
    if chance(COLOUR_NAMED, generator):
        colours = pick_two(COLOURS, generator)
    if task in ("motion", "growth", "colour_change", "order"):
        motions = _sample_motions(generator, task)
        return (Thing(colours[0], shapes[0], motions),)
    if task != "passing" and chance(ALIKE, generator):
        shapes, colours = (shapes[0], shapes[0]), (colours[0], colours[0])
    elif colours[0] and chance(ONE_SHARED, generator):
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
    if task == "order":
        events = pick_two(EVENTS, generator)
        if chance(TURNING, generator):
            events = pick(((TURN, events[0]), (events[0], TURN)), generator)
        return events
    return ()


_WAYS = {
    task: [
        ((one,), (other,))
        for one in (*MOTIONS, TURN)
        for other in (*MOTIONS, TURN)
        if task_of(((one,), (other,))) == task
    ]
    for task in ("two_motions", "two_ways")
}
_WAYS["two_ways"] += [pair for pair in _WAYS["two_ways"] if {*pair[0], *pair[1]} <= set(DIRECTIONS)]
