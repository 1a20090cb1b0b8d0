"""A batch is computed without once waiting for the device: on a GPU of fake tensors, which has no
values to wait for."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import indexed, on_cuda
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lumina_core.backbone.attention import forget_groups
from lumina_core.runtime import seeded
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import draw, drawn_loss
from lumina_core.training.start import start
from lumina_core.training.step import objectives_of
from lumina_core.training.tally import Tally

CUDA = torch.device("cuda", 0)  # without a number torch would ask which one is current
aten = torch.ops.aten
ASKING = {  # for values, or for how many there are
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.unique_consecutive.default,
    aten._unique2.default,
}


def is_there(value):
    return isinstance(value, Tensor) and value.device.type == "cuda"


class NoWaiting(TorchDispatchMode):
    """Within FakeTensorMode: those on the CPU are real; fails where an operator would wait."""

    def __init__(self):
        super().__init__()
        self.num_sent = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        before = any(is_there(leaf) for leaf in tree_leaves((args, kwargs)))
        if before:
            assert func not in ASKING, func
            if func is aten.repeat_interleave.Tensor:
                assert kwargs.get("output_size") is not None
            if func in (aten.index.Tensor, aten.index_put.default):
                assert not any(i is not None and i.dtype == torch.bool for i in args[1])
        wanted = kwargs.get("device")
        if not before and (wanted is None or torch.device(wanted).type != "cuda"):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        made = func(*args, **kwargs)
        if func is aten._to_copy.default:
            after = is_there(made)
            assert after, "fetched from the device"
            assert before or kwargs.get("non_blocking"), "sent while the device is waited for"
            self.num_sent += not before
        return made


class Embedded(nn.Module):
    """A text encoder of one layer: how the masks of transformers are made is not ours."""

    def __init__(self, model):
        super().__init__()
        self.config, self.embedding = model.config, model.get_input_embeddings()

    @property
    def device(self):
        return CUDA

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask, output_hidden_states):
        return SimpleNamespace(last_hidden_state=self.embedding(input_ids))


@pytest.fixture
def run(tiny_training, tmp_path):
    return start(compose_train(tiny_training(tmp_path / "out", "backbone.depth=1")))


def indexed_there(x, index, of_torch=Tensor.__getitem__):
    return indexed(x, index) if is_there(x) else of_torch(x, index)


def computed(run, drawn):
    """The loss of a batch and its place in the tally, by networks on a GPU of fake tensors."""
    forget_groups()
    try:
        with ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(Tensor, "__getitem__", indexed_there)
            stack.enter_context(torch.no_grad())
            stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
            mode = stack.enter_context(NoWaiting())
            encoder = run.networks["text_encoder"]
            encoder.model = Embedded(encoder.model)
            on_cuda(run.networks, torch.float32)
            tally = Tally(["image"], CUDA)
            losses = drawn_loss(run.model, drawn)
            tally.add(["image"] * len(losses), [20] * len(losses), torch.rand(len(losses)), losses)
        return losses, mode.num_sent
    finally:
        forget_groups()


def test_a_batch_waits_for_nothing(run):
    (source,) = run.mixture.sources.values()
    run.mixture.advance(0)
    samples = [source.get(number) for number in range(2)]
    config = compose_train(["+modality=image", "condition_share=1"])
    drawn = draw(samples, objectives_of(config), (seeded(0, n) for n in range(2)))
    losses, num_sent = computed(run, drawn)
    assert losses.device.type == "cuda"
    assert num_sent > 5


def test_the_guard_sees_what_waits():
    with FakeTensorMode(allow_non_fake_inputs=True), NoWaiting():
        there = torch.empty(3, device=CUDA)
        for wait in (
            lambda: torch.ones(3).to(CUDA),
            lambda: torch.tensor([1.0], device=CUDA),
            lambda: there.cpu(),
            lambda: there.sum().item(),
            lambda: there.repeat_interleave(torch.empty(3, dtype=torch.long, device=CUDA)),
        ):
            with pytest.raises(AssertionError):
                wait()
