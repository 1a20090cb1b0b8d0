import errno
import json
import shutil
from threading import Thread

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from lumina_core import FramewiseAutoencoder, LuminaError
from lumina_core.cli.main import main
from lumina_core.training import train_vae
from lumina_core.training.train_vae import (
    AutoencoderShape,
    autoencoder_loss,
    build_autoencoder,
    edge_weights,
)

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tiny_vae, tmp_path):
    shutil.copytree(tiny_vae, tmp_path / "vae")
    return tmp_path / "vae"


def pixels(frames=2, height=16, width=24):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_shapes_follow_from_the_config_without_weights(folder):
    (folder / WEIGHTS).unlink()
    autoencoder = FramewiseAutoencoder(folder)
    assert (autoencoder.stride, autoencoder.channels) == (4, 4)


def test_each_frame_is_as_if_alone(tiny_vae):
    autoencoder = FramewiseAutoencoder(tiny_vae)
    media = pixels()
    latent = autoencoder.encode(media)
    assert latent.shape == (4, 2, 4, 6)
    assert torch.equal(autoencoder.encode(media[1:])[:, 0], latent[:, 1])
    decoded = autoencoder.decode(latent)
    assert decoded.shape == media.shape
    assert torch.equal(autoencoder.decode(latent[:, 1:])[0], decoded[1])


