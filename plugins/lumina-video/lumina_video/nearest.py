"""Whether a text is a caption of the video world, and which caption is nearest to it."""

from collections.abc import Iterator
from itertools import permutations, product

from lumina_core import LuminaError
from lumina_core.lexicon import Lexicon, Meaning, spoken, values_of
from lumina_core.shapes.words import BACKGROUNDS, COLOURS, MEANINGS, SHAPES
from lumina_video.grammar import (
    DIRECTIONS,
    EVENTS,
    GROWTHS,
    STILL,
    Scene,
    Thing,
    caption_of,
    is_drawn,
    parse,
)

MAX_NAMED = 2  # shapes, colours and motions that are looked at; a clip shows no more

_MOTIONS_TOO = {
    **{"leftwards": "left", "leftward": "left", "rightwards": "right", "rightward": "right"},
    **{"upward": "up", "rising": "up", "climbing": "up", "downward": "down", "falling": "down"},
    **{"bigger": "grow", "larger": "grow", "expanding": "grow", "grows": "grow", "grow": "grow"},
    **{"smaller": "shrink", "shrinks": "shrink", "shrink": "shrink", "resting": "still"},
    **{"stays": "still", "stay": "still", "stands": "still"},
    **{"still": "still", "not moving": "still", "static": "still", "motionless": "still"},
}
CHANGE = ("event", "change")
_CHANGES = ("turning", "changing", "becoming", "turns", "changes", "becomes", "fading")
_PASSES = ("passing", "past", "passes", "overtaking", "overtakes")
_WORDINGS = DIRECTIONS | GROWTHS | {"still": STILL}
_LEXICON = Lexicon(
    MEANINGS
    | {words: ("motion", name) for name, wordings in _WORDINGS.items() for words in wordings}
    | {words: ("motion", name) for words, name in _MOTIONS_TOO.items()}
    | dict.fromkeys(_CHANGES, CHANGE)
    | dict.fromkeys(_PASSES, ("event", "passing"))
    | dict.fromkeys(("then", "afterwards"), ("event", "then"))
)


def nearest(text: str) -> str | None:
    """The caption that says most of what a text says; None where the text is a caption itself."""
    if _is_caption(spoken(text)):
        return None
    meant = _LEXICON.understood(text)
    if CHANGE in meant:  # one says "a blue ring turning yellow", captions "from blue to yellow"
        meant = tuple(sorted(meant, key=lambda meaning: meaning[0] == "colour"))
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
    colours = values_of(meanings, "colour", MAX_NAMED, COLOURS)
    motions = values_of(meanings, "motion", MAX_NAMED, EVENTS)
    named = [each for each in values_of(meanings, "background", 1) if each in BACKGROUNDS]
    background = named[0] if named else None
    for shape in shapes:
        for before, after in permutations(colours, 2):
            yield Scene("colour_change", (Thing(before, shape, ()),), after, background)
        for colour in (*colours, None):
            for ways in (*((motion,) for motion in motions), *permutations(motions, 2)):
                yield Scene(_task_of(ways), (Thing(colour, shape, ways),), None, background)
    pairs = ((None, None), *permutations(colours, 2))
    for (shape, other), (colour, second) in product(permutations(shapes, 2), pairs):
        for way in (*((motion,) for motion in motions if motion in DIRECTIONS), ()):
            things = Thing(colour, shape, way), Thing(second, other, ())
            yield Scene("passing", things, None, background)
        for one, two in product((*motions, "still"), repeat=2):
            things = Thing(colour, shape, (one,)), Thing(second, other, (two,))
            yield Scene("two_motions", things, None, background)


def _task_of(motions: tuple[str, ...]) -> str:
    if len(motions) > 1:
        return "order"
    return "growth" if motions[0] in GROWTHS else "motion"
