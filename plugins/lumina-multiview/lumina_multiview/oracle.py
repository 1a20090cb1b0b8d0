"""Whether views show the object of a caption from where they should: measured from pixels alone.

It shares only the grammar with the renderer. What a camera should see it works out from solids made
of small cells, of which the one nearest to the camera hides the others; what a picture shows it
reads off as a silhouette and one colour word per pixel, whatever the light. The two are laid over
each other, at one scale for all views, each view at its own centre.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

from lumina_multiview import grammar
from lumina_multiview.picture_reading import Pictures

MIN_AGREEING = 0.8  # of the views
MIN_OVERLAP = 0.72  # of two silhouettes: intersection over union, at best over the views
MIN_ALIKE = 0.8  # of the cells that both silhouettes cover, whose colour is the expected one
MIN_HALF_ALIKE = 0.5  # the same of each half alone, where it is as large as
MIN_HALF = 0.18  # of the view
SCALES = {"small": (0.45, 0.715), None: (0.65, 1.3), "large": (0.99, 1.3)}
"""That a solid may have, in units, by the word of its size."""
MIN_CONTRAST = 34  # grey levels between an object and the border around it, in any channel

NUM_CELLS = 44  # of a solid along each axis
NUM_BINS = 36  # of an expected view along each side, each wider than a cell
REACH = 1.7  # units from the centre to the border of an expected view
VIEW_SPAN = 3.4  # units along the shorter side of a picture

_RGB = {
    "red": (220, 40, 45),
    "green": (60, 200, 80),
    "blue": (50, 100, 240),
    "yellow": (250, 230, 50),
    "purple": (160, 60, 210),
    "orange": (245, 130, 20),
    "white": (250, 250, 250),
}
_HUES = np.array([_RGB[name] for name in grammar.COLOURS], dtype=float)
_HUES /= np.linalg.norm(_HUES, axis=1, keepdims=True)

NOTHING = -1  # where no object is


def judge(
    media: Pictures,
    caption: str,
    azimuths: Sequence[float],
    elevations: Sequence[float],
) -> dict[str, bool]:
    """Say for each thing that the caption says whether the views show it.

    Args:
        media: the views, RGB.
        caption: a caption of the grammar.
        azimuths: of the views, degrees.
        elevations: of the views, degrees.

    Returns:
        A verdict by name: views (each shows something), size, shape, colours (no other is
        seen; one that the caption leaves open may be any, but only one), consistency (they are
        where the azimuths say). The object is right if all are true.
    """
    scene = grammar.parse(caption)
    seen = [read_view(view) for view in media.numpy()]
    cameras = list(zip(azimuths, elevations, strict=True))
    if len(seen) != len(cameras) or any(_is_empty(view) for view in seen):
        return dict.fromkeys(("views", "size", "shape", "colours", "consistency"), False)
    overlaps, scales = {}, {}
    for shape in grammar.SHAPES:
        expected = [_expected(shape, _halves(scene), *camera) for camera in cameras]
        scales[shape] = _scale(seen, expected)
        pairs = zip(seen, expected, strict=True)
        found = [_overlap(*_laid(*pair, scales[shape])) for pair in pairs]
        overlaps[shape] = sum(found) / len(found)
    unit = min(media.shape[2:]) / VIEW_SPAN
    low, high = SCALES[scene.size]
    wanted = _wanted(seen, scene)
    good = _agreeing(seen, scene, wanted, cameras)
    return {
        "views": True,
        "size": low <= scales[scene.shape] / unit <= high,
        "shape": overlaps[scene.shape] >= max(overlaps.values())
        and overlaps[scene.shape] >= MIN_OVERLAP,
        "colours": _has_colours(seen, wanted),
        "consistency": sum(good) >= MIN_AGREEING * len(good),
    }


def agreement(
    media: Pictures,
    caption: str,
    azimuths: Sequence[float],
    elevations: Sequence[float],
) -> list[bool]:
    """For each view whether shape and colours are as its camera should see them; see `judge`."""
    scene = grammar.parse(caption)
    seen = [read_view(view) for view in media.numpy()]
    cameras = list(zip(azimuths, elevations, strict=True))
    return _agreeing(seen, scene, _wanted(seen, scene), cameras)


def _halves(scene: grammar.Scene) -> str:
    """Which halves to look at; of one colour any, which are both of it."""
    return scene.task if scene.task in grammar.HALVES else next(iter(grammar.HALVES))


def _wanted(seen: list[np.ndarray], scene: grammar.Scene) -> list[int]:
    """The colour of each half; one that is open is what is seen most beside the one that is named.

    Where nothing else is seen, it is a colour that is not seen, so that the half is wrong.
    """
    words = np.concatenate([view[view != NOTHING] for view in seen])
    counts = np.bincount(words, minlength=len(grammar.COLOURS))
    named = {colour: grammar.COLOURS.index(colour) for colour in scene.colours if colour}
    counts[list(named.values())] = -1
    found = [named[colour] if colour else int(counts.argmax()) for colour in scene.colours]
    return found if len(found) > 1 else 2 * found


def _agreeing(
    seen: list[np.ndarray],
    scene: grammar.Scene,
    wanted: list[int],
    cameras: list[tuple[float, float]],
) -> list[bool]:
    expected = [_expected(scene.shape, _halves(scene), *camera) for camera in cameras]
    filled = [pair for pair in zip(seen, expected, strict=True) if not _is_empty(pair[0])]
    if not filled:
        return [False] * len(seen)
    scale = _scale(*map(list, zip(*filled, strict=True)))
    return [
        not _is_empty(view) and _agrees(*_laid(view, halves, scale), wanted)
        for view, halves in zip(seen, expected, strict=True)
    ]


def _agrees(shown: np.ndarray, halves: np.ndarray, wanted: list[int]) -> bool:
    """Whether a view laid over the expected one has its outline and its colours."""
    if _overlap(shown, halves) < MIN_OVERLAP:
        return False
    both = (shown != NOTHING) & (halves != NOTHING)
    is_right = shown == np.array(wanted)[np.clip(halves, 0, 1)]
    if is_right[both].mean() < MIN_ALIKE:
        return False
    parts = [both & (halves == half) for half in (0, 1)]
    return all(
        is_right[part].mean() >= MIN_HALF_ALIKE
        for part in parts
        if part.sum() >= MIN_HALF * both.sum()
    )


def _has_colours(seen: list[np.ndarray], wanted: list[int]) -> bool:
    """Whether most of what is seen has one of the colours."""
    words = np.concatenate([view[view != NOTHING] for view in seen])
    return bool(np.isin(words, wanted).mean() >= MIN_ALIKE)


def read_view(view: np.ndarray) -> np.ndarray:
    """Index of a colour of each pixel of a picture (3, height, width), or NOTHING."""
    pixels = view.transpose(1, 2, 0).astype(float)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    is_object = np.abs(pixels - np.median(border, axis=0)).max(axis=2) > MIN_CONTRAST
    labels, count = ndimage.label(is_object)
    if count > 1:  # specks are forgiven; a second object is missed where the first should be
        is_object = labels == np.bincount(labels.flat)[1:].argmax() + 1
    lengths = np.linalg.norm(pixels, axis=2, keepdims=True)
    words = (pixels / np.maximum(lengths, 1) @ _HUES.T).argmax(axis=2)
    return np.where(is_object, words, NOTHING)


def _is_empty(words: np.ndarray) -> bool:
    return bool((words == NOTHING).all())


@lru_cache(maxsize=len(grammar.SHAPES))
def _cells(shape: str) -> np.ndarray:
    """Centres (cell, xyz) of the cells of a solid: x right, y to the back, z up."""
    ticks = (np.arange(NUM_CELLS) + 0.5) / NUM_CELLS * 2 - 1
    ticks *= 1.2  # no solid reaches farther along an axis
    x, y, z = np.meshgrid(ticks, ticks, ticks, indexing="ij")
    around = np.hypot(x, y)
    square = np.maximum(abs(x), abs(y))
    is_inside = {
        "cube": np.maximum(square, abs(z)) <= 0.85,
        "sphere": np.hypot(around, z) <= 1.15,
        "cylinder": (around <= 0.7) & (abs(z) <= 1.05),
        "cone": (around <= 0.95 * (1.1 - z) / 2.2) & (abs(z) <= 1.1),
        "pyramid": (square <= 0.95 * (0.8 - z) / 1.6) & (abs(z) <= 0.8),
        "l-shape": (np.maximum(abs(x), abs(z)) <= 0.95)
        & (abs(y) <= 0.6)
        & ((x <= -0.2) | (z <= -0.2)),
    }[shape]
    return np.stack([x[is_inside], y[is_inside], z[is_inside]], axis=1)


@lru_cache(maxsize=4096)
def _expected(shape: str, task: str, azimuth: float, elevation: float) -> np.ndarray:
    """Which half a camera should see in each bin of a square of 2 x REACH: 0, 1 or NOTHING."""
    cells = _cells(shape)
    turn, tilt = np.radians([azimuth, elevation])
    # turn the solid the other way instead of the camera: its right side comes to the front
    x = cells[:, 0] * np.cos(turn) + cells[:, 1] * np.sin(turn)
    y = cells[:, 1] * np.cos(turn) - cells[:, 0] * np.sin(turn)
    down = y * np.sin(tilt) + cells[:, 2] * np.cos(tilt)
    away = y * np.cos(tilt) - cells[:, 2] * np.sin(tilt)
    order = np.argsort(-away, kind="stable")  # the nearest is written last
    columns, rows = (
        np.floor((place[order] + REACH) / (2 * REACH) * NUM_BINS).astype(int)
        for place in (x, -down)
    )
    axis, sign = {"front_back": (1, 1), "top_bottom": (2, -1), "left_right": (0, 1)}[task]
    view = np.full((NUM_BINS, NUM_BINS), NOTHING)
    view[rows, columns] = (cells[order, axis] * sign > 0).astype(int)
    return view


def _scale(seen: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Pixels of a unit, from the areas of all silhouettes together."""
    bin_size = 2 * REACH / NUM_BINS
    found = sum(int((view != NOTHING).sum()) for view in seen)
    wanted = sum(int((view != NOTHING).sum()) for view in expected) * bin_size**2
    return float(np.sqrt(found / wanted))


def _laid(seen: np.ndarray, expected: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The words of a picture at the bins of the expected view, centre on centre."""
    bin_size = 2 * REACH / NUM_BINS * scale  # pixels
    row, column = _centre(seen)
    middle_row, middle_column = _centre(expected)
    steps = np.arange(NUM_BINS) + 0.5
    rows = np.floor(row + (steps - middle_row) * bin_size).astype(int)
    columns = np.floor(column + (steps - middle_column) * bin_size).astype(int)
    height, width = seen.shape
    is_there = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    words = seen[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    return np.where(is_there, words, NOTHING), expected


def _centre(words: np.ndarray) -> tuple[float, float]:
    """The middle of the box around a silhouette, in its pixels."""
    rows, columns = np.nonzero(words != NOTHING)
    return (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2


def _overlap(shown: np.ndarray, halves: np.ndarray) -> float:
    one, other = shown != NOTHING, halves != NOTHING
    return float((one & other).sum() / max(1, (one | other).sum()))
