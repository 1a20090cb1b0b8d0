"""Tiles give the picture that the whole gives; the memory is measured in a process of its own."""

import json
import subprocess
import sys

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from lumina_core import FramewiseAutoencoder
from lumina_core.autoencoder import networks, tiles
from lumina_core.autoencoder.tiles import decode_in_tiles, has_tiles

LEVEL = 2 / 255  # of pixels in [-1, 1]
ROUNDING = 0.05 * LEVEL  # float32 sums in another order
GIGABYTE = 10**9


def build(channels=(32, 64, 64), latent_channels=4, convolution=True, **settings):
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=2,
        latent_channels=latent_channels,
        use_quant_conv=convolution,
        use_post_quant_conv=convolution,
        sample_size=32,
        **settings,
    )
    for module in model.modules():  # a fresh norm has weight 1 and bias 0, and would hide mistakes
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return model.eval().requires_grad_(False)


def latent(rows, columns, channels=4):
    values = torch.randn(1, channels, rows, columns, generator=torch.Generator().manual_seed(1))
    values[:, :, : rows // 3] += 2  # parts that differ, as in a picture with a sky
    return values


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE_SIDE", 16)
    monkeypatch.setattr(tiles, "MIN_TILE_SIDE", 5)


@pytest.mark.parametrize("kept", [0, 64 * 36 * 56 * 4, 1 << 30])
@pytest.mark.parametrize("model", [{}, {"latent_channels": 16, "convolution": False}])
def test_tiles_give_the_picture_of_the_whole(small_tiles, monkeypatch, kept, model):
    monkeypatch.setattr(tiles, "KEPT_BYTES", kept)
    model = build(**model)
    values = latent(9, 14, model.config.latent_channels)
    whole = model.decode(values).sample
    assert whole.std() > 10 * LEVEL
    assert (decode_in_tiles(model, values) - whole).abs().max() < ROUNDING
    assert torch.equal(decode_in_tiles(model, values), decode_in_tiles(model, values))


def test_without_attention_and_with_another_activation(small_tiles):
    model = build(mid_block_add_attention=False, act_fn="gelu")
    values = latent(9, 14)
    assert (decode_in_tiles(model, values) - model.decode(values).sample).abs().max() < ROUNDING


def test_blended_tiles_would_not_do():
    """Why diffusers' own tiling is not used; if this fails, it has become simpler to use it."""
    model, values = build(), latent(24, 24)
    whole = model.decode(values).sample
    model.enable_tiling()
    assert (model.decode(values).sample - whole).abs().max() > LEVEL


def test_other_decoders_are_decoded_whole():
    model = build()
    assert has_tiles(model)
    model.register_to_config(up_block_types=("AttnUpDecoderBlock2D", *["UpDecoderBlock2D"] * 2))
    assert not has_tiles(model)


def test_only_large_frames_are_tiled(tiny_vae, monkeypatch, small_tiles):
    calls = []

    def counted(model, values):
        calls.append(values.shape)
        return decode_in_tiles(model, values)

    monkeypatch.setattr(networks, "decode_in_tiles", counted)
    monkeypatch.setattr(networks, "MAX_WHOLE_PIXELS", 48 * 64)
    vae = FramewiseAutoencoder(tiny_vae)
    small, large = latent(12, 16)[0, :, None], latent(12, 17)[0, :, None]
    vae.decode(small)
    assert not calls
    tiled = vae.decode(large)
    assert calls == [(1, 4, 12, 17)]
    monkeypatch.setattr(networks, "MAX_WHOLE_PIXELS", 1 << 30)
    assert (tiled - vae.decode(large)).abs().max() < ROUNDING


MEASURE = """
import json, resource, sys, torch
from lumina_core import FramewiseAutoencoder
from pathlib import Path
latent = torch.randn(4, 1, 256, 256, generator=torch.Generator().manual_seed(0))
picture = FramewiseAutoencoder(Path(sys.argv[1])).decode(latent)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
is_finite = bool(picture.isfinite().all())
print(json.dumps({"shape": list(picture.shape), "is_finite": is_finite, "peak": peak}))
"""


@pytest.mark.demos
def test_2048_pixels_through_the_shape_of_sdxl_stay_within_2_gb(tmp_path):
    model = build(
        channels=(16, 32, 64, 64), norm_num_groups=16, scaling_factor=0.13025
    )  # an eighth
    model.save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["shape"] == [1, 3, 2048, 2048] and found["is_finite"]
    assert found["peak"] < 2 * GIGABYTE
