"""The 1-D mel VAE of the released audio models: the full one without memory, a tiny one whole."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from lumina_audio.mel_autoencoder import MelAutoencoder
from lumina_audio.mel_vae import MelVAE, MelVAEShape, empty_mel_vae
from lumina_audio.options import AudioOptions
from lumina_audio.vae import AudioVAE
from lumina_core import LuminaError, PatchTokenizer
from lumina_core.checkpoints.vae_folder import copy_vae
from sounds import open_autoencoder

WEIGHTS = "diffusion_pytorch_model.safetensors"
RELEASED = MelVAEShape(80, 20, 20, 384, (1, 2, 4), 2, 5, (0,))
TINY = MelVAEShape(
    in_channels=12,
    z_channels=5,
    embed_dim=4,
    ch=32,
    ch_mult=(1, 2, 2),
    num_res_blocks=2,
    kernel_size=5,
    down_layers=(0,),
)
CONFIG = {"_class_name": "MelAutoencoder1D", "in_channels": 12, "z_channels": 5, "embed_dim": 4}
CONFIG |= {"ch": 32, "ch_mult": [1, 2, 2], "num_res_blocks": 2, "kernel_size": 5}
CONFIG |= {"down_layers": [0], "scaling_factor": 0.5}
TABLE = {
    "encoder.conv_in": (384, 80, 5),
    "encoder.down.0.block.0.conv1": (384, 384, 5),
    "encoder.down.0.block.1.conv2": (384, 384, 5),
    "encoder.down.0.downsample.conv": (384, 384, 3),
    "encoder.down.1.block.0.conv1": (768, 384, 5),
    "encoder.down.1.block.0.nin_shortcut": (768, 384, 1),
    "encoder.down.1.block.1.conv1": (768, 768, 5),
    "encoder.down.2.block.0.conv1": (1536, 768, 5),
    "encoder.down.2.block.0.nin_shortcut": (1536, 768, 1),
    "encoder.down.2.block.1.conv2": (1536, 1536, 5),
    "encoder.mid.block_1.conv1": (1536, 1536, 5),
    "encoder.mid.attn_1.norm": (1536,),
    "encoder.mid.attn_1.q": (1536, 1536, 1),
    "encoder.mid.attn_1.k": (1536, 1536, 1),
    "encoder.mid.attn_1.v": (1536, 1536, 1),
    "encoder.mid.attn_1.proj_out": (1536, 1536, 1),
    "encoder.mid.block_2.conv2": (1536, 1536, 5),
    "encoder.norm_out": (1536,),
    "encoder.conv_out": (40, 1536, 5),
    "quant_conv": (40, 40, 1),
    "post_quant_conv": (20, 20, 1),
    "decoder.conv_in": (1536, 20, 5),
    "decoder.mid.block_1.conv1": (1536, 1536, 3),
    "decoder.mid.attn_1.proj_out": (1536, 1536, 1),
    "decoder.mid.block_2.norm1": (1536,),
    "decoder.up.2.block.0.conv1": (1536, 1536, 3),
    "decoder.up.2.block.2.conv2": (1536, 1536, 3),
    "decoder.up.1.block.0.conv1": (768, 1536, 3),
    "decoder.up.1.block.0.nin_shortcut": (768, 1536, 1),
    "decoder.up.1.block.2.conv2": (768, 768, 3),
    "decoder.up.1.upsample.conv": (768, 768, 3),
    "decoder.up.0.block.0.conv1": (384, 768, 3),
    "decoder.up.0.block.0.nin_shortcut": (384, 768, 1),
    "decoder.up.0.block.2.norm2": (384,),
    "decoder.norm_out": (384,),
    "decoder.conv_out": (80, 384, 5),
}
"""Weights of the released model, of each an example."""


def options(**changes):
    """Those that the tiny model needs, but for the changes."""
    values = {"seconds": 0.5, "sample_rate": 16_000, "n_fft": 512, "hop_length": 256}
    values |= {"num_mels": 12, "fmin": 0.0, "fmax": 8000.0, "mel_scale": "slaney"}
    values |= {"mel_range": (-1.0, 1.0), "patch": (4, 1), "vae": "folder"}
    return AudioOptions(**values | {"vocoder": "griffin_lim"} | changes)


def tiny_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MelVAE(TINY).state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the tiny model."""
    path = tmp_path_factory.mktemp("mel") / "vae"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file(tiny_weights(), path / WEIGHTS)
    return path


