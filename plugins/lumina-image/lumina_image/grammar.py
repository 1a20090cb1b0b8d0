"""The captions of the synthetic image world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words of the shapes. The first six
tasks are GenEval's (one object, two objects, counting, colours, position, colour attribution); the
wordings are our own, and each parses back to exactly the scene it was made from.
"""

import re

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    NUMBERS,
    by_wording,
    chance,
    join,
    one_of,
    pick,
    with_article,
)
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading, Wordings
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOUR_WORDS,
    COLOURS,
    HELD_OUT_PAIRS,
    PLURAL_WORDS,
    SHAPE_OF,
    SHAPE_OF_PLURAL,
    SHAPE_WORDS,
    SHAPES,
    on_background,
    split_background,
)

from .scenes import (
    HELD_OUT_TASKS,
    HELD_OUT_TRIPLES,
    MAX_COUNT,
    MAX_RELATED,
    RELATIONS,
    SIZES,
    TASKS,
    Scene,
    Thing,
    is_drawn,
    is_held_out,
    sample_any,
    scene_of,
)

__all__ = [
    "COLOURS",
    "HELD_OUT_PAIRS",
    "HELD_OUT_TASKS",
    "HELD_OUT_TRIPLES",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "TASKS",
    "Scene",
    "Thing",
    "caption_of",
    "is_drawn",
    "is_held_out",
    "parse",
    "sample_any",
    "scene_of",
]  # what stands in scenes.py and in the shared words belongs to the grammar, too

# What people say for the same. The plainest stands first.
SIZE_WORDS = {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}
RELATION_WORDS = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "underneath", "beneath"),
    "beside": ("next to", "beside"),
}
_SIDES = {
    "left": ("on the left", "on the right"),
    "right": ("on the right", "on the left"),
    "above": ("at the top", "at the bottom"),
    "below": ("at the bottom", "at the top"),
}
_COUNT_WORDS = {
    1: ("one", "1"),
    2: ("two", "2", "a pair of", "a couple of"),
    3: ("three", "3"),
    4: ("four", "4"),
}

PLAIN = 0.5
"""Share of the captions in the plainest words."""
ARTICLES_LEFT_OUT, ADJECTIVE_BEHIND = 0.2, 0.15  # of the others

_OPENINGS = (
    *("", "a picture of ", "an image of ", "a photo of ", "there {be} ", "show me ", "draw "),
    *("i want ", "please draw ", "an image with "),
)
_REQUESTS = ("please show me ", "draw me ", "i want a picture of ", "show me a photo of ")
"""Openings of no training caption."""


_SINGULAR_PLURAL = {**SHAPE_OF, **SHAPE_OF_PLURAL}
_SIZE_OF = by_wording(SIZE_WORDS)
_COUNT_OF = {words: count for count, several in _COUNT_WORDS.items() for words in several} | {
    words: 1 for words in ("a", "an", "the")
}
_ADJECTIVE = one_of((*_SIZE_OF, *COLOUR_OF))


def _thing_pattern(*names: str) -> str:
    """A regular expression for a thing; its groups have the names, or none."""
    count, before, noun, behind = names or (None,) * 4
    return (
        f"(?:{one_of(_COUNT_OF, count)} )?{one_of((f'(?:{_ADJECTIVE} ){{0,2}}',), before)}"
        + one_of(_SINGULAR_PLURAL, noun)
        + f"(?: (?:that (?:is|are)|in) {one_of((_ADJECTIVE,), behind)})?"
    )


_THING = re.compile(_thing_pattern("count", "before", "noun", "behind"))
_OPENING = (
    "(?:please )?(?:(?:draw|draw me|show me|i want|there is|there are) )?"
    "(?:(?:(?:a )?(?:picture|photo)|(?:an )?image) (?:of|with) )?"
)


