"""Folders of autoencoders: damaged, belied by their weights, known by name, copied."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumina_core import LuminaError
from lumina_core.checkpoints.differences import has_same_autoencoder
from lumina_core.checkpoints.vae_folder import copy_vae, find_vae
from lumina_video.vae import VideoVAE
from tiny_autoencoders import WEIGHTS, change_config, clip, open_autoencoder

DAMAGES = [
    ("wan", {"z_dim": "four"}),
    ("wan", {"dim_mult": 5}),
    ("wan", {"temperal_downsample": [True]}),
    ("wan", {"temperal_downsample": [1, 1]}),
    ("wan", {"latents_mean": [0.0]}),
    ("wan", {"latents_std": None}),
    ("wan", {"latents_std": [1.0, 1.0, 0.0, 1.0]}),
    ("wan22", {"patch_size": 0}),
    ("wan22", {"in_channels": 3}),
    ("ltx", {"spatio_temporal_scaling": "yes"}),
    ("ltx", {"patch_size": None}),
    ("ltx", {"patch_size_t": 2}),
    ("ltx", {"temporal_compression_ratio": 2.5}),
    ("ltx", {"scaling_factor": 0}),
    ("ltx", {"latent_channels": True}),
    ("ltx", {"in_channels": 4}),
    ("cogvideox", {"block_out_channels": [8, 0]}),
    ("cogvideox", {"temporal_compression_ratio": 3}),
    ("cogvideox", {"temporal_compression_ratio": [4]}),
    ("cogvideox", {"scaling_factor": None}),
    ("cogvideox", {"shift_factor": "none"}),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_config_is_one_line_that_names_the_key(name, damage, copy):
    folder = copy(name)
    change_config(folder, **damage)
    key = next(iter(damage))
    with pytest.raises(LuminaError, match=f"no autoencoder: {key} is .*, not ") as raised:
        _ = open_autoencoder(folder).config
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("wan", {"base_dim": 2**20}),
        ("wan", {"num_res_blocks": 10**7}),
        ("ltx", {"layers_per_block": [10**7] * 3}),
        ("ltx", {"decoder_block_out_channels": [2**20] * 2}),
        ("cogvideox", {"layers_per_block": 10**7}),
        ("cogvideox", {"block_out_channels": [2**20] * 3}),
    ],
    ids=str,
)
def test_an_autoencoder_larger_than_its_weights_is_not_built(name, damage, copy):
    folder = copy(name)
    change_config(folder, **damage)
    with pytest.raises(LuminaError) as raised:
        open_autoencoder(folder).model()
    assert "its config asks for more weights than" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["AutoencoderKLWam", "AutoencoderDC", 7, ["AutoencoderKL"], None])
def test_an_unknown_kind_is_one_line_that_lists_the_known_ones(kind, copy):
    folder = copy("wan")
    change_config(folder, _class_name=kind)
    with pytest.raises(LuminaError) as raised:
        open_autoencoder(folder)
    line = str(raised.value)
    assert "\n" not in line
    known = "AutoencoderKL, AutoencoderKLWan, AutoencoderKLLTXVideo, AutoencoderKLCogVideoX"
    assert known in line
    assert ("Did you mean 'AutoencoderKLWan'" in line) == (kind == "AutoencoderKLWam")


@pytest.mark.parametrize("name", ["wan", "ltx", "cogvideox"])
def test_weights_must_fit_exactly_and_be_safetensors(name, copy):
    folder = copy(name)
    weights = load_file(folder / WEIGHTS)
    key = next(iter(weights))
    for changed in (
        {**weights, "extra": torch.zeros(1)},
        {k: v for k, v in weights.items() if k != key},
    ):
        save_file(changed, folder / WEIGHTS, {"format": "pt"})
        with pytest.raises(LuminaError, match="do not fit"):
            open_autoencoder(folder).encode(clip(1))
    torch.save(weights, folder / "diffusion_pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(LuminaError, match="cannot be read"):
        open_autoencoder(folder).encode(clip(1))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_statistics_in_weights_that_are_none_are_refused(value, copy):
    folder = copy("ltx")
    weights = load_file(folder / WEIGHTS) | {"latents_std": torch.full((4,), value)}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(LuminaError, match="no statistics of latents"):
        open_autoencoder(folder).encode(clip(1))


def test_a_config_that_its_weights_belie_is_one_line(copy):
    folder = copy("ltx")
    change_config(folder, spatial_compression_ratio=4)
    with pytest.raises(LuminaError, match="whose files belong together"):
        VideoVAE(folder).encode(clip())


@pytest.mark.parametrize("name", ["wan", "ltx", "cogvideox"])
def test_a_copy_is_the_same_autoencoder_and_another_config_is_not(name, folders, tmp_path):
    class Model:
        name = "any"

    model = Model()
    model.modality = Model()
    model.modality.vae = VideoVAE(folders / name)
    place = tmp_path / "checkpoint" / "vae" / "any"
    copy_vae(folders / name, place)
    assert has_same_autoencoder(tmp_path / "checkpoint", model)
    change_config(place, base_dim=2, scaling_factor=9.0)
    assert not has_same_autoencoder(tmp_path / "checkpoint", model)


@pytest.mark.parametrize(
    ("name", "hub_id", "config"),
    [
        ("wan", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {"z_dim": 16}),
        ("ltx", "Lightricks/LTX-Video", {"latent_channels": 128}),
        (
            "cogvideox",
            "zai-org/CogVideoX-2b",
            {"latent_channels": 16, "scaling_factor": 1.15258426},
        ),
    ],
)
def test_a_known_autoencoder_is_found_and_checked(name, hub_id, config, copy, monkeypatch):
    folder = copy(name)
    asked = []

    def snapshot(repo):
        asked.append(repo)
        return folder

    monkeypatch.setattr("lumina_core.hub.snapshot", snapshot)
    with pytest.raises(LuminaError, match=f"but '{name}' has {next(iter(config.values()))}"):
        find_vae("video", name, download=False)
    change_config(folder, **config)
    assert find_vae("video", name, download=False) == folder
    assert asked == [hub_id] * 2
