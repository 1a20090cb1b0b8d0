"""Half precision on CUDA, without one: under autocast CUDA's dtype rules are not those of a CPU.

Fake tensors on a device "cuda" ask torch's real dispatcher, but torch without CUDA has no gradients
for them. So losses and gradients are computed on a CPU that follows the rules of CUDA where the two
differ; a test compares these with the dispatcher. Kernels that want a GPU are played by functions
that demand what the kernels demand.
"""

import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch
from fake_cuda import CUDA, fake, indexed, on_cuda
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.nn.attention import varlen

from lumina_core.backbone import attention, settings
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone, _mean_of_each
from lumina_core.runtime import autocast, seeded
from lumina_core.sequence import Grid, TokenSample, pack
from lumina_core.training import start, step
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import draw, drawn_loss

HALF = (torch.bfloat16, torch.float16)


@contextmanager
def cuda_autocast(dtype):
    """Autocast for CUDA tensors; torch.autocast refuses where there is no GPU."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.clear_autocast_cache()


def widened(norm):
    """A norm that computes and answers in float32 under autocast, as on CUDA."""

    def computed(x, shape, weight=None, *more, **named):
        if not torch.is_autocast_enabled("cpu"):
            return norm(x, shape, weight, *more, **named)
        with torch.autocast("cpu", enabled=False):
            wide = None if weight is None else weight.float()
            return norm(x.float(), shape, wide, *more, **named)

    return computed


def strict_index_copy(copied):
    """An index_copy that takes one dtype, as all do that no autocast rule covers; a CPU has one."""

    def computed(self, *given):
        with torch.autocast("cpu", enabled=False):
            return copied(self, *given)

    return computed


def of_each(q, k, v, query_lengths, key_lengths):
    parts = zip(q.split(query_lengths), k.split(key_lengths), v.split(key_lengths), strict=True)
    heads_first = ((x.transpose(0, 1) for x in part) for part in parts)
    attend = partial(functional.scaled_dot_product_attention, enable_gqa=True)
    return torch.cat([attend(*part).transpose(0, 1) for part in heads_first])


def forget():
    """Empty the caches of attention: none may keep what is played, or fake."""
    for cache in (
        attention._offsets, attention._block_diagonal, attention._equal_groups,
        attention._varlen_shares_heads,
    ):  # fmt: skip
        cache.cache_clear()


@pytest.fixture
def kernels(monkeypatch):
    """The calls of `varlen_attn` and of xformers, which are played; fails where they would."""
    calls, dispatched = [], varlen.varlen_attn

    def varlen_attn(q, k, v, query_ends, key_ends, longest_query, longest_key, *, enable_gqa=False):
        assert enable_gqa or q.shape[1] == k.shape[1]
        assert q.dtype == k.dtype == v.dtype
        assert q.dtype in HALF
        assert query_ends.dtype == key_ends.dtype == torch.int32
        assert query_ends.device == key_ends.device == q.device
        calls.append("varlen")
        if isinstance(q, FakeTensor):
            given = (q, k, v, query_ends, key_ends, longest_query, longest_key)
            return dispatched(*given, enable_gqa=enable_gqa)
        lengths = [ends.diff().tolist() for ends in (query_ends, key_ends)]
        assert (longest_query, longest_key) == tuple(max(own) for own in lengths)
        return of_each(q, k, v, *lengths)

    class BlockDiagonalMask:
        @classmethod
        def from_seqlens(cls, queries, keys, *, device=None):
            mask = cls()
            mask.lengths, mask.device = (queries, keys), device
            return mask

    def memory_efficient_attention(q, k, v, attn_bias):
        assert q.dtype == k.dtype == v.dtype
        assert q.shape[2] == k.shape[2]
        assert attn_bias.device == q.device  # None would be the default GPU
        calls.append("xformers")
        return of_each(q[0], k[0], v[0], *attn_bias.lengths)[None]

    for name in ("xformers", "xformers.ops", "xformers.ops.fmha"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.memory_efficient_attention = memory_efficient_attention
        module.BlockDiagonalMask = BlockDiagonalMask
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(varlen, "varlen_attn", varlen_attn)
    forget()
    yield calls
    forget()


@pytest.fixture
def cpu_as_cuda(monkeypatch, kernels):
    """The CPU follows CUDA's rules and has its backends."""
    monkeypatch.setattr(functional, "layer_norm", widened(functional.layer_norm))
    monkeypatch.setattr(functional, "rms_norm", widened(functional.rms_norm))
    monkeypatch.setattr(Tensor, "index_copy", strict_index_copy(Tensor.index_copy))
    resolve = attention.resolve_backend
    on_cuda = lambda name, device, dtype: resolve(name, "cuda", dtype)  # noqa: E731
    monkeypatch.setattr(attention, "resolve_backend", on_cuda)
    return kernels


