"""The words of flat shapes: all that drawing and finding share.

It holds words, no pixels: neither a colour's RGB value nor a shape's outline stands here.
"""

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


_PLURALS = {shape: shape + "s" for shape in SHAPES} | {"cross": "crosses", "snowman": "snowmen"}
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
    {colour: ("colour", colour) for colour in COLOURS}
    | {words: ("colour", colour) for words, colour in _COLOURS_TOO.items()}
    | {shape: ("shape", shape) for shape in SHAPES}
    | {words: ("shape", shape) for shape, words in _PLURALS.items()}
    | {words: ("shape", shape) for words, shape in _SHAPES_TOO.items()}
    | {f"{words} background": ("background", "another") for words in COLOURS}
    | {f"{words} background": ("background", words) for words in BACKGROUNDS}
    | {f"{words} background": ("background", which) for words, which in _BACKGROUNDS_TOO.items()}
)
"""Words for `lumina_core.lexicon`, those that people use for the same included."""
