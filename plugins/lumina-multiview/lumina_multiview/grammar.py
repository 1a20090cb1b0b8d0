"""The captions of the synthetic multi-view world: an object as words, and back.

The only file that the renderer and the oracle share. Each wording parses back to exactly the object
it was made from.
"""

import re
from dataclasses import dataclass

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    join,
    one_of,
    pick,
    pick_two,
    plain_words,
    with_article,
)

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white")
SHAPES = ("cube", "sphere", "cone", "cylinder", "pyramid", "l-shape")
WORDINGS = {
    "front_back": ("{0} in front and {1} behind", "with a {0} front and a {1} back"),
    "top_bottom": ("{0} at the top and {1} at the bottom", "with a {0} top and a {1} bottom"),
    "left_right": (
        "{0} on the left and {1} on the right",
        "with a {0} left half and a {1} right half",
    ),
}
"""How each task says where its two colours are."""
TASKS = tuple(WORDINGS)
HELD_OUT_TASKS = TASKS

# Combinations that stand in no training caption.
HELD_OUT_PAIRS = frozenset(
    {
        ("purple", "cube"),
        ("orange", "sphere"),
        ("blue", "cone"),
        ("yellow", "cylinder"),
        ("green", "pyramid"),
        ("red", "l-shape"),
    }
)
HELD_OUT_COLOURS = frozenset({("blue", "green"), ("yellow", "red"), ("white", "purple")})
"""In this order."""

_OPENINGS = ("", "views of ", "a turntable of ", "there is ")


@dataclass(frozen=True)
class Scene:
    """What a caption says: one solid, halved by a plane through its middle."""

    task: str
    """Which halves there are, one of TASKS."""
    shape: str
    colours: tuple[str, str]
    """Of the first and the second half in the task's name, left and right as from the front."""


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    words = plain_words(caption)
    for task, pattern in _PATTERNS.items():
        match = pattern.fullmatch(words)
        if match:
            first, second = (
                next(match[f"{which}_{number}"] for number in (0, 1) if match[f"{which}_{number}"])
                for which in ("first", "second")
            )
            if first != second:
                return Scene(task, match["shape"], (first, second))
    raise LuminaError(
        f"{caption!r} is no caption of the multi-view world, which knows the solids "
        f"{', '.join(SHAPES)}, each of two of the colours {', '.join(COLOURS)}, in front and "
        "behind, at the top and at the bottom, or on the left and on the right; write, say, "
        "'a cube, red in front and blue behind'."
    )


def caption_of(scene: Scene, generator: torch.Generator | None) -> str:
    """As in `Grammar`."""
    opening = pick(_OPENINGS, generator)
    halves = _with_articles(pick(WORDINGS[scene.task], generator), scene.colours)
    return join(opening + _named(scene.shape), halves)


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    return Scene(task, pick(SHAPES, generator), pick_two(COLOURS, generator))


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    pairs = {(colour, scene.shape) for colour in scene.colours}
    return bool(pairs & HELD_OUT_PAIRS) or scene.colours in HELD_OUT_COLOURS


def is_drawn(scene: Scene) -> bool:
    """Every scene that `parse` reads is in a split."""
    return True


def _named(shape: str) -> str:
    return f"an {shape}" if shape == "l-shape" else with_article(shape)  # one says "an ell"


def _with_articles(wording: str, colours: tuple[str, str]) -> str:
    words = wording.format(*colours)
    return re.sub(r"\ba (?=[aeiou])", "an ", words)


def _pattern(task: str) -> re.Pattern[str]:
    wordings = [
        re.sub(r"\ba (?=\{)", "an? ", wording).format(
            one_of(COLOURS, f"first_{number}"), one_of(COLOURS, f"second_{number}")
        )
        for number, wording in enumerate(WORDINGS[task])
    ]
    return re.compile(
        f"{one_of(_OPENINGS[1:])}?an? {one_of(SHAPES, 'shape')} (?:{'|'.join(wordings)})"
    )


_PATTERNS = {task: _pattern(task) for task in TASKS}
