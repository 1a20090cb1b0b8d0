"""The first releases, which diffusers has no class for: read, run and converted as they are."""

import json
from math import prod

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lumina_core.backbone.families.layouts import config_of, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.checkpoints.folder import write_manifest
from lumina_core.checkpoints.formats import source_of
from lumina_core.cli.main import main

SIZES = {
    "token_dim": 16,
    "hidden_size": 64,
    "depth": 2,
    "ffn_size": 96,
    "time_size": 64,
    "conditioning_size": 64,
    "learn_sigma": True,
}
MORE = {
    "flag_dit": {"num_heads": 4, "num_kv_heads": 2, "text_dim": 20},
    "next_dit_imagenet": {"num_heads": 32, "num_kv_heads": 32, "num_classes": 1000},
}
UNUSED = {"flag_dit": {"pad_token": torch.full((64,), 3.0)}, "next_dit_imagenet": {}}
WORDS = {"flag_dit": ("x",), "next_dit_imagenet": ("condition.label=goldfish",)}


@pytest.fixture
def release(tiny_pipeline, tmp_path):
    """A folder with random weights of a family under their released names, and parts beside it."""

    def write(name):
        family = FAMILIES[name]
        sizes = SIZES | MORE[name]
        if name == "next_dit_imagenet":  # the release has 32 heads, and each a multiple of 4
            sizes |= {"hidden_size": 128}
        config = config_of({**family.switches, **sizes}, "image")
        generator = torch.Generator().manual_seed(0)
        weights = {
            piece.stored: torch.randn(piece.stored_shape, generator=generator)
            * max(1, prod(piece.stored_shape[1:])) ** -0.5
            for piece in pieces(config, family.layouts["released"], 4)
        }
        folder = tmp_path / name
        folder.mkdir()
        save_file(weights | UNUSED[name], folder / "consolidated_ema.00-of-01.safetensors")
        for part in ("vae", "text_encoder", "tokenizer"):
            (folder / part).symlink_to(tiny_pipeline("lumina_next").folder / part)
        return folder, weights | UNUSED[name]

    return write


def picture_of(path, family, out):
    """What `infer` makes with a checkpoint, in one step."""
    words = ["modality.height=64", "modality.width=64", "solver=euler", "solver.num_steps=1"]
    assert main(["infer", *WORDS[family], *words, f"checkpoint={path}", f"out={out}"]) == 0
    with Image.open(out) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("family", MORE)
def test_a_first_release_runs_and_converts_there_and_back(release, tmp_path, family):
    folder, weights = release(family)
    ours, back = tmp_path / "ours", tmp_path / "back"
    assert source_of(folder).manifest["family"] == family
    picture = picture_of(folder, family, tmp_path / "a.png")
    assert picture.std() > 1
    assert main(["convert", str(folder), str(ours)]) == 0
    assert np.array_equal(picture_of(ours, family, tmp_path / "b.png"), picture)
    assert (ours / "text_encoder").exists() == (family == "flag_dit")
    assert main(["convert", str(ours), str(back), "--to", "released"]) == 0
    found = load_file(back / "consolidated.00-of-01.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_a_mark_of_frames_that_learned_apart_has_no_place_there(release, tmp_path, capsys):
    folder, _ = release("flag_dit")
    ours = tmp_path / "ours"
    assert main(["convert", str(folder), str(ours)]) == 0
    weights = load_file(ours / "backbone.safetensors")
    weights["nextframe"] = weights["nextframe"] + 1
    save_file(weights, ours / "backbone.safetensors")
    kept = {k: v for k, v in json.loads((ours / "lumina.json").read_text()).items() if k != "files"}
    (ours / "lumina.json").unlink()
    write_manifest(ours, kept)
    assert main(["convert", str(ours), str(tmp_path / "x"), "--to", "released"]) == 2
    assert "nextframe is not nextline any more" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
