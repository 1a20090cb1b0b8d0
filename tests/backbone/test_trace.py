"""Memory that is counted without computing, against the same code on real tensors."""

from dataclasses import replace

import pytest
import torch
from small_backbones import JOINT

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.trace import (
    TensorBytes,
    sampling_bytes,
    traced,
    training_step_bytes,
)
from lumina_core.backbone.transformer import Backbone
from lumina_core.sequence import Grid, TokenSample

CONFIG = BackboneConfig(token_dims={"image": 16}, depth=5)
TEXT = 6
NEAR = {"rel": 0.01, "abs": 1 << 16}  # small tensors whose number does not grow with depth


def samples(count=3):
    grid = Grid(1, 10, 12, step=(1.0, 1.0, 1.0))
    return [TokenSample("image", grid, torch.zeros(grid.num_patches, 16)) for _ in range(count)]


def real_bytes(config, items, dtype, *, is_training, recomputes=False):
    """What the tensors of one evaluation take, or of a loss and its gradients."""
    network = Backbone(config)
    network.recomputes = recomputes
    if not is_training:
        network.to(dtype).requires_grad_(False)
    batch = network.pack(items)
    is_label = config.text == "label"
    length, width = (1, 1) if is_label else (TEXT, config.text_dim)
    lengths = [length] * len(items)
    is_cast = is_training and dtype != torch.float32
    with TensorBytes(network) as tensors:
        with torch.autocast("cpu", dtype, enabled=is_cast):
            context = network.prepare(batch, torch.zeros(sum(lengths), width), lengths)
            velocity = network(batch, batch.segment_time(torch.zeros(len(items))), context)
        if is_training:
            (velocity - batch.state).square().mean().backward()
    return tensors.peak


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("change", [{"depth": 1}, {}, JOINT, {"text": "label", "num_classes": 9}])
def test_memory_of_an_evaluation_is_that_of_real_tensors(dtype, change):
    config = replace(CONFIG, **change)
    found = sampling_bytes(config, samples(), TEXT, dtype, is_guided=False)
    wanted = real_bytes(config, samples(), dtype, is_training=False)
    assert found == pytest.approx(wanted, **NEAR)


def test_a_guided_evaluation_needs_that_of_twice_as_many_samples():
    found = sampling_bytes(CONFIG, samples(), TEXT, torch.float32, is_guided=True)
    twice = sampling_bytes(CONFIG, samples(6), TEXT, torch.float32, is_guided=False)
    assert twice < found < 1.2 * twice  # and what was prepared for the plain one


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("change", [{}, {"num_kv_heads": 2, "learn_sigma": True}, JOINT])
def test_memory_of_a_training_step_is_that_of_real_tensors(dtype, change, recomputes):
    config = replace(CONFIG, **change)
    found = training_step_bytes(config, samples(), TEXT, dtype, recomputes=recomputes)
    wanted = real_bytes(config, samples(), dtype, is_training=True, recomputes=recomputes)
    assert found == pytest.approx(wanted, **NEAR)


def test_blocks_that_compute_twice_need_less_memory():
    whole, less = (
        training_step_bytes(CONFIG, samples(12), TEXT, torch.float32, recomputes=twice)
        for twice in (False, True)
    )
    assert less < 0.6 * whole


def test_a_network_that_no_machine_holds_is_counted_in_moments():
    config = BackboneConfig(
        token_dims={"image": 16}, hidden_size=4096, depth=32, num_heads=32, rope="sequence"
    )
    grid = Grid(8, 256, 256, step=(1.0, 1.0, 1.0))
    item = TokenSample("image", grid, torch.zeros(grid.num_patches, 16))
    found = sampling_bytes(config, [item], 128, torch.bfloat16, is_guided=False)
    assert found > 2 * 10 * grid.num_patches * config.hidden_size


def test_nothing_without_memory_stays_behind():
    sampling_bytes(CONFIG, samples(), TEXT, torch.float32, is_guided=True)
    network = Backbone(CONFIG)
    batch = network.pack(samples())
    context = network.prepare(batch, torch.zeros(3 * TEXT, CONFIG.text_dim), [TEXT] * 3)
    velocity = network(batch, torch.zeros(3), context)
    assert type(velocity) is torch.Tensor


def test_operations_of_a_call_are_counted_attention_included():
    with torch.device("meta"):
        layer = torch.nn.Linear(8, 4, bias=False)

    def call():
        with torch.no_grad():
            q = layer(torch.zeros(1, 1, 16, 8))
            torch.nn.functional.scaled_dot_product_attention(q, q, q)

    found = traced(layer, call)
    assert found.flops == 2 * 16 * 8 * 4 + 4 * 16 * 16 * 4
    assert 16 * (8 + 4) * 4 <= found.num_bytes < 3 * 16 * (8 + 4) * 4


def test_weights_of_a_network_are_not_counted():
    layer = torch.nn.Linear(512, 1, bias=False)
    seen = []
    for network in (layer, None):
        with TensorBytes(network) as tensors:
            layer(torch.zeros(1, 512))
        seen.append(tensors.peak)
    assert seen == [512 * 4 + 4, 2 * 512 * 4 + 4]
