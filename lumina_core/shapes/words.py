"""The words of flat shapes, and what a caption grammar needs: all that drawing and finding share.

It holds words, no pixels: neither a colour's RGB value nor a shape's outline stands here.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch

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

Option = TypeVar("Option")


def free_colours(shape: str) -> tuple[str, ...]:
    """The colours that training may give a shape whose caption names none."""
    return tuple(colour for colour in COLOURS if (colour, shape) not in HELD_OUT_PAIRS)


def pick(options: Sequence[Option], generator: torch.Generator) -> Option:
    """One of the options, each as likely as the others."""
    return options[int(torch.randint(len(options), (), generator=generator))]


def pick_two(options: Sequence[Option], generator: torch.Generator) -> tuple[Option, Option]:
    """Two different ones, in random order."""
    first, second = torch.randperm(len(options), generator=generator)[:2].tolist()
    return options[first], options[second]


def chance(probability: float, generator: torch.Generator) -> bool:
    """True with that probability."""
    return bool(torch.rand((), generator=generator) < probability)


def join(*words: str | None) -> str:
    """The words that are there, one space between them."""
    return " ".join(word for word in words if word)


def with_article(words: str) -> str:
    """The words behind "a" or "an"."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def one_of(words: Iterable[str], name: str | None = None) -> str:
    """A regular expression that takes any of the words, as a group of that name or of none."""
    return f"({f'?P<{name}>' if name else '?:'}{'|'.join(words)})"
