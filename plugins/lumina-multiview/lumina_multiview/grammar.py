"""The captions of the synthetic multi-view world: an object as words, and back.

The only file that the renderer and the oracle share, beside sentences.py and wordings.py. Each
wording parses back to exactly the object it was made from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import chance, pick, pick_two
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Reading, words_in
from lumina_multiview import sentences, wordings
from lumina_multiview.loose_texts import Told, told_by
from lumina_multiview.sentences import SENTENCES
from lumina_multiview.wordings import COLOURS, PLACES, SIDES

SHAPES = tuple(wordings.SHAPES)
SIZES = tuple(wordings.SIZES)
HALVES = {
    "front_back": ("front", "back"),
    "top_bottom": ("top", "bottom"),
    "left_right": ("left", "right"),
}
"""The two sides of each task that has two colours."""
ONE_COLOUR = "one_colour"
TASKS = (*HALVES, ONE_COLOUR)
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

# Shares of the captions that say a size, that leave one colour to the renderer, that name a half
# and the rest or no half at all, and that are in plain words.
SIZE_NAMED, COLOUR_LEFT, REST_NAMED, HALF_UNNAMED, PLAIN = 0.25, 0.1, 0.3, 0.2, 0.55
SIZE_LAST = 0.15  # of the sizes of solids of one colour


@dataclass(frozen=True)
class Scene:
    """What a caption says: one solid, of one colour or halved by a plane through its middle."""

    task: str
    """Which halves there are, one of TASKS."""
    shape: str
    colours: tuple[str | None, ...]
    """Of the first and the second half in the task's name, left and right as from the front; or
    the one that there is. None: the caption leaves it open; another than that of the other half."""
    size: str | None = None


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    if scene := sentence_read(caption):
        return scene
    told = told_by(caption)
    if told is not None and (scene := _scene_told(told)):
        return scene
    raise LuminaError(
        f"{caption!r} is no caption of the multi-view world, which knows the solids "
        f"{', '.join(SHAPES)}, {' or '.join(SIZES)}, of one or two of the colours "
        f"{', '.join(COLOURS)}, in front and behind, at the top and at the bottom, or on the left "
        "and on the right; write, say, 'a cube, red in front and blue behind'."
    )


def sentence_read(caption: str) -> Scene | None:
    """As in `Grammar`."""
    readings = SENTENCES.readings(wordings.plain(spoken(caption)))
    return next((scene for reading in readings if (scene := scene_of(reading))), None)


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`."""
    if generator is not None and not unseen and chance(PLAIN, generator):
        generator = None
    texts = sentences.framed(generator)
    texts["shape"] = pick(wordings.SHAPES[scene.shape], generator)
    texts["size"] = pick(wordings.SIZES[scene.size], generator) + " " if scene.size else ""
    is_last = generator is not None and scene.task == ONE_COLOUR and chance(SIZE_LAST, generator)
    if scene.size and is_last:
        texts["shape"] += f" that is {texts.pop('size').strip()}"
        texts["size"] = ""
    name, said = _said(scene, generator)
    words = SENTENCES.worded(name, texts | said, generator, unseen)
    return re.sub(r"\ba (?=[aeiou]|l\b)", "an ", words)  # one says "an ell"


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    shape = pick(SHAPES, generator)
    size = pick(SIZES, generator) if chance(SIZE_NAMED, generator) else None
    colours: list[str | None] = [*pick_two(COLOURS, generator)][: 1 if task == ONE_COLOUR else 2]
    if chance(COLOUR_LEFT, generator):
        colours[pick(range(len(colours)), generator)] = None
    return Scene(task, shape, tuple(colours), size)


def vocabulary() -> frozenset[str]:
    """As in `Grammar`."""
    return words_in(sentences.written())


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    pairs = {(colour, scene.shape) for colour in scene.colours}
    return bool(pairs & HELD_OUT_PAIRS) or scene.colours in HELD_OUT_COLOURS


def is_drawn(scene: Scene) -> bool:
    """Every scene that `parse` reads is in a split."""
    return True


