"""Configs that ask for more than their weights are: one line, before anything is built."""

import json
import os
import resource
import shutil
import threading

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from checkpoint_edits import edit_manifest, read, refusal
from lumina_core import LuminaError, built_within
from lumina_core.autoencoder.networks import read_autoencoder
from lumina_core.checkpoints import manifest
from lumina_core.sampling.compose import compose_run
from lumina_core.text.encoder import load_text_encoder
from lumina_core.text.folder import open_folder
from lumina_core.text.settings import Reading

MAX_SECONDS = 20  # of CPU; what is refused here would take minutes, or all memory
READING = Reading(16)


@pytest.fixture
def briefly():
    """Fail where a test computes for long: the limits are not on the clock, which others slow."""
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    yield
    assert sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before < MAX_SECONDS


def one_line(call):
    with pytest.raises(LuminaError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def changed_copy(folder, target, **values):
    """A copy of a folder whose config.json says something else."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | values))
    return target


@pytest.mark.parametrize(
    "backbone",
    [
        {"depth": 10**7},
        {"hidden_size": 10**9, "rope": "sequence", "rope_dims": None},
        {"hidden_size": 10**30, "rope": "sequence", "rope_dims": None},
        {"text_dim": 10**9},
        {"conditioning_size": 10**12},
        {"multiple_of": 10**10},
        {"ffn_dim_multiplier": 1e308},
    ],
    ids=str,
)
def test_a_backbone_larger_than_its_weights_is_not_built(checkpoint_copy, briefly, backbone):
    stored = manifest.read_manifest(checkpoint_copy)["backbone"]
    edit_manifest(checkpoint_copy, backbone=stored | backbone)
    assert "backbone.safetensors does not fit its manifest" in refusal(checkpoint_copy)


@pytest.mark.parametrize("key", ["token_dim", "feature_dim"])
def test_a_modality_larger_than_the_weights_is_not_built(checkpoint_copy, briefly, key):
    entry = manifest.read_manifest(checkpoint_copy)["modalities"]["image"]
    edit_manifest(checkpoint_copy, modalities={"image": entry | {key: 10**12}})
    assert "backbone.safetensors does not fit its manifest" in refusal(checkpoint_copy)


@pytest.mark.parametrize("name", ["../../x", "/etc", "", "a b", "Image", "image\n", "x\x1b[31m"])
def test_a_manifest_names_no_path_as_a_modality(checkpoint_copy, name):
    entry = manifest.read_manifest(checkpoint_copy)["modalities"]["image"]
    edit_manifest(checkpoint_copy, modalities={"image": entry, name: entry})
    said = f"{checkpoint_copy}/lumina.json is damaged: modalities names "
    assert said in refusal(checkpoint_copy)
    words = [f"checkpoint={checkpoint_copy}", "prompt=x"]
    assert said in one_line(lambda: compose_run(words))


@pytest.mark.parametrize("values", [{"padded": True, "max_tokens": 10**9}, {"max_tokens": -1}])
def test_a_manifest_fills_no_text_without_limit(checkpoint_copy, values):
    about = manifest.read_manifest(checkpoint_copy)["text_encoder"]
    edit_manifest(checkpoint_copy, text_encoder=about | values)
    said = f"{checkpoint_copy}/lumina.json: text_encoder.max_tokens is {values['max_tokens']}; set"
    assert said in refusal(checkpoint_copy)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("llama2_7b", {"num_hidden_layers": 10**8}),
        ("llama2_7b", {"num_hidden_layers": 900}),
        ("llama2_7b", {"hidden_size": 10**9}),
        ("llama2_7b", {"vocab_size": 10**9}),
        ("llama2_7b", {"intermediate_size": 10**10}),
        ("llama2_7b", {"num_labels": 10**9}),
        ("gemma_2b", {"num_hidden_layers": 10**8}),
        ("gemma_2b", {"head_dim": 10**9}),
        ("t5", {"num_layers": 10**8}),
        ("t5", {"d_model": 10**9}),
        ("t5", {"d_ff": 10**10}),
        ("t5", {"relative_attention_num_buckets": 10**10}),
    ],
    ids=str,
)
def test_a_text_encoder_larger_than_its_weights_is_not_built(
    encoder_folders, tmp_path, briefly, kind, values
):
    folder = changed_copy(encoder_folders[kind], tmp_path / "encoder", **values)
    assert f"the text encoder in {folder}" in one_line(lambda: load_text_encoder(folder, READING))


@pytest.mark.parametrize("kind", ["llama2_7b", "gemma_2b", "t5"])
def test_a_text_encoder_of_another_width_is_refused_before_its_weights_are_read(
    encoder_folders, tmp_path, kind
):
    key = "d_model" if kind == "t5" else "hidden_size"
    folder = changed_copy(encoder_folders[kind], tmp_path / "encoder", **{key: 10**9})
    assert "weights of other widths" in one_line(lambda: open_folder(folder, READING))


def test_a_tokenizer_makes_no_tokens_without_limit(encoder_folders, tmp_path, briefly):
    folder = changed_copy(encoder_folders["t5"], tmp_path / "encoder")
    about = {"tokenizer_class": "T5Tokenizer", "extra_ids": 10**8}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    assert "extra_ids is 100000000" in one_line(lambda: open_folder(folder, READING))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("is_device", [False, True])
def test_a_text_encoder_with_a_file_that_never_ends_is_refused(tmp_path, name, is_device):
    (tmp_path / "config.json").write_text("{}")
    path = tmp_path / name
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero") if is_device else os.mkfifo(path)
    one_line(lambda: open_folder(tmp_path, READING))


@pytest.mark.parametrize(
    "values",
    [
        {"layers_per_block": 10**7},
        {"block_out_channels": [10**6, 10**6, 10**6]},
        {"latent_channels": 10**6, "latents_mean": None, "latents_std": None},
        {"norm_num_groups": 10**9, "block_out_channels": [10**9] * 3},
    ],
    ids=str,
)
def test_an_autoencoder_larger_than_its_weights_is_not_built(tiny_vae, tmp_path, briefly, values):
    folder = changed_copy(tiny_vae, tmp_path / "vae", **values)
    assert f"the autoencoder in {folder}" in one_line(lambda: read_autoencoder(folder))


def test_weights_that_never_end_are_refused(tiny_vae, tmp_path):
    folder = changed_copy(tiny_vae, tmp_path / "vae")
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    os.mkfifo(folder / "diffusion_pytorch_model.safetensors")
    assert "it is no regular file" in one_line(lambda: read_autoencoder(folder))


def test_a_model_as_large_as_its_weights_is_built(tmp_path, checkpoint_copy):
    read(checkpoint_copy)
    save_file({"weight": torch.zeros(8, 8), "bias": torch.zeros(8)}, tmp_path / "a.safetensors")
    with built_within([tmp_path / "a.safetensors"]):
        nn.Linear(8, 8)
    with (
        pytest.raises(ValueError, match="more weights than the 2 tensors"),
        built_within([tmp_path / "a.safetensors"]),
    ):
        nn.Linear(2**11, 2**11, device="meta")
    nn.Linear(2**11, 2**11, device="meta")  # the limit has gone


def test_another_thread_builds_what_it_likes(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    built = []
    with built_within([tmp_path / "a.safetensors"]):
        thread = threading.Thread(
            target=lambda: built.append(nn.Linear(2**11, 2**11, device="meta"))
        )
        thread.start()
        thread.join()
    assert built
