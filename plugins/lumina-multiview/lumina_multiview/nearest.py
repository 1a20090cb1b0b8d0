"""What texts of people may mean in the multi-view world."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations

from lumina_core.media.worlds.captions import by_wording
from lumina_core.media.worlds.lexicon import Lexicon, Meaning, meant_by, values_of
from lumina_multiview.grammar import COLOURS, HALVES, ONE_COLOUR, SHAPES, SIZES, Scene
from lumina_multiview.wordings import COLOUR_OF, PLACES, SHAPE_OF, SIDES, SIZE_OF

MAX_SHAPES, MAX_COLOURS = 2, 3  # that are looked at

_SHAPES_TOO = SHAPE_OF | {
    **{"circle": "sphere", "can": "cylinder"},
    **{"pipe": "cylinder", "rod": "cylinder", "barrel": "cylinder", "brick": "cube"},
    **{"dice": "cube", "square": "cube", "triangle": "pyramid", "l shaped": "l-shape"},
    **{"cubes": "cube", "spheres": "sphere", "cones": "cone"},
}
_COLOURS_TOO = COLOUR_OF | {
    **{"pink": "red", "magenta": "purple", "cyan": "blue", "gold": "yellow"},
    **{"golden": "yellow", "grey": "white", "gray": "white", "silver": "white"},
    **{"crimson": "red", "lime": "green"},
}
_SIDES_TOO = {"upper": "top", "lower": "bottom", "underside": "bottom"}
_CAMERAS = ("from above", "from below", "from the front", "from the side", "from behind")


class _Lexicon(Lexicon):
    """Captions name a colour before its side; a text may name the side first."""

    def understood(self, text: str) -> tuple[Meaning, ...]:
        """As in `Lexicon`, each colour before its side."""
        found = list(super().understood(text))
        kinds = [kind for kind, _ in found]
        if "side" not in kinds or "colour" in kinds[: kinds.index("side")]:
            return tuple(found)
        for place, pair in enumerate(pairwise(kinds)):
            if pair == ("side", "colour"):
                found[place : place + 2] = found[place + 1], found[place]
        return tuple(found)


LEXICON = _Lexicon(
    meant_by("shape", SHAPES, _SHAPES_TOO)
    | meant_by("size", SIZES, SIZE_OF)
    | meant_by("colour", COLOURS, _COLOURS_TOO)
    | meant_by("side", (), by_wording(SIDES) | by_wording(PLACES) | _SIDES_TOO)
    | meant_by("camera", _CAMERAS)  # of which no caption speaks: no side of the solid is meant
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`: a solid of any colour, of one, or of two, of which one may be left open."""
    colours = values_of(meanings, "colour", MAX_COLOURS, COLOURS)
    if len(colours) == 1:
        colours += tuple(colour for colour in COLOURS if colour not in colours)[:1]
    (size,) = values_of(meanings, "size", 1) or (None,)
    for shape in values_of(meanings, "shape", MAX_SHAPES, SHAPES):
        for colour in (None, *colours):
            yield Scene(ONE_COLOUR, shape, (colour,), size)
        for task in HALVES:
            for pair in permutations((*colours, None), 2):
                yield Scene(task, shape, pair, size)
