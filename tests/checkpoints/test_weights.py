from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from checkpoint_edits import read
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.checkpoints.folder import export
from lumina_core.checkpoints.stored import OWN_MAP, open_weights
from lumina_core.checkpoints.weights import fill
from lumina_core.config.compose import compose_options

CPU = torch.device("cpu")


def network():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))


def tensors(**changed):
    found = {name: torch.rand(weight.shape) for name, weight in network().state_dict().items()}
    return {name: value for name, value in (found | changed).items() if value is not None}


def pairs(found):
    return [(name, lambda value=value: value) for name, value in found.items()]


def test_fill_assigns_the_very_tensors_in_their_own_types():
    found = tensors()
    found["0.weight"] = found["0.weight"].bfloat16()
    filled = network()
    fill(filled, pairs(found))
    own = filled.state_dict()
    assert own.keys() == found.keys()
    for name, value in found.items():
        assert (own[name].dtype, own[name].data_ptr()) == (value.dtype, value.data_ptr())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"0.weight": None, "1.bias": None}, "it lacks 0.weight"),
        ({"2.\x1b[31mweight": torch.ones(1)}, "it holds 2.\ufffd[31mweight, which the network"),
        ({"0.weight": torch.ones(2, 2)}, r"0.weight is (2, 2) of torch.float32, not (2, 3)"),
        ({"0.bias": torch.ones(2, dtype=torch.int8)}, "0.bias is (2,) of torch.int8, not (2,)"),
    ],
)
def test_fill_names_the_weight_that_does_not_fit(changed, said):
    empty = network()
    with pytest.raises(ValueError) as raised:
        fill(empty, pairs(tensors(**changed)))
    assert said in str(raised.value)
    assert all(weight.is_meta for weight in empty.parameters())


def test_fill_refuses_a_weight_that_comes_twice():
    found = pairs(tensors())
    with pytest.raises(ValueError, match=r"it holds 0\.bias twice"):
        fill(network(), [*found, found[1]])


def mapped_from(path):
    """The addresses at which a file is mapped into this process."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    own = [line[0].split("-") for line in lines if line[-1] == str(path)]
    return [range(int(first, 16), int(last, 16)) for first, last in own]


def test_a_weight_stored_as_it_computes_stays_in_the_pages_of_its_file(tmp_path):
    path = tmp_path / "x.safetensors"
    with torch.device("meta"):
        wide = nn.Linear(OWN_MAP, 2, bias=False).bfloat16()
    save_file({"weight": torch.rand(2, OWN_MAP).bfloat16()}, path)
    stored = open_weights(path)
    fill(wide, [("weight", partial(stored.read, "weight"))])
    wide.to(CPU, torch.bfloat16)
    assert any(wide.weight.data_ptr() in own for own in mapped_from(path))
    before, content = wide.weight.clone(), path.read_bytes()
    save_file({"weight": torch.rand(2, OWN_MAP).bfloat16()}, tmp_path / "other")
    (tmp_path / "other").replace(path)  # as everything here is written
    assert torch.equal(wide.weight, before)
    wide.to(CPU, torch.float32)
    assert torch.equal(wide.weight, before.float())
    assert not any(wide.weight.data_ptr() in own for own in mapped_from(path))
    path.write_bytes(content)
    with torch.no_grad():
        again = open_weights(path).read("weight")
        again.fill_(0)  # training goes on in memory alone
    assert path.read_bytes() == content


def test_a_checkpoint_is_read_in_any_type_as_if_it_were_cast_once(tiny_checkpoint, tmp_path):
    target = tmp_path / "half"
    export(tiny_checkpoint, target, torch.bfloat16)
    options = compose_options("image", {"patch_size": 2})
    exact = read(tiny_checkpoint).backbone.state_dict()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = checkpoint_model.load(target, "image", options, device=CPU, dtype=dtype)
        for name, weight in model.backbone.state_dict().items():
            assert weight.dtype == dtype
            assert torch.equal(weight, exact[name].bfloat16().to(dtype))
            assert not weight.requires_grad
        assert not model.backbone.training