def probes(device):
    """What the networks compute, each from a wide and a half-precision tensor."""
    wide = torch.ones(2, 4, device=device)
    half, weight = wide.bfloat16(), torch.ones(4, device=device)
    order = torch.tensor([1, 0], device=device)
    return {
        "linear": partial(functional.linear, wide, torch.ones(4, 4, device=device)),
        "layer_norm": partial(functional.layer_norm, half, [4], weight, weight),
        "rms_norm": partial(functional.rms_norm, half, [4], weight),
        "cat": partial(torch.cat, [half, wide]),
        "addcmul": partial(torch.addcmul, half, wide, half),
        "addcmul of half": partial(torch.addcmul, half, half, half),
        "sum of two": partial(torch.add, half, wide),
        "silu": partial(functional.silu, half),
        "index_copy": partial(half.index_copy, 0, order, half),
        "index_add": partial(wide.index_add, 0, order, wide),
        "attention": partial(
            functional.scaled_dot_product_attention, *[half.view(1, 1, 2, 4)] * 3
        ),
    }  # fmt: skip


def answers(device):
    with torch.no_grad():
        return {name: probe().dtype for name, probe in probes(device).items()}


def test_the_played_rules_are_those_of_the_dispatcher(cpu_as_cuda):
    with torch.autocast("cpu", torch.bfloat16):
        played = answers("cpu")
    with cuda_autocast(torch.bfloat16), FakeTensorMode():
        assert answers("cuda") == played
    assert played["layer_norm"] == torch.float32
    wide, order = torch.ones(2, 4), torch.tensor([1, 0])
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match="same dtype"):
        wide.index_copy(0, order, wide.bfloat16())


@pytest.mark.parametrize("separators", ["true", "false"])
def test_bfloat16_trains_with_every_backend(separators, tiny_training, tmp_path, cpu_as_cuda):
    """Loss and gradients of backbone and text encoder are near those of float32."""
    words = [f"backbone.separators={separators}", "backbone.depth=2"]
    config = compose_train(tiny_training(tmp_path / "out", *words))
    run = start.start(config)
    with torch.no_grad():
        for weight in run.networks.parameters():  # a fresh model predicts 0 whatever it is given
            if not weight.any():
                weight.normal_(std=0.05, generator=seeded(1))
    samples = [run.mixture.sources["image"].draw(number) for number in range(4)]
    assert len({sample.tokens.grid.num_patches for sample in samples}) > 1
    drawn = draw(samples, step.objectives_of(config), map(seeded, range(4)))

    def computed(backend, dtype):
        model = replace(run.model, attention=backend)
        with autocast(model.device, dtype):
            losses = drawn_loss(model, drawn)
        losses.sum().backward()
        found = {name: weight.grad for name, weight in run.networks.named_parameters()}
        run.optimizer.zero_grad()
        return losses, {name: grad for name, grad in found.items() if grad is not None}

    wanted, exact = computed("sdpa", "float32")
    widths = set()
    for block in run.model.backbone.blocks:
        block.register_forward_pre_hook(lambda _, given: widths.add(given[0].dtype))
    kernels_of = {"auto": {"varlen"}, "sdpa": set(), "varlen": {"varlen"}, "xformers": {"xformers"}}
    assert kernels_of.keys() == set(settings.BACKENDS)
    for backend, kernels_used in kernels_of.items():
        cpu_as_cuda.clear()
        losses, gradients = computed(backend, "bfloat16")
        assert set(cpu_as_cuda) == kernels_used
        assert widths == {torch.float32}  # the residual stream, with and without separators
        torch.testing.assert_close(losses, wanted, rtol=0.02, atol=0)
        assert gradients.keys() == exact.keys()
        assert {grad.dtype for grad in gradients.values()} == {torch.float32}
        errors = torch.stack([(gradients[name] - exact[name]).norm() for name in exact])
        sizes = torch.stack([grad.norm() for grad in exact.values()])
        assert errors.norm() < 0.05 * sizes.norm()


