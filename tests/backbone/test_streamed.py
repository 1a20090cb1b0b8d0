"""Streamed blocks without a GPU: streams are played, and what each waits for is written down.

On fake tensors the dispatcher says where everything is and of which type.
"""

import pytest
import torch
from fake_cuda import CUDA, fake, indexed, on_cuda, played_streams
from released import randomise
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.streamed import ALIGNED, StreamedBlocks
from lumina_core.backbone.transformer import Backbone
from lumina_core.sequence import Grid, TokenSample

CPU = torch.device("cpu")


@pytest.fixture
def streams(monkeypatch):
    """CUDA's streams and pinned memory, played."""
    return played_streams(monkeypatch)


def layers(count, dtype=torch.float32):
    made = [nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5)).to(dtype) for _ in range(count)]
    return nn.ModuleList(made).requires_grad_(False)


def weights_of(block):
    return [weight.clone() for weight in block.parameters()]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_blocks_come_one_ahead_and_never_where_one_still_computes(streams, count):
    wanted = layers(count)
    expected = [weights_of(block) for block in wanted]
    streamed = StreamedBlocks(list(wanted), CPU, torch.float32)
    assert len(streamed) == count == len(streams.pinned)
    places = []
    for number, block in enumerate(streamed):
        assert all(map(torch.equal, block.parameters(), expected[number]))
        places.append(id(block))
        streams.do(("compute", number))
    assert number == count - 1
    assert len(streams.log) == 2 * count
    before, on_a_side = streams.before, False
    for number in range(count):
        copy = ("copy", number, on_a_side)
        assert copy in before[("compute", number)]
        if number:  # while the block before computes
            assert ("compute", number - 1) not in before[copy]
        if number > 1:  # into its place
            assert places[number] == places[number - 2] != places[number - 1]
            assert ("compute", number - 2) in before[copy]


def test_the_next_iteration_waits_for_the_one_before_and_takes_its_places(streams):
    streamed = StreamedBlocks(list(layers(3)), CPU, torch.float32)
    first = [id(block) for block in streamed]
    streams.do("computed")
    assert [id(block) for block in streamed] == first
    assert "computed" in streams.before[("copy", 0, False)]


def test_an_iteration_that_ends_early_gives_its_places_back(streams):
    streamed = StreamedBlocks(list(layers(3)), CPU, torch.float32)
    for block in streamed:
        first = id(block)
        break
    assert ("copy", 1, False) in streams.main.done  # else it would write into what others use
    assert next(id(block) for block in streamed) == first


def test_two_iterations_at_once_have_places_of_their_own(streams):
    wanted = layers(3)
    expected = [weights_of(block) for block in wanted]
    streamed = StreamedBlocks(list(wanted), CPU, torch.float32)
    one = iter(streamed)
    first = next(one)
    assert len(list(streamed)) == 3
    assert all(map(torch.equal, first.parameters(), expected[0]))
    for block, own in zip(one, expected[1:], strict=True):
        assert all(map(torch.equal, block.parameters(), own))


def test_weights_lie_where_kernels_are_fast_and_leave_the_blocks(streams):
    blocks = layers(2)
    streamed = StreamedBlocks(list(blocks), CPU, torch.bfloat16)
    assert all(weight.is_meta for weight in blocks.parameters())
    assert list(streamed.parameters()) == []
    for block in streamed:
        for weight in block.parameters():
            assert weight.dtype == torch.bfloat16
            assert weight.storage_offset() * weight.itemsize % ALIGNED == 0
            assert not weight.requires_grad


def test_blocks_of_several_shapes_are_refused(streams):
    blocks = [nn.Linear(3, 5), nn.Linear(3, 4)]
    with pytest.raises(ValueError, match="several shapes"):
        StreamedBlocks(blocks, CPU, torch.float32)


SIZES = {
    "token_dims": {"image": 16}, "hidden_size": 32, "depth": 3, "num_heads": 4, "text_dim": 24,
    "conditioning_size": None,
}  # fmt: skip
FAMILIES_OF_TEXT = {"cross": "flag_dit", "joint": "z_image"}


def small_backbone(text):
    switches = FAMILIES[FAMILIES_OF_TEXT[text]].switches
    dims = {"rope_dims": (2, 2, 4)} if text == "joint" else {}
    return randomise(Backbone(BackboneConfig(**switches | SIZES | dims)), std=0.2)


def small_batch(backbone):
    samples = [
        TokenSample("image", Grid(1, rows, 4, (1.0, 1.0, 1.0)), torch.ones(4 * rows, 16))
        for rows in (2, 3)
    ]
    return backbone.pack(samples)


@torch.no_grad()
@pytest.mark.parametrize("text", FAMILIES_OF_TEXT)
def test_a_backbone_computes_the_same_with_streamed_blocks(streams, text):
    backbone = small_backbone(text)
    batch, features = small_batch(backbone), torch.ones(5, 24)
    time = batch.segment_time(torch.tensor([0.2, 0.6]))

    def velocity():
        context = backbone.prepare(batch, features, (2, 3))
        return backbone(batch, time, context)

    wanted = velocity()
    assert wanted.std() > 0.1
    backbone.blocks = StreamedBlocks(list(backbone.blocks), CPU, torch.float32)
    assert torch.equal(velocity(), wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dispatcher_takes_streamed_blocks_on_cuda(streams, monkeypatch, dtype):
    """Blocks wait in the host and compute on the GPU, in the type of all else."""
    backbone = small_backbone("cross")
    batch = small_batch(backbone)
    seen, copies = set(), set()

    def copy_(self, other, non_blocking=False):  # torch without CUDA has none
        copies.add((other.device.type, self.device.type, non_blocking))
        return self

    monkeypatch.setattr(Tensor, "copy_", copy_)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        monkeypatch.setattr(Tensor, "__getitem__", indexed)
        streamed = StreamedBlocks(list(backbone.blocks), CUDA, dtype)
        backbone.blocks = streamed
        on_cuda(backbone, dtype)
        assert {(flat.device, flat.dtype) for flat in streams.pinned} == {(CPU, torch.uint8)}
        moved, text, time = (
            fake(batch),
            torch.empty(5, 24, device=CUDA),
            torch.empty(2, device=CUDA),
        )
        monkeypatch.setattr(streams, "do", lambda what: None)
        with CUDA:
            context = backbone.prepare(moved, text, (2, 3))
            for block in streamed:
                seen |= {(weight.device.type, weight.dtype) for weight in block.parameters()}
            velocity = backbone(moved, time, context)
    assert seen == {("cuda", dtype)}
    assert copies == {("cpu", "cpu", False), ("cpu", "cuda", True)}
    assert (velocity.device.type, velocity.dtype) == ("cuda", torch.float32)
