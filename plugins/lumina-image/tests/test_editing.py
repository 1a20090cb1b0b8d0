"""Filling, extending and changing a given picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from lumina_core import LuminaError
from lumina_image.editing import place
from lumina_image.options import ImageCondition
from lumina_image.picture_files import PictureDecoder


@pytest.fixture
def files(tmp_path):
    """Write pictures: a gradient of a size, and a mask that is white in a box."""

    def write(name, height, width, box=None):
        if box is None:
            rows = np.linspace(0, 255, height)[:, None, None]
            array = np.broadcast_to(rows, (height, width, 3)).astype(np.uint8)
        else:
            array = np.zeros((height, width), np.uint8)
            array[box] = 255
        path = tmp_path / name
        Image.fromarray(array).save(path)
        return str(path)

    return write


@pytest.fixture
def put():
    """A given picture on a canvas, by the fields of the condition."""

    def result(canvas, **values):
        wanted = ImageCondition(**({"mask": None, "offset": None} | values))
        return place(wanted, PictureDecoder().read, canvas, 8)

    return result


def test_what_is_masked_takes_the_colour_of_the_nearest_known_pixel(files, put):
    image = files("a.png", 32, 32)
    mask = files("m.png", 32, 32, np.s_[:, 20:])
    picture, given = put((32, 32), image=image, mask=mask)
    assert given[:, :20].all() and not given[:, 20:].any()
    drawn = torch.from_numpy(np.asarray(Image.open(image)).copy()).permute(2, 0, 1)
    assert torch.equal(picture, drawn)  # a row is of one colour, so its continuation is the same


def test_a_smaller_image_stands_on_whole_tokens_in_the_middle(files, put):
    image = files("a.png", 24, 32)
    picture, given = put((48, 64), image=image)
    assert given.sum() == 24 * 32
    assert given[8:32, 16:48].all()  # (48 - 24) / 2 = 12 snaps to 8
    assert torch.equal(picture[:, 0, 20], picture[:, 8, 20])
    _, moved = put((48, 64), image=image, offset=(3, 5))
    assert moved[3:27, 5:37].all()


@pytest.mark.parametrize(
    ("values", "sizes", "said"),
    [
        ({}, (40, 32), "modality.height=40 modality.width=32"),
        ({"offset": (9, 0)}, (24, 32), "out of the picture of 32x32; use at most"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(files, put, values, sizes, said):
    with pytest.raises(LuminaError, match=said):
        put((32, 32), image=files("a.png", *sizes), **values)


def test_masks_that_do_not_fit_are_refused(files, put):
    image = files("a.png", 32, 32)
    with pytest.raises(LuminaError, match="make them the same size"):
        put((32, 32), image=image, mask=files("m.png", 16, 32, np.s_[:8]))
    with pytest.raises(LuminaError, match="no white pixel"):
        put((32, 32), image=image, mask=files("m.png", 32, 32, np.s_[:0]))
    with pytest.raises(LuminaError, match=r"condition\.image=FILE"):
        ImageCondition(None, image, None)
