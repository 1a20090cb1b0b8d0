"""What `checkpoint=` takes, told by content; each layout of the same weights is one network."""

import argparse
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from single_files import fused, released, write_index, write_parts

from lumina_core import LuminaError
from lumina_core.checkpoints import model as checkpoint
from lumina_core.checkpoints.formats import find_source, source_of
from lumina_core.checkpoints.placement import Placement
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options

CPU = torch.device("cpu")
PARTS = ("vae", "text_encoder", "tokenizer", "scheduler")
NAMES = {"lumina2": "lumina_image_2", "z_image": "z_image", "lumina_next": "next_dit"}
SINGLE = ("fused", "prefixed", "wrapped")
LAYOUTS = [
    *(("lumina2", kind) for kind in (*SINGLE, "index", "transformer")),
    *(("z_image", kind) for kind in (*SINGLE, "index", "transformer")),
    *(
        ("lumina_next", kind)
        for kind in ("released", "parts", "ema", "pth", "index", "transformer")
    ),
]
"""Families, and how their weights are stored."""


def state_of(folder):
    return load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")


def stored(pipeline, family, kind, out):
    """The weights of a pipeline's folder stored in another way, its parts beside them."""
    out.mkdir()
    state = state_of(pipeline)
    for part in PARTS:
        (out / part).symlink_to(pipeline / part)
    file = out / "model.safetensors"
    if kind in ("index", "transformer"):
        shutil.copy(pipeline / "model_index.json", out)
        (out / "transformer").mkdir()
        shutil.copy(pipeline / "transformer" / "config.json", out / "transformer")
        if kind == "index":
            write_index(out / "transformer", state)
            return out
        save_file(state, out / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
        return out / "transformer"
    if family == "lumina_next":
        weights = released(state)
        total = 2 if kind == "parts" else 1
        if kind == "pth":
            torch.save(weights, out / "consolidated.00-of-01.pth")
            return out
        if kind == "ema":
            wrong = {key: value + 1 for key, value in weights.items()}
            write_parts(out, wrong)
        return write_parts(
            out, weights, total, "consolidated_ema" if kind == "ema" else "consolidated"
        )
    weights = fused(state, family)
    if kind == "wrapped":
        torch.save({"state_dict": weights}, out / "model.pth")
        return out
    if kind == "prefixed":
        weights = {f"model.diffusion_model.{key}": value for key, value in weights.items()}
        weights["vae.decoder.weight"] = torch.zeros(1)
    save_file(weights, file)
    return file


def loaded(path):
    source = source_of(path)
    options = compose_options("image", {"vae": "demo", "patch_size": 2})
    placement = Placement(CPU, torch.float32)
    return source, checkpoint.opened(source, "image", options, placement)


@pytest.mark.parametrize(("family", "kind"), LAYOUTS)
def test_each_layout_gives_the_same_network(tiny_pipeline, tmp_path, family, kind):
    folder = tiny_pipeline(family).folder
    _, wanted = loaded(folder)
    source, found = loaded(stored(folder, family, kind, tmp_path / "other"))
    assert source.manifest["family"] == NAMES[family]
    assert found.backbone.config == wanted.backbone.config
    weights = wanted.backbone.state_dict()
    assert weights.keys() == found.backbone.state_dict().keys()
    for name, value in found.backbone.state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert torch.equal(*(m.text_features(["a red circle"])[0] for m in (found, wanted)))
    assert found.modality.vae.folder.resolve() == wanted.modality.vae.folder.resolve()


def test_arguments_of_a_training_come_before_the_description(tiny_pipeline, tmp_path):
    folder = tiny_pipeline("lumina_next").folder
    path = stored(folder, "lumina_next", "pth", tmp_path / "other")
    usual = {"height": 1024, "width": 1024}
    assert source_of(path).usual == usual
    given = argparse.Namespace(image_size=512, vae="sdxl", lm="gemma", qk_norm=True)
    torch.save(given, path / "model_args.pth")
    assert source_of(path).usual == {"height": 512, "width": 512}
    (path / "vae").unlink()
    assert source_of(path).usual == {"height": 512, "width": 512, "vae": "sdxl"}
    assert source_of(path).open_options == {"vae"}
    torch.save({"image_size": 512}, path / "model_args.pth")
    assert "holds no arguments" in refusal(path)


def test_source_hash_tells_weights_apart(tiny_pipeline, tmp_path):
    folder = tiny_pipeline("lumina2").folder
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    assert source_of(folder).sha256 == source_of(other).sha256
    path = other / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({key: value * 1.5 for key, value in weights.items()}, path)
    assert source_of(folder).sha256 != source_of(other).sha256


def test_description_is_that_of_the_name_in_the_path_then_of_the_shift(tiny_pipeline, tmp_path):
    folder = tiny_pipeline("z_image").folder
    for name, wanted in (("Z-Image-Turbo_bf16", "z_image_turbo"), ("mine", "z_image")):
        shutil.copytree(folder, tmp_path / name)
        assert source_of(tmp_path / name).model == wanted
    scheduler = tmp_path / "mine" / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace('"shift": 6.0', '"shift": 3.0'))
    source = source_of(tmp_path / "mine")
    assert source.model == "z_image_turbo"
    assert source.manifest["sampling"]["solver"] == {"name": "euler", "num_steps": 8, "shift": 3.0}


