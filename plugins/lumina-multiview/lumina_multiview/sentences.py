"""The sentences of the synthetic multi-view world: the words of a solid, and how people order them.

Each slot takes several words for one thing, of which the first is the plain one. The canonical
caption of a meaning is its first sentence, in plain words.
"""

from collections.abc import Iterable

import torch

from lumina_core.media.worlds.captions import by_wording, chance, one_of, pick
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Wordings

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white")
SHAPES = {
    "cube": ("cube", "box", "block"),
    "sphere": ("sphere", "ball"),
    "cone": ("cone",),
    "cylinder": ("cylinder", "tube"),
    "pyramid": ("pyramid",),
    "l-shape": ("l-shape", "l-shaped block", "l-shaped solid"),
}
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big")}
PLACES = {
    "front": ("in front", "at the front", "in the front", "on the front", "on the front side"),
    "back": ("behind", "at the back", "in the back", "on the back", "on the back side"),
    "top": ("at the top", "on top", "on the top", "above"),
    "bottom": ("at the bottom", "on the bottom", "below"),
    "left": ("on the left", "on the left side", "at the left", "to the left"),
    "right": ("on the right", "on the right side", "at the right", "to the right"),
}
"""Where a side is, as in "red in front"."""
SIDES = {
    "front": ("front", "front side", "front half"),
    "back": ("back", "back side", "back half"),
    "top": ("top", "top half", "upper half"),
    "bottom": ("bottom", "bottom half", "lower half"),
    "left": ("left half", "left side", "left"),
    "right": ("right half", "right side", "right"),
}
"""What a side is called, as in "with a red front"; what faces it has names of the same kind."""

ARTICLES = ("a ", "a ", "a ", "a ", "a ", "a ", "", "", "the ")
HAS_VERB, HAS_MEDIUM, HAS_ENDING, HAS_MANNER = 0.4, 0.5, 0.15, 0.1
"""How often a caption of training that is not in plain words has these."""
_VERBS = (
    *("there is", "here is", "show me", "draw", "make", "render", "i want"),
    *("please draw", "please show me"),
)
_MEDIA = (
    *("views of", "turntable of", "picture of", "photo of", "image of", "3d model of"),
    *("view of", "rendering of", "pictures of", "images of"),
)
_PLURALS = ("views of", "pictures of", "images of")
_MANNERS = ("3d", "rotating")
_ENDINGS = (
    *("from all sides", "seen from all sides", "from every side", "from all angles"),
    "from different angles",
)


def _maybe(words: Iterable[str], before: str = "", behind: str = " ") -> str:
    return f"(?:{before}{one_of(words)}{behind})?"


def _read(words: dict[str, tuple[str, ...]]) -> str:
    """A regular expression for words as `spoken` gives them."""
    return one_of(spoken(each) for several in words.values() for each in several)


