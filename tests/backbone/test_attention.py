"""Packed attention is attention within each sample, whichever backend computes it."""

from importlib.util import find_spec

import pytest
import torch

from lumina_core.backbone import attention
from lumina_core.backbone.attention import attend, resolve_backend
from lumina_core.backbone.settings import BACKENDS
from lumina_core.backbone.trace import TensorBytes
from lumina_core.errors import LuminaError

LENGTHS = {
    "one": ([5], [5]),
    "equal": ([4, 4, 4], [3, 3, 3]),
    "mixed": ([3, 7, 3, 1, 7], [3, 7, 3, 1, 7]),
    "cross": ([3, 7, 3, 1], [2, 5, 4, 1]),
}
HAS_VARLEN = torch.cuda.is_available() and find_spec("torch.nn.attention.varlen") is not None
HAS_XFORMERS = torch.cuda.is_available() and find_spec("xformers") is not None


def inputs(query_lengths, key_lengths, kv_heads=4, dtype=torch.float64, channels=6, device="cpu"):
    generator = torch.Generator().manual_seed(0)

    def draw(length, heads):
        x = torch.randn(length, heads, channels, generator=generator, dtype=torch.float64)
        return x.to(device, dtype).requires_grad_()

    num_keys = sum(key_lengths)
    return draw(sum(query_lengths), 4), draw(num_keys, kv_heads), draw(num_keys, kv_heads)


