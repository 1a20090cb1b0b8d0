"""The parts of the image modality, on a small random autoencoder; one core, a second."""

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.training.train_vae import AutoencoderShape, build_autoencoder
from lumina_image.image import ImageModality
from lumina_image.options import MAX_SIDE, ImageOptions

STRIDE = 4
CHANNELS = 4


@pytest.fixture(scope="module")
def modality(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    model = build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0)
    model.register_to_config(latents_mean=[0.5] * CHANNELS, latents_std=[2.0] * CHANNELS)
    model.save_pretrained(folder)
    return ImageModality(options(64, 64), folder)


def options(height, width):
    return ImageOptions(height=height, width=width, patch_size=2, vae="demo")


def picture(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (8, 16), (16, 8)])
def test_vae_latent_shape_tells_what_encode_gives(modality, height, width):
    latent = modality.vae.encode(picture(height, width))
    assert modality.vae.latent_shape((3, height, width)) == tuple(latent.shape)
    assert modality.vae.decode(latent).shape == (3, height, width)
    assert modality.vae.decode(latent).dtype == torch.uint8


def test_vae_applies_the_statistics_of_its_config(modality):
    media = picture(16, 16)
    raw = modality.vae.autoencoder.model().encode(modality.vae.pixels(media)).latent_dist.mode()
    assert torch.allclose(modality.vae.encode(media), (raw.movedim(0, 1) - 0.5) / 2, atol=1e-6)


def test_vae_reads_scale_and_shift_where_there_are_no_statistics(tmp_path):
    model = build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0)
    model.register_to_config(scaling_factor=0.25, shift_factor=0.5)
    model.save_pretrained(tmp_path)
    vae = ImageModality(options(64, 64), tmp_path).vae
    media = picture(16, 16)
    raw = vae.autoencoder.model().encode(vae.pixels(media)).latent_dist.mode().movedim(0, 1)
    assert torch.allclose(vae.encode(media), (raw - 0.5) * 0.25, atol=1e-6)


def test_vae_does_not_depend_on_earlier_calls(modality):
    media = picture(32, 32)
    before = modality.vae.encode(media)
    modality.vae.encode(picture(48, 16, seed=1))
    assert torch.equal(modality.vae.encode(media), before)


def test_vae_without_a_folder_is_refused(tmp_path):
    modality = ImageModality(options(64, 64), tmp_path / "nothing")
    with pytest.raises(LuminaError, match="no autoencoder in"):
        modality.vae.encode(picture(16, 16))


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (60, 64, "modality.height=60 is not a multiple of 8 pixels; use 56 or 64"),
        (64, 50, "modality.width=50 is not a multiple of 8 pixels; use 48 or 56"),
        (4, 64, "modality.height=4 is not a multiple of 8 pixels; use 8"),
    ],
)
def test_modality_refuses_a_size_and_names_the_nearest(modality, height, width, message):
    with pytest.raises(LuminaError, match=message):
        modality.media_shape(options(height, width))


@pytest.mark.parametrize("side", [0, -8, MAX_SIDE + 1])
def test_options_refuse_a_size_out_of_range(side):
    with pytest.raises(LuminaError, match=f"modality.width is {side}; set"):
        options(64, side)


def test_tokenizer_inverts_at_every_trained_size(modality):
    for variant in modality.world.variants("trained"):
        shape = modality.vae.latent_shape((3, variant["height"], variant["width"]))
        latent = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        tokens = modality.tokenizer.tokenize(latent)
        grid = modality.tokenizer.grid(shape)
        assert tokens.shape == (grid.num_patches, modality.tokenizer.token_dim)
        assert torch.equal(modality.tokenizer.detokenize(tokens, grid), latent)


def test_grid_of_every_picture_spans_the_same_interval(modality):
    for height, width in [(64, 64), (32, 128)]:
        grid = modality.tokenizer.grid(modality.vae.latent_shape((3, height, width)))
        assert grid.rows * grid.step[1] == pytest.approx(grid.columns * grid.step[2])


def test_options_refuse_more_pixels_than_are_read_back():
    with pytest.raises(LuminaError, match="is more than 67108864 pixels"):
        options(8192, 8193)
    assert options(8192, 8192).height == 8192
