"""What texts of people may mean in the video world."""

from collections.abc import Iterator, Sequence
from itertools import groupby, permutations, product

from lumina_core.media.worlds.lexicon import Lexicon, Meaning, meant_by, values_of
from lumina_core.media.worlds.words import COLOURS, MEANINGS, SHAPES, background_meant
from lumina_video.motions import DIRECTIONS, EVENTS, LEXICON_OF, MOVING_WORDS, TURN
from lumina_video.names import SIZE_OF, SIZES
from lumina_video.scenes import Scene, Thing, has_room, is_drawn, task_of

MAX_NAMED = 2  # shapes, colours and motions that are looked at; a clip shows no more

_MOTIONS_TOO = {
    **{"right to left": "left", "left to right": "right"},
    **{"bottom to top": "up", "top to bottom": "down"},
}
CHANGE = ("event", "change")
_CHANGES = (
    *("turning", "changing", "becoming", "turns", "changes", "becomes", "turn", "change", "become"),
    *("fading", "fades"),
)
_MOVING = ("event", "moving")
"""Verbs that mean nothing without a way, but are not misspelt: "going" is not "growing"."""
_PASSES = ("passing", "past", "passes", "pass", "overtaking", "overtakes")


class _Lexicon(Lexicon):
    """One says "a blue ring fading to yellow", captions say "from blue to yellow"."""

    def meanings(self, text: str) -> tuple[Meaning, ...]:
        return tuple(meaning for meaning in super().meanings(text) if meaning != _MOVING)

    def understood(self, text: str) -> tuple[Meaning, ...]:
        meant = tuple(meaning for meaning, _ in groupby(super().understood(text)))
        if CHANGE in meant:
            meant = tuple(sorted(meant, key=lambda meaning: meaning[0] == "colour"))
        return meant


LEXICON = _Lexicon(
    MEANINGS
    | meant_by("size", (), SIZE_OF)
    | meant_by("motion", (), LEXICON_OF | _MOTIONS_TOO)
    | dict.fromkeys(MOVING_WORDS, _MOVING)
    | dict.fromkeys(_CHANGES, CHANGE)
    | dict.fromkeys(_PASSES, ("event", "passing"))
    | dict.fromkeys(("two", "2", "pair", "couple"), ("number", "two"))
    | {"other": ("number", "other")}
    | dict.fromkeys(("then", "afterwards", "after", "before"), ("event", "then"))
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    for background in dict.fromkeys((background_meant(meanings), None)):
        everything = (*_of_one_thing(meanings, background), *_of_two(meanings, background))
        yield from (scene for scene in everything if is_drawn(scene) and has_room(scene))


def _of_one_thing(meanings: Sequence[Meaning], background: str | None) -> Iterator[Scene]:
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_NAMED, COLOURS)
    motions = values_of(meanings, "motion", MAX_NAMED, EVENTS)
    for shape, size in product(shapes, (*values_of(meanings, "size", len(SIZES)), None)):
        for before, after in permutations((*colours, None), 2):
            if after:
                thing = Thing(before, shape, (), size)
                yield Scene("colour_change", (thing,), after, background)
                for motion in motions:
                    for ways in ((motion, TURN), (TURN, motion)):
                        thing = Thing(before, shape, ways, size)
                        yield Scene("order", (thing,), after, background)
        for colour in (*colours, None):
            for ways in (*((motion,) for motion in motions), *permutations(motions, 2)):
                task = task_of((ways,))
                if task:
                    yield Scene(task, (Thing(colour, shape, ways, size),), None, background)


def _of_two(meanings: Sequence[Meaning], background: str | None) -> Iterator[Scene]:
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = (*values_of(meanings, "colour", MAX_NAMED, COLOURS), None)
    motions = values_of(meanings, "motion", MAX_NAMED, EVENTS)
    done = [(task_of(((a,), (b,))), (a,), (b,)) for a, b in product((*motions, "still"), repeat=2)]
    done += [("passing", (motion,), ()) for motion in motions if motion in DIRECTIONS]
    done.append(("passing", (), ()))
    for shape, colour, size in product(
        product(shapes, repeat=2), product(colours, repeat=2), _sizes_of_two(meanings)
    ):
        for task, *ways in done:
            if task:
                yield Scene(task, tuple(map(Thing, colour, shape, ways, size)), None, background)
    if CHANGE in meanings:
        yield from _of_two_with_a_change(meanings, background)


def _of_two_with_a_change(meanings: Sequence[Meaning], background: str | None) -> Iterator[Scene]:
    shapes = values_of(meanings, "shape", MAX_NAMED, SHAPES)
    colours = values_of(meanings, "colour", MAX_NAMED + 1, COLOURS)
    motions = values_of(meanings, "motion", MAX_NAMED, EVENTS)
    done = [ways for m in (*motions, "still") for ways in (((m,), (TURN,)), ((TURN,), (m,)))]
    for shape, ways, after, colour, size in product(
        permutations(shapes),
        done,
        colours,
        product((*colours, None), repeat=2),
        _sizes_of_two(meanings),
    ):
        if after not in colour:
            yield Scene("two_ways", tuple(map(Thing, colour, shape, ways, size)), after, background)


def _sizes_of_two(meanings: Sequence[Meaning]) -> tuple[tuple[str | None, ...], ...]:
    """The sizes of two things: those that are meant, or none."""
    sizes = values_of(meanings, "size", len(SIZES))
    if len(sizes) == 1:
        return ((None, None), (sizes[0], None), (None, sizes[0]), (sizes[0], sizes[0]))
    return ((None, None), *permutations(sizes)) if sizes else ((None, None),)
