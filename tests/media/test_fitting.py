"""How pictures of any size become legal ones."""

import pytest
import torch

from lumina_core import LuminaError, SizeLimits
from lumina_core.media.fitting import fit_frames, fitted_size

UNIT = 8
LIMITS = SizeLimits(min_tokens=4, max_tokens=64, max_aspect=4.0)


def picture(height, width):
    rows = torch.linspace(0, 255, height)[:, None].expand(height, width)
    columns = torch.linspace(0, 255, width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.full_like(rows, 9)]).round().to(torch.uint8)


def fitted(media, unit, limits):
    return fit_frames(media[None], unit, limits)[0]


def test_every_size_within_the_limits_becomes_a_legal_one():
    generator = torch.Generator().manual_seed(0)
    for height, width in torch.randint(16, 3000, (2000, 2), generator=generator).tolist():
        if max(height, width) > 4 * min(height, width):
            continue
        rows, columns = (side / UNIT for side in fitted_size(height, width, UNIT, LIMITS))
        assert rows == int(rows) >= 1
        assert columns == int(columns) >= 1
        assert rows * columns <= 64
        assert rows * UNIT <= height
        assert columns * UNIT <= width
        if height * width > 64 * UNIT**2 * 2:  # scaled down: no more than a token lost per side
            scale = (64 / (height * width)) ** 0.5
            assert rows > height * scale - 1
            assert columns > width * scale - 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (16, 16), (16, 64), (32, 128)])
def test_a_legal_picture_stays_as_it_is(height, width):
    media = picture(height, width)
    assert torch.equal(fitted(media, UNIT, LIMITS), media)


def test_what_stands_over_is_cut_off_evenly():
    media = picture(70, 45)
    assert torch.equal(fitted(media, UNIT, LIMITS), media[:, 3:67, 2:42])


def test_a_large_picture_is_scaled_and_keeps_its_content():
    # 512 x 256 pixels at 64 tokens: 11 x 5 tokens, from 88 x 44 pixels
    small = fitted(picture(512, 256), UNIT, LIMITS)
    assert small.shape == (3, 88, 40)
    assert torch.allclose(small.float(), picture(88, 44)[:, :, 2:42].float(), atol=3)


def test_thin_lines_do_not_alias():
    media = torch.zeros(3, 256, 256, dtype=torch.uint8)
    media[:, ::2] = 255  # a grey of 127.5 from afar
    small = fitted(media, UNIT, LIMITS)
    assert small.shape == (3, 64, 64)
    assert (small[:, 4:-4].float() - 127.5).abs().max() < 4


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (1, 1, "too small: 1 x 1 pixels hold 0 tokens"),
        (15, 40, r"too small: 40 x 15 pixels hold 5 tokens of 8 x 8, fewer than min_tokens=6"),
        (100, 401, r"401 x 100 pixels, is 4\.01, more than max_aspect=4\.0"),
        (3000, 1, "max_aspect"),
    ],
)
def test_small_and_long_pictures_are_refused(height, width, message):
    with pytest.raises(LuminaError, match=message):
        fitted(picture(height, width), UNIT, SizeLimits(6, 64, 4.0))
