import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from lumina_core import LuminaError
from lumina_core.checkpoints.stored import open_weights, without_prefix

WEIGHTS = {
    "a.weight": torch.arange(12.0).reshape(4, 3),
    "a.bias": torch.arange(4.0).to(torch.bfloat16),
    "scale": torch.tensor(2.0),
}


def write_parts(folder, weights=WEIGHTS):
    """Two files of weights and their index, which is returned."""
    names = ("x-00001-of-00002.safetensors", "x-00002-of-00002.safetensors")
    keys = list(weights)
    shares = ({keys[0]: weights[keys[0]]}, {key: weights[key] for key in keys[1:]})
    listed = {}
    for name, share in zip(names, shares, strict=True):
        save_file(share, folder / name)
        listed |= dict.fromkeys(share, name)
    path = folder / "x.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return path


def written(path, weights=WEIGHTS):
    """The weights in a file of the kind that its name says; the file or index to open."""
    if path.name.endswith("index.json"):
        return write_parts(path.parent, weights)
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


@pytest.fixture(params=["x.safetensors", "x.pth", "x.safetensors.index.json"])
def path(request, tmp_path):
    """A file of weights of each kind."""
    return written(tmp_path / request.param)


def refusal(path):
    with pytest.raises(LuminaError) as caught:
        stored = open_weights(path)
        for name in stored.tensors:
            stored.read(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_open_weights_gives_names_shapes_and_values_of_each_kind(path):
    stored = open_weights(path)
    assert stored.tensors.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert stored.tensors[name].shape == value.shape
        assert stored.read(name).dtype == value.dtype
        assert torch.equal(stored.read(name), value)
    assert torch.equal(stored.read("a.weight", rows=(1, 3)), WEIGHTS["a.weight"][1:3])
    assert stored.tensors["a.bias"].dtype == "BF16"


def test_open_weights_finds_what_trainers_wrap(tmp_path):
    torch.save({"epoch": 3, "state_dict": {"model": WEIGHTS}}, tmp_path / "x.ckpt")
    assert open_weights(tmp_path / "x.ckpt").tensors.keys() == WEIGHTS.keys()
    torch.save({"state_dict": WEIGHTS | {"step": 3}}, tmp_path / "x.ckpt")
    assert "'step', which is no tensor" in refusal(tmp_path / "x.ckpt")
    torch.save([1], tmp_path / "x.ckpt")
    assert "holds no weights by name" in refusal(tmp_path / "x.ckpt")


def test_open_weights_never_executes_a_pickle(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"a": Bomb()}, tmp_path / "x.pth")
    assert "cannot be read" in refusal(tmp_path / "x.pth")
    (tmp_path / "y.pth").write_bytes(pickle.dumps(Bomb()))
    assert "cannot be read" in refusal(tmp_path / "y.pth")
    assert not (tmp_path / "executed").exists()


def test_open_weights_refuses_types_that_are_no_plain_floats(tmp_path):
    for dtype in (torch.int8, torch.float8_e4m3fn):
        for name in ("x.safetensors", "x.pth"):
            path = written(tmp_path / name, WEIGHTS | {"q": torch.zeros(2, 2).to(dtype)})
            assert "q has type" in refusal(path) and "not quantised" in refusal(path)


def test_open_weights_waits_for_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "x.safetensors")
    assert "no regular file" in refusal(tmp_path / "x.safetensors")


def test_index_must_match_its_files(tmp_path):
    index = write_parts(tmp_path)
    whole = json.loads(index.read_text())
    first, second = sorted(set(whole["weight_map"].values()))

    def changed(**listed):
        index.write_text(json.dumps({"weight_map": whole["weight_map"] | listed}))
        return refusal(index)

    assert f"{second} lacks a.weight" in changed(**{"a.weight": second})
    assert f"{first} lacks b" in changed(b=first)
    assert "which is not beside it" in changed(b="y.safetensors")
    assert "lists no files" in changed(b="../x.safetensors")
    assert "lists no files" in changed(b="x.pth")
    index.write_text(json.dumps({"weight_map": {"a.weight": first}}))
    save_file({key: WEIGHTS[key] for key in ("a.weight", "scale")}, tmp_path / first)
    assert f"{first} holds scale" in refusal(index)
    for text in ("{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'):
        index.write_text(text)
        assert str(index) in refusal(index)


def test_index_refuses_a_tensor_that_two_files_hold(tmp_path):
    index = write_parts(tmp_path)
    save_file(WEIGHTS, tmp_path / "x-00002-of-00002.safetensors")
    assert "x-00002-of-00002.safetensors holds a.weight" in refusal(index)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "transformer.", "module."])
def test_prefixes_and_other_parts_of_a_pipeline_are_taken_off(tmp_path, prefix):
    others = {"vae.decoder.weight": torch.zeros(1), "text_encoders.a": torch.zeros(1)}
    weights = {prefix + name: value for name, value in WEIGHTS.items()} | others
    stored = without_prefix(open_weights(written(tmp_path / "x.safetensors", weights)))
    assert stored.tensors.keys() == WEIGHTS.keys()
    assert torch.equal(stored.read("a.weight"), WEIGHTS["a.weight"])


def test_a_name_with_and_without_prefix_is_refused(tmp_path):
    weights = {"a": torch.zeros(1), "module.a": torch.zeros(1)}
    stored = open_weights(written(tmp_path / "x.safetensors", weights))
    with pytest.raises(LuminaError, match="holds a twice, with and without"):
        without_prefix(stored)
