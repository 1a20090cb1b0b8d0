"""The words of people for solids that stand in no caption: loose_texts.py reads them one by one.

Each means something of one of these kinds, which are letters so that their order can be matched:
O a solid, C a colour, S a side of the solid, Z a size, H a half, P a part, R the rest, E all of it,
A an article, T a word for what was named, F of, N where or in what, W with, K the word colour, and
the signs & , . that part. A colon joins.
"""

from collections.abc import Mapping, Sequence

from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.marks import Word
from lumina_core.media.worlds.phrases import Reader, said, said_by
from lumina_multiview.wordings import COLOUR_WORDS, FILLERS, SHAPES, SIDE_WORDS, SIZES

_SHAPES_TOO = {
    "cube": (
        *("square box", "square block", "cubic block", "cubic box", "die", "dice", "cubic"),
        *("cubical", "cube shape", "cube shaped", "box shaped", "box shape"),
    ),
    "sphere": (
        *("round ball", "round sphere", "spherical", "spheric", "ball shape", "ball shaped"),
        *("sphere shape", "sphere shaped", "orb shaped"),
    ),
    "cone": ("round cone", "circular cone", "conical", "conic", "cone shape", "cone shaped"),
    "cylinder": (
        *("can", "tin can", "tin", "drum", "round cylinder", "circular cylinder", "cylindrical"),
        *("cylinder shape", "cylinder shaped", "tube shaped", "cylindre"),
    ),
    "pyramid": (
        *("egyptian pyramid", "pyramid like in egypt", "four sided pyramid", "pyramidal"),
        *("pyramide", "pyramid with a square base", "pyramid shape", "pyramid shaped"),
    ),
    "l-shape": (
        *("l block", "l piece", "l shaped", "ell", "capital l", "capital letter l", "the letter l"),
        *("letter l shape", "l shaped piece", "l shaped figure", "l form", "l shaped form"),
        *("l shaped thing", "l thing"),
    ),
}
_SIZES_TOO = {
    "small": (
        *("miniature", "minuscule", "wee", "teeny", "teeny tiny", "petite", "tiny little"),
        *("smallish", "little tiny", "small little", "tiny tiny", "very very small"),
    ),
    "large": (
        *("enormous", "gigantic", "massive", "immense", "great big", "big big", "colossal"),
        *("big huge", "humongous", "huge big", "giant big", "really really big", "very very big"),
    ),
}
_SIDES_TOO = {
    "front": ("in front", "up front", "fronted", "front facing"),
    "back": ("backside", "hind", "in back"),
    "top": ("up", "topped", "on top", "up top", "upside part", "upwards"),
    "bottom": ("down", "downwards", "down below", "undermost"),
    "left": ("lefthand", "leftmost"),
    "right": ("righthand", "rightmost"),
}
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "H": (
        *("half", "halves", "50", "50 percent", "one half", "one side", "one part", "one end"),
        *("first half", "the one side", "the one half"),
    ),
    "P": (
        *("side", "part", "hand", "face", "end", "portion", "section", "surface", "area", "bit"),
        *("hemisphere", "sides", "parts", "halfs"),
    ),
    "R": (
        *("rest", "remaining", "remaining part", "remainder", "otherwise", "mostly", "mainly"),
        *("everything else", "all else", "elsewhere", "other", "other half", "other side"),
        *("other one", "other part", "other end", "opposite side", "opposite half", "second half"),
    ),
    "E": (
        *("all over", "everywhere", "all sides", "every side", "all faces", "every face", "whole"),
        *("entire", "all", "all around", "all round", "throughout", "entirely", "completely"),
        *("fully", "totally", "wholly", "everything", "whole thing", "pure", "purely", "bright"),
        *("vivid", "uniform", "uniformly", "evenly", "single colour", "one colour", "monochrome"),
        *("only one colour", "single coloured"),
    ),
    "A": ("a", "an", "one", "1", "some", "any", "another"),
    "T": ("the", "its", "this", "these", "my", "our", "his", "her"),
    "F": ("of", "for"),
    "N": ("in", "on", "at", "to", "onto", "from"),
    "W": ("with", "has", "having", "featuring", "shows"),
    "K": ("colour", "coloured", "colours", "colouring"),
    "&": ("and", "plus", "while", "whereas", "whilst"),
    ",": (",", ">"),
    ".": (
        *(".", "but", "except", "except for", "except on", "apart from", "besides", "but for"),
        *("however", "though", "although", "yet", "other than", "with the exception of"),
    ),
}
_TWO_COLOURS = (
    *("two coloured", "two colours", "2 colours", "two colour", "bicoloured", "bicolour"),
    *("dual colour", "two tone", "two toned", "bi colour", "half and half", "half half"),
    *("50 50", "different colours"),
)
_SILENT = (
    *("object", "thing", "shape", "shaped", "form", "body", "item", "type", "kind", "figure"),
    *("solid", "in the shape of", "in the form of", "shape of a", "form of a", "something"),
    *("sort of", "kind of", "look like", "looks like", "looks", "look", "like", "shaped like"),
    *("size", "sized", "in size", "of size", "geometry", "3 d", "3d model of", "3d model"),
    *("3d object", "model of", "model", "view of", "views of", "picture of", "pictures of"),
    *("image of", "images of", "photo of", "photos of", "turntable of", "turntable"),
    *("rendering of", "renderings of", "render of", "drawing of", "multiview", "multi view"),
    *("multiview of", "multi view of", "several views of", "several pictures of", "eight views of"),
    *("six views of", "four views of", "360 degree view of", "360 degrees", "in 360", "take"),
    *("split", "split into", "divide", "divided", "divided into", "into", "been", "being"),
    *("painted", "paint", "dye", "dyed", "tinted", "paint it", "it", "made", "colour it"),
    *("color it", "where", "whose", "of which", "of it", "on it", "them", "here we have", "what"),
    *("how", "imagine", "visualise", "visualize", "picture", "design", "build", "display"),
    *("behold", "rotate", "rotating", "rotated", "spin", "spinning", "turning", "around"),
    *("turn around", "rotate it", "spin it", "turn it around", "turning around", "move around"),
    *("can see it", "i can see it", "look at", "a look at", "have a look at", "want to look at"),
    *("comes in", "in two", "split in two", "cut in two", "in two halves", "this time", "cheers"),
    *("favourite", "favorite", "lovely", "beautiful", "cute", "cool", "pretty little", "will do"),
    *("whichever colour", "whatever colour", "any colour", "any colour you like", "in any colour"),
    *("in any colour you like", "of any colour", "i do not care which colour", "surprise me with"),
    *("no matter which colour", "not a big one", "not a small one", "not big", "not small"),
    *("neither big nor small", "of normal size", "normal sized", "medium sized", "of medium size"),
    *("middle sized", "of average size", "of colour"),
)
_FROM_EVERYWHERE = (
    "(seen |viewed |shown |)from (all|every|all the|different|several|many) "
    "(side|sides|angle|angles|direction|directions|around)"
)


def _phrases() -> dict[str, Sequence[Word]]:
    found = said("", *FILLERS, *_SILENT, *_TWO_COLOURS, _FROM_EVERYWHERE, "(:|/)")
    for mark, texts in _OTHERS.items():
        found |= said(mark, *texts)
    found |= said_by("O", {shape: map(spoken, texts) for shape, texts in SHAPES.items()})
    found |= said_by("O", _SHAPES_TOO) | said_by("Z", SIZES, _SIZES_TOO)
    found |= said_by("C", COLOUR_WORDS)
    for words, side in SIDE_WORDS.items():
        found |= said("S", words, value=side)
    found |= said_by("S", _SIDES_TOO)
    return found | {words.replace("colour", "color"): marks for words, marks in found.items()}


READER = Reader(_phrases())
