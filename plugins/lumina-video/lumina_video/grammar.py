"""The captions of the synthetic video world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words of the shapes. Each wording
parses back to exactly the scene it was made from.
"""

import re
from dataclasses import dataclass

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    by_wording,
    chance,
    join,
    one_of,
    pick,
    pick_two,
    plain_words,
    with_article,
)
from lumina_core.media.worlds.words import (
    COLOURS,
    FREE_BACKGROUNDS,
    HELD_OUT_PAIRS,
    SHAPES,
    any_background,
    on_background,
    split_background,
)

DIRECTIONS = {
    "left": ("to the left", "left"),
    "right": ("to the right", "right"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}
GROWTHS = {"grow": ("growing", "getting larger"), "shrink": ("shrinking", "getting smaller")}
STILL = ("standing still", "staying where it is")
EVENTS = (*DIRECTIONS, *GROWTHS)
"""What may happen first, and then: every two different ones."""
MOTIONS = (*EVENTS, "still")
AXES = (("left", "right", "still"), ("up", "down", "still"))
"""Two objects move along one axis, each in a lane of its own."""
TASKS = ("motion", "growth", "colour_change", "two_motions", "passing", "order")
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
COLOUR_NAMED, DIRECTION_NAMED = 0.8, 0.5

_OPENINGS = ("", "a video of ", "a clip of ", "there is ")
_THEN = ("and then", "then")


@dataclass(frozen=True)
class Thing:
    """An object that a caption names. None means that the caption does not say."""

    colour: str | None
    shape: str
    motions: tuple[str, ...]
    """What it does, in order: one of MOTIONS, or two of EVENTS; none where it changes colour, and
    where it passes or is passed without a direction."""


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
    words, background = split_background(plain_words(caption))
    match = _CAPTION.fullmatch(words)
    scene = None if match is None else _scene_of(match.groupdict(), background)
    if scene is None:
        raise LuminaError(
            f"{caption!r} is no caption of the video world, which knows the colours "
            f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)}, and that they move left, "
            "right, up or down, stand still, grow, shrink, pass each other and turn from one "
            "colour to another; write, say, 'a red circle moving to the right'."
        )
    return scene


def _scene_of(found: dict[str, str | None], background: str | None) -> Scene | None:
    """The scene of a caption's groups; None where the words agree but mean nothing."""
    if found["turning"]:
        before, after = found["before"], found["after"]
        thing = Thing(before, found["turning"], ())
        is_change = before != after
        return Scene("colour_change", (thing,), after, background) if is_change else None
    if found["passer"]:
        motions = (_DIRECTION_OF[found["way"]],) if found["way"] else ()
        things = (
            Thing(found["passer_colour"], found["passer"], motions),
            Thing(found["passed_colour"], found["passed"], ()),
        )
        return Scene("passing", things, None, background)
    first = (_motion_of(found["motion_1"]),)
    if found["motion_then"]:
        first += (_motion_of(found["motion_then"]),)
        if first[0] == first[1] or "still" in first:
            return None
    things = (Thing(found["colour_1"], found["shape_1"], first),)
    if not found["shape_2"]:
        task = "order" if len(first) > 1 else "growth" if first[0] in GROWTHS else "motion"
        return Scene(task, things, None, background)
    second = _motion_of(found["motion_2"])
    shared = any(first[0] in axis and second in axis for axis in AXES)
    if len(first) > 1 or not shared or first[0] == second == "still":
        return None
    things += (Thing(found["colour_2"], found["shape_2"], (second,)),)
    return Scene("two_motions", things, None, background)


