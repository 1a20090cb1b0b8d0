"""What texts of people may mean in the image world."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from lumina_core.media.worlds.captions import NUMBERS, by_wording
from lumina_core.media.worlds.lexicon import NUMBER_MEANINGS, Lexicon, Meaning, meant_by, values_of
from lumina_core.media.worlds.words import COLOURS, MEANINGS, SHAPES, background_meant
from lumina_image.grammar import Scene, Thing, scene_of
from lumina_image.scenes import MAX_COUNT, MAX_RELATED, MAX_THINGS
from lumina_image.wordings import RELATION_WORDS, SIZE_OF

MAX_NAMED = 2  # shapes of which every pair is looked at
MAX_COLOURS = 3  # of these

_RELATIONS_TOO = {
    **{"left": "left", "right": "right", "top": "above", "bottom": "below", "near": "beside"},
    "side by side": "beside",
}
LEXICON = Lexicon(
    MEANINGS
    | NUMBER_MEANINGS
    | {"both": ("number", "two")}
    | meant_by("size", (), SIZE_OF)
    | meant_by("relation", (), by_wording(RELATION_WORDS) | _RELATIONS_TOO)
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    named = list(dict.fromkeys(_things(meanings)))
    relations = (None, *values_of(meanings, "relation", 1))
    for background in (None, *filter(None, (background_meant(meanings),))):
        for things in _choices(named):
            for relation in relations if len(things) == 2 else (None,):
                yield from _counted(things, relation, background)
        for things in _recombined(meanings):
            for relation in relations if len(things) == 2 else (None,):
                yield scene_of(things, relation, background)


def _things(meanings: Sequence[Meaning]) -> Iterator[Thing]:
    """Each shape with what stands before it, and with an adjective behind the last one."""
    found: dict[str, str] = {}
    last: Thing | None = None
    for kind, value in meanings:
        if kind == "shape":
            if last:
                yield last
            count = NUMBERS.index(found.get("number", "one")) + 1
            last = Thing(found.get("colour"), value, found.get("size"), count)
            found = {}
        elif kind in ("number", "colour", "size"):
            found[kind] = value
        elif kind == "relation":
            found = {}
    if last:
        yield replace(last, colour=last.colour or found.get("colour"))


def _choices(named: Sequence[Thing]) -> Iterator[tuple[Thing, ...]]:
    """Three, two or one of the things that a text names, in any order."""
    for number in range(1, MAX_THINGS + 1):
        yield from permutations(named[:MAX_THINGS], number)


def _counted(
    things: tuple[Thing, ...], relation: str | None, background: str | None
) -> Iterator[Scene]:
    """A scene with as many objects as there is room for, and one with one of each kind."""
    most = MAX_RELATED if relation else MAX_COUNT + 1 - len(things)
    room = MAX_COUNT
    kept = []
    for left, thing in zip(range(len(things) - 1, -1, -1), things, strict=True):
        kept.append(replace(thing, count=min(thing.count, most, room - left)))
        room -= kept[-1].count
    single = tuple(replace(thing, count=1) for thing in things)
    for counted in (tuple(kept), single):
        yield scene_of(counted, relation, background)
        yield scene_of(tuple(replace(thing, size=None) for thing in counted), relation, background)


def _recombined(meanings: Sequence[Meaning]) -> Iterator[tuple[Thing, ...]]:
    """Things of the shapes, colours, sizes and numbers of a text, whatever stands with what."""
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    counts = [NUMBERS.index(number) + 1 for number in values_of(meanings, "number", MAX_NAMED)]
    for shape in shapes:
        for colour in (None, *colours):
            for size in (*values_of(meanings, "size", 1), None):
                yield from ((Thing(colour, shape, size, count),) for count in (1, *counts))
    pairs = list(permutations(shapes, 2))
    if len(shapes) > 1 and not any(shape == ("shape", shapes[1]) for shape in meanings):
        pairs.insert(0, (shapes[0], shapes[0]))  # "a red and a blue circle"
    for one, other in pairs:
        for first, second in ((None, None), *permutations(colours, 2)):
            yield Thing(first, one), Thing(second, other)
