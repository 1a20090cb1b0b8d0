"""A trained adapter does in the keys of other programs what it does in its folder."""

from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file
from small_adapters import adapt, random_changes
from small_families import SMALL, TOLERANCE, answers, distance, read_small, small, velocities

from lumina_core.backbone.roles import linear_layers
from lumina_core.checkpoints.adapter_writing import convert_adapter, write_peft
from lumina_core.checkpoints.folder import write_manifest
from lumina_core.checkpoints.formats import adapter_manifest
from lumina_core.checkpoints.manifest import ADAPTER, FORMAT_VERSION, read_manifest
from lumina_core.checkpoints.source import own_source
from lumina_core.errors import LuminaError

diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")
ROLES = ("attention", "feed_forward", "text", "modulation", "projections")
BASE = {"checkpoint": "first/base", "sha256": "0" * 64}
ABOUT = {
    **{"format": FORMAT_VERSION, "lumina_core": "0.0.0", "network": ADAPTER, "adapters": []},
    **{"text_encoder": {"max_tokens": 9}, "sampling": {}, "training": {}, "base": BASE},
}


def adapter_of(folder, family, *, is_dora=False, roles=ROLES):
    """The folder of a random adapter on a small network of a family."""
    network = read_small(family, small(family))
    changes = random_changes(network, linear_layers(network, roles), is_dora=is_dora)
    backbone = asdict(network.config)
    dims, _ = backbone.pop("token_dims"), backbone.pop("feature_dims")
    entry = {"options": {}, "token_dim": dims["image"]}
    own = {"modalities": {"image": entry}, "family": family, "backbone": backbone}
    folder.mkdir()
    write_peft(folder, changes, torch.float32)
    write_manifest(folder, ABOUT | own)
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["lora", "dora"])
def is_dora(request):
    return request.param


@pytest.mark.parametrize("family", SMALL)
def test_every_style_gives_the_velocity_of_the_folder(tmp_path, family, is_dora):
    folder = adapter_of(tmp_path / "own", family, is_dora=is_dora)
    plain = velocities(read_small(family, small(family)))
    expected = velocities(adapt(read_small(family, small(family)), family, (folder, 1.0))[0])
    assert distance(plain, expected) > 0.1
    for style in ("peft", "diffusers", *["comfyui"] * (family != "next_dit")):
        target = tmp_path / (style if style == "peft" else f"{style}.safetensors")
        convert_adapter(folder, target, style)
        ours, _ = adapt(read_small(family, small(family)), family, (target, 1.0))
        assert distance(velocities(ours), expected) < TOLERANCE, style


@pytest.mark.parametrize("family", SMALL)
def test_peft_and_diffusers_read_what_is_written_for_them(tmp_path, family, is_dora):
    folder = adapter_of(tmp_path / "own", family, is_dora=is_dora)
    expected = velocities(adapt(read_small(family, small(family)), family, (folder, 1.0))[0])
    convert_adapter(folder, tmp_path / "peft", "peft")
    theirs = peft.PeftModel.from_pretrained(small(family), tmp_path / "peft")
    assert distance(answers(family, theirs.base_model.model.eval()), expected) < TOLERANCE
    file = tmp_path / "diffusers.safetensors"
    convert_adapter(folder, file, "diffusers")
    network = small(family)
    if family == "next_dit":  # whose class loads no adapters
        return
    network.load_lora_adapter(file, prefix="transformer")
    assert distance(answers(family, network.eval()), expected) < TOLERANCE


def test_a_type_is_that_of_the_weights_and_alpha_stays_whole(tmp_path):
    folder = adapter_of(tmp_path / "own", "z_image")
    file = tmp_path / "half.safetensors"
    convert_adapter(folder, file, "comfyui", "bfloat16")
    kinds = {name.rpartition(".")[2]: tensor.dtype for name, tensor in load_file(file).items()}
    assert kinds == {"weight": torch.bfloat16, "alpha": torch.float32}


def test_a_folder_of_an_adapter_is_no_model_and_says_what_to_give(tmp_path):
    folder = adapter_of(tmp_path / "own", "z_image")
    assert adapter_manifest(folder) == read_manifest(folder)
    with pytest.raises(LuminaError, match=r"holds an adapter .* checkpoint=first/base adapters="):
        own_source(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(LuminaError, match="is damaged"):
        convert_adapter(folder, tmp_path / "peft", "peft")


def test_what_a_program_cannot_have_is_refused(tmp_path):
    folder = adapter_of(tmp_path / "own", "next_dit")
    for style, target, said in (
        ("comfyui", "a.safetensors", "is of next_dit, for which comfyui has no names"),
        ("lumina", "a", "--to takes peft, diffusers, comfyui"),
        ("diffusers", "a", "let its name end in .safetensors"),
        ("peft", "a.safetensors", "writes a folder"),
        ("peft", "own", "exists already"),
    ):
        with pytest.raises(LuminaError, match=said):
            convert_adapter(folder, tmp_path / target, style)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert read_manifest(folder)["base"] == BASE