def caption_of(scene: Scene, generator: torch.Generator | None) -> str:
    """As in `Grammar`."""
    first = scene.things[0]
    if scene.task == "colour_change":
        verb = pick(("turning", "changing"), generator)
        words = join(with_article(first.shape), verb, "from", first.colour, "to", scene.new_colour)
    elif scene.task == "passing":
        words = _named(first)
        if first.motions:
            words = join(words, "moving", pick(DIRECTIONS[first.motions[0]], generator), "past")
        else:
            words = join(words, "passing")
        words = join(words, _named(scene.things[1]))
    else:
        words = join(_named(first), _worded(first.motions[0], generator))
        if scene.task == "order":
            words = join(words, pick(_THEN, generator), _worded(first.motions[1], generator))
        elif scene.task == "two_motions":
            second = scene.things[1]
            words = join(words, "and", _named(second), _worded(second.motions[0], generator))
    words = pick(_OPENINGS, generator) + words
    return on_background(words, scene.background, generator)


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
    """As in `Grammar`.

    Two things differ in shape and colour, or name no colour. Nothing has the colour of its
    background, and what changes its colour has a dark one, for any colour may lie in between.
    """
    if scene.background and scene.background in {
        scene.new_colour,
        *(thing.colour for thing in scene.things),
    }:
        return False
    if scene.new_colour and scene.background not in (None, *FREE_BACKGROUNDS):
        return False
    if len(scene.things) == 1:
        return True
    first, second = scene.things
    colours = {first.colour, second.colour}
    is_told = colours == {None} or (len(colours) == 2 and None not in colours)
    return first.shape != second.shape and is_told


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    if task == "colour_change":
        background = any_background(generator, COLOURS)
        before, after = pick_two(COLOURS, generator)
        return Scene(task, (Thing(before, pick(SHAPES, generator), ()),), after, background)
    is_coloured = chance(COLOUR_NAMED, generator)
    colours = pick_two(COLOURS, generator) if is_coloured else (None, None)
    background = any_background(generator, colours)
    shapes = pick_two(SHAPES, generator)  # two different ones, or the caption could not tell them
    motions: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    if task == "motion":
        motions = ((pick((*DIRECTIONS, "still"), generator),), ())
    elif task == "growth":
        motions = ((pick(tuple(GROWTHS), generator),), ())
    elif task == "order":
        motions = (pick_two(EVENTS, generator), ())
    elif task == "two_motions":
        one, other = pick(AXES, generator)[:2], "still"
        pair = [(a, b) for a in (*one, other) for b in (*one, other) if {a, b} != {other}]
        first, second = pick(pair, generator)
        motions = ((first,), (second,))
    elif chance(DIRECTION_NAMED, generator):
        motions = ((pick(tuple(DIRECTIONS), generator),), ())
    count = 2 if task in ("two_motions", "passing") else 1
    things = tuple(map(Thing, colours, shapes, motions))[:count]
    return Scene(task, things, None, background)


def _named(thing: Thing) -> str:
    return with_article(join(thing.colour, thing.shape))


def _worded(motion: str, generator: torch.Generator | None) -> str:
    if motion in DIRECTIONS:
        return join("moving", pick(DIRECTIONS[motion], generator))
    return pick(GROWTHS.get(motion, STILL), generator)


_DIRECTION_OF = by_wording(DIRECTIONS)
_MOTION_OF = (
    {f"moving {words}": name for words, name in _DIRECTION_OF.items()}
    | by_wording(GROWTHS)
    | dict.fromkeys(STILL, "still")
)


def _motion_of(words: str | None) -> str:
    return _MOTION_OF[words or ""]


def _thing(number: str, shape: str) -> str:
    return f"an? (?:{one_of(COLOURS, number)} )?{one_of(SHAPES, shape)}"


_CAPTION = re.compile(
    f"{one_of(_OPENINGS[1:])}?(?:"
    + f"an? {one_of(SHAPES, 'turning')} (?:turning|changing) from {one_of(COLOURS, 'before')} "
    + f"to {one_of(COLOURS, 'after')}"
    + f"|{_thing('passer_colour', 'passer')} "
    + f"(?:passing|moving {one_of(_DIRECTION_OF, 'way')} past) "
    + _thing("passed_colour", "passed")
    + f"|{_thing('colour_1', 'shape_1')} {one_of(_MOTION_OF, 'motion_1')}"
    + f"(?: {one_of(_THEN)} {one_of(_MOTION_OF, 'motion_then')})?"
    + f"(?: and {_thing('colour_2', 'shape_2')} {one_of(_MOTION_OF, 'motion_2')})?"
    + ")"
)
