"""Known tokens: drawn masks, and what pack makes of them."""

import pytest
import torch

from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample, pack
from lumina_core.training.known import draw_known

STEP = (1.0, 1.0, 1.0)


@pytest.mark.parametrize("sizes", [(1, 4, 6), (5, 3, 2), (2, 1, 1), (1, 1, 7)])
def test_some_patches_are_known_and_some_are_not(sizes):
    for seed in range(100):
        known = draw_known(Grid(*sizes, STEP), seeded(seed))
        assert 0 < known.sum() < known.numel()


def test_a_single_patch_is_never_known():
    assert not draw_known(Grid(1, 1, 1, STEP), seeded(0)).any()


def test_masks_are_boxes_or_their_surroundings_of_every_kind():
    masks = [draw_known(Grid(3, 4, 5, STEP), seeded(s)).reshape(3, 4, 5) for s in range(400)]
    first_frames = torch.zeros(3, 4, 5, dtype=torch.bool)
    first_frames[0] = True
    right_half = torch.zeros(3, 4, 5, dtype=torch.bool)
    right_half[..., 3:] = True
    for wanted in (first_frames, right_half, ~right_half):
        assert any(torch.equal(mask, wanted) for mask in masks)
    for mask in masks:
        assert _is_box(mask) or _is_box(~mask)


def _is_box(mask):
    places = mask.nonzero()
    extent = places.amax(0) - places.amin(0) + 1
    return int(extent.prod()) == len(places)


def test_known_patches_are_a_segment_at_time_one():
    grid = Grid(1, 2, 2, STEP)
    known = torch.tensor([True, False, False, True])
    samples = [
        TokenSample("a", grid, torch.zeros(4, 3), known=known),
        TokenSample("a", grid, torch.zeros(4, 3)),
        TokenSample("b", grid, torch.zeros(4, 2), segments=torch.tensor([0, 0, 1, 1]), known=known),
    ]
    batch = pack(samples, separators=True)
    time = batch.segment_time(torch.tensor([0.2, 0.4, 0.6]))
    of_patch = time[batch.segment_index[batch.content_index]]
    expected = [1.0, 0.2, 0.2, 1.0, 0.4, 0.4, 0.4, 0.4, 1.0, 0.6, 0.6, 1.0]
    torch.testing.assert_close(of_patch, torch.tensor(expected))
    dims = torch.tensor([3] * 8 + [2] * 4)
    given = torch.cat([known, torch.zeros(4, dtype=torch.bool), known])
    assert torch.equal(batch.unknown, ~given.repeat_interleave(dims))


def test_first_frames_are_given_often_and_the_first_alone_more_often_than_others():
    counts = [0] * 6
    for seed in range(600):
        mask = draw_known(Grid(6, 2, 3, STEP), seeded(seed)).reshape(6, 6)
        leading = int(mask.all(dim=1).cumprod(0).sum())
        if leading and not mask[leading:].any():
            counts[leading] += 1
    assert sum(counts) > 240
    assert counts[1] > 2 * max(counts[2:])
    assert min(counts[1:]) > 20