def naive(q, k, v, query_lengths, key_lengths):
    """softmax(q k^T / sqrt(channel)) v, one sample and one head at a time."""
    shared = q.shape[1] // k.shape[1]
    samples = []
    parts = zip(q.split(query_lengths), k.split(key_lengths), v.split(key_lengths), strict=True)
    for queries, keys, values in parts:
        heads = []
        for head in range(q.shape[1]):
            score = queries[:, head] @ keys[:, head // shared].T / q.shape[2] ** 0.5
            heads.append(score.softmax(dim=-1) @ values[:, head // shared])
        samples.append(torch.stack(heads, dim=1))
    return torch.cat(samples)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_sdpa_equals_attention_sample_by_sample(lengths, kv_heads):
    query_lengths, key_lengths = lengths
    q, k, v = inputs(query_lengths, key_lengths, kv_heads)
    expected = naive(q, k, v, query_lengths, key_lengths)
    out = attend(q, k, v, query_lengths=query_lengths, key_lengths=key_lengths, backend="sdpa")
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_sdpa_has_the_gradients_of_attention_sample_by_sample(lengths, kv_heads):
    query_lengths, key_lengths = lengths
    q, k, v = inputs(query_lengths, key_lengths, kv_heads)
    weight = torch.randn(q.shape, generator=torch.Generator().manual_seed(1), dtype=q.dtype)
    expected = (naive(q, k, v, query_lengths, key_lengths) * weight).sum()
    out = attend(q, k, v, query_lengths=query_lengths, key_lengths=key_lengths, backend="sdpa")
    actual = torch.autograd.grad((out * weight).sum(), (q, k, v))
    torch.testing.assert_close(actual, torch.autograd.grad(expected, (q, k, v)))


@pytest.mark.parametrize("cast", [False, True])
def test_a_cpu_trains_attention_of_half_precision_in_float32(cast):
    lengths = {"query_lengths": [5, 9], "key_lengths": [4, 6], "backend": "sdpa"}
    half = inputs([5, 9], [4, 6], 2, torch.bfloat16, channels=32)
    wide = [x.detach().float().requires_grad_() for x in half]
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        out = attend(*half, **lengths)
        gradients = torch.autograd.grad(out.float().square().sum(), half)
    expected = attend(*wide, **lengths)
    rounded = expected + (expected.bfloat16().float() - expected).detach()
    wanted = torch.autograd.grad(2 * (expected * rounded.detach().bfloat16().float()).sum(), wide)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected.bfloat16())
    for found, each in zip(gradients, wanted, strict=True):
        assert torch.equal(found, each.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_heads_of_keys_that_are_shared_are_not_copied(dtype):
    """The fused kernel reads them; every bit is that of copies, which a kernel of float32 wants."""
    q, k, v = inputs([120], [120], 2, dtype, channels=32)
    lengths = {"query_lengths": [120], "key_lengths": [120], "backend": "sdpa"}
    copies = (x.repeat_interleave(2, dim=1) for x in (k, v))
    with torch.no_grad(), TensorBytes() as tensors:
        out = attend(q, k, v, **lengths)
    with torch.no_grad():
        assert torch.equal(out, attend(q, *copies, **lengths))
    views = q.nbytes + k.nbytes + v.nbytes  # count, as they were made before
    assert tensors.peak - views - out.nbytes < k.nbytes


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize(("queries", "keys"), [(200, 150), (150, 200), (37, 700)])
def test_blocks_of_bfloat16_are_attention(monkeypatch, queries, keys, kv_heads):
    """Whatever the blocks are, also uneven ones; short samples stay with the fused kernel."""
    lengths = {"query_lengths": [queries, 9], "key_lengths": [keys, 9], "backend": "sdpa"}
    half = inputs([queries, 9], [keys, 9], kv_heads, torch.bfloat16, channels=32)
    expected = naive(*(x.double() for x in half), [queries, 9], [keys, 9])
    fused = []
    kernel = attention.scaled_dot_product_attention
    monkeypatch.setattr(
        attention,
        "scaled_dot_product_attention",
        lambda *given, **options: fused.append(len(given[0])) or kernel(*given, **options),
    )
    for size in (1, 2**13, 2**19):
        monkeypatch.setattr(attention, "BLOCK_SCORES", size)
        with torch.no_grad():
            out = attend(*half, **lengths)
        assert out.dtype == torch.bfloat16
        torch.testing.assert_close(out.double(), expected, atol=0.02, rtol=0.02)
    assert fused == [1, 1, 1]  # the short sample, each time


def test_a_gpu_without_the_kernel_gets_copies_of_shared_heads(monkeypatch):
    asked = []
    monkeypatch.setattr(attention, "_reads_shared_heads", lambda *given: asked.append(given))
    lengths = {"query_lengths": [9], "key_lengths": [9], "backend": "sdpa"}
    q, k, v = inputs([9], [9], 2)
    torch.testing.assert_close(attend(q, k, v, **lengths), naive(q, k, v, [9], [9]))
    assert len(asked) == 1


def test_sdpa_trains_on_lengths_that_sampling_met_first():
    lengths = [2, 9, 2]  # used by no other test: the first call fills a cache
    q, k, v = inputs(lengths, lengths)
    arguments = {"query_lengths": lengths, "key_lengths": lengths, "backend": "sdpa"}
    with torch.inference_mode():
        sampled = attend(q, k, v, **arguments)
    trained = attend(q, k, v, **arguments)
    trained.sum().backward()
    assert torch.equal(sampled, trained)


def test_unknown_backend_lists_the_valid_ones():
    with pytest.raises(LuminaError) as caught:
        resolve_backend("spda", "cpu", torch.float32)
    assert all(name in str(caught.value) for name in BACKENDS)
    assert "Did you mean 'sdpa'?" in str(caught.value)


@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", torch.bfloat16), ("cuda", torch.float32), ("mps", torch.float16)]
)
def test_varlen_is_refused_where_it_cannot_run(device, dtype):
    with pytest.raises(LuminaError, match=r"attention=varlen needs a CUDA device"):
        resolve_backend("varlen", device, dtype)


def test_xformers_is_refused_where_it_cannot_run():
    q, k, v = inputs([2], [2])
    with pytest.raises(LuminaError, match=r"attention=xformers needs"):
        attend(q, k, v, query_lengths=[2], key_lengths=[2], backend="xformers")


def test_auto_takes_sdpa_on_a_cpu_and_in_float32():
    assert resolve_backend("auto", "cpu", torch.bfloat16) == "sdpa"
    assert resolve_backend("auto", "cuda", torch.float32) == "sdpa"


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("varlen", marks=pytest.mark.skipif(not HAS_VARLEN, reason="no CUDA varlen")),
        pytest.param("xformers", marks=pytest.mark.skipif(not HAS_XFORMERS, reason="no xformers")),
    ],
)
def test_gpu_backend_equals_sdpa(backend, lengths, kv_heads):
    query_lengths, key_lengths = lengths
    q, k, v = inputs(query_lengths, key_lengths, kv_heads, torch.bfloat16, 32, "cuda")
    results = []
    for name in (backend, "sdpa"):
        out = attend(q, k, v, query_lengths=query_lengths, key_lengths=key_lengths, backend=name)
        results.append((out, *torch.autograd.grad(out.float().square().sum(), (q, k, v))))
    torch.testing.assert_close(results[0], results[1], atol=3e-2, rtol=3e-2)  # bfloat16
