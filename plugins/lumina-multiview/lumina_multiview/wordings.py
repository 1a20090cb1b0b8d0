"""The words of a solid in the multi-view world, and what they mean; and words that say nothing.

Of several words for one thing the first is the plain one.
"""

import re

import torch

from lumina_core.media.worlds.captions import by_wording, chance, one_of, pick
from lumina_core.media.worlds.lexicon import spoken

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white")
COLOUR_WORDS = {colour: (colour,) for colour in COLOURS} | {"purple": ("purple", "violet")}
COLOUR_OF = by_wording(COLOUR_WORDS)
SHAPES = {
    "cube": ("cube", "box", "block"),
    "sphere": ("sphere", "ball", "globe", "orb"),
    "cone": ("cone",),
    "cylinder": ("cylinder", "tube"),
    "pyramid": ("pyramid", "square pyramid"),
    "l-shape": ("l-shape", "l-shaped block", "l-shaped solid", "l-shaped object", "letter l", "l"),
}
SIZES = {
    "small": ("small", "little", "tiny", "mini"),
    "large": ("large", "big", "huge", "giant"),
}
PLACES = {
    "front": (
        *("in front", "at the front", "in the front", "on the front", "on the front side"),
        *("from the front", "on its front"),
    ),
    "back": (
        *("behind", "at the back", "in the back", "on the back", "on the back side"),
        *("from the back", "at the rear", "from behind", "on its back"),
    ),
    "top": (
        "at the top",
        "on top",
        "on the top",
        "above",
        "on the upper half",
        "in the upper part",
    ),
    "bottom": (
        *("at the bottom", "on the bottom", "below", "underneath", "beneath", "at the base"),
        *("on the lower half", "in the lower part"),
    ),
    "left": (
        *("on the left", "on the left side", "at the left", "to the left", "on the left half"),
        "on the left hand side",
    ),
    "right": (
        *("on the right", "on the right side", "at the right", "to the right"),
        *("on the right half", "on the right hand side"),
    ),
}
"""Where a side is, as in "red in front"."""
SIDES = {
    "front": ("front", "front side", "front half", "front face", "front part"),
    "back": ("back", "back side", "back half", "rear", "back part"),
    "top": ("top", "top half", "upper half", "upper part", "top side", "tip"),
    "bottom": ("bottom", "bottom half", "lower half", "lower part", "base", "base"),
    "left": ("left half", "left side", "left", "left part"),
    "right": ("right half", "right side", "right", "right part"),
}
"""What a side is called, as in "with a red front"; what faces it has names of the same kind."""
SIDE_WORDS = {
    **{"front": "front", "back": "back", "rear": "back", "behind": "back"},
    **{"top": "top", "upper": "top", "above": "top", "bottom": "bottom", "lower": "bottom"},
    **{"base": "bottom", "underside": "bottom", "below": "bottom", "underneath": "bottom"},
    **{"beneath": "bottom", "under": "bottom", "left": "left", "right": "right"},
    **{"tip": "top", "apex": "top", "peak": "top", "point": "top", "lid": "top", "foot": "bottom"},
}
MODIFIERS = ("bright", "pure", "all", "completely", "entirely", "fully")
HAS_MODIFIER = 0.06
"""How often the colour of a caption that is not in plain words has one of these."""

FILLERS = (
    *("please", "just", "simple", "simply", "plain", "single", "basic", "only", "nice", "kindly"),
    *("very", "really", "quite", "rather", "sized", "thanks", "normal", "regular", "geometric"),
    *("also", "ok", "hello", "hi", "exactly", "perfect", "perfectly", "in 3d", "3d", "upright"),
    *("medium", "average", "ordinary", "standard", "fairly", "pretty", "extremely", "super"),
    *("three dimensional", "nothing else", "standing upright", "pointing up", "pointing upwards"),
    *("standing on the ground", "on its own", "not too big", "not too large", "not too small"),
    *("neither small nor large", "neither big nor small", "thank you"),
)
_SPELT_ALIKE = {
    **{"an": "a", "1": "a", "its": "the", "color": "colour"},
    **{"colored": "coloured", "colors": "colours", "which": "that", "d": "would"},
    **{"topped": "top", "fronted": "front", "backed": "back", "hemisphere": "half"},
}
_ONE = re.compile(r"(?<!on )\bone\b(?! half| side| colour)")
_SHORT = re.compile(r"\b(that|it|there|here|what) s\b")
_THIS = re.compile(r"\bthis\b(?! is)")
_IS = re.compile(r"\b(?:should|must|shall) be\b")
_BIG = re.compile(
    r"\b(?:tiny little|little tiny|small little|(great|huge|giant) big|big (?:huge|giant))\b"
)
_LIKE = re.compile(
    r"\b(?:object|thing|shape|body|form)(?: that is)? "
    r"(?:shaped like|that looks like|in the (?:shape|form) of) (?:a|the) (?:letter )?"
)
_SOLID = re.compile(r"(?<!shaped )\bsolid\b ?")
_FILLER = re.compile(rf"\b{one_of(FILLERS)}\b ?")


def plain(text: str) -> str:
    """A text as the sentences have it: no fillers, and one spelling of each word.

    Args:
        text: as `lumina_core.media.worlds.lexicon.spoken` gives it.
    """
    text = _SHORT.sub(r"\1 is", _SOLID.sub("", _FILLER.sub("", text)))
    text = " ".join(_SPELT_ALIKE.get(word, word) for word in text.split())
    text = _IS.sub("is", _BIG.sub(lambda found: "big" if "big" in found[0] else "tiny", text))
    return _LIKE.sub("", _THIS.sub("the", _ONE.sub("a", text)))


SHAPE_OF = {plain(spoken(words)): shape for words, shape in by_wording(SHAPES).items()}
SIZE_OF = by_wording(SIZES)


def side_of(words: str) -> str | None:
    """The side that is named, in words of the slots of places and sides."""
    return next((SIDE_WORDS[word] for word in words.split() if word in SIDE_WORDS), None)


def colour_of(words: str | None) -> str | None:
    """The colour that is named, in words of the slots of colours."""
    return next((COLOUR_OF[word] for word in (words or "").split() if word in COLOUR_OF), None)


def sizes_of(words: str) -> tuple[str, ...]:
    """The sizes that are named."""
    return tuple(SIZE_OF[word] for word in words.split() if word in SIZE_OF)


def shape_of(words: str) -> str:
    """The solid that is named, in words of its slot."""
    longest = max((each for each in SHAPE_OF if f"{words} ".startswith(f"{each} ")), key=len)
    return SHAPE_OF[longest]


def coloured(colour: str, generator: torch.Generator | None) -> str:
    """The words of a colour."""
    words = pick(COLOUR_WORDS[colour], generator)
    if generator is not None and chance(HAS_MODIFIER, generator):
        return f"{pick(MODIFIERS, generator)} {words}"
    return words
