"""AutoencoderKL over spectrograms: tiny and untrained, in the format of AudioLDM's."""

import json
import shutil

import diffusers
import pytest
import torch

from lumina_audio.mel import log_mel
from lumina_audio.options import AudioOptions
from lumina_audio.vae import AudioVAE
from lumina_core import LuminaError
from sounds import open_autoencoder

AUDIOLDM = {"in_channels": 1, "out_channels": 1, "latent_channels": 8, "norm_num_groups": 4}
AUDIOLDM |= {"scaling_factor": 0.9227914214134216, "block_out_channels": (8, 8, 16)}
AUDIOLDM |= {"down_block_types": ("DownEncoderBlock2D",) * 3}
AUDIOLDM |= {"up_block_types": ("UpDecoderBlock2D",) * 3}


def options(**changes):
    """Those that AudioLDM needs, but for the changes."""
    values = {"seconds": 0.5, "sample_rate": 16_000, "n_fft": 1024, "hop_length": 160}
    values |= {"num_mels": 64, "fmin": 0.0, "fmax": 8000.0, "mel_scale": "slaney"}
    values |= {"mel_range": (-1.0, 1.0), "patch": (2, 4), "vae": "folder"}
    return AudioOptions(**values | {"vocoder": "griffin_lim"} | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An autoencoder of AudioLDM's kind."""
    path = tmp_path_factory.mktemp("audioldm") / "vae"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        diffusers.AutoencoderKL(**AUDIOLDM).save_pretrained(path)
    return path


@pytest.fixture
def changed(folder, tmp_path):
    """Copy the folder with other values in its config.json."""

    def change(**values):
        path = shutil.copytree(folder, tmp_path / "vae")
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | values))
        return path

    return change


def reference(folder):
    return diffusers.AutoencoderKL.from_pretrained(folder).eval().requires_grad_(False)


def sound(length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8000, 8000, (length,), generator=generator).to(torch.int16)


def test_shapes_follow_from_the_config_without_weights(changed):
    path = changed()
    (path / "diffusion_pytorch_model.safetensors").unlink()
    vae = AudioVAE(path, options())
    assert vae.autoencoder.strides == (4, 4)
    assert vae.samples_per_token == 4 * 2 * 160
    assert vae.latent_shape((1280,)) == (8, 1, 2, 16)
    assert vae.latent_shape((1281,)) == (8, 1, 4, 16)
    assert vae.latent_shape((1,)) == (8, 1, 2, 16)


@pytest.mark.parametrize("length", [1, 1280, 5000])
def test_the_latent_of_a_sound_has_the_promised_shape(length, folder):
    vae = AudioVAE(folder, options())
    latent = vae.encode(sound(length))
    assert latent.dtype == torch.float32
    assert latent.shape == vae.latent_shape((length,))
    rows = latent.shape[2] * 4
    assert vae.autoencoder.decode(latent).shape == (1, 1, rows, 64)


def test_natural_logarithms_are_handed_on_as_they_are(folder):
    media = sound(1600)
    mel = log_mel(media.float() / 32_767, options().front_end)
    torch.testing.assert_close(AudioVAE(folder, options()).pixels(media)[0, 0], mel)


def test_latents_are_those_of_diffusers_times_the_scaling_factor(folder):
    media = sound(2560)
    vae, model = AudioVAE(folder, options()), reference(folder)
    raw = model.encode(vae.pixels(media)).latent_dist.mode()
    latent = vae.encode(media)
    torch.testing.assert_close(latent[:, 0], raw[0] * AUDIOLDM["scaling_factor"])
    torch.testing.assert_close(vae.autoencoder.decode(latent), model.decode(raw).sample)


def test_statistics_of_the_channels_go_before_the_scaling_factor(changed):
    means, stds = [0.5 * n for n in range(8)], [1.0 + n for n in range(8)]
    path = changed(latents_mean=means, latents_std=stds)
    pixels = AudioVAE(path, options()).pixels(sound(1280))
    raw = reference(path).encode(pixels).latent_dist.mode()[0]
    mean, std = (torch.tensor(x)[:, None, None] for x in (means, stds))
    found = open_autoencoder(path).encode(pixels)[:, 0]
    torch.testing.assert_close(found, (raw - mean) / std)


@pytest.mark.parametrize("key", ["in_channels", "out_channels"])
def test_the_autoencoder_of_pictures_is_refused(key, changed):
    path = changed(**{key: 3})
    with pytest.raises(LuminaError, match=f"not one of spectrograms: {key} is '3', not 1") as info:
        open_autoencoder(path)
    assert "\n" not in str(info.value)


def test_a_config_without_channels_is_one_of_pictures(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    del config["in_channels"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LuminaError, match="in_channels is '3', not 1"):
        open_autoencoder(tmp_path)


@pytest.mark.parametrize("kind", ["AutoencoderKLWan", "AutoencoderDC", 3])
def test_other_kinds_are_refused_by_name(kind, changed):
    with pytest.raises(LuminaError, match="sounds take AutoencoderKL, MelAutoencoder1D"):
        open_autoencoder(changed(_class_name=kind))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"patch": (2, 5)}, r"use 60 or 80, or modality\.patch=\[2,4\]$"),
        ({"num_mels": 66}, r"modality\.num_mels=66 .* by 16, .*; use 64 or 80$"),
        ({"num_mels": 8}, r"use 16 or 32, or modality\.patch=\[2,2\]$"),
    ],
)
def test_bands_that_fill_no_tokens_are_refused_with_what_does(changes, told, folder):
    with pytest.raises(LuminaError, match=told):
        AudioVAE(folder, options(**changes)).latent_shape((1280,))


def test_a_folder_without_weights_is_one_line(changed):
    path = changed()
    (path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(LuminaError, match="cannot be read") as info:
        AudioVAE(path, options()).encode(sound(100))
    assert "\n" not in str(info.value)
