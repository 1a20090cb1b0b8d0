"""The plainest autoencoder, against the class of diffusers with the same files."""

import json

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from lumina_core import FramewiseAutoencoder
from lumina_core.autoencoder.networks import read_autoencoder
from lumina_core.autoencoder.plain import PlainAutoencoder, read_plain
from lumina_core.autoencoder.tiles import decode_in_tiles, has_tiles

WEIGHTS = "diffusion_pytorch_model.safetensors"
SHAPE = {
    **{"in_channels": 3, "out_channels": 2, "latent_channels": 5, "norm_num_groups": 2},
    **{"block_out_channels": (4, 6, 6), "mid_block_add_attention": False},
    **{"use_quant_conv": False, "use_post_quant_conv": False},
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
}


def saved(folder, **settings):
    """A folder with random weights; fresh norms would change nothing."""
    generator = torch.Generator().manual_seed(0)
    model = AutoencoderKL(**SHAPE | settings)
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * 0.3
    model.save_pretrained(folder)
    return folder


def plain(folder):
    return read_plain(folder, FramewiseAutoencoder(folder).config)


@pytest.mark.parametrize("depth", [1, 2])
@torch.no_grad()
def test_results_are_those_of_diffusers_to_the_bit(tmp_path, depth):
    folder = saved(tmp_path, layers_per_block=depth)
    ours, theirs = plain(folder).eval(), read_autoencoder(folder).eval()
    pixels = torch.randn(1, 3, 20, 36, generator=torch.Generator().manual_seed(1))
    latent = ours.encode(pixels).latent_dist.mode()
    assert torch.equal(latent, theirs.encode(pixels).latent_dist.mode())
    assert torch.equal(ours.decode(latent).sample, theirs.decode(latent).sample)
    assert has_tiles(ours)
    assert torch.equal(decode_in_tiles(ours, latent), decode_in_tiles(theirs, latent))


def test_that_of_train_vae_is_read_so(tiny_vae):
    assert isinstance(FramewiseAutoencoder(tiny_vae).model(), PlainAutoencoder)


def test_stored_types_become_float32(tmp_path):
    folder = saved(tmp_path)
    stored = {name: x.bfloat16() for name, x in load_file(folder / WEIGHTS).items()}
    save_file(stored, folder / WEIGHTS)
    found = plain(folder).state_dict()
    assert all(torch.equal(found[name], x.float()) for name, x in stored.items())


@pytest.mark.parametrize(
    "settings",
    [{"mid_block_add_attention": True}, {"use_quant_conv": True}, {"use_post_quant_conv": True},
     {"act_fn": "gelu"}, {"up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D", "UpBlock2D")}],
    ids=lambda settings: next(iter(settings)),
)  # fmt: skip
def test_others_are_left_to_diffusers(tmp_path, settings):
    assert plain(saved(tmp_path, **settings)) is None


@pytest.mark.parametrize("damage", ["missing", "more", "shape", "cut", "gone", "depth", "key"])
def test_what_is_not_whole_is_left_to_diffusers(tmp_path, damage):
    folder = saved(tmp_path)
    path, config = folder / WEIGHTS, json.loads((folder / "config.json").read_text())
    stored = load_file(path)
    name = next(iter(stored))
    if damage == "missing":
        del stored[name]
    elif damage == "more":
        stored["more"] = torch.zeros(1)
    elif damage == "shape":
        stored[name] = torch.zeros(1)
    elif damage == "depth":
        config["layers_per_block"] = 10**9
    elif damage == "key":
        del config["layers_per_block"]
    save_file(stored, path)
    (folder / "config.json").write_text(json.dumps(config))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "gone":
        path.unlink()
    assert plain(folder) is None