def test_an_id_of_the_hub_is_found_in_its_cache(tiny_pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "neither a folder nor a whole model in the hub's cache" in refusal("me/tiny")
    repository = tmp_path / "models--me--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    shutil.copytree(tiny_pipeline("lumina2").folder, repository / "snapshots" / ("a" * 40))
    source = find_source("me/tiny", download=False)
    assert (source.name, source.manifest["family"]) == ("me/tiny", "lumina_image_2")
    assert main(["info", "me/tiny"]) == 2  # which takes paths
    words = ["modality.height=64", "modality.width=64", "solver.num_steps=1"]
    out = tmp_path / "a.png"
    assert main(["infer", "x", "checkpoint=me/tiny", *words, f"out={out}"]) == 0
    assert out.is_file()


def refusal(path):
    with pytest.raises(LuminaError) as caught:
        find_source(str(path), download=False)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path):
    assert "no checkpoint in" in refusal(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "is no checkpoint" in refusal(tmp_path / "a.txt")
    save_file({"x\x1b[2J": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "holds weights of no known family" in refusal(tmp_path / "a.safetensors")
    save_file({"y": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert "holds 2 files of weights" in refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    assert "not one other file of weights" in refusal(tmp_path)
    (tmp_path / "b.safetensors").unlink()
    assert "holds a AutoencoderKL of diffusers" in refusal(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert "is a FluxPipeline of diffusers without transformer" in refusal(tmp_path)
    for text in ("{", "[]", "[" * 100):
        (tmp_path / "model_index.json").write_text(text)
        assert "model_index.json" in refusal(tmp_path)


def test_a_config_that_describes_no_network_is_refused(tiny_pipeline, tmp_path):
    folder = tmp_path / "transformer"
    shutil.copytree(tiny_pipeline("lumina2").folder / "transformer", folder)
    path = folder / "config.json"
    whole = json.loads(path.read_text())
    for key, value in (
        ("hidden_size", "x"), ("num_layers", 10**9), ("num_attention_heads", 0),
        ("axes_dim_rope", None), ("in_channels", -1), ("_class_name", "ZImageTransformer2DModel"),
        ("patch_size", 0), ("norm_eps", []), ("num_layers", 1),
    ):  # fmt: skip
        path.write_text(json.dumps(whole | {key: value}))
        assert str(folder) in refusal(folder), key
    del whole["num_layers"]
    path.write_text(json.dumps(whole))
    assert "its config.json lacks num_layers" in refusal(folder)


def test_demo_is_no_name_of_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LuminaError, match="A demo is used where checkpoint is left out"):
        find_source("demo", download=False)
    (tmp_path / "demo").mkdir()  # a folder that is there comes first
    with pytest.raises(LuminaError, match=r"no checkpoint in demo: lumina\.json is missing"):
        find_source("demo", download=False)
