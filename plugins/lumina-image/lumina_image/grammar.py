"""The captions of the synthetic image world: a scene as words, and back.

The only file that the renderer and the oracle share, beside the words of the shapes. The first six
tasks are GenEval's (one object, two objects, counting, colours, position, colour attribution); the
wordings are our own, and each parses back to exactly the scene it was made from.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    NUMBERS,
    chance,
    join,
    pick,
    with_article,
)
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading, words_in
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOUR_WORDS,
    COLOURS,
    HELD_OUT_PAIRS,
    PLURAL_WORDS,
    SHAPE_OF,
    SHAPE_WORDS,
    SHAPES,
    background_written,
    on_background,
    split_background,
)

from .reading import read
from .scenes import (
    HELD_OUT_TASKS,
    HELD_OUT_TRIPLES,
    MAX_COUNT,
    MAX_RELATED,
    MAX_THINGS,
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
from .wordings import (
    COUNT_OF,
    COUNT_WORDS,
    ENDING,
    ENDINGS_WRITTEN,
    FILLERS,
    MAX_ENDINGS,
    MIDDLE,
    MIDDLE_WRITTEN,
    NO_SIZE,
    OPENING,
    OPENINGS,
    READ,
    REQUESTS,
    SINGULAR_PLURAL,
    SIZE_OF,
    SIZE_WORDS,
    SLOTS,
    THING,
    VERBS_OF_PLACE,
    WORDINGS,
    written,
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
    "sentence_read",
    "vocabulary",
]  # what stands in scenes.py and in the shared words belongs to the grammar, too

PLAIN = 0.5
"""Share of the captions in the plainest words."""
# Shares of the others.
OPENED, ENDED, FILLED, IN_THE_MIDDLE = 0.45, 0.06, 0.06, 0.1
ARTICLES_LEFT_OUT, ADJECTIVE_BEHIND, SHARED_WORDS = 0.2, 0.15, 0.4
ADJECTIVE_LINKS = ("in", "coloured")
_NO_COUNT = ("a", "an", "the")
_NUMBER = re.compile("(?:there|here) (is|are)")


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    scene = sentence_read(caption)
    if scene is None or not is_drawn(scene):
        scene = read(caption) or scene
    if scene:
        return scene
    raise LuminaError(
        f"{caption!r} is no caption of the image world, which knows the colours "
        f"{', '.join(COLOURS)}, the shapes {', '.join(SHAPES)} and counts up to "
        f"{NUMBERS[-1]}; write, say, 'a red circle to the left of a blue square'."
    )


def sentence_read(caption: str) -> Scene | None:
    """As in `Grammar`."""
    words = spoken(caption)
    opening = OPENING.match(words)[0]  # type: ignore[index]
    for start in dict.fromkeys((opening, "")):
        text, middle = _without_endings(words[len(start) :])
        text, background = split_background(text)
        text, middle_too = _without_endings(text)
        inner = OPENING.match(text)[0] if background else ""  # type: ignore[index]
        found = list(islice(THING.finditer(text, len(inner)), MAX_THINGS + 1))
        for reading in WORDINGS.readings(_without_things(text, len(inner), found)):
            scene = _read(reading, start + inner, background, found)
            if scene is not None and not ((middle or middle_too) and scene.count > 1):
                return scene
    return None


def _without_endings(words: str) -> tuple[str, bool]:
    """A text without what means nothing at its end, and whether that says "in the middle"."""
    is_middle = False
    for _ in range(MAX_ENDINGS):
        if not (found := ENDING.search(words)):
            break
        words, is_middle = words[: found.start()], is_middle or bool(MIDDLE.search(found[0]))
    return words, is_middle


def _without_things(text: str, start: int, found: Sequence[re.Match[str]]) -> str:
    """A text from `start` with "@0", "@1" for the things that are named in it."""
    words = ""
    for index, thing in enumerate(found):
        words, start = f"{words}{text[start : thing.start()]}@{index}", thing.end()
    return words + text[start:]


def _read(
    reading: Reading, opening: str, background: str | None, found: Sequence[re.Match[str]]
) -> Scene | None:
    """The scene of a sentence; None where its words agree but mean nothing."""
    name = reading.name.removesuffix(READ)
    said = [found[int(reading.texts[slot][1:])] for slot in SLOTS if slot in reading.texts]
    things = _things_of(name, reading.texts, said)
    if things is None:
        return None
    relation = name if name in RELATIONS else None
    count = said[0]["count"] or said[0]["late"]
    is_counted = bool(count) and count not in _NO_COUNT
    scene = scene_of(things, relation, background, is_counted=is_counted)
    number = _NUMBER.search(opening)
    is_wrong_number = number and (
        scene.count == 1 if number[1] == "are" else things[0].count > 1 and name in _AS_SAID
    )
    is_too_much = relation and max(thing.count for thing in things) > MAX_RELATED
    return None if is_wrong_number or is_too_much or scene.count > MAX_COUNT else scene


_AS_SAID = ("alone", "together", "three", *RELATIONS)
"""Sentences that name all their things as they are."""


def _things_of(
    name: str, texts: Mapping[str, str], said: Sequence[re.Match[str]]
) -> tuple[Thing, ...] | None:
    """The things of a sentence; None where one of them is none."""
    shapes = [SINGULAR_PLURAL[one["noun"]] for one in said if one["noun"] in SINGULAR_PLURAL]
    named = [thing for one in said if (thing := _thing_of(one, shapes)) is not None]
    if len(named) < len(said):
        return None
    if name in _AS_SAID:
        return tuple(named)
    if name in ("both", "all"):
        if any(thing.colour for thing in named) or sum(thing.count for thing in named) == 1:
            return None
        return tuple(replace(thing, colour=COLOUR_OF[texts["colour"]]) for thing in named)
    (first,) = named
    others = [_adjectives(texts[slot]) for slot in ("lone", "colour", "other") if slot in texts]
    if None in others or first.count != (2 if name == "one each" else 1):
        return None
    each = [
        Thing(
            colour or (first.colour if name == "one each" else None),
            first.shape,
            size or (first.size if name == "one each" else None),
        )
        for colour, size in filter(None, others)
    ]
    return tuple(each) if name == "one each" else (*each, first)


def _adjectives(words: str) -> tuple[str | None, str | None] | None:
    """The colour and the size that adjectives say; None where they say two of a kind."""
    said = words.split()
    sizes = [SIZE_OF[word] for word in said if word in SIZE_OF]
    colours = [COLOUR_OF[word] for word in said if word in COLOUR_OF]
    if len(sizes) > 1 or len(colours) > 1:
        return None
    return next(iter(colours), None), next(iter(sizes), None)


def _thing_of(found: re.Match[str], shapes: Sequence[str]) -> Thing | None:
    """The thing of its words; None for "two circle", "two circles 2" and "a red blue circle".

    The first of `shapes` is what "one" means in "a blue one".
    """
    count, noun = COUNT_OF.get(found["count"] or found["late"], 1), found["noun"]
    adjectives = _adjectives(" ".join(found[part] or "" for part in ("before", "behind", "at_end")))
    is_single = noun in SHAPE_OF or noun == "one"
    is_counted_twice = found["count"] and found["late"]
    if adjectives is None or is_single != (count == 1) or is_counted_twice:
        return None
    if noun in SINGULAR_PLURAL:
        return Thing(adjectives[0], SINGULAR_PLURAL[noun], adjectives[1], count)
    return (
        Thing(adjectives[0], shapes[0], adjectives[1], count)
        if shapes and any(adjectives)
        else None
    )


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`. Half of the captions are in the plainest words."""
    speaker = generator
    if generator is not None and chance(PLAIN, generator):
        speaker = None
    name = scene.relation or ("alone", "together", "three")[len(scene.things) - 1]
    if speaker is not None and not unseen and chance(SHARED_WORDS, speaker):
        name = _shorter(scene, name, speaker)
    has_articles = speaker is None or not chance(ARTICLES_LEFT_OUT, speaker)
    texts = _slots_of(scene, speaker) | {"request": pick(REQUESTS, generator)}
    texts |= dict(
        zip(SLOTS, _all_worded(scene, name, speaker, has_articles=has_articles), strict=False)
    )
    words = WORDINGS.worded(name, texts, generator if unseen else speaker, unseen)
    if speaker is not None and not unseen and name != "both" and chance(ENDED, speaker):
        words = join(words, pick(ENDINGS_WRITTEN, speaker))
    elif speaker is not None and scene.count == 1 and chance(IN_THE_MIDDLE, speaker):
        words = join(words, pick(MIDDLE_WRITTEN, speaker))
    return on_background(words, scene.background, generator if unseen else speaker, unseen)