def filled(scene: Scene) -> tuple[Scene, ...]:
    """The scenes that a caption leaves open, but for combinations that it alone may make."""
    if None not in scene.colours:
        return (scene,)
    found = []
    for free in COLOURS:
        colours = tuple(colour or free for colour in scene.colours)
        is_held = (free, scene.shape) in HELD_OUT_PAIRS or colours in HELD_OUT_COLOURS
        if not is_held and free not in scene.colours:
            found.append(replace(scene, colours=colours))
    return tuple(found)


def _said(scene: Scene, generator: torch.Generator | None) -> tuple[str, dict[str, str]]:
    """Which sentences say the colours of a scene, and the words of their slots."""
    if scene.task == ONE_COLOUR:
        (colour,) = scene.colours
        return (
            ("any", {}) if colour is None else ("one", {"a": wordings.coloured(colour, generator)})
        )
    sides = list(zip(HALVES[scene.task], scene.colours, strict=True))
    if None in scene.colours:
        name, is_swapped = "part", scene.colours[0] is not None  # the named one is the second said
    elif generator is None:
        name, is_swapped = "halves", False
    elif scene.task == "left_right" and chance(HALF_UNNAMED, generator):
        name, is_swapped = "mixed", False
    else:
        name = "rest" if chance(REST_NAMED, generator) else "halves"
        is_swapped = chance(0.5, generator)
    said = {}
    alike = list(zip(*(SIDES[side] for side in HALVES[scene.task]), strict=True))
    names = dict(zip(HALVES[scene.task], pick(alike, generator), strict=True))
    for letter, (side, colour) in zip("ab", sides[::-1] if is_swapped else sides, strict=True):
        said[f"place_{letter}"] = pick(PLACES[side], generator)
        said[f"side_{letter}"] = names[side]
        if colour is not None:
            said[letter] = wordings.coloured(colour, generator)
    return name, said


def scene_of(reading: Reading) -> Scene | None:
    """None where what is said of the two sides does not fit together."""
    texts, name = reading.texts, reading.name
    shape = wordings.shape_of(texts["shape"])
    sizes = wordings.sizes_of(texts["size"] + texts["shape"] + texts["ending"])
    if len(sizes) > 1:
        return None
    size = sizes[0] if sizes else None
    colours = tuple(wordings.colour_of(texts.get(letter)) for letter in "ab")
    if name in ("any", "one"):
        return Scene(ONE_COLOUR, shape, colours[:1], size)
    if name == "mixed":
        task = "left_right"
    else:
        sides = [_side(texts, letter) for letter in "ab"]
        task, first = next(
            (task, halves.index(sides[1])) for task, halves in HALVES.items() if sides[1] in halves
        )
        if sides[0] not in (None, HALVES[task][1 - first]):
            return None
        colours = colours[:: 1 if first else -1]
    is_odd = "c" in texts and wordings.colour_of(texts["c"]) not in colours
    return None if is_odd or colours[0] == colours[1] else Scene(task, shape, colours, size)


def _scene_told(told: Told) -> Scene | None:
    """None where two colours are the same, or are on sides that do not face each other."""
    parts = told.parts or ((None, None),)
    colours = [colour for colour, _ in parts]
    sides = [side for _, side in parts if side]
    if len(set(colours)) < len(colours):
        return None
    if len(parts) == 1 and not sides:
        return Scene(ONE_COLOUR, told.shape, (colours[0],), told.size)
    named = sides[0] if sides else "left"
    task, halves = next((task, halves) for task, halves in HALVES.items() if named in halves)
    by_side = dict(zip(sides or halves, colours, strict=False))
    if len(by_side) < len(sides) or not by_side.keys() <= set(halves):
        return None
    rest = None if len(by_side) == len(parts) else colours[-1]
    return Scene(task, told.shape, tuple(by_side.get(side, rest) for side in halves), told.size)


def _side(texts: Mapping[str, str], letter: str) -> str | None:
    return wordings.side_of(texts.get(f"place_{letter}") or texts.get(f"side_{letter}") or "")
