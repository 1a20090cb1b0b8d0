"""Blocks that compute twice give what blocks that compute once give, to the bit."""

from dataclasses import replace

import pytest
import torch
from small_backbones import JOINT

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.runtime import autocast, seeded
from lumina_core.sequence import Grid, TokenSample

CONFIG = BackboneConfig(token_dims={"image": 16}, hidden_size=64, depth=3, num_heads=2, text_dim=24)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "change", [{"num_kv_heads": 1}, JOINT, {"text": "label", "num_classes": 3}]
)
def test_losses_and_gradients_are_equal_to_the_bit(change, dtype):
    network = Backbone(replace(CONFIG, **change))
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():  # a fresh model predicts 0 whatever it is given
                weight.normal_(std=0.05, generator=seeded(1))
    grids = [Grid(1, rows, 6, (1.0, 1.0, 1.0)) for rows in (4, 5)]
    drawn = seeded(2)
    items = [
        TokenSample("image", g, torch.randn(g.num_patches, 16, generator=drawn)) for g in grids
    ]
    batch = network.pack(items)
    labels = network.config.text == "label"
    lengths = (1, 1) if labels else (3, 5)
    text = torch.ones(sum(lengths), 1 if labels else 24)
    calls = []
    network.blocks[0].register_forward_pre_hook(lambda *given: calls.append(1))

    def computed(recomputes):
        network.recomputes = recomputes
        calls.clear()
        with autocast(torch.device("cpu"), dtype):
            context = network.prepare(batch, text, lengths)
            velocity = network(batch, batch.segment_time(torch.tensor([0.2, 0.7])), context)
        loss = (velocity - batch.state).square().mean()
        loss.backward()
        gradients = {name: weight.grad for name, weight in network.named_parameters()}
        network.zero_grad()
        return loss, gradients, len(calls)

    loss, gradients, num_calls = computed(False)
    again, found, num_again = computed(True)
    assert (num_calls, num_again) == (1, 2)
    assert torch.equal(loss, again)
    for name, gradient in gradients.items():
        assert (gradient is None) == (found[name] is None)
        assert gradient is None or torch.equal(gradient, found[name])


def test_sampling_computes_once():
    network = Backbone(CONFIG)
    network.recomputes = True
    calls = []
    network.blocks[0].register_forward_pre_hook(lambda *given: calls.append(1))
    grid = Grid(1, 4, 4, (1.0, 1.0, 1.0))
    batch = network.pack([TokenSample("image", grid, torch.zeros(16, 16))])
    with torch.inference_mode():
        context = network.prepare(batch, torch.ones(2, 24), [2])
        network(batch, batch.segment_time(torch.zeros(1)), context)
    assert len(calls) == 1