def vocabulary() -> frozenset[str]:
    """As in `Grammar`."""
    return words_in((*written(), *background_written(), *ADJECTIVE_LINKS, "a", "an", "is", "are"))


def _shorter(scene: Scene, name: str, speaker: torch.Generator) -> str:
    """A sentence that says a colour or a shape once for two things, where there is such a one."""
    if name != "together":
        return name
    first, second = scene.things
    if first.colour and first.colour == second.colour:
        return "both"
    if first.shape == second.shape and scene.count == 2 and not (first.size or second.size):
        return pick(("one each", "one noun"), speaker)
    return name


def _slots_of(scene: Scene, speaker: torch.Generator | None) -> dict[str, str]:
    """What stands in the slots of a sentence beside its things."""
    first, last = scene.things[0], scene.things[-1]
    be = "are" if first.count > 1 else "is"
    opening = pick(OPENINGS, speaker) if speaker is not None and chance(OPENED, speaker) else ""
    return {
        "opening": opening.format(be=be),
        "be": be,
        "be_too": "are" if last.count > 1 else "is",
        "stand": "are" if first.count > 1 else pick(VERBS_OF_PLACE, speaker),
        "it": "them" if last.count > 1 else "it",
        "its": "their" if last.count > 1 else "its",
        "lone": with_article(first.colour) if first.colour else "",
        "other": last.colour or "",
        "colour": first.colour or "",
    }


