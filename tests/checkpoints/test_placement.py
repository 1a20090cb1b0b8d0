from importlib import util
from threading import Barrier, Thread

import pytest
import torch
from fake_cuda import played_streams
from released import randomise
from torch import nn

from lumina_core import LuminaError
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.streamed import StreamedBlocks
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints import placement as placements
from lumina_core.checkpoints.placement import Placed, Placement
from lumina_core.sequence import Grid, TokenSample

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_torchao = pytest.mark.skipif(util.find_spec("torchao") is None, reason="needs torchao")


def small_backbone(family="z_image"):
    config = BackboneConfig(
        **FAMILIES[family].switches
        | {"token_dims": {"image": 16}, "hidden_size": 64, "depth": 2, "num_heads": 4}
        | {"text_dim": 24, "conditioning_size": 32}
        | ({"rope_dims": (4, 4, 8)} if family == "z_image" else {})
    )
    return randomise(Backbone(config), std=0.1).requires_grad_(False)


@torch.no_grad()
def velocity(backbone):
    tokens = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    batch = backbone.pack([TokenSample("image", Grid(1, 3, 4, (1.0, 1.0, 1.0)), tokens)])
    context = backbone.prepare(batch, torch.ones(5, 24), (5,))
    return backbone(batch, batch.segment_time(torch.tensor([0.4])), context)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement(CPU, torch.float32, offload="blocks"), "offload=blocks"),
        (Placement(CUDA, torch.float32, offload="blocks", quantise="int8"), "do not go together"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(placement, said):
    with pytest.raises(LuminaError, match=said) as raised:
        placement.check()
    assert "\n" not in str(raised.value)
    assert "use offload=none" in str(raised.value)


def test_without_torchao_int8_says_what_to_install(monkeypatch):
    monkeypatch.setattr(placements, "find_spec", lambda name: None)
    with pytest.raises(LuminaError, match=r"pip install 'lumina-core\[quantised\]'"):
        Placement(CPU, torch.float32, quantise="int8").check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_backbone_is_cast_where_it_is_put(dtype):
    backbone = small_backbone()
    exact = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    Placement(CPU, dtype).put(backbone)
    for name, weight in backbone.state_dict().items():
        assert torch.equal(weight, exact[name].to(dtype))


@needs_torchao
@pytest.mark.parametrize("family", ["z_image", "flag_dit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int8_rounds_the_matrices_of_the_blocks_alone(family, dtype):
    backbone, exact = small_backbone(family), small_backbone(family)
    wanted = velocity(exact)
    assert wanted.std() > 0.1
    rounded = {
        f"blocks.{name}.weight"
        for name, part in exact.blocks.named_modules()
        if isinstance(part, nn.Linear)
    }
    placement = Placement(CPU, dtype, quantise="int8")
    placement.put(backbone)
    placement.put(backbone)  # what failed half way is put again
    exact.to(dtype)
    assert len(rounded) > 10
    room = 1.01 if dtype == torch.float32 else 2.1  # what is unpacked is rounded to bfloat16
    for name, weight in backbone.named_parameters():
        plain = exact.get_parameter(name)
        assert (weight.dtype, weight.shape) == (dtype, plain.shape)
        if name in rounded:
            assert weight.qdata.dtype == torch.int8
            error = (weight.dequantize() - plain).abs().amax(1)
            assert error.max() > 0
            assert (error < plain.abs().amax(1) / (2 * 127) * room).all()
        else:
            assert torch.equal(weight, plain)
    found = velocity(backbone)
    error = (found - wanted).norm() / wanted.norm()
    assert 0 < error < 0.03


@pytest.mark.parametrize("family", ["z_image", "flag_dit"])
def test_offloaded_blocks_are_streamed_and_all_else_is_put(family, monkeypatch):
    streams = played_streams(monkeypatch)
    backbone = small_backbone(family)
    wanted = velocity(backbone)
    placement = Placement(CPU, torch.float32, offload="blocks")
    placement.put(backbone)
    placement.put(backbone)
    assert isinstance(backbone.blocks, StreamedBlocks)
    assert len(streams.pinned) == backbone.config.depth
    assert torch.equal(velocity(backbone), wanted)


def test_a_backbone_is_put_once_however_many_ask(monkeypatch):
    calls, barrier = [], Barrier(4)
    monkeypatch.setattr(Placement, "put", lambda self, backbone: calls.append(backbone))
    backbone = small_backbone()
    placed = Placed(backbone, Placement(CPU, torch.float32))

    def ask():
        barrier.wait()
        assert placed.backbone() is backbone

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [backbone]


def test_one_that_could_not_be_put_is_put_at_the_next_call(monkeypatch):
    backbone = small_backbone()
    placed = Placed(backbone, Placement(CPU, torch.bfloat16))
    put = Placement.put

    def no_memory(self, backbone):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Placement, "put", no_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        placed.backbone()
    monkeypatch.setattr(Placement, "put", put)
    assert placed.backbone().dtype == torch.bfloat16
