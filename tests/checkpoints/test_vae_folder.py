"""Autoencoders in the layouts of the released ones: tiny weights, the real files around them."""

import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from lumina_core import FramewiseAutoencoder, LuminaError
from lumina_core.checkpoints.vae_folder import copy_vae, find_vae
from lumina_core.cli.main import main

WEIGHTS = "diffusion_pytorch_model.safetensors"
RELEASED = {
    "sd": {"scaling_factor": 0.18215},
    "sdxl": {"scaling_factor": 0.13025, "force_upcast": True},
    "flux": {
        "latent_channels": 16,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    },
}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def build(kind):
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        **RELEASED[kind],
    ).eval()


def save(kind, folder):
    """As released: sd with old names and a bare config, flux inside its pipeline."""
    model = build(kind)
    place = folder / "vae" if kind == "flux" else folder
    model.save_pretrained(place)
    (place / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"a variant")
    (place / "README.md").write_text("a model card")
    if kind == "sd":
        weights = load_file(place / WEIGHTS)
        save_file({old_name(k): v for k, v in weights.items()}, place / WEIGHTS, {"format": "pt"})
        config = json.loads((place / "config.json").read_text())
        for key in ("scaling_factor", "shift_factor", "force_upcast", "use_quant_conv"):
            del config[key]
        (place / "config.json").write_text(json.dumps(config))
    return model


def old_name(key):
    if "attentions" in key:
        for new, old in OLD_NAMES.items():
            key = key.replace(new, old)
    return key


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that knows the three; returns what it was asked."""
    asked = []
    ids = {
        "stabilityai/sd-vae-ft-ema": "sd",
        "stabilityai/sdxl-vae": "sdxl",
        "black-forest-labs/FLUX.1-dev": "flux",
    }

    def fetch(wants):
        (want,) = wants
        asked.append(want)
        folder = tmp_path / "hub" / ids[want.hub_id]
        if not folder.exists():
            save(ids[want.hub_id], folder)
        return [folder]

    def snapshot(hub_id):
        folder = tmp_path / "hub" / ids[hub_id]
        return folder if folder.exists() else None

    monkeypatch.setattr("lumina_core.fetching.fetch", fetch)
    monkeypatch.setattr("lumina_core.hub.snapshot", snapshot)
    return asked


@pytest.mark.parametrize("name", RELEASED)
def test_known_names_lead_to_their_weights_scale_and_shift(hub, name):
    folder = find_vae("image", name, download=True)
    autoencoder = FramewiseAutoencoder(folder)
    pixels = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        raw = build(name).encode(pixels).latent_dist.mode()[0, :, None]
    facts = RELEASED[name]
    wanted = (raw - facts.get("shift_factor", 0)) * facts["scaling_factor"]
    torch.testing.assert_close(autoencoder.encode(pixels), wanted)
    assert autoencoder.decode(wanted).shape == pixels.shape
    assert not any("*.bin" in pattern or "py" in pattern[-3:] for pattern in hub[0].files)


def test_nothing_leaves_the_machine_without_download(hub, tmp_path):
    save("sdxl", tmp_path / "hub" / "sdxl")
    for name in ("sdxl", "stabilityai/sdxl-vae"):
        assert find_vae("image", name, download=False) == tmp_path / "hub" / "sdxl"
    assert hub == []


def test_a_folder_that_is_another_autoencoder_than_its_name_is_refused(hub, tmp_path):
    save("sd", tmp_path / "hub" / "sdxl")
    with pytest.raises(LuminaError, match=r"has scaling_factor 0\.18215, but 'sdxl' has 0\.13025"):
        find_vae("image", "sdxl", download=False)


def test_a_folder_and_the_folder_of_a_pipeline_serve(tmp_path):
    save("flux", tmp_path / "pipeline")
    for folder in (tmp_path / "pipeline", tmp_path / "pipeline" / "vae"):
        assert find_vae("image", str(folder), download=False) == tmp_path / "pipeline" / "vae"
    assert (find_vae("image", "demo", download=False) / "config.json").is_file()


@pytest.mark.parametrize(
    ("vae", "message"),
    [
        ("sdlx", "Did you mean 'sdxl'"),
        ("owner/never-fetched", "download=true or a folder"),
        ("{empty}", "no autoencoder in"),
    ],
)
def test_what_is_no_autoencoder_is_one_line(tmp_path, monkeypatch, vae, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LuminaError, match=message) as error:
        find_vae("image", vae.format(empty=tmp_path), download=False)
    assert "\n" not in str(error.value)


def test_only_the_autoencoder_is_copied(tmp_path):
    save("sdxl", tmp_path / "vae")
    copy_vae(tmp_path / "vae", tmp_path / "copy" / "image")
    assert {path.name for path in (tmp_path / "copy" / "image").iterdir()} == {
        "config.json",
        WEIGHTS,
    }


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_an_autoencoder_that_is_gone_is_not_copied(tmp_path, name):
    save("sdxl", tmp_path / "vae")
    (tmp_path / "vae" / name).unlink()
    with pytest.raises(LuminaError, match=r"the autoencoder in .* is gone"):
        copy_vae(tmp_path / "vae", tmp_path / "copy" / "image")
    assert not (tmp_path / "copy").exists()


def test_a_picture_is_made_with_the_autoencoder_trained_on(tmp_path, tiny_training, capsys):
    save("flux", tmp_path / "pipeline")
    words = [f"modality.vae={tmp_path / 'pipeline'}", "modality.patch_size=1", "max_steps=1"]
    assert main(["train", *tiny_training(tmp_path / "run", *words)]) == 0
    shutil.rmtree(tmp_path / "pipeline")
    checkpoint = next((tmp_path / "run" / "checkpoints").iterdir())
    out = tmp_path / "a.webp"
    words = ["run", "+modality=image", f"checkpoint={checkpoint}", "solver.num_steps=1"]
    assert main([*words, "modality.height=32", "modality.width=48", f"out={out}", "a star"]) == 0
    assert main(["run", f"repeat={out}", f"checkpoint={checkpoint}", f"out={tmp_path}/b.jpg"]) == 0
    assert main(["info", str(tmp_path / "b.jpg")]) == 0
    assert "prompt: a star" in capsys.readouterr().out
