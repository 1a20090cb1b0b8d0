"""Patches are cut and put back exactly, at every legal size."""

import itertools

import pytest
import torch

from lumina_core.errors import LuminaError
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sampling.velocity import channel_mask

STEP = (1.0, 0.5, 0.25)


def tokenizer(channels=4, patch=(1, 2, 2)):
    return PatchTokenizer(channels, patch, lambda frames, rows, columns: STEP)


@pytest.mark.parametrize("patch", [(1, 1, 1), (1, 2, 2), (2, 2, 1), (3, 1, 4)])
@pytest.mark.parametrize("channels", [1, 4])
def test_detokenize_inverts_tokenize(patch, channels):
    cut = tokenizer(channels, patch)
    for counts in itertools.product((1, 2), (1, 3), (1, 5)):
        shape = [count * size for count, size in zip(counts, patch, strict=True)]
        latent = torch.randn(channels, *shape, generator=torch.Generator().manual_seed(0))
        grid, tokens = cut.grid(tuple(latent.shape)), cut.tokenize(latent)
        assert tokens.shape == (grid.num_patches, cut.token_dim)
        assert torch.equal(cut.detokenize(tokens, grid), latent)


def test_tokenize_is_row_major_with_channels_last_in_the_patch():
    latent = torch.arange(2 * 4 * 2).reshape(2, 1, 4, 2).float()  # channel * 8 + row * 2 + column
    tokens = tokenizer(channels=2).tokenize(latent)
    assert tokens.tolist() == [[0, 8, 1, 9, 2, 10, 3, 11], [4, 12, 5, 13, 6, 14, 7, 15]]


def test_grid_counts_patches_and_asks_for_the_step():
    grid = tokenizer().grid((4, 3, 8, 6))
    assert (grid.frames, grid.rows, grid.columns, grid.step) == (3, 4, 3, STEP)


def test_grid_gives_the_counts_to_the_step():
    cut = PatchTokenizer(4, (1, 2, 2), lambda *counts: tuple(1 / count for count in counts))
    assert cut.grid((4, 1, 8, 4)).step == (1.0, 1 / 4, 1 / 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 1, 7, 4), "height of 7 .* use 6 or 8"),
        ((4, 1, 4, 1), "width of 1 .* use 2 or 4"),
        ((4, 0, 4, 4), "frames of 0 .* use 1 or 2"),
    ],
)
def test_grid_refuses_an_illegal_size_and_names_the_nearest(shape, message):
    with pytest.raises(LuminaError, match=message):
        tokenizer().grid(shape)


@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (4, 4, 4), (4, 1, 1, 4, 4)])
def test_grid_refuses_another_kind_of_latent(shape):
    with pytest.raises(ValueError, match="expected 4 channels and 3 axes"):
        tokenizer().grid(shape)


def test_detokenize_refuses_tokens_of_another_grid():
    cut = tokenizer()
    with pytest.raises(ValueError, match=r"expected \(4, 16\)"):
        cut.detokenize(torch.zeros(5, 16), cut.grid((4, 1, 4, 4)))


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_channel_mask_marks_the_first_channels(channels):
    cut, shape = tokenizer(), (4, 2, 4, 6)
    mask = channel_mask(cut, shape, channels)
    marked = cut.detokenize(mask.float(), cut.grid(shape))
    assert mask.dtype == torch.bool
    assert marked[:channels].all()
    assert not marked[channels:].any()
