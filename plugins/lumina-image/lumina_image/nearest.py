"""Whether a text is a caption of the image world, and which caption is nearest to it."""

from collections.abc import Iterator
from itertools import permutations

from lumina_core import LuminaError
from lumina_core.lexicon import Lexicon, Meaning, spoken, values_of
from lumina_core.shapes.words import BACKGROUNDS, COLOURS, MEANINGS, SHAPES
from lumina_image.grammar import (
    NUMBERS,
    RELATIONS,
    SIZES,
    Scene,
    Thing,
    caption_of,
    is_drawn,
    parse,
)

MAX_NAMED = 2  # shapes that are looked at; a picture shows no more kinds
MAX_COLOURS = 3  # of these

_NUMBERS_TOO = {"1": "one", "2": "two", "3": "three", "4": "four", "both": "two", "pair": "two"} | {
    words: "four" for words in ("five", "six", "seven", "eight", "nine", "ten", "many", "several")
}
_SIZES_TOO = {"little": "small", "tiny": "small", "big": "large", "huge": "large", "giant": "large"}
_RELATIONS_TOO = {
    **{"left": "left", "right": "right", "on top of": "above", "beneath": "below"},
    **{"underneath": "below"},
}
_LEXICON = Lexicon(
    MEANINGS
    | {words: ("number", words) for words in NUMBERS}
    | {words: ("number", number) for words, number in _NUMBERS_TOO.items()}
    | {words: ("size", words) for words in SIZES}
    | {words: ("size", size) for words, size in _SIZES_TOO.items()}
    | {words: ("relation", name) for name, wordings in RELATIONS.items() for words in wordings}
    | {words: ("relation", name) for words, name in _RELATIONS_TOO.items()}
)


def nearest(text: str) -> str | None:
    """The caption that says most of what a text says; None where the text is a caption itself."""
    if _is_caption(spoken(text)):
        return None
    meant = _LEXICON.understood(text)
    captions = (caption_of(scene, None) for scene in _scenes(meant))
    return next(filter(_is_caption, _LEXICON.ranked(meant, captions)))


def _is_caption(words: str) -> bool:
    try:
        return is_drawn(parse(words))
    except LuminaError:
        return False


def _scenes(meanings: tuple[Meaning, ...]) -> Iterator[Scene]:
    """What may be meant; not all of it is a caption."""
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    relations = (*values_of(meanings, "relation", 1), None)
    numbers = values_of(meanings, "number", MAX_NAMED)
    sizes = (*values_of(meanings, "size", 1), None)
    named = [each for each in values_of(meanings, "background", 1) if each in BACKGROUNDS]
    background = named[0] if named else None
    for shape in shapes:
        for colour in (None, *colours):
            task = "colours" if colour else "one_object"
            for number in numbers:
                count = NUMBERS.index(number) + 1
                yield Scene("counting", (Thing(colour, shape),), None, count, background)
            for size in sizes:
                yield Scene(task, (Thing(colour, shape, size),), None, 1, background)
    alike = list(zip(colours, colours, strict=True))
    for pair in permutations(shapes, 2):
        for one, other in ((None, None), *permutations(colours, 2), *alike):
            things = Thing(one, pair[0]), Thing(other, pair[1])
            for relation in relations:
                task = "colour_attribution" if one else "two_objects"
                yield Scene("position" if relation else task, things, relation, 2, background)