@pytest.fixture
def changed(folder, tmp_path):
    """Copy the folder with other values in its config.json."""

    def change(**values):
        path = shutil.copytree(folder, tmp_path / "vae")
        (path / "config.json").write_text(json.dumps(CONFIG | values))
        return path

    return change


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Reference:
    """The released model by its weights alone, written down from the table."""

    def __init__(self, weights):
        self.weights = weights

    def conv(self, name, x, **kwargs):
        weight, bias = (self.weights[f"{name}.{part}"] for part in ("weight", "bias"))
        if not kwargs:
            kwargs = {"padding": weight.shape[2] // 2}
        return functional.conv1d(x, weight, bias, **kwargs)

    def norm(self, name, x):
        groups = x.reshape(len(x), 32, -1)
        mean, std = groups.mean(2), (groups.var(2, unbiased=False) + 1e-6).sqrt()
        x = ((groups - mean[..., None]) / std[..., None]).reshape(x.shape)
        weight, bias = (self.weights[f"{name}.{part}"][:, None] for part in ("weight", "bias"))
        return x * weight + bias

    def swish(self, x):
        return x * torch.sigmoid(x)

    def block(self, name, x):
        made = self.conv(f"{name}.conv1", self.swish(self.norm(f"{name}.norm1", x)))
        made = self.conv(f"{name}.conv2", self.swish(self.norm(f"{name}.norm2", made)))
        shortcut = f"{name}.nin_shortcut"
        return made + (self.conv(shortcut, x) if f"{shortcut}.weight" in self.weights else x)

    def middle(self, name, x):
        x = self.block(f"{name}.block_1", x)
        normed = self.norm(f"{name}.attn_1.norm", x)
        q, k, v = (self.conv(f"{name}.attn_1.{part}", normed) for part in "qkv")
        shares = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(dim=2)
        x = x + self.conv(f"{name}.attn_1.proj_out", v @ shares.transpose(1, 2))
        return self.block(f"{name}.block_2", x)

    def end(self, name, x):
        return self.conv(f"{name}.conv_out", self.swish(self.norm(f"{name}.norm_out", x)))

    def encode(self, mel):
        x = self.conv("encoder.conv_in", mel)
        for level in range(3):
            for number in range(2):
                x = self.block(f"encoder.down.{level}.block.{number}", x)
            if level == 0:
                x = torch.cat([x, torch.zeros_like(x[:, :, :1])], dim=2)
                x = self.conv("encoder.down.0.downsample.conv", x, stride=2)
        moments = self.conv("quant_conv", self.end("encoder", self.middle("encoder.mid", x)))
        return moments[:, : moments.shape[1] // 2]

    def decode(self, z):
        x = self.conv("decoder.conv_in", self.conv("post_quant_conv", z))
        x = self.middle("decoder.mid", x)
        for level in (2, 1, 0):
            for number in range(3):
                x = self.block(f"decoder.up.{level}.block.{number}", x)
            if level == 1:
                x = self.conv("decoder.up.1.upsample.conv", x.repeat_interleave(2, dim=2))
        return self.end("decoder", x)


def test_the_weights_have_the_released_names_and_shapes():
    found = {key: tuple(x.shape) for key, x in empty_mel_vae(RELEASED).state_dict().items()}
    for name, shape in TABLE.items():
        assert found[f"{name}.weight"] == shape
        assert found[f"{name}.bias"] == shape[:1]
    blocks = {"encoder": 3 * 2 + 2, "decoder": 3 * 3 + 2}  # of 4 layers, 2 of each with a shortcut
    num_layers = sum(4 * n + 2 + 5 + 1 + 3 for n in blocks.values()) + 2  # attention, resampling
    assert len(found) == 2 * num_layers


def test_both_directions_compute_what_the_released_model_does():
    weights = tiny_weights()
    weights = {key: x + 0.1 * noise(*x.shape, seed=1) for key, x in weights.items()}
    model, reference = MelVAE(TINY).eval(), Reference(weights)
    model.load_state_dict(weights)
    mel = 3 * noise(2, 12, 18) - 5
    with torch.no_grad():
        z = model.encode(mel)
        torch.testing.assert_close(z, reference.encode(mel), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.decode(z), reference.decode(z), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [4, 5, 8, 9])
def test_time_is_halved_and_doubled(length):
    with torch.no_grad():
        model = MelVAE(TINY)
        z = model.encode(noise(1, 12, length))
        assert z.shape == (1, 4, length // 2)
        assert model.decode(z).shape == (1, 12, length // 2 * 2)


def test_two_halvings_are_a_stride_of_four(changed):
    autoencoder = open_autoencoder(changed(down_layers=[0, 1]))
    assert autoencoder.strides == (4, 12)
    z = MelVAE(autoencoder.shape).encode(noise(1, 12, 8))
    assert z.shape == (1, 4, 2)


def test_a_folder_gives_shapes_without_weights(changed):
    path = changed()
    (path / WEIGHTS).unlink()
    autoencoder = open_autoencoder(path)
    assert isinstance(autoencoder, MelAutoencoder)
    assert (autoencoder.channels, autoencoder.strides) == (4, (2, 12))


@pytest.mark.parametrize("length", [1, 2048, 9000])
def test_the_latent_of_a_sound_is_one_column_wide(length, folder):
    vae = AudioVAE(folder, options())
    media = (noise(length).clamp(-1, 1) * 8000).to(torch.int16)
    latent = vae.encode(media)
    assert latent.shape == vae.latent_shape((length,)) == (4, 1, -(-length // 2048) * 4, 1)
    assert latent.dtype == torch.float32
    assert vae.autoencoder.decode(latent).shape == (1, 1, 2 * latent.shape[2], 12)


def test_tokens_of_a_latent_one_column_wide_give_it_back(folder):
    vae = AudioVAE(folder, options())
    tokenizer = PatchTokenizer(4, (1, *options().patch), lambda *_: (0.0, 1.0, 8.0))
    latent = noise(*vae.latent_shape((9000,)))
    tokens, grid = tokenizer.tokenize(latent), tokenizer.grid(tuple(latent.shape))
    assert tokens.shape == (5, 16)
    assert torch.equal(tokenizer.detokenize(tokens, grid), latent)


def test_latents_are_normalised_by_the_scaling_factor(folder):
    pixels = noise(1, 1, 8, 12)
    raw = Reference(load_file(folder / WEIGHTS)).encode(pixels[0].transpose(1, 2))
    latent = open_autoencoder(folder).encode(pixels)
    torch.testing.assert_close(latent[:, 0, :, 0], raw[0] * 0.5, atol=1e-5, rtol=1e-4)


def test_latents_are_normalised_by_statistics_where_they_are_given(changed):
    means, stds = [1.0, 2.0, 3.0, 4.0], [0.5, 1.0, 2.0, 4.0]
    path = changed(latents_mean=means, latents_std=stds)
    pixels = noise(1, 1, 8, 12)
    reference, autoencoder = Reference(load_file(path / WEIGHTS)), open_autoencoder(path)
    raw = reference.encode(pixels[0].transpose(1, 2))
    mean, std = (torch.tensor(x)[:, None] for x in (means, stds))
    latent = autoencoder.encode(pixels)
    torch.testing.assert_close(latent[:, 0, :, 0], (raw[0] - mean) / std, atol=1e-5, rtol=1e-4)
    wanted = reference.decode(raw).transpose(1, 2)
    torch.testing.assert_close(autoencoder.decode(latent)[0], wanted, atol=1e-4, rtol=1e-4)


def test_a_patch_wider_than_the_latent_is_refused_with_a_legal_one(folder):
    with pytest.raises(LuminaError, match=r"use modality\.patch=\[2,1\]$"):
        AudioVAE(folder, options(patch=(2, 5))).latent_shape((1280,))


def test_another_number_of_bands_is_refused_with_the_right_one(folder):
    with pytest.raises(LuminaError, match=r"takes 12 mel bands; set modality\.num_mels=12$"):
        AudioVAE(folder, options(num_mels=24)).latent_shape((1280,))


def test_a_checkpoint_takes_a_copy_that_works_alone(folder, tmp_path):
    copy_vae(folder, tmp_path / "copy")
    pixels = noise(1, 1, 8, 12)
    first, second = (open_autoencoder(path).encode(pixels) for path in (folder, tmp_path / "copy"))
    assert torch.equal(first, second)


def test_half_precision_is_read_as_float32(changed):
    path = changed()
    save_file({key: x.bfloat16() for key, x in tiny_weights().items()}, path / WEIGHTS)
    assert open_autoencoder(path).encode(noise(1, 1, 8, 12)).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quant_conv.bias": None}, r"missing: quant_conv\.bias\)$"),
        ({"encoder.extra": torch.zeros(1)}, r"unexpected: encoder\.extra\)$"),
        ({"quant_conv.bias": torch.zeros(3)}, r"another shape: quant_conv\.bias \[3\], not \[8\]"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, told, changed):
    path, weights = changed(), tiny_weights() | change
    save_file({key: x for key, x in weights.items() if x is not None}, path / WEIGHTS)
    with pytest.raises(LuminaError, match=told):
        open_autoencoder(path).model()


@pytest.mark.parametrize("content", [None, b"", b"no safetensors"])
def test_a_broken_file_is_one_line(content, changed):
    path = changed()
    (path / WEIGHTS).unlink()
    if content is not None:
        (path / WEIGHTS).write_bytes(content)
    with pytest.raises(LuminaError, match=f"{WEIGHTS} cannot be read") as info:
        open_autoencoder(path).encode(noise(1, 1, 8, 12))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ch": 33}, "ch is '33', not a multiple of 32"),
        ({"ch_mult": []}, "ch_mult is '\\[\\]', not a list"),
        ({"ch_mult": [1, 65]}, "ch_mult is"),
        ({"kernel_size": 4}, "kernel_size is '4', not an odd number"),
        ({"down_layers": [2]}, "down_layers is '\\[2\\]', not a list of levels below 2"),
        ({"down_layers": 0}, "down_layers is '0'"),
        ({"num_res_blocks": 0}, "num_res_blocks is '0'"),
        ({"embed_dim": -1}, "embed_dim is '-1'"),
        ({"in_channels": "80"}, "in_channels is '80'"),
        ({"scaling_factor": 0}, "scaling_factor is '0', not a number above 0"),
        ({"latents_mean": [1.0]}, "latents_mean is"),
    ],
)
def test_a_config_that_describes_no_model_is_refused(values, told, changed):
    with pytest.raises(LuminaError, match=told):
        _ = open_autoencoder(changed(**values)).channels


def test_a_config_without_a_width_is_refused(changed):
    path = changed()
    (path / "config.json").write_text(json.dumps({"_class_name": "MelAutoencoder1D"}))
    with pytest.raises(LuminaError, match="describes no autoencoder"):
        _ = open_autoencoder(path).strides


@pytest.mark.parametrize("values", [{"ch": 320_000}, {"ch": 3200, "num_res_blocks": 10}], ids=str)
def test_a_vae_larger_than_its_weights_is_not_built(changed, values):
    with pytest.raises(LuminaError, match="its config asks for more weights than"):
        open_autoencoder(changed(**values)).model()
