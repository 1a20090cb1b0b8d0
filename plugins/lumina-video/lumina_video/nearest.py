"""What texts of people may mean in the video world."""

from collections.abc import Iterator, Sequence
from itertools import permutations, product

from lumina_core.media.worlds.captions import by_wording
from lumina_core.media.worlds.lexicon import Lexicon, Meaning, meant_by, values_of
from lumina_core.media.worlds.words import COLOURS, MEANINGS, SHAPES, background_meant
from lumina_video.grammar import (
    DIRECTIONS,
    EVENTS,
    GROWTHS,
    STILL,
    Scene,
    Thing,
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


class _Lexicon(Lexicon):
    """One says "a blue ring turning yellow", captions say "from blue to yellow"."""

    def understood(self, text: str) -> tuple[Meaning, ...]:
        meant = super().understood(text)
        if CHANGE in meant:
            meant = tuple(sorted(meant, key=lambda meaning: meaning[0] == "colour"))
        return meant


LEXICON = _Lexicon(
    MEANINGS
    | meant_by("motion", (), by_wording(DIRECTIONS | GROWTHS | {"still": STILL}) | _MOTIONS_TOO)
    | dict.fromkeys(_CHANGES, CHANGE)
    | dict.fromkeys(_PASSES, ("event", "passing"))
    | dict.fromkeys(("then", "afterwards"), ("event", "then"))
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    for background in dict.fromkeys((None, background_meant(meanings))):
        yield from _scenes_on(background, meanings)


def _scenes_on(background: str | None, meanings: Sequence[Meaning]) -> Iterator[Scene]:
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_NAMED, COLOURS)
    motions = values_of(meanings, "motion", MAX_NAMED, EVENTS)
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
