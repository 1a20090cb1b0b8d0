"""What is drawn is found again, on every background and at every size."""

import math
from itertools import combinations, product

import pytest
import torch
from scipy import ndimage

from lumina_core.media.worlds import drawing, finding
from lumina_core.media.worlds.words import BACKGROUNDS, COLOURS, SHAPES

FAR, APART = 100, 58  # in RGB: object from background, and one background from another
SMALLEST = 5.0  # pixels of radius: a small object in the smallest picture
SIDE = 24


def drawn(shape, colour, background, radius, is_blurred):
    side = SIDE if radius == SMALLEST else 4 * SIDE
    fill = drawing.rgb(drawing.BACKGROUND_PALETTE[background])
    canvas = fill.expand(3, side, side).clone()
    centre = (side / 2 + 0.3, side / 2 - 0.2)
    drawing.paint(canvas, shape, drawing.PALETTE[colour], centre, radius)
    if is_blurred:
        canvas = torch.from_numpy(ndimage.gaussian_filter(canvas.numpy(), (0, 0.6, 0.6)))
    return canvas.round().to(torch.uint8)


@pytest.mark.parametrize("is_blurred", [False, True])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_shape_and_colour_is_found_on_every_other_background(background, is_blurred):
    missed = []
    for shape, colour, radius in product(SHAPES, COLOURS, (SMALLEST, 24.0)):
        if colour == background:
            continue
        picture = drawn(shape, colour, background, radius, is_blurred)
        found = [(each.shape, each.colour) for each in finding.find_objects(picture)]
        if found != [(shape, colour)]:
            missed.append((shape, colour, radius, found))
    assert missed == []


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_background_has_one_name(background):
    picture = drawn("star", "red" if background != "red" else "blue", background, 24.0, False)
    named = [name for name in BACKGROUNDS if finding.is_background(picture, name)]
    assert named == [background]


def test_objects_stand_out_and_backgrounds_are_told_apart():
    backgrounds = drawing.BACKGROUND_PALETTE
    assert tuple(backgrounds) == tuple(finding.BACKGROUNDS) == BACKGROUNDS
    for (name, fill), (colour, rgb) in product(backgrounds.items(), drawing.PALETTE.items()):
        assert name == colour or math.dist(fill, rgb) > FAR, (name, colour)
    for one, other in combinations(backgrounds.values(), 2):
        assert math.dist(one, other) > APART - 1
