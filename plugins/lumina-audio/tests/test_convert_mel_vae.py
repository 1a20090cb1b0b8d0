"""The released checkpoints of the 1-D mel VAE, tiny and of the same names, become a folder."""

import json
from collections import OrderedDict

import pytest
import torch

from lumina_audio.convert_mel_vae import convert_mel_vae, main
from lumina_audio.mel_vae import MelVAE, MelVAEShape
from lumina_core import LuminaError
from sounds import open_autoencoder

TINY = MelVAEShape(12, 5, 4, 32, (1, 2, 2), 2, 5, (0,))


@pytest.fixture(scope="module")
def weights():
    """Of a tiny model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MelVAE(TINY).state_dict()


@pytest.fixture
def saved(weights, tmp_path):
    """Save a checkpoint of Lightning."""

    def save(prefix="", **others):
        state = OrderedDict({f"{prefix}{key}": x for key, x in weights.items()} | others)
        state = OrderedDict({key: x for key, x in state.items() if x is not None})
        torch.save({"epoch": 3, "state_dict": state}, tmp_path / "model.ckpt")
        return tmp_path / "model.ckpt"

    return save


def pixels():
    return torch.randn(1, 1, 8, 12, generator=torch.Generator().manual_seed(0))


def test_the_vae_by_itself_becomes_a_folder(saved, weights, tmp_path):
    others = {"loss.logvar": torch.zeros(()), "loss.discriminator.0.weight": torch.zeros(3)}
    assert convert_mel_vae(saved(**others), tmp_path / "vae") == 1
    autoencoder = open_autoencoder(tmp_path / "vae")
    assert autoencoder.shape == TINY
    model = MelVAE(TINY).eval()
    model.load_state_dict(weights)
    with torch.no_grad():
        wanted = model.encode(pixels()[0].transpose(1, 2))
    torch.testing.assert_close(autoencoder.encode(pixels())[:, 0, :, 0], wanted[0])
    assert {path.name for path in (tmp_path / "vae").iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }


def test_the_whole_model_also_gives_the_multiplier_of_its_latents(saved, weights, tmp_path):
    alone, whole = tmp_path / "alone", tmp_path / "whole"
    convert_mel_vae(saved(), alone)
    others = {"scale_factor": torch.tensor(0.25), "betas": torch.zeros(9)}
    others |= {"model.diffusion_model.proj_in.weight": torch.zeros(2, 2)}
    assert convert_mel_vae(saved("first_stage_model.", **others), whole) == 0.25
    first, second = (open_autoencoder(path).encode(pixels()) for path in (alone, whole))
    torch.testing.assert_close(second, 0.25 * first)
    assert json.loads((whole / "config.json").read_text())["scaling_factor"] == 0.25


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quant_conv.bias": None}, r"missing: quant_conv\.bias"),
        ({"encoder.down.2.block.7.norm1.weight": torch.zeros(64)}, "unexpected: encoder.down.2.bl"),
        ({"decoder.conv_out.bias": torch.zeros(3)}, r"decoder\.conv_out\.bias \[3\], not \[12\]"),
        ({"encoder.conv_in.weight": None}, "holds no 1-D VAE .*'encoder.conv_in.weight'"),
        ({"encoder.conv_in.weight": torch.zeros(3, 3)}, "holds no 1-D VAE"),
        ({"encoder.conv_in.weight": torch.zeros(33, 12, 5)}, "ch is 33, not a multiple of 32"),
        ({"post_quant_conv.weight": torch.zeros(())}, "holds no 1-D VAE"),
        ({"scale_factor": torch.tensor(float("nan"))}, "scaling_factor is nan, not a number"),
        ({"scale_factor": torch.zeros(2)}, "holds no 1-D VAE"),
    ],
)
def test_another_model_is_refused_and_leaves_nothing(change, told, saved, tmp_path):
    with pytest.raises(LuminaError, match=told) as info:
        convert_mel_vae(saved(**change), tmp_path / "vae")
    assert "\n" not in str(info.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]


class Trap:
    """What a pickle would run."""

    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("content", ["trap", "list", "text", "nothing", "missing"])
def test_a_file_of_another_kind_is_one_line_and_runs_nothing(content, tmp_path, capsys):
    path = tmp_path / "model.ckpt"
    if content in ("trap", "list"):
        torch.save({"state_dict": Trap()} if content == "trap" else [1, 2], path)
    elif content != "missing":
        path.write_text("no checkpoint" * (content == "text"))
    assert main([str(path), str(tmp_path / "vae")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {path} ")
    assert err.count("\n") == 1
    assert not (tmp_path / "vae").exists()


def test_a_folder_that_exists_stays(saved, tmp_path, capsys):
    (tmp_path / "vae").mkdir()
    assert main([str(saved()), str(tmp_path / "vae")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not list((tmp_path / "vae").iterdir())


def test_the_command_says_what_it_made_and_how_it_is_used(saved, tmp_path, capsys):
    assert main([str(saved()), str(tmp_path / "vae")]) == 0
    assert "modality.mel_range=[-1,1]" in capsys.readouterr().out
    assert main(["one"]) == 2
    assert "FILE FOLDER" in capsys.readouterr().err