def fake_forward(dtype, backend, *, is_autocast, separators):
    """The dtype of the residual stream and of the velocity, as the dispatcher has them."""
    config = BackboneConfig(
        token_dims={"image": 16}, hidden_size=32, depth=1, num_heads=4, num_kv_heads=2,
        text_dim=24, conditioning_size=None, multiple_of=8, ffn_dim_multiplier=None,
        norm_eps=1e-5, qk_norm=True, learn_sigma=False, separators=separators, rope="sequence",
        rope_theta=1e4, rope_dims=None, initial_gate=0.5,
    )  # fmt: skip
    samples = [
        TokenSample("image", Grid(1, rows, 4, (1.0, 1.0, 1.0)), torch.zeros(4 * rows, 16))
        for rows in (2, 3)
    ]
    batch = pack(samples, separators=separators)
    widths = []
    forget()
    with FakeTensorMode(), torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "__getitem__", indexed)
        with torch.device("meta"):
            model = Backbone(config)
        on_cuda(model, torch.float32 if is_autocast else dtype)
        model.blocks[0].register_forward_pre_hook(lambda _, given: widths.append(given[0].dtype))
        moved, text = fake(batch), torch.empty(5, 24, device=CUDA)
        time = torch.empty(2, device=CUDA)
        with CUDA:
            context = model.prepare(moved, text, (2, 3), attention=backend, proportional_base=9)
            velocity = model(moved, time, context)
    assert velocity.device.type == "cuda"
    return widths[0], velocity.dtype


@pytest.mark.parametrize("separators", [True, False])
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("backend", settings.BACKENDS)
def test_the_dispatcher_takes_the_backbone_on_cuda(backend, dtype, separators, kernels):
    """Training, where autocast decides, and `run`, where the weights are of that dtype."""
    with cuda_autocast(dtype):
        found = fake_forward(dtype, backend, is_autocast=True, separators=separators)
    assert found == (torch.float32, torch.float32)
    found = fake_forward(dtype, backend, is_autocast=False, separators=separators)
    assert found == (dtype, torch.float32)


@pytest.mark.parametrize("dtype", HALF)
def test_the_mean_of_a_long_text_keeps_its_digits_in_half_precision(dtype):
    """The numbers are those of a large language model: far from zero, and some of them large."""
    text = (torch.randn(400, 8, generator=seeded(0)) + 300).to(dtype)
    mean = _mean_of_each(text, [400])
    assert mean.dtype == dtype
    torch.testing.assert_close(mean[0], text.double().mean(0).to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize(("shares", "kv_heads"), [(True, 2), (False, 4)])
def test_varlen_reads_shared_heads_where_its_version_can(shares, kv_heads, monkeypatch, kernels):
    """Of torch 2.10, say, it wants a copy for every head of the queries."""
    seen, newest = [], varlen.varlen_attn

    def older(q, k, v, query_ends, key_ends, longest_query, longest_key):
        return newest(q, k, v, query_ends, key_ends, longest_query, longest_key)

    def watched(q, k, v, *more, **named):
        seen.append(k.shape[1])
        return of_each(q, k, v, (3, 2), (3, 2))

    if not shares:
        monkeypatch.setattr(varlen, "varlen_attn", older)
    assert attention._varlen_shares_heads() == shares
    monkeypatch.setattr(varlen, "varlen_attn", watched)
    q, k, v = (torch.randn(5, heads, 8, generator=seeded(0)) for heads in (4, 2, 2))
    found = attention._attend_varlen(q, k, v, (3, 2), (3, 2))
    torch.testing.assert_close(found, attention._attend_sdpa(q, k, v, (3, 2), (3, 2)))
    assert seen == [kv_heads]
