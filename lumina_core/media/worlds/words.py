"""The words of flat shapes: all that drawing and finding share.

It holds words, no pixels: neither a colour's RGB value nor a shape's outline stands here.
"""

from collections.abc import Iterable

import torch

from lumina_core.media.worlds.captions import chance, join, one_of, pick
from lumina_core.media.worlds.lexicon import Meaning, meant_by, values_of

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "grey")
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "snowman")
BACKGROUNDS = ("black", "navy", "brown", "teal")

HELD_OUT_PAIRS = frozenset(
    {
        ("purple", "circle"),
        ("orange", "square"),
        ("red", "triangle"),
        ("blue", "star"),
        ("green", "ring"),
        ("yellow", "cross"),
        ("grey", "snowman"),
    }
)
"""Colours and shapes that stand together in no training caption, and are drawn in none. Every shape
is held out once, in seven of the eight colours; white is left whole, since a white snowman is the
first thing people ask for."""


def free_colours(shape: str) -> tuple[str, ...]:
    """The colours that training may give a shape whose caption names none."""
    return tuple(colour for colour in COLOURS if (colour, shape) not in HELD_OUT_PAIRS)


PLURALS = {shape: shape + "s" for shape in SHAPES} | {"cross": "crosses", "snowman": "snowmen"}
_SHAPES_TOO = {
    **{"disc": "circle", "disk": "circle", "dot": "circle", "ball": "circle", "box": "square"},
    **{"rectangle": "square", "oval": "circle", "donut": "ring", "plus": "cross"},
}
_COLOURS_TOO = {
    **{"gray": "grey", "silver": "grey", "pink": "red", "crimson": "red", "violet": "purple"},
    **{"magenta": "purple", "cyan": "blue", "gold": "yellow", "golden": "yellow", "lime": "green"},
}
_BACKGROUNDS_TOO = {
    **{"blue": "navy", "dark blue": "navy", "green": "teal", "cyan": "teal", "dark": "black"},
    **{"orange": "brown", "red": "brown", "grey": "black", "gray": "black"},
}

MEANINGS = (
    meant_by("colour", COLOURS, _COLOURS_TOO)
    | meant_by("shape", SHAPES, {words: shape for shape, words in PLURALS.items()} | _SHAPES_TOO)
    | {f"{words} background": ("background", "another") for words in COLOURS}
    | {f"{words} background": ("background", words) for words in BACKGROUNDS}
    | {f"{words} background": ("background", which) for words, which in _BACKGROUNDS_TOO.items()}
)
"""Words for `lumina_core.media.worlds.lexicon`, those that people use for the same included."""

BACKGROUND_NAMED = 0.25
"""Share of the captions that say it; the rest leaves it to the renderer."""
_SETTINGS = ("on", "against")  # ... "a navy background"
ON_BACKGROUND = f"(?: {one_of(_SETTINGS)} a {one_of(BACKGROUNDS, 'background')} background)?"
"""A regular expression for the end of a caption; its group is None where nothing is said."""


def any_background(generator: torch.Generator) -> str | None:
    """A background for a caption to name, or None, by BACKGROUND_NAMED."""
    return pick(BACKGROUNDS, generator) if chance(BACKGROUND_NAMED, generator) else None


def on_background(words: str, background: str | None, generator: torch.Generator | None) -> str:
    """A caption that says its background; None adds nothing."""
    if background is None:
        return words
    return join(words, pick(_SETTINGS, generator), "a", background, "background")


def background_meant(meanings: Iterable[Meaning]) -> str | None:
    """The background that a text names, if there is such a one."""
    named = values_of(meanings, "background", 1)
    return named[0] if named and named[0] in BACKGROUNDS else None
