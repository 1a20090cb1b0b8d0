"""Damaged weights of others: one line that names the file or the tensor, in each layout."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from single_files import fused, released, write_index, write_parts

from lumina_core import LuminaError
from lumina_core.checkpoints.formats import source_of
from lumina_core.checkpoints.model import backbone_config
from lumina_core.checkpoints.released import read_backbone
from lumina_core.cli.main import main

NUM_SEEDS = 10
FAMILY = {"fused": "z_image", "index": "lumina2", "parts": "lumina_next", "tied": "lumina_next"}
"""Layouts, and the family in which each is tried."""
IN_FILE = ("truncated", "bad_header", "renamed", "missing", "extra", "misshapen", "wrong_dtype")
DAMAGES = [
    *((layout, kind) for layout in FAMILY for kind in IN_FILE),
    *((layout, "absent_shard") for layout in ("index", "parts")),
    ("index", "other_index"),
    ("parts", "unequal"),
    ("tied", "unequal"),
]


def stored(folder, layout, out):
    """The weights of a pipeline in a layout, and what to open."""
    state = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    if layout == "fused":
        save_file(fused(state, "z_image"), out / "a.safetensors")
        return out / "a.safetensors"
    if layout == "parts":
        return write_parts(out, released(state))
    shutil.copy(folder / "transformer" / "config.json", out)
    if layout == "index":
        write_index(out, state)
    else:
        save_file(state, out / "diffusion_pytorch_model.safetensors")
    return out


def damage(out, kind, rng):
    """Do one damage at a place that the seed decides; returns words of which one is told."""
    files = sorted(out.glob("*.safetensors"))
    file = files[rng.integers(len(files))]
    if kind == "truncated":
        data = file.read_bytes()
        file.write_bytes(data[: rng.integers(len(data))])
        return [file.name]
    if kind == "bad_header":
        data = bytearray(file.read_bytes())
        data[: rng.integers(1, 9)] = b"\xff" * 8
        file.write_bytes(bytes(data))
        return [file.name]
    if kind == "absent_shard":
        file.unlink()
        return [file.name]
    if kind == "other_index":
        index = next(out.glob("*.index.json"))
        content = json.loads(index.read_text())
        listed = content["weight_map"]
        name = sorted(listed)[rng.integers(len(listed))]
        listed[name] = next(each.name for each in files if each.name != listed[name])
        index.write_text(json.dumps(content))
        return [name]
    weights = load_file(file)
    if kind == "unequal":
        names = [n for n in weights if ".attn2.to_q." in n or ".attn2.norm_q." in n]
        names = names or [n for n in weights if n.endswith("attention_norm1.weight")]
        name = sorted(names)[rng.integers(len(names))]
        weights[name] = weights[name] + 1
        save_file(weights, file)
        return [name]
    used = sorted(weights.keys() - {"pad_token", "norm_final.weight"})  # else nothing is lost
    name = used[rng.integers(len(used))]
    value = weights.pop(name)
    if kind == "renamed":
        weights[f"{name}_"] = value
    elif kind == "extra":
        weights |= {name: value, "another.weight": torch.zeros(2)}
        name = "another.weight"
    elif kind == "misshapen":
        weights[name] = torch.cat([value, value])
    elif kind == "wrong_dtype":
        weights[name] = value.to(torch.int8)
    save_file(weights, file)
    return [name, "known family"]  # the names by which families are told apart are gone, too


@pytest.mark.parametrize(("layout", "kind"), DAMAGES)
def test_damaged_weights_are_one_line(tiny_pipeline, tmp_path, layout, kind):
    folder = tiny_pipeline(FAMILY[layout]).folder
    for seed in range(NUM_SEEDS):
        out = tmp_path / str(seed)
        out.mkdir()
        path = stored(folder, layout, out)
        told = damage(out, kind, np.random.default_rng(seed))
        with pytest.raises(LuminaError) as caught:
            source = source_of(path)
            read_backbone(source, backbone_config(source.manifest))
        line = str(caught.value)
        assert "\n" not in line and str(out) in line, line
        assert any(word in line for word in told), (told, line)


@pytest.mark.parametrize("layout", FAMILY)
def test_a_command_says_so_and_exits_with_2(tiny_pipeline, tmp_path, capsys, layout):
    path = stored(tiny_pipeline(FAMILY[layout]).folder, layout, tmp_path)
    damage(tmp_path, "missing", np.random.default_rng(0))
    capsys.readouterr()  # what making the pipeline said
    for words in (["info", str(path)], ["infer", "x", f"checkpoint={path}"]):
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
