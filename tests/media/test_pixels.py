import pytest
import torch

from lumina_core import LuminaError
from lumina_core.media.pixels import MAX_LEVEL, NUM_COLOURS, check_multiple, levels_of, pixels_of


def test_levels_of_inverts_pixels_of():
    levels = torch.arange(MAX_LEVEL + 1, dtype=torch.uint8).expand(1, NUM_COLOURS, 1, -1)
    pixels = pixels_of(levels)
    assert (pixels.min(), pixels.max()) == (-1, 1)
    assert torch.equal(levels_of(pixels), levels)


def test_levels_are_rounded_and_clamped():
    pixels = torch.tensor([-1.5, -1 + 0.9 / MAX_LEVEL, -1 + 1.1 / MAX_LEVEL, 1.5])
    found = levels_of(pixels.expand(1, NUM_COLOURS, 1, -1))
    assert found[0, 0, 0].tolist() == [0, 0, 1, MAX_LEVEL]


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((60, 64, 8), "modality.height=60 is not a multiple of 8 pixels; use 56 or 64"),
        ((64, 50, 8), "modality.width=50 is not a multiple of 8 pixels; use 48 or 56"),
        ((64, 8, 8, 16), "modality.width=8 is not a multiple of 16 pixels; use 16"),
    ],
)
def test_a_side_that_is_no_multiple_names_the_nearest(sides, message):
    with pytest.raises(LuminaError, match=message):
        check_multiple(*sides)


def test_multiples_are_taken():
    check_multiple(64, 56, 8)
    check_multiple(8, 32, 8, 16)
