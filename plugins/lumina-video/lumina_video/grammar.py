"""The captions of the synthetic video world: a scene as words, and back.

All that the renderer and the oracle share: scenes (scenes.py), words (names.py, motions.py and
wordings.py) and this file. Each wording parses back to exactly the scene it was made from.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import chance, pick
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading, words_in
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOURS,
    SHAPES,
    background_written,
    on_background,
    split_background,
)
from lumina_video import motions, names, wordings
from lumina_video.motions import (
    DIRECTIONS,
    GROWTHS,
    MOTION_OF,
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
    coloured,
    named,
    pair_named,
    read_pair,
    read_thing,
)
from lumina_video.reading import read
from lumina_video.scenes import (
    HELD_OUT_TASKS,
    TASKS,
    Scene,
    Thing,
    has_room,
    is_drawn,
    is_held_out,
    sample_any,
    task_of,
    turning_of,
)
from lumina_video.wordings import WORDINGS, any_more, any_name, openings

__all__ = [
    "HELD_OUT_TASKS",
    "TASKS",
    "caption_of",
    "is_drawn",
    "is_held_out",
    "parse",
    "sample_any",
    "sentence_read",
    "vocabulary",
]
"""What `Grammar` asks for."""

SIDES = {"above": ("left", "right"), "beside": ("up", "down")}
"""Sentences that say where one is to the other, and which ways of both leave it there."""

# Shares of the captions.
PLACED = 0.5  # of two things that move in one direction: one of SIDES says where they are
PLAIN = 0.5  # of the captions have the plainest wording of all


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    scene = sentence_read(caption)
    if scene is None or not is_drawn(scene):
        plain = read(caption)
        scene = (plain and sentence_read(plain)) or scene
    if scene:
        return scene
    raise LuminaError(
        f"{caption!r} is no caption of the video world, which knows the colours "
        f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)}, and that they move left, "
        "right, up or down, stand still, grow, shrink, pass each other and turn from one "
        "colour to another; write, say, 'a red circle moving to the right'."
    )


def sentence_read(caption: str) -> Scene | None:
    """As in `Grammar`."""
    words, background = split_background(without_fillers(spoken(caption)))
    scenes = (_scene_of(reading, background) for reading in WORDINGS.readings(words))
    return next(filter(None, scenes), None)


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


def _slots(texts: Mapping[str, str], *kinds: str) -> list[str]:
    """The slots of some kinds in the order of their numbers; a slot without one is the only."""
    return sorted((slot for slot in texts if slot.startswith(kinds)), key=lambda slot: slot[-1])


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
