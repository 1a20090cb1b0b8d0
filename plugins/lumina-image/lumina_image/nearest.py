"""What texts of people may mean in the image world."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from lumina_core.media.worlds.captions import NUMBERS, by_wording
from lumina_core.media.worlds.lexicon import NUMBER_MEANINGS, Lexicon, Meaning, meant_by, values_of
from lumina_core.media.worlds.words import COLOURS, MEANINGS, SHAPES, background_meant
from lumina_image.grammar import (
    RELATIONS,
    SIZES,
    Scene,
    Thing,
)

MAX_NAMED = 2  # shapes that are looked at; a picture shows no more kinds
MAX_COLOURS = 3  # of these

_SIZES_TOO = {"little": "small", "tiny": "small", "big": "large", "huge": "large", "giant": "large"}
_RELATIONS_TOO = {
    **{"left": "left", "right": "right", "on top of": "above", "beneath": "below"},
    **{"underneath": "below"},
}
LEXICON = Lexicon(
    MEANINGS
    | NUMBER_MEANINGS
    | {"both": ("number", "two")}
    | meant_by("size", SIZES, _SIZES_TOO)
    | meant_by("relation", (), by_wording(RELATIONS) | _RELATIONS_TOO)
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    for background in dict.fromkeys((None, background_meant(meanings))):
        yield from _scenes_on(background, meanings)


def _scenes_on(background: str | None, meanings: Sequence[Meaning]) -> Iterator[Scene]:
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    relations = (*values_of(meanings, "relation", 1), None)
    numbers = values_of(meanings, "number", MAX_NAMED)
    sizes = (*values_of(meanings, "size", 1), None)
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