_SLOTS = {
    "opening": _maybe(_VERBS) + _maybe(_MEDIA, before="(?:a |the )?"),
    "ending": _maybe(_ENDINGS, before=" ", behind=""),
    "article": _maybe(("a", "the")) + _maybe(_MANNERS),
    "size": _maybe(each for several in SIZES.values() for each in several),
    "shape": _read(SHAPES),
    "a": one_of(COLOURS),
    "b": one_of(COLOURS),
    "place_a": _read(PLACES),
    "place_b": _read(PLACES),
    "side_a": _read(SIDES),
    "side_b": _read(SIDES),
}
_THING = "{article}{size}{shape}"
_COLOURED = "{article}{size}{a} {shape}"
_TRAINED = {
    "any": ("THING", "THING of one colour", "THING of any colour"),
    "one": (
        "COLOURED",
        "THING (that|which) is {a}",
        "THING in {a}",
        "THING (that|which) is {a} on all sides",
        "THING (that|which) is all {a}",
    ),
    "halves": (
        "THING {a} {place_a} and {b} {place_b}",
        "THING {a} {place_a} {b} {place_b}",
        "THING (that|which) is {a} {place_a} and {b} {place_b}",
        "THING with a {a} {side_a} and a {b} {side_b}",
        "THING that has a {a} {side_a} and a {b} {side_b}",
        "THING with (a )?{a} {side_a} and {b} {side_b}",
        "THING {a} {side_a} (and )?{b} {side_b}",
        "THING with {a} {place_a} and {b} {place_b}",
        "THING the {side_a} is {a} and the {side_b} is {b}",
        "THING the {side_a} {a} (and )?the {side_b} {b}",
        "THING whose {side_a} is {a} and whose {side_b} is {b}",
    ),
    "rest": (
        "COLOURED with a {b} {side_b}",
        "COLOURED that has a {b} {side_b}",
        "COLOURED with {b} {side_b}",
        "COLOURED (that|which) is {b} {place_b}",
    ),
    "part": (
        "THING with a {b} {side_b}",
        "THING that has a {b} {side_b}",
        "THING with {b} {side_b}",
        "THING {b} {place_b}",
        "THING (that|which) is {b} {place_b}",
        "THING whose {side_b} is {b}",
    ),
    "mixed": (
        "{article}{size}half {a} half {b} {shape}",
        "{article}{size}half {a} and half {b} {shape}",
        "{article}{size}{a} and {b} {shape}",
        "THING half {a} (and )?half {b}",
        "THING (that|which) is half {a} and half {b}",
        "THING {a} on one side and {b} on the other( side)?",
    ),
}
_UNSEEN = {
    "any": ("THING in any colour", "THING that is of one colour"),
    "one": ("THING {a}", "THING with all sides {a}"),
    "halves": (
        "THING {place_a} {a} (and )?{place_b} {b}",
        "THING {side_a} {a} (and )?{side_b} {b}",
        "the {side_a} of (a|the) {size}{shape} is {a} (and )?the {side_b} is {b}",
        "THING that has {a} {place_a} and {b} {place_b}",
    ),
    "rest": ("COLOURED {b} {place_b}", "COLOURED with a {side_b} that is {b}"),
    "part": ("THING with a {side_b} that is {b}", "THING the {side_b} is {b}"),
    "mixed": ("THING in {a} and {b}", "THING that is {a} and {b}"),
}
"""What is said: one solid of any colour, of one colour, its halves, the colour of one half and that
of the rest, the colour of one half alone, or two colours without their places."""


def _whole(sentence: str) -> str:
    named = sentence.replace("THING", _THING).replace("COLOURED", _COLOURED)
    opening = "" if sentence.startswith("the ") else "{opening}"
    return opening + named + "{ending}"


SENTENCES = Wordings(
    _SLOTS,
    *(
        {name: tuple(map(_whole, several)) for name, several in sentences.items()}
        for sentences in (_TRAINED, _UNSEEN)
    ),
)

SHAPE_OF = {spoken(words): shape for words, shape in by_wording(SHAPES).items()}
SIZE_OF = by_wording(SIZES)
SIDE_OF = by_wording(PLACES) | by_wording(SIDES)


def framed(generator: torch.Generator | None) -> dict[str, str]:
    """The words around what a caption says: its opening, article and ending, by slot."""
    if generator is None:
        return {"opening": "", "article": "a ", "ending": ""}
    article = pick(ARTICLES, generator)
    manner = f"{pick(_MANNERS, generator)} " if chance(HAS_MANNER, generator) else ""
    opening = ending = ""
    if chance(HAS_VERB, generator):
        opening = pick(_VERBS, generator) + " "
    if chance(HAS_MEDIUM, generator):
        medium = pick(_MEDIA, generator)
        opening += f"{'' if medium in _PLURALS else article}{medium} "
    if chance(HAS_ENDING, generator):
        ending = " " + pick(_ENDINGS, generator)
    return {"opening": opening, "article": article + manner, "ending": ending}
