"""The captions of the synthetic video world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words (names.py, motions.py and
wordings.py). Each wording parses back to exactly the scene it was made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import chance, pick, pick_two
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading, words_in
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOURS,
    HELD_OUT_PAIRS,
    SHAPES,
    any_background,
    background_written,
    on_background,
    split_background,
)
from lumina_video import motions, names, wordings
from lumina_video.motions import (
    DIRECTIONS,
    EVENTS,
    GROWTHS,
    MOTION_OF,
    MOTIONS,
    TURN,
    WAYS,
    any_doing,
    any_infinitive,
    colours_in,
    filled,
    finite,
    infinitive,
    turning,
    without_fillers,
)
from lumina_video.names import (
    SIZES,
    coloured,
    named,
    pair_named,
    read_pair,
    read_thing,
)
from lumina_video.wordings import WORDINGS, any_more, any_name, openings

AXES = (("left", "right", "still"), ("up", "down", "still"))
TASKS = (
    *("motion", "growth", "colour_change", "two_motions", "passing", "order"),
    "two_ways",
)
"""Two motions are along one axis. Two ways are all else that two things may do at once: along
different axes, or one of them grows, shrinks or turns to another colour; there is no room for both
to grow or shrink."""
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
ALIKE = 0.15  # of two things, where none passes the other: no word tells them apart
TURNING = 0.2  # of those in order: one is a change of colour
PLACED = 0.5  # of two things that move in one direction: one of SIDES says where they are
PLAIN = 0.5  # of the captions have the plainest wording of all


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
    name = reading.name.removesuffix("_rare").removesuffix("_read")
    texts = reading.texts
    told = [read_thing(texts[slot]) for slot in _slots(texts, "thing", "bare")]
    if name.startswith("pair"):
        told = [read_pair(texts["pair"])] * 2
    things = [thing for thing in told if thing]
    if len(things) < len(told):
        return None
    if name in ("change", "change_to"):
        ((size, colour, shape),) = things
        before = COLOUR_OF[texts["before"]] if name == "change" else colour
        after = COLOUR_OF[texts["after"]]
        if before == after or colour not in (None, before):
            return None
        return Scene("colour_change", (Thing(before, shape, (), size),), after, background)
    said = [texts[slot] for slot in _slots(texts, *_SAYING)]
    motions = tuple(MOTION_OF.get(words, TURN) for words in said)
    ways: tuple[tuple[str, ...], ...] = (motions,)  # of one event, or of two in order
    task: str | None = "passing"
    if name == "swing" and {*motions} not in ({"up", "down"}, {"left", "right"}):
        return None
    if name in ("passing", "passing_way"):
        ways = (motions, ())
        if not set(motions) <= set(DIRECTIONS):
            return None
    else:
        if name in ("both", "pair_both", *SIDES):
            ways = (motions, motions)
            if motions[0] not in SIDES.get(name, motions):
                return None
        elif name in ("two", "pair_two"):
            ways = tuple((motion,) for motion in motions)
        task = task_of(ways)
    scene = Scene(
        task or "",
        tuple(
            Thing(colour, shape, way, size)
            for (size, colour, shape), way in zip(things, ways, strict=True)
        ),
        None,
        background,
    )
    if task == "colour_change":
        scene = replace(scene, things=(replace(scene.things[0], motions=()),))
    if TURN in motions:
        scene = _turned(scene, colours_in(said[motions.index(TURN)]))
    return scene if task and scene and has_room(scene) else None


_SAYING = ("do", "go", "way", "act", "more", "state")


def _turned(scene: Scene, colours: list[str]) -> Scene | None:
    """A scene in which the thing that turns is of the first colour and turns to the last."""
    *before, after = colours
    number = turning_of(scene)
    thing = scene.things[number]
    colour = before[0] if before else thing.colour
    if after == colour or thing.colour not in (None, colour):
        return None
    things = list(scene.things)
    things[number] = replace(thing, colour=colour)
    return replace(scene, things=tuple(things), new_colour=after)


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


def _slots(texts: Mapping[str, str], *kinds: str) -> list[str]:
    """The slots of some kinds in the order of their numbers; a slot without one is the only."""
    return sorted((slot for slot in texts if slot.startswith(kinds)), key=lambda slot: slot[-1])


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


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`."""
    if generator is not None and not unseen and chance(PLAIN, generator):
        generator = None
    first, second = scene.things[0], scene.things[-1]
    texts = {
        "thing_1": named(first.size, first.colour, first.shape, generator),
        "thing_2": named(second.size, second.colour, second.shape, generator),
        "pair": pair_named(first.size, first.colour, first.shape, generator),
        **openings(generator),
    }
    if scene.task == "colour_change" and scene.new_colour:
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
        if motion == TURN and scene.new_colour:
            colour = coloured(scene.new_colour, generator)
            words, do = turning(colour, generator), f"turn {colour}"
        else:
            words = any_doing(motion, generator, unseen)
            do = any_infinitive(motion, generator)
        if motion in GROWTHS:
            texts[f"more_{number}"] = any_more(motion, generator)
        forms = {"doing": words, "does": finite(words), "do": do}
        if motion in DIRECTIONS:
            way = pick(WAYS[motion] if unseen else DIRECTIONS[motion], generator)
            forms |= {"way": way, "go": infinitive(f"moving {way}")}
            forms |= {"going": words, "goes": finite(words)}
        for form, said in forms.items():
            is_plain = unseen or motion == "still" or form == "way"
            texts[f"{form}_{number}"] = said if is_plain else filled(said, generator)
        for form, acted in (("doing", "acting"), ("does", "acts"), ("do", "act")):
            texts[f"{acted}_{number}"] = texts[f"{form}_{number}"]
    return on_background(
        WORDINGS.worded(name, texts, generator, unseen), scene.background, generator
    )


def _name_of(scene: Scene, generator: torch.Generator | None, unseen: bool) -> str:
    """The key of the sentences that say a scene without a new colour."""
    first, second = scene.things[0], scene.things[-1]
    if scene.task == "order":
        is_way = set(first.motions) <= set(DIRECTIONS)
        name = pick(("order", "order_way"), generator) if is_way else "order"
        if set(first.motions) == set(GROWTHS) and generator is not None:
            name = pick(("order", "order_size"), generator)
            return name if name == "order_size" else any_name(name, generator, unseen)
    elif scene.task == "passing":
        name = "passing_way" if first.motions else "passing"
    elif len(scene.things) == 1:
        name = "event"
    elif replace(first, motions=()) == replace(second, motions=()):
        return "pair_both" if first.motions == second.motions else "pair_two"
    elif first.motions == second.motions and first.motions[0] in DIRECTIONS:
        if generator is not None and not unseen and chance(PLACED, generator):
            return next(name for name, ways in SIDES.items() if first.motions[0] in ways)
        name = pick(("two", "both", "both"), generator)
    else:
        name = "two"
    return any_name(name, generator, unseen)


def vocabulary() -> frozenset[str]:
    """As in `Grammar`."""
    texts = (*names.written(), *motions.written(), *wordings.written())
    return words_in((*texts, *background_written()))


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
    first, second = scene.things[0], scene.things[-1]
    is_told = None not in colours and first.colour != second.colour
    if replace(first, motions=()) == replace(second, motions=()):
        is_told = scene.task != "passing"
    return first is second or first.shape != second.shape or is_told


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
