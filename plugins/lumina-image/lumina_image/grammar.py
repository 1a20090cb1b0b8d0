"""The captions of the synthetic image world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words of the shapes. The tasks are
GenEval's (one object, two objects, counting, colours, position, colour attribution); the wordings
are our own, and each parses back to exactly the scene it was made from.
"""

import re
from dataclasses import dataclass, replace

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    NUMBERS,
    by_wording,
    chance,
    join,
    one_of,
    pick,
    pick_two,
    with_article,
)
from lumina_core.media.worlds.words import (
    COLOURS,
    HELD_OUT_PAIRS,
    PLURALS,
    SHAPES,
    any_background,
    on_background,
    split_background,
)

SIZES = ("small", "large")
RELATIONS = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
TASKS = ("one_object", "two_objects", "counting", "colours", "position", "colour_attribution")

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
HELD_OUT_TASKS = ("counting", "colours", "position", "colour_attribution")

# Shares of the captions that say it; the rest leaves it to the renderer. Colours are named often,
# because a word that stands in half of the captions was learned several times more slowly.
COLOUR_NAMED, SIZE_NAMED = 0.8, 0.4

_OPENINGS = ("", "a picture of ", "an image of ", "there is ")
_PLURAL_OPENINGS = ("", "a picture of ", "an image of ", "there are ")
_CONJUNCTIONS = ("and", "together with")
_MIRRORED = {"right": "left", "below": "above"}


@dataclass(frozen=True)
class Thing:
    """One kind of object that a caption names. None means that the caption does not say."""

    colour: str | None
    shape: str
    size: str | None = None


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    things: tuple[Thing, ...]
    """In the order of the caption. Counting has one, however often it is to be drawn."""
    relation: str | None
    """Where the first thing is as seen from the second; None unless the task is position."""
    count: int
    """How many objects the picture shows in all."""
    background: str | None = None


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    words, background = split_background(
        " ".join(caption.lower().split()).removesuffix(".").rstrip()
    )
    match = _CAPTION.fullmatch(words)
    if match is None or not _agrees_in_number(match):
        raise LuminaError(
            f"{caption!r} is no caption of the image world, which knows the colours "
            f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)} and counts up to "
            f"{NUMBERS[-1]}; write, say, 'a red circle to the left of a blue square'."
        )
    found = match.groupdict()
    if found["number"]:
        thing = Thing(found["counted_colour"], _SINGULAR[found["counted"]])
        count = NUMBERS.index(found["number"]) + 1
        return Scene("counting", (thing,), None, count, background)
    if found["shape"]:
        task = "colours" if found["colour"] else "one_object"
        thing = Thing(found["colour"], found["shape"], found["size"])
        return Scene(task, (thing,), None, 1, background)
    things = (
        Thing(found["colour_1"], found["shape_1"]),
        Thing(found["colour_2"], found["shape_2"]),
    )
    relation = _RELATION_OF.get(found["link"])
    is_coloured = any(thing.colour for thing in things)
    task = "position" if relation else "colour_attribution" if is_coloured else "two_objects"
    return Scene(task, things, relation, len(things), background)


