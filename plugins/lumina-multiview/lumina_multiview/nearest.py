"""Whether a text is a caption of the multi-view world, and which caption is nearest to it."""

from collections.abc import Iterator
from itertools import permutations

from lumina_core import LuminaError
from lumina_core.lexicon import Lexicon, Meaning, spoken, values_of
from lumina_multiview.grammar import COLOURS, SHAPES, TASKS, Scene, caption_of, parse

MAX_SHAPES, MAX_COLOURS = 2, 3  # that are looked at

_SHAPES_TOO = {
    **{"ball": "sphere", "globe": "sphere", "box": "cube", "tube": "cylinder", "can": "cylinder"},
    **{"l shape": "l-shape", "cubes": "cube", "spheres": "sphere", "cones": "cone"},
}
_COLOURS_TOO = {
    **{"pink": "red", "violet": "purple", "magenta": "purple", "cyan": "blue", "gold": "yellow"},
    **{"golden": "yellow", "grey": "white", "gray": "white"},
}
_SIDES = {
    "front": ("in front", "front"),
    "back": ("behind", "back", "rear"),
    "top": ("at the top", "top", "above", "upper"),
    "bottom": ("at the bottom", "bottom", "below", "lower"),
    "left": ("on the left", "left"),
    "right": ("on the right", "right"),
}
_LEXICON = Lexicon(
    {shape: ("shape", shape) for shape in SHAPES}
    | {words: ("shape", shape) for words, shape in _SHAPES_TOO.items()}
    | {colour: ("colour", colour) for colour in COLOURS}
    | {words: ("colour", colour) for words, colour in _COLOURS_TOO.items()}
    | {words: ("side", side) for side, wordings in _SIDES.items() for words in wordings}
)


def nearest(text: str) -> str | None:
    """The caption that says most of what a text says; None where the text is a caption itself."""
    if _is_caption(spoken(text)):
        return None
    meant = _LEXICON.understood(text)
    captions = (caption_of(scene, None) for scene in _scenes(meant))
    return _LEXICON.ranked(meant, captions)[0]


def _is_caption(words: str) -> bool:
    try:
        parse(words.replace("l shape", "l-shape"))  # the encoder reads both as two words
    except LuminaError:
        return False
    return True


def _scenes(meanings: tuple[Meaning, ...]) -> Iterator[Scene]:
    """What may be meant: every solid of two colours is a caption's."""
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    if len(colours) == 1:
        colours += tuple(colour for colour in COLOURS if colour not in colours)[:1]
    for shape in values_of(meanings, "shape", MAX_SHAPES, SHAPES):
        for task in TASKS:
            for pair in permutations(colours, 2):
                yield Scene(task, shape, pair)
