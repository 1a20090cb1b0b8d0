"""What texts of people may mean in the multi-view world."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from lumina_core.media.worlds.captions import by_wording
from lumina_core.media.worlds.lexicon import Lexicon, Meaning, meant_by, values_of
from lumina_multiview.grammar import COLOURS, SHAPES, TASKS, Scene

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
LEXICON = Lexicon(
    meant_by("shape", SHAPES, _SHAPES_TOO)
    | meant_by("colour", COLOURS, _COLOURS_TOO)
    | meant_by("side", (), by_wording(_SIDES))
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`: every solid of two colours is a caption's."""
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    if len(colours) == 1:
        colours += tuple(colour for colour in COLOURS if colour not in colours)[:1]
    for shape in values_of(meanings, "shape", MAX_SHAPES, SHAPES):
        for task in TASKS:
            for pair in permutations(colours, 2):
                yield Scene(task, shape, pair)