def caption_of(scene: Scene, generator: torch.Generator | None) -> str:
    """As in `Grammar`."""
    openings = _OPENINGS
    if scene.task == "counting":
        (thing,) = scene.things
        noun = thing.shape if scene.count == 1 else PLURALS[thing.shape]
        words = join(NUMBERS[scene.count - 1], thing.colour, noun)
        openings = _OPENINGS if scene.count == 1 else _PLURAL_OPENINGS
    elif len(scene.things) == 1:
        words = _named(scene.things[0])
    else:
        links = RELATIONS[scene.relation] if scene.relation else _CONJUNCTIONS
        first, second = scene.things
        words = join(_named(first), pick(links, generator), _named(second))
    words = pick(openings, generator) + words
    return on_background(words, scene.background, generator)


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    if any((thing.colour, thing.shape) in HELD_OUT_PAIRS for thing in scene.things):
        return True
    return scene.relation is not None and triple_of(scene) in HELD_OUT_TRIPLES


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`.

    Two things differ in shape, both or none have a colour, and where nothing else tells them apart
    the colours differ. Nothing has the colour of its background.
    """
    if scene.background and scene.background in {thing.colour for thing in scene.things}:
        return False
    if len(scene.things) == 1:
        return True
    first, second = scene.things
    is_alike = bool(first.colour) == bool(second.colour)
    is_told = scene.task != "colour_attribution" or first.colour != second.colour
    return first.shape != second.shape and is_alike and is_told


def triple_of(scene: Scene) -> tuple[str, str, str]:
    """The shapes and relation of a position scene, with right read as left and below as above."""
    first, second = (thing.shape for thing in scene.things)
    if scene.relation in _MIRRORED:
        return second, _MIRRORED[scene.relation], first
    return first, scene.relation, second


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    scene = _sample_things(generator, task)
    background = any_background(generator, [thing.colour for thing in scene.things])
    return replace(scene, background=background)


def _sample_things(generator: torch.Generator, task: str) -> Scene:
    if task in ("one_object", "colours"):
        size = pick(SIZES, generator) if chance(SIZE_NAMED, generator) else None
        colour = pick(COLOURS, generator) if task == "colours" else None
        return Scene(task, (Thing(colour, pick(SHAPES, generator), size),), None, 1)
    if task == "counting":
        colour = pick(COLOURS, generator) if chance(COLOUR_NAMED, generator) else None
        count = int(torch.randint(1, len(NUMBERS) + 1, (), generator=generator))
        return Scene(task, (Thing(colour, pick(SHAPES, generator)),), None, count)
    shapes = pick_two(SHAPES, generator)  # two different ones, or the caption could not tell them
    colours = (None, None)
    if task == "colour_attribution":
        colours = pick_two(COLOURS, generator)
    elif task == "position" and chance(COLOUR_NAMED, generator):
        colours = (pick(COLOURS, generator), pick(COLOURS, generator))
    relation = pick(tuple(RELATIONS), generator) if task == "position" else None
    things = tuple(Thing(colour, shape) for colour, shape in zip(colours, shapes, strict=True))
    return Scene(task, things, relation, len(things))


def _named(thing: Thing) -> str:
    return with_article(join(thing.size, thing.colour, thing.shape))


def _agrees_in_number(match: re.Match[str]) -> bool:
    """Refuses 'one circles', 'two circle' and 'there is two circles'."""
    number, counted = match["number"], match["counted"]
    if number is None:
        return match["opening"] != "there are "
    if number == NUMBERS[0]:
        return counted in SHAPES and match["opening"] != "there are "
    return counted not in SHAPES and match["opening"] != "there is "


_SINGULAR = {plural: shape for shape, plural in PLURALS.items()} | {
    shape: shape for shape in SHAPES
}
_RELATION_OF = by_wording(RELATIONS)


_CAPTION = re.compile(
    one_of(("there are ", *_OPENINGS[1:]), "opening")
    + "?(?:"
    + f"{one_of(NUMBERS, 'number')} (?:{one_of(COLOURS, 'counted_colour')} )?"
    + one_of(_SINGULAR, "counted")
    + f"|an? (?:{one_of(SIZES, 'size')} )?(?:{one_of(COLOURS, 'colour')} )?"
    + one_of(SHAPES, "shape")
    + f"|an? (?:{one_of(COLOURS, 'colour_1')} )?{one_of(SHAPES, 'shape_1')} "
    + one_of((*_CONJUNCTIONS, *_RELATION_OF), "link")
    + f" an? (?:{one_of(COLOURS, 'colour_2')} )?{one_of(SHAPES, 'shape_2')}"
    + ")"
)
