import math

import pytest
import torch
from torch import nn

from lumina_core import LuminaError
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.training.muon import Muon, orthogonal
from lumina_core.training.optimizer import build_optimizer, update_average
from lumina_core.training.settings import OptimizerConfig

VALUES = {
    "name": "adamw",
    "learning_rate": 0.1,
    "muon_learning_rate": 0.02,
    "betas": (0.9, 0.98),
    "weight_decay": 0.5,
    "warmup_steps": 4,
    "decay_share": 0.5,
    "clip_norm": 1.0,
    "ema_decay": 0.9,
}


def backbone_config(**changed):
    values = {
        "token_dims": {"image": 4},
        "hidden_size": 8,
        "depth": 2,
        "num_heads": 2,
        "num_kv_heads": None,
        "text_dim": 6,
        "conditioning_size": None,
        "multiple_of": 8,
        "ffn_dim_multiplier": None,
        "norm_eps": 1e-5,
        "qk_norm": True,
        "learn_sigma": False,
        "separators": True,
        "rope": "sequence",
        "rope_theta": 1e4,
        "rope_dims": None,
        "initial_gate": 0.0,
    }
    return BackboneConfig(**{**values, **changed})


def muon_names(networks):
    names = {id(weight): name for name, weight in networks.named_parameters()}
    members = build_optimizer(networks, config(name="muon")).members
    found = [
        group for member in members if isinstance(member, Muon) for group in member.param_groups
    ]
    return [names[id(weight)] for group in found for weight in group["params"]]


def config(**changed):
    return OptimizerConfig(**(VALUES | changed))


def test_rate_rises_holds_and_falls_to_nearly_zero():
    shares = [config().rate_at(step, 20) for step in range(20)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares[4:11] == [1.0] * 7
    assert shares[10:] == pytest.approx([(20 - step) / 10 for step in range(10, 20)])
    assert shares[-1] > 0


def test_rate_without_warmup_and_decay_is_the_peak():
    flat = config(warmup_steps=0, decay_share=0.0)
    assert [flat.rate_at(step, 5) for step in range(5)] == [1.0] * 5


def test_only_matrices_decay():
    model = nn.Linear(3, 2)
    model.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    optimizer = build_optimizer(model, config())
    decays = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decays == {id(model.weight): 0.5, id(model.bias): 0.0}


# modalities called like parts of the networks
@pytest.mark.parametrize("name", ["image", "attention", "feed_forward", "blocks", "values"])
def test_muon_updates_the_matrices_of_blocks_whatever_modalities_are_called(name):
    sizes = {"token_dims": {name: 4}, "feature_dims": {name: 3}}
    backbone = Backbone(backbone_config(**sizes))
    encoder = nn.ModuleDict({"attention": nn.Linear(4, 4), "feed_forward": nn.Linear(4, 4)})
    networks = nn.ModuleDict({"backbone": backbone, "text_encoder": encoder})
    layers = [f"attention.{own}" for own in ("wq", "wk", "wv", "wo", "text_wk", "text_wv")]
    layers += [f"feed_forward.{own}" for own in ("w1", "w2", "w3")]
    wanted = [f"backbone.blocks.{n}.{layer}.weight" for n in range(2) for layer in layers]
    assert muon_names(networks) == wanted  # in the order in which states number them


def test_a_rate_is_set_as_a_share_of_the_peak():
    optimizer = build_optimizer(nn.Linear(3, 2), config())
    for share in (0.5, 1.0, 0.5):
        optimizer.set_rate(share)
        assert {group["lr"] for group in optimizer.param_groups} == {share * 0.1}


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (8, 8)])
def test_muon_is_that_of_torch_but_for_its_rounding(shape):
    def trained(kind):
        generator = torch.Generator().manual_seed(0)
        matrices = [nn.Parameter(torch.randn(shape, generator=generator)) for _ in range(3)]
        optimizer = kind(matrices, lr=0.1, weight_decay=0.5)
        for _ in range(4):
            for matrix in matrices[:2]:
                matrix.grad = torch.randn(shape, generator=generator)
            optimizer.step()
        return torch.stack([matrix.detach() for matrix in matrices])

    found, wanted = trained(Muon), trained(torch.optim.Muon)
    assert (found - wanted).abs().max() < 0.01  # bfloat16 in torch's; a step moves by 0.1
    assert torch.equal(found[2], wanted[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_multiplies_in_the_dtype_of_the_training(dtype):
    start = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    matrix = nn.Parameter(start.clone())
    optimizer = Muon([matrix], 0.1, 0.0, dtype)
    matrix.grad = start
    optimizer.step()
    momentum = torch.lerp(start, torch.lerp(torch.zeros(8, 8), start, 0.05), 0.95)
    near = {"atol": 1e-6, "rtol": 0}  # the two dtypes differ by a thousand times that
    torch.testing.assert_close(
        matrix.detach(), start - 0.1 * orthogonal(momentum[None], dtype)[0], **near
    )
    other = torch.float32 if dtype == torch.bfloat16 else torch.bfloat16
    assert (orthogonal(start[None], dtype) - orthogonal(start[None], other)).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(3, 20, 6), (3, 6, 20)])
def test_orthogonal_matrices_keep_their_singular_vectors(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    middle = left.mT @ orthogonal(matrices) @ right.mT
    values = middle.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6 and values.max() < 1.3
    assert (middle - torch.diag_embed(values)).abs().max() < 1e-4


def test_average_is_a_lerp_that_trusts_early_steps_less():
    average, model = nn.Linear(1, 1), nn.Linear(1, 1)
    for step in (0, 5, 1000):
        nn.init.zeros_(average.weight)
        nn.init.ones_(model.weight)
        update_average(average, model, step, 0.9)
        kept = min(0.9, (1 + step) / (10 + step))
        assert average.weight.item() == pytest.approx(1 - kept)


def test_average_of_equal_weights_stays_equal():
    model, average = nn.Linear(4, 4), nn.Linear(4, 4)
    average.load_state_dict(model.state_dict())
    update_average(average, model, 3, 0.9)
    assert torch.allclose(average.weight, model.weight, atol=1e-7)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "adam"),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("clip_norm", -1.0),
        ("ema_decay", 1.5),
        ("decay_share", -0.1),
        ("warmup_steps", -1),
    ],
)
def test_impossible_values_are_refused_by_name(key, value):
    with pytest.raises(LuminaError, match=f"optimizer.{key} is "):
        config(**{key: value})
