"""The formulas of what a backbone costs, against the network itself."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lumina_core.backbone.cost import (
    Sizes,
    flops,
    num_block_matrix_parameters,
    num_parameters,
    training_bytes,
)
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone, block_matrices
from lumina_core.config.values import compose_choice
from lumina_core.records import build
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training.compose import TRAIN
from lumina_core.training.optimizer import build_optimizer
from lumina_core.training.settings import OptimizerConfig

TINY = BackboneConfig(token_dims={"image": 16, "video": 12}, depth=2)
JOINT = {
    "text": "joint",
    "rope": "concatenated",
    "rope_dims": (8, 12, 12),
    "refiners": 2,
    "separators": False,
    "sandwich": True,
    "head_norm": True,
    "final_shift": False,
}
VARIANTS = {
    "as it is": {},
    "grouped keys": {"num_kv_heads": 2},
    "no norm of q and k": {"qk_norm": False},
    "norm of each head": {"head_norm": True, "pre_norm_weight": False},
    "sandwich": {"sandwich": True, "final_shift": False, "time_size": 48},
    "feed-forward as given": {"ffn_size": 200},
    "rows and columns in turn": {"rope": "alternating", "separators": False},
    "labels": {"text": "label", "num_classes": 10},
    "text in the sequence": JOINT,
    "pads": {**JOINT, "pad_multiple": 8, "modulation_silu": False},
    "an unused half": {"learn_sigma": True},
    "no separators": {"separators": False},
    "features": {"feature_dims": {"video": 5}},
    "wide text": {"text_dim": 40, "conditioning_size": None},
    "wide feed-forward": {"ffn_dim_multiplier": 1.7, "multiple_of": 8},
    "one block": {"depth": 1},
    "one modality": {"token_dims": {"image": 16}},
}
GRID = Grid(2, 3, 4, step=(1.0, 1.0, 1.0))
TEXT = 5


def variant(name):
    return replace(TINY, **VARIANTS[name])


def on_meta(config):
    with torch.device("meta"):
        return Backbone(config)


def shape_of(choice):
    block = TRAIN.groups["backbone"]
    values = compose_choice("backbone", block, choice)
    return replace(build(BackboneConfig, values), token_dims={"image": 16})


def counted(network, config, *, is_training=False):
    """What torch counts of `prepare` and of one evaluation, or of a loss and its gradients."""
    sample = TokenSample("image", GRID, torch.zeros(GRID.num_patches, 16))
    batch = network.pack([sample]).to(torch.device("meta"))
    is_label = config.text == "label"
    text = torch.zeros(1 if is_label else TEXT, 1 if is_label else config.text_dim, device="meta")
    with FlopCounterMode(display=False) as once, torch.set_grad_enabled(is_training):
        context = network.prepare(batch, text.requires_grad_(is_training), [len(text)])
    with FlopCounterMode(display=False) as evaluation, torch.set_grad_enabled(is_training):
        velocity = network(batch, torch.zeros(1, device="meta"), context)
    if not is_training:
        return once.get_total_flops(), evaluation.get_total_flops()
    with FlopCounterMode(display=False) as backward:
        velocity.sum().backward()
    return sum(counter.get_total_flops() for counter in (once, evaluation, backward))


def sizes_of(config):
    return Sizes(GRID.num_patches, GRID.num_positions(config.separators), TEXT)


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_network(name):
    config = variant(name)
    network = on_meta(config)
    assert num_parameters(config) == sum(weight.numel() for weight in network.parameters())
    matrices = sum(weight.numel() for weight in block_matrices(network))
    assert num_block_matrix_parameters(config) == matrices


@pytest.mark.parametrize("choice", ["tiny", "600m", "7b", "next_dit", "lumina_image_2", "z_image"])
def test_parameters_of_released_shapes_are_those_of_the_network(choice):
    config = shape_of(choice)
    weights = on_meta(config).parameters()
    assert num_parameters(config) == sum(weight.numel() for weight in weights)


def test_parameters_of_z_image_are_those_that_it_has():
    config = replace(shape_of("z_image"), token_dims={"image": 64})
    assert num_parameters(config) == 6_154_908_736


@pytest.mark.parametrize("name", VARIANTS)
def test_operations_are_those_that_torch_counts(name):
    config = variant(name)
    found = flops(config, "image", sizes_of(config))
    wanted = counted(on_meta(config), config)
    assert (sum(found.once.values()), sum(found.evaluation.values())) == wanted


@pytest.mark.parametrize("name", ["as it is", "sandwich", "pads"])
def test_operations_of_a_training_step_are_those_that_torch_counts(name):
    config = variant(name)
    found = flops(config, "image", sizes_of(config))
    wanted = counted(on_meta(config), config, is_training=True)
    tokens = 2 * GRID.num_patches * 16 * config.hidden_size  # which need no gradient
    time = 2 * 256 * config.time_dim
    assert found.training - wanted == tokens + time


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_states_of_training_are_those_that_are_held(optimizer):
    network = Backbone(TINY)
    members = build_optimizer(network, OptimizerConfig(name=optimizer))
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    members.step()
    moments = [
        value.nbytes
        for weight in network.parameters()
        for value in members.state_of(weight).values()
        if value.ndim
    ]
    weights = sum(weight.nbytes for weight in network.parameters())
    found = training_bytes(TINY, optimizer)
    assert found["moments"] == sum(moments)
    assert found["weights"] == found["gradients"] == found["average"] == weights
