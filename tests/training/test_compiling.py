"""Compiled layers, with a backend of torch that needs no compiler."""

from inspect import unwrap

import pytest
import torch
from torch._dynamo.utils import counters

from lumina_core import LuminaError
from lumina_core.backbone.block import FeedForward
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.parallel import ranks
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training import start as starting
from lumina_core.training.compiling import compile_layers
from lumina_core.training.compose import compose_train

NETWORK = BackboneConfig(token_dims={"a": 4}, hidden_size=64, depth=3, num_heads=2, text_dim=8)


@pytest.fixture(autouse=True)
def fresh_compiler(monkeypatch):
    """With layers as they are in use: the checks of shapes in tests are nothing to compile."""
    monkeypatch.setattr(FeedForward, "forward", unwrap(FeedForward.forward))
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def loss_of(network, rows):
    """The loss of a packing of samples with so many rows each."""
    drawn = seeded(len(rows), *rows)
    grids = [Grid(1, count, 3, (1.0, 1.0, 1.0)) for count in rows]
    items = [TokenSample("a", g, torch.randn(g.num_patches, 4, generator=drawn)) for g in grids]
    batch, lengths = network.pack(items), [2] * len(rows)
    context = network.prepare(batch, torch.ones(sum(lengths), 8), lengths)
    velocity = network(batch, batch.segment_time(torch.full((len(rows),), 0.5)), context)
    return (velocity - batch.state).square().mean()


@pytest.mark.parametrize("recomputes", [False, True])
def test_new_packings_compile_nothing(recomputes, capsys):
    network = Backbone(NETWORK)
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(std=0.05, generator=seeded(1))
    network.recomputes = recomputes
    packings = [(2,), (3, 2), (4, 4, 4), (5, 1, 2, 2), (2,) * 7]
    wanted = [loss_of(network, rows) for rows in packings]
    compile_layers(network, "float32", backend="aot_eager")
    assert "compiled the feed-forward layers in" in capsys.readouterr().err
    before = counters["stats"]["unique_graphs"]
    assert before > 0
    for rows, loss in zip(packings, wanted, strict=True):
        found = loss_of(network, rows)
        found.backward()
        torch.testing.assert_close(found, loss)
    assert counters["stats"]["unique_graphs"] == before
    assert not counters["graph_break"]


def test_a_compiler_that_fails_is_told_in_one_line():
    def absent(*given):
        raise RuntimeError("no C++ compiler\nat all")

    with pytest.raises(LuminaError, match="compile=true: torch cannot compile here") as caught:
        compile_layers(Backbone(NETWORK), "float32", backend=absent)
    assert "leave compile out" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_keys_reach_the_network_that_is_trained_alone(tiny_training, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(starting, "compile_layers", lambda *given: compiled.append(given))
    words = ["compile=true", "activation_checkpointing=blocks", "dtype=bfloat16"]
    with ranks.joined(alone=True):
        run = starting.start(compose_train(tiny_training(tmp_path / "out", *words)))
    assert compiled == [(run.model.backbone, "bfloat16")]
    assert run.model.backbone.recomputes
    assert not run.average["backbone"].recomputes
