"""The words of flat shapes: all that drawing and finding share.

It holds words, no pixels: neither a colour's RGB value nor a shape's outline stands here.
"""

from collections.abc import Collection, Iterable, Iterator

import torch

from lumina_core.media.worlds.captions import by_wording, chance, one_of, pick, with_article
from lumina_core.media.worlds.lexicon import Meaning, meant_by, values_of
from lumina_core.media.worlds.wordings import Wordings

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "grey")
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "snowman")
FREE_BACKGROUNDS = ("black", "navy", "brown", "teal")
"""Those of media whose caption names none: a few dark ones, because what nobody asks for is learned
at the cost of what they ask for, and because no object has their colour."""
BACKGROUNDS = (
    *FREE_BACKGROUNDS,
    *("white", "grey", "red", "green", "blue"),
    "yellow",
    "purple",
    "orange",
)

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


def free_colours(shape: str, background: str | None = None) -> tuple[str, ...]:
    """The colours that training may give a shape whose caption names none, where they are seen."""
    return tuple(
        colour
        for colour in COLOURS
        if (colour, shape) not in HELD_OUT_PAIRS and colour != background
    )


PLURALS = {shape: shape + "s" for shape in SHAPES} | {"cross": "crosses", "snowman": "snowmen"}

# What people say for the same, in training captions, too. The plainest word stands first.
SHAPE_WORDS = {shape: (shape,) for shape in SHAPES} | {
    "circle": ("circle", "ball", "disc", "dot", "disk"),
    "square": ("square", "box"),
    "ring": ("ring", "donut", "hoop", "doughnut"),
    "cross": ("cross", "plus", "plus sign"),
}
PLURAL_WORDS = {
    shape: (PLURALS[shape], *(word + ("es" if word[-1] in "sx" else "s") for word in words[1:]))
    for shape, words in SHAPE_WORDS.items()
}
COLOUR_WORDS = {colour: (colour,) for colour in COLOURS} | {
    "grey": ("grey", "gray"),
    "purple": ("purple", "violet"),
}
BACKGROUND_WORDS = {name: COLOUR_WORDS.get(name, (name,)) for name in BACKGROUNDS} | {
    "navy": ("navy", "dark blue", "navy blue"),
}
SHAPE_OF, SHAPE_OF_PLURAL = by_wording(SHAPE_WORDS), by_wording(PLURAL_WORDS)
COLOUR_OF = by_wording(COLOUR_WORDS)

# What people say for nearly the same; no caption has it.
_SHAPES_TOO = {"rectangle": "square", "oval": "circle", "spot": "circle", "cube": "square"}
_COLOURS_TOO = {
    **{"silver": "grey", "pink": "red", "crimson": "red", "lilac": "purple"},
    **{"magenta": "purple", "cyan": "blue", "gold": "yellow", "golden": "yellow", "lime": "green"},
}
_BACKGROUNDS_TOO = {"cyan": "teal", "turquoise": "teal", "dark": "black"} | {
    **{"dark green": "teal", "dark red": "red", "light": "white", "pink": "red"},
}
_BACKGROUND_OF = by_wording(BACKGROUND_WORDS) | _BACKGROUNDS_TOO

MEANINGS = (
    meant_by("colour", COLOURS, COLOUR_OF | _COLOURS_TOO)
    | meant_by("shape", SHAPES, SHAPE_OF | SHAPE_OF_PLURAL | _SHAPES_TOO)
    | meant_by(
        "background",
        (),
        {
            words.format(name): background
            for name, background in _BACKGROUND_OF.items()
            for words in ("{} background", "background is {}", "on {}", "against {}")
        },
    )
)
"""Words for `lumina_core.media.worlds.lexicon`, those that people use for the same included."""