def _all_worded(
    scene: Scene, name: str, speaker: torch.Generator | None, *, has_articles: bool
) -> list[str]:
    """What stands in the slots of the things of a sentence."""
    things = list(scene.things)
    if name == "both":
        things = [replace(thing, colour=None) for thing in things]
    elif name == "one each":
        things = [Thing(None, things[0].shape, count=2)]
    words = [_worded(thing, scene, speaker, has_articles=has_articles) for thing in things]
    return ["", words[1]] if name == "one noun" else words


def _worded(
    thing: Thing, scene: Scene, generator: torch.Generator | None, *, has_articles: bool
) -> str:
    noun = pick((PLURAL_WORDS if thing.count > 1 else SHAPE_WORDS)[thing.shape], generator)
    size = pick(SIZE_WORDS[thing.size], generator) if thing.size else None
    colour = pick(COLOUR_WORDS[thing.colour], generator) if thing.colour else None
    behind = filler = None
    if generator is not None and (size or colour) and chance(ADJECTIVE_BEHIND, generator):
        be = "are" if thing.count > 1 else "is"
        forms = (f"that {be}", f"which {be}", *(ADJECTIVE_LINKS if colour else ()))
        behind, size, colour = (
            join(pick(forms, generator), colour or size),
            size if colour else None,
            None,
        )
    if generator is not None and chance(FILLED, generator):
        filler = pick(FILLERS if thing.size else (*FILLERS, *NO_SIZE), generator)
    words = join(filler, size, colour, noun, behind)
    if thing.count > 1 or scene.task == "counting":
        return join(pick(COUNT_WORDS[thing.count], generator), words)
    return with_article(words) if has_articles else words
