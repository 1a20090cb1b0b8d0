"""Finds flat coloured shapes in a picture, measured from the pixels alone.

It shares only the words with the renderer: what is red, and what makes a star, is written down
here a second time, in other terms (harmonics of the outline instead of corners). It looks at
pictures that a network made, so it forgives blur, noise and ragged edges.
"""

import math
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Complex, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

COLOURS = {
    "red": (220, 40, 45),
    "green": (60, 200, 80),
    "blue": (50, 100, 240),
    "yellow": (250, 230, 50),
    "purple": (160, 60, 210),
    "orange": (245, 130, 20),
    "white": (250, 250, 250),
    "grey": (150, 150, 150),
}
BACKGROUNDS = {
    "black": (12, 12, 12),
    "navy": (14, 14, 80),
    "brown": (68, 38, 16),
    "teal": (0, 66, 58),
    "white": (250, 250, 250),
    "grey": (88, 88, 88),
    "red": (160, 10, 20),
    "green": (15, 130, 35),
    "blue": (20, 60, 175),
    "yellow": (255, 240, 120),
    "purple": (92, 20, 125),
    "orange": (255, 136, 0),
}
MAX_COLOUR_DISTANCE = 60  # in RGB: two colours of objects are at least 100 apart
MAX_BACKGROUND_DISTANCE = 27  # two backgrounds are at least 58 apart
MIN_CONTRAST = (
    60  # in RGB: the faintest pair, yellow on orange, has 107, so most of an outline's pixels
)
MIN_SHARE = 0.08  # of the largest object: less is a speck
MIN_PIXELS = 12  # an object of radius 5 has more than 35

AREAS = {"circle": math.pi, "ring": math.pi, "square": 4, "triangle": 1.73} | {
    "star": 1.46,
    "cross": 2.46,
    "snowman": 1.84,
}
"""Filled area where half the longer side is 1, so that the measured area tells the size. Unlike an
extent, an area does not shrink when a point of a star is blurred."""
TOUCHING = np.ones((3, 3))  # pixels that meet at a corner belong together
SOFT_PIXELS = 2  # how far around the visible part the blurred outline is measured
OUTLINE_SHARE = 0.6  # of an object's pixels may be mixed with the background; the rest tell colour
MIN_HOLE = 0.1  # of the filled area: a ring's is about a quarter, and a flaw is smaller

RAY_STEP = 0.25  # pixels: fine against the soft outline
NUM_RAYS = 72  # every 5 degrees: a star's points and waists are 36 apart
HARMONICS = {
    "circle": (0, 0, 0, 0, 0, 0),
    "square": (0, 0, 0, -0.13, 0, 0),
    "cross": (0, 0, 0, 0.24, 0, 0),
    "triangle": (0, 0, 0.25, 0, 0, 0.08),
    "star": (0, 0, 0, 0, 0.25, 0),
    "snowman": (-0.05, 0.34, 0.14, 0.04, 0, -0.02),
}
"""c_1 to c_6 of `_outline_harmonics`. A ring is a circle with a hole. Blur and pixels move a shape
by up to .1 (a star of 5 pixels), and an egg is .14 away from a snowman."""
MAX_HARMONIC_DISTANCE = 0.12


@dataclass(frozen=True)
class Found:
    """An object in the picture. None where it is none that the grammar has a word for."""

    shape: str | None
    colour: str | None
    row: float
    column: float
    radius: float
    """Half the longer side, as a share of the picture's shorter side; 0 for an unknown shape."""


def find_objects(media: UInt8[Tensor, "3 height width"]) -> list[Found]:
    """Everything that stands out from the background and is no speck, in reading order."""
    pixels = _pixels(media)
    return _find(pixels, _background(pixels))


def is_background(media: UInt8[Tensor, "3 height width"], name: str) -> bool:
    """Whether the border of the picture has the colour of that name."""
    distance = np.linalg.norm(_background(_pixels(media)) - np.array(BACKGROUNDS[name]))
    return bool(distance < MAX_BACKGROUND_DISTANCE)


def _pixels(media: UInt8[Tensor, "3 height width"]) -> Float[np.ndarray, "height width 3"]:
    return rearrange(media.numpy(force=True), "rgb height width -> height width rgb").astype(float)


def _background(pixels: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "3"]:
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0)