def test_statistics_are_taken_off_and_put_back(folder):
    plain = FramewiseAutoencoder(folder)
    mean, std = plain.config["latents_mean"], plain.config["latents_std"]
    latent = plain.encode(pixels())
    change_config(folder, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    raw = FramewiseAutoencoder(folder)
    mean, std = (torch.tensor(x)[:, None, None, None] for x in (mean, std))
    torch.testing.assert_close(raw.encode(pixels()), latent * std + mean)
    torch.testing.assert_close(raw.decode(latent * std + mean), plain.decode(latent))


def test_without_statistics_the_scaling_factor_counts(folder):
    change_config(folder, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    raw = FramewiseAutoencoder(folder).encode(pixels())
    change_config(folder, latents_mean=None, latents_std=None, scaling_factor=0.5, shift_factor=3.0)
    torch.testing.assert_close(FramewiseAutoencoder(folder).encode(pixels()), (raw - 3) * 0.5)


def test_a_pickle_is_never_read(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "diffusion_pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(LuminaError, match="cannot be read"):
        FramewiseAutoencoder(folder).encode(pixels())


def test_weights_must_fit_exactly(folder):
    weights = load_file(folder / WEIGHTS)
    name = next(iter(weights))
    for changed in (
        {**weights, "extra": torch.zeros(1)},
        {k: weights[k] for k in weights if k != name},
    ):
        save_file(changed, folder / WEIGHTS, metadata={"format": "pt"})
        with pytest.raises(LuminaError, match="do not fit"):
            FramewiseAutoencoder(folder).encode(pixels())


@pytest.mark.parametrize("content", [None, "broken", "[]", "{}", "[" * 100_000])
def test_a_folder_without_autoencoder_is_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(LuminaError, match="give a diffusers folder"):
        _ = FramewiseAutoencoder(tmp_path).stride


def test_an_autoencoder_of_another_kind_is_one_line(folder):
    change_config(folder, _class_name="AutoencoderKLOther")
    with pytest.raises(LuminaError, match="a 'AutoencoderKLOther', not an AutoencoderKL; give"):
        _ = FramewiseAutoencoder(folder).stride


@pytest.mark.parametrize(
    "damage",
    [
        {"block_out_channels": 5},
        {"block_out_channels": []},
        {"block_out_channels": ["8", 8]},
        {"block_out_channels": [8, 0]},
        {"block_out_channels": [8] * 99},
        {"latent_channels": "four"},
        {"latent_channels": None},
        {"latent_channels": 0},
        {"latent_channels": True},
        {"latent_channels": 10**400},
        {"scaling_factor": 0},
        {"scaling_factor": None},
        {"scaling_factor": [1.0]},
        {"scaling_factor": float("nan")},
        {"scaling_factor": 1e-320},
        {"shift_factor": "none"},
        {"shift_factor": float("inf")},
        {"latents_mean": [0.0] * 3},
        {"latents_mean": 0.0},
        {"latents_mean": [0.0, 0.0, 0.0, "x"]},
        {"latents_std": [1.0] * 5},
        {"latents_std": [1.0, 1.0, 0.0, 1.0]},
        {"latents_std": [1.0, 1.0, 10**400, 1.0]},
    ],
)
def test_a_damaged_config_is_one_line_that_names_the_key(folder, damage):
    assert FramewiseAutoencoder(folder).channels == 4
    change_config(folder, **damage)
    key = next(iter(damage))
    with pytest.raises(LuminaError, match=f"no autoencoder: {key} is .*, not a ") as raised:
        _ = FramewiseAutoencoder(folder).config
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_reading_prints_nothing(tiny_vae, capfd):
    FramewiseAutoencoder(tiny_vae).encode(pixels())
    assert capfd.readouterr() == ("", "")


def test_threads_share_one_set_of_weights(tiny_vae):
    autoencoder = FramewiseAutoencoder(tiny_vae)
    seen = []
    threads = [Thread(target=lambda: seen.append(autoencoder.model())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in seen}) == 1


def test_training_lowers_its_loss():
    model = build_autoencoder(AutoencoderShape(4, (8, 8), 1), seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(25):
        loss = autoencoder_loss(model, pixels(), torch.Generator().manual_seed(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_faint_edges_count_more_than_clear_ones_and_plain_areas_least():
    picture = torch.full((1, 3, 8, 24), -0.5)
    picture[..., 8:16] = 0.7
    picture[..., 16:] = 0.5  # a faint edge at 16, a clear one at 8
    weights = edge_weights(picture, strength=4)[0, 0, 0]
    assert weights[15] > 2 * weights[7] > 2 * weights[3]
    assert torch.allclose(weights.mean(), torch.tensor(1.0))
    assert torch.equal(edge_weights(picture, strength=0), torch.ones(1, 1, 8, 24))


def test_a_new_autoencoder_depends_on_its_seed_alone():
    shape = AutoencoderShape(4, (8, 16), 1)
    first, second, third = (build_autoencoder(shape, seed) for seed in (0, 0, 1))
    weights = [next(model.parameters()) for model in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("channels", [(4, 8), (12, 16), (24, 32)])
def test_channels_that_no_group_norm_takes_are_refused(channels):
    with pytest.raises(LuminaError, match="block_channels="):
        AutoencoderShape(4, channels, 1)


def test_train_vae_never_deletes_what_it_did_not_write(tmp_path, capsys):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years")
    for words in ([], ["overwrite=true"]):
        assert main(["train-vae", "+modality=image", f"out={out}", *words]) == 2
        assert capsys.readouterr().err.startswith("error: out=")
    assert (out / "thesis.txt").read_text() == "years"


def test_train_vae_deletes_nothing_behind_a_link(tiny_vae, tmp_path, files_below, refusal):
    (tmp_path / "link").symlink_to(tiny_vae)
    before = files_below(tiny_vae)
    error = refusal("train-vae", "+modality=image", f"out={tmp_path / 'link'}", "overwrite=true")
    assert "link is a link" in error
    assert f"choose as out the folder that it leads to, {tiny_vae}" in error
    assert files_below(tiny_vae) == before


def test_a_failed_save_keeps_the_autoencoder_that_it_would_replace(
    tiny_vae, tmp_path, monkeypatch, files_below, refusal
):
    monkeypatch.setattr(train_vae, "NUM_STATISTICS", 2)
    out = tmp_path / "out"
    shutil.copytree(tiny_vae, out)
    before = files_below(tmp_path)
    words = ["batch_size=2", "max_steps=1", "block_channels=[8]", "overwrite=true"]
    words = ["train-vae", "+modality=image", f"out={out}", *words]

    def fill_the_disk(model, folder):
        (folder / WEIGHTS).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderKL, "save_pretrained", fill_the_disk)
        assert "No space left" in refusal(*words)
    assert files_below(tmp_path) == before
    assert main(words) == 0
    after = files_below(tmp_path)
    assert after.keys() == before.keys()
    assert after != before


@pytest.mark.parametrize("decoder_only", [False, True])
def test_training_goes_on_from_an_autoencoder(tiny_vae, tmp_path, monkeypatch, decoder_only):
    monkeypatch.setattr(train_vae, "NUM_STATISTICS", 2)
    out = tmp_path / "out"
    words = [f"init_from={tiny_vae}", f"decoder_only={decoder_only}".lower(), "max_steps=2"]
    assert main(["train-vae", "+modality=image", f"out={out}", "batch_size=2", *words]) == 0
    before, after = (
        load_file(folder / "diffusion_pytorch_model.safetensors") for folder in (tiny_vae, out)
    )
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.startswith("decoder") for key in changed)
    assert any(key.startswith("encoder") for key in changed) != decoder_only
    configs = [json.loads((folder / "config.json").read_text()) for folder in (tiny_vae, out)]
    assert (configs[0]["latents_mean"] == configs[1]["latents_mean"]) == decoder_only
    assert str(tiny_vae) not in (out / "config.json").read_text()


def test_a_kept_encoder_must_exist(tmp_path, capsys):
    words = ["train-vae", "+modality=image", f"out={tmp_path / 'out'}", "decoder_only=true"]
    assert main(words) == 2
    assert "give init_from=FOLDER" in capsys.readouterr().err


def test_bfloat16_computes_alike_and_stores_float32(tiny_vae, tmp_path, monkeypatch):
    monkeypatch.setattr(train_vae, "NUM_STATISTICS", 2)
    made = []
    for dtype in ("float32", "bfloat16"):
        words = [f"out={tmp_path / dtype}", f"init_from={tiny_vae}", f"dtype={dtype}"]
        assert main(["train-vae", "+modality=image", "batch_size=2", "max_steps=2", *words]) == 0
        weights = load_file(tmp_path / dtype / WEIGHTS)
        assert {weight.dtype for weight in weights.values()} == {torch.float32}
        made.append(torch.cat([weight.flatten() for weight in weights.values()]))
    apart = (made[0] - made[1]).abs().max()
    assert 0 < apart <= 4.1 * 0.002  # two steps of AdamW, each by at most the rate