BACKGROUND_NAMED = 0.35
"""Share of the captions that say it; the rest leaves it to the renderer."""
_COLOUR_OF_BACKGROUND = by_wording(BACKGROUND_WORDS)
_COLOURED = one_of(sorted(_COLOUR_OF_BACKGROUND, key=len, reverse=True))
_WHOLE = r".+?(?<!\bon)(?<!\bagainst)(?<!\ba)(?<!\ban)(?<!\bthe)"  # "a star", not "a star on a"
_ON_BACKGROUND = Wordings(
    slots={
        "words": _WHOLE,
        "a_colour": f"(?:an? |the )?{_COLOURED}",
        "colour": _COLOURED,
    },
    trained={
        "background": (
            "{words} on {a_colour} background",
            "{words} against {a_colour} background",
            "{words} with {a_colour} background",
            "{words} in front of {a_colour} background",
            "{words} on {colour}",
            "{words} (and )?the background is {colour}",
            "the background is {colour} (and )?{words}",
            "{words} on a background (that is|in|of) {colour}",
            "{words} (on|over|against) {a_colour} (backdrop|canvas)",
        )
    },
    unseen={
        "read only": (
            "{a_colour} (background|backdrop|canvas)( with| and| behind)? {words}",
            "{words} (with|and) {colour} (behind|around|behind it|behind them|around it)",
            "(on|against) {a_colour} (backdrop|canvas) {words}",
            "(on|over|set against|upon) {a_colour} background {words}",
            "{words} (over|set against|upon|before|all on) {a_colour} background",
            "{words} (on|against) {a_colour} (page|surface|paper|backdrop|canvas)",
            "{words} (with|and) (the background|background|a background) (of )?{colour}",
            "{words} in the (middle|centre|center) of {a_colour} (background|canvas|picture)",
            "{words} in front of {a_colour} (wall|backdrop|canvas)",
        ),
        "background": (
            "on {a_colour} background {words}",
            "{words} against {colour}",
            "{words} in front of {colour}",
            "{words} and {a_colour} background",
            "against {a_colour} background {words}",
            "{words} {a_colour} background",
        ),
    },
)


def any_background(generator: torch.Generator, seen: Collection[str | None] = ()) -> str | None:
    """A background for a caption to name, or None, by BACKGROUND_NAMED.

    Args:
        generator: where the randomness comes from.
        seen: colours that the caption names; on a background of the same they would not be seen.
    """
    if not chance(BACKGROUND_NAMED, generator):
        return None
    return pick([name for name in BACKGROUNDS if name not in seen], generator)


def on_background(
    words: str, background: str | None, generator: torch.Generator | None, unseen: bool = False
) -> str:
    """A caption that says its background; None adds nothing.

    Args:
        words: the rest of the caption.
        background: one of BACKGROUNDS.
        generator: chooses the wording; None takes the plainest.
        unseen: take a wording that stands in no training caption.
    """
    if background is None:
        return words
    colour = pick(BACKGROUND_WORDS[background], generator)
    texts = {"words": words, "colour": colour, "a_colour": with_article(colour)}
    return _ON_BACKGROUND.worded("background", texts, generator, unseen)


def background_written() -> Iterator[str]:
    """All texts of which `on_background` takes words for captions of training."""
    yield from _ON_BACKGROUND.written()
    for names in BACKGROUND_WORDS.values():
        yield from map(with_article, names)
        yield from names


def split_background(words: str) -> tuple[str, str | None]:
    """What a caption says beside its background, and the background, or None.

    Args:
        words: as `lumina_core.media.worlds.lexicon.spoken` gives them.
    """
    for reading in _ON_BACKGROUND.readings(words):
        said = reading.texts.get("colour") or reading.texts["a_colour"]
        colour = said.removeprefix("a ").removeprefix("an ").removeprefix("the ")
        return reading.texts["words"], _COLOUR_OF_BACKGROUND[colour]
    return words, None


def background_meant(meanings: Iterable[Meaning]) -> str | None:
    """The background that a text names, if there is such a one."""
    return next(iter(values_of(meanings, "background", 1)), None)