def _find(
    pixels: Float[np.ndarray, "height width 3"], background: Float[np.ndarray, "3"]
) -> list[Found]:
    contrast = np.linalg.norm(pixels - background, axis=-1)
    labels, _ = ndimage.label(contrast > MIN_CONTRAST, structure=TOUCHING)
    sizes = np.bincount(labels.ravel())[1:]
    smallest = max(MIN_PIXELS, MIN_SHARE * sizes.max(initial=0))
    found = []
    for number, region in enumerate(ndimage.find_objects(labels), start=1):
        if sizes[number - 1] < smallest:
            continue
        crop = tuple(slice(max(0, s.start - SOFT_PIXELS), s.stop + SOFT_PIXELS) for s in region)
        others = (labels[crop] != number) & (labels[crop] != 0)
        own = ndimage.binary_dilation(labels[crop] == number, iterations=SOFT_PIXELS) & ~others
        corner = np.array([part.start for part in crop])
        found.append(_measure(pixels[crop], background, own, corner, min(labels.shape)))
    return found


def _measure(
    pixels: Float[np.ndarray, "row column 3"],
    background: Float[np.ndarray, "3"],
    own: Bool[np.ndarray, "row column"],
    corner: Int[np.ndarray, "2"],
    shorter: int,
) -> Found:
    """Colour first: how much of a pixel is covered can only be told against the full colour."""
    contrast = np.linalg.norm(pixels - background, axis=-1) * own
    full = contrast >= np.quantile(contrast[contrast > MIN_CONTRAST], OUTLINE_SHARE)
    colour = np.median(pixels[full], axis=0)
    towards = colour - background
    coverage = ((pixels - background) @ towards / (towards @ towards)).clip(0, 1) * own
    solid = ndimage.binary_fill_holes(coverage > 0.5)
    hole = solid & (coverage < 0.5)
    filled = np.where(ndimage.binary_erosion(solid), 1, coverage)
    area = filled.sum()
    rows, columns = np.indices(filled.shape)
    centre = np.array([(rows * filled).sum(), (columns * filled).sum()]) / area
    shape = _shape(filled, centre, is_hollow=bool(hole.sum() > MIN_HOLE * solid.sum()))
    radius = math.sqrt(area / AREAS[shape]) / shorter if shape else 0.0
    row, column = (centre + corner).tolist()
    return Found(shape, _nearest_colour(colour), row, column, radius)


def _nearest_colour(colour: Float[np.ndarray, "3"]) -> str | None:
    distances = {name: float(np.linalg.norm(colour - rgb)) for name, rgb in COLOURS.items()}
    nearest = min(distances, key=lambda name: distances[name])
    return nearest if distances[nearest] < MAX_COLOUR_DISTANCE else None


def _outline_harmonics(
    filled: Float[np.ndarray, "row column"], centre: Float[np.ndarray, "2"]
) -> Complex[np.ndarray, "harmonic"]:
    """How the outline's distance from the centre varies with the angle, as shares of its mean.

    c_k = 2 mean(rho exp(-i k theta)) / mean(rho), theta from straight up: the real part of c_3 is
    large for a triangle that stands on its base, that of c_5 for an upright star, that of c_4 is
    negative for a square and positive for a cross, that of c_2 is large for what is tall.
    """
    angles = np.arange(NUM_RAYS) * (2 * math.pi / NUM_RAYS)
    lengths = np.arange(RAY_STEP / 2, math.hypot(*filled.shape), RAY_STEP)
    rows = centre[0] - np.outer(np.cos(angles), lengths)
    columns = centre[1] + np.outer(np.sin(angles), lengths)
    rho = ndimage.map_coordinates(filled, [rows, columns], order=1).sum(1)
    return 2 * np.fft.fft(rho)[: len(HARMONICS["circle"]) + 1] / rho.sum()


def _shape(
    filled: Float[np.ndarray, "row column"], centre: Float[np.ndarray, "2"], *, is_hollow: bool
) -> str | None:
    harmonics = _outline_harmonics(filled, centre)[1:]
    distances = {name: np.linalg.norm(harmonics - ideal) for name, ideal in HARMONICS.items()}
    nearest = min(distances, key=lambda name: distances[name])
    if distances[nearest] > MAX_HARMONIC_DISTANCE:
        return None
    if is_hollow:
        return "ring" if nearest == "circle" else None
    return nearest
