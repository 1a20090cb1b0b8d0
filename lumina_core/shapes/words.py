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