def _of_relation(relation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences of training, and others."""
    words = f"({'|'.join(RELATION_WORDS[relation])})"
    trained = (
        f"{{opening}}{{first}} {words} {{second}}",
        f"{{first}} {{be}} {words} {{second}}",
    )
    unseen = (f"{words} {{second}} {{be}} {{first}}",)
    if relation == "beside":
        return (
            (*trained, "{opening}{first} and {second} side by side"),
            (*unseen, "side by side {first} and {second}"),
        )
    one, other = _SIDES[relation]
    return (
        (*trained, f"{{opening}}{{first}} {one} (and )?{{second}} {other}"),
        (
            *unseen,
            f"{one} {{first}} and {other} {{second}}",
            f"{one} {{be}} {{first}} and {other} {{be_too}} {{second}}",
            f"{{first}} with {{second}} {other}",
            f"{{first}} {one.split()[-1]} {{second}} {other.split()[-1]}",
        ),
    )


_WORDINGS = Wordings(
    slots=dict.fromkeys(("first", "second", "third"), _thing_pattern())
    | {"opening": _OPENING, "request": _OPENING, "be": "(?:is|are)", "be_too": "(?:is|are)"},
    trained={
        "alone": ("{opening}{first}",),
        "together": (
            "{opening}{first} and {second}",
            "{opening}{first} together with {second}",
            "{opening}{first} with {second}",
        ),
        "three": (
            "{opening}{first} {second} and {third}",
            "{opening}{first} and {second} and {third}",
            "{opening}{first} {second} {third}",
            "{opening}{first} with {second} and {third}",
        ),
    }
    | {relation: _of_relation(relation)[0] for relation in RELATIONS},
    unseen={
        "alone": ("{request}{first}", "in the picture {be} {first}"),
        "together": (
            "{opening}{first} {second}",
            "there {be} {first} and there {be_too} {second}",
            "{request}{first} and {second}",
        ),
        "three": (
            "{opening}{first} together with {second} and {third}",
            "there {be} {first} and there {be_too} {second} and {third}",
            "{request}{first} {second} and {third}",
        ),
    }
    | {relation: _of_relation(relation)[1] for relation in RELATIONS},
)


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    words, background = split_background(spoken(caption).removesuffix(" please"))
    for reading in _WORDINGS.readings(words):
        scene = _read(reading, words, background)
        if scene is not None:
            return scene
    raise LuminaError(
        f"{caption!r} is no caption of the image world, which knows the colours "
        f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)} and counts up to "
        f"{NUMBERS[-1]}; write, say, 'a red circle to the left of a blue square'."
    )


def _read(reading: Reading, words: str, background: str | None) -> Scene | None:
    """The scene of a sentence; None where its words agree but mean nothing."""
    named = [reading.texts[slot] for slot in ("first", "second", "third") if slot in reading.texts]
    things = tuple(map(_thing_of, named))
    relation = reading.name if reading.name in RELATIONS else None
    if None in things:
        return None
    scene = scene_of(
        things, relation, background, is_counted=named[0].split()[0] in _COUNT_WORDS[1]
    )
    opening = reading.texts.get("opening") or reading.texts.get("request") or ""
    is_wrong_number = ("there are " in opening and scene.count == 1) or (
        "there is " in opening and things[0].count > 1
    )
    is_too_much = relation and max(thing.count for thing in things) > MAX_RELATED
    return None if is_wrong_number or is_too_much or scene.count > MAX_COUNT else scene


def _thing_of(words: str) -> Thing | None:
    """The thing of its words; None for "two circle", "one circles" and "a red blue circle"."""
    found = _THING.fullmatch(words)
    count, noun = _COUNT_OF.get(found["count"], 1), found["noun"]
    adjectives = f"{found['before']}{found['behind'] or ''}".split()
    sizes = [_SIZE_OF[word] for word in adjectives if word in _SIZE_OF]
    colours = [COLOUR_OF[word] for word in adjectives if word in COLOUR_OF]
    if (noun in SHAPE_OF) != (count == 1) or len(sizes) > 1 or len(colours) > 1:
        return None
    return Thing(next(iter(colours), None), _SINGULAR_PLURAL[noun], next(iter(sizes), None), count)


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`. Half of the captions are in the plainest words."""
    speaker = generator
    if generator is not None and chance(PLAIN, generator):
        speaker = None
    has_articles = speaker is None or not chance(ARTICLES_LEFT_OUT, speaker)
    be = ["are" if thing.count > 1 else "is" for thing in scene.things]
    texts = {
        slot: _worded(thing, scene, speaker, has_articles=has_articles)
        for slot, thing in zip(("first", "second", "third"), scene.things, strict=False)
    }
    texts |= {
        "opening": pick(_OPENINGS, speaker).format(be=be[0]),
        "request": pick(_REQUESTS, generator),
        "be": be[0],
        "be_too": be[-1],
    }
    name = scene.relation or ("alone", "together", "three")[len(scene.things) - 1]
    words = _WORDINGS.worded(name, texts, generator if unseen else speaker, unseen)
    return on_background(words, scene.background, generator if unseen else speaker, unseen)


def _worded(
    thing: Thing, scene: Scene, generator: torch.Generator | None, *, has_articles: bool
) -> str:
    noun = pick((PLURAL_WORDS if thing.count > 1 else SHAPE_WORDS)[thing.shape], generator)
    size = pick(SIZE_WORDS[thing.size], generator) if thing.size else None
    colour = pick(COLOUR_WORDS[thing.colour], generator) if thing.colour else None
    behind = None
    if generator is not None and (size or colour) and chance(ADJECTIVE_BEHIND, generator):
        verb = "that are" if thing.count > 1 else "that is"
        behind, size, colour = join(verb, colour or size), size if colour else None, None
    words = join(size, colour, noun, behind)
    if thing.count > 1 or scene.task == "counting":
        return join(pick(_COUNT_WORDS[thing.count], generator), words)
    return with_article(words) if has_articles else words
