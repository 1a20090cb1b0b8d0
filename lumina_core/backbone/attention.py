"""Attention over packed sequences: each sample attends to itself (or to its own text) only.

Three backends, chosen by name. `sdpa` always works: one unmasked call per group of samples with
equal lengths, which on a CPU is the fastest form measured. `varlen` is torch's own kernel and
`xformers` its block-diagonal one; both want a GPU. A backend that is asked for and absent fails
loudly. No backend pads, none builds a dense mask.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from inspect import signature
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_flash_attention
from torch.nn.functional import scaled_dot_product_attention

from lumina_core.backbone.settings import BACKENDS
from lumina_core.errors import LuminaError, nearest
from lumina_core.sequence import sent

HALF_TYPES = (torch.float16, torch.bfloat16)
LONG = 20_000  # queries times keys from which blocks of bfloat16 pay on a CPU
BLOCK_SCORES = 2**19  # a mebibyte of bfloat16


def attend(
    q: Float[Tensor, "query head channel"],
    k: Float[Tensor, "key kv_head channel"],
    v: Float[Tensor, "key kv_head channel"],
    *,
    query_lengths: Sequence[int],
    key_lengths: Sequence[int],
    backend: str,
) -> Float[Tensor, "query head channel"]:
    """softmax(q k^T / sqrt(channel)) v within each sample.

    Args:
        q: queries of all samples, end to end.
        k: keys, end to end; fewer heads than q share each key head among consecutive query heads.
        v: values like k.
        query_lengths: queries of each sample.
        key_lengths: keys of each sample.
        backend: one of BACKENDS; `auto` takes `varlen` for half precision on a GPU, else `sdpa`.

    Raises:
        LuminaError: the backend is unknown, or cannot run here.
    """
    name = resolve_backend(backend, v.device.type, v.dtype)
    lengths = tuple(query_lengths), tuple(key_lengths)
    is_half_on_cpu = v.device.type == "cpu" and v.dtype in HALF_TYPES
    if name == "sdpa" and is_half_on_cpu and torch.is_grad_enabled():
        # its gradient takes a CPU three times as long in half precision
        with torch.autocast("cpu", enabled=False):
            return _attend_sdpa(q.float(), k.float(), v.float(), *lengths).to(v.dtype)
    # Under autocast on CUDA a LayerNorm answers in float32 and a linear layer in half precision, so
    # normed q and k arrive wider than v. No kernel takes both; v's dtype is the one asked for.
    q, k = q.to(v.dtype), k.to(v.dtype)
    return _ATTENDERS[name](q, k, v, *lengths)


@lru_cache(maxsize=64)  # for every layer asks
def resolve_backend(name: str, device: str, dtype: torch.dtype) -> str:
    """The backend that `name` means for tensors of this device and dtype.

    Raises:
        LuminaError: the backend is unknown, or cannot run here.
    """
    if name not in BACKENDS:
        raise LuminaError(
            f"attention={name!r} is unknown; use one of {', '.join(BACKENDS)}."
            + nearest(name, BACKENDS)
        )
    is_fast = device == "cuda" and dtype in HALF_TYPES
    if name == "auto":
        return "varlen" if is_fast and _has_varlen() else "sdpa"
    if name == "varlen" and not (is_fast and _has_varlen()):
        raise LuminaError(
            f"attention=varlen needs a CUDA device and bfloat16 or float16, "
            f"got {device} and {dtype}; use attention=sdpa"
        )
    if name == "xformers" and (device != "cuda" or find_spec("xformers") is None):
        raise LuminaError(
            "attention=xformers needs the xformers package and a CUDA device; "
            "install lumina-core[xformers] or use attention=sdpa"
        )
    return name


def _has_varlen() -> bool:
    return find_spec("torch.nn.attention.varlen") is not None


class Groups(NamedTuple):
    """Samples of equal lengths, brought together; of each group its samples, queries and keys."""

    query_order: Int[Tensor, "query"] | None
    key_order: Int[Tensor, "key"] | None
    num_samples: tuple[int, ...]
    num_queries: tuple[int, ...]
    num_keys: tuple[int, ...]


# What is cached is built outside inference mode: training may reuse what sampling met first, and
# autograd refuses to save an inference tensor.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _equal_groups(
    query_lengths: tuple[int, ...], key_lengths: tuple[int, ...], device: torch.device
) -> Groups:
    """The groups, and the order that brings them together; None where they stand so already."""
    members: dict[tuple[int, int], list[int]] = {}
    for number, lengths in enumerate(zip(query_lengths, key_lengths, strict=True)):
        members.setdefault(lengths, []).append(number)
    numbers = [number for group in members.values() for number in group]

    def order(lengths: tuple[int, ...]) -> Int[Tensor, "index"] | None:
        if numbers == sorted(numbers):
            return None
        starts = list(accumulate(lengths, initial=0))
        rows = [torch.arange(starts[number], starts[number + 1]) for number in numbers]
        return sent(torch.cat(rows), device)

    return Groups(
        order(query_lengths),
        order(key_lengths),
        tuple(len(group) for group in members.values()),
        tuple(len(group) * length for (length, _), group in members.items()),
        tuple(len(group) * length for (_, length), group in members.items()),
    )


def forget_groups() -> None:
    """Drop the indices that are remembered; they are made again where they are needed."""
    _equal_groups.cache_clear()


def _attend_sdpa(
    q: Tensor, k: Tensor, v: Tensor, query_lengths: tuple[int, ...], key_lengths: tuple[int, ...]
) -> Tensor:
    groups = _equal_groups(query_lengths, key_lengths, q.device)
    if len(groups.num_samples) == 1:
        return _dense(q, k, v, groups.num_samples[0])
    order, key_order = groups.query_order, groups.key_order
    if order is not None and key_order is not None:
        q, k, v = (
            q.index_select(0, order),
            k.index_select(0, key_order),
            v.index_select(0, key_order),
        )
    # views: rows picked group by group would each cost a gradient as long as the whole
    parts = zip(
        q.split(groups.num_queries),
        k.split(groups.num_keys),
        v.split(groups.num_keys),
        groups.num_samples,
        strict=True,
    )
    joined = torch.cat([_dense(*part) for part in parts])
    return joined if order is None else torch.empty_like(joined).index_copy(0, order, joined)


def _dense(q: Tensor, k: Tensor, v: Tensor, count: int) -> Tensor:
    if k.shape[1] < q.shape[1] and not _reads_shared_heads(q, k, v):
        k, v = _head_for_head(q, k, v)
    shares = k.shape[1] < q.shape[1]
    q, k, v = (rearrange(x, "(b l) h c -> b h l c", b=count) for x in (q, k, v))
    if v.device.type == "cpu" and v.dtype == torch.bfloat16 and q.shape[2] * k.shape[2] >= LONG:
        made = _in_blocks(q, k, v)
    else:
        made = scaled_dot_product_attention(q, k, v, enable_gqa=shares)
    return rearrange(made, "b h l c -> (b l) h c")


def _in_blocks(
    q: Float[Tensor, "b head query channel"],
    k: Float[Tensor, "b kv_head key channel"],
    v: Float[Tensor, "b kv_head key channel"],
) -> Float[Tensor, "b head query channel"]:
    """softmax(q k^T / sqrt(channel)) v by products of blocks whose scores stay in a CPU's cache.

    In bfloat16 products of a CPU are up to 1.5 times as fast as torch's fused kernel. Scores are
    rounded to bfloat16, which that keeps in float32.
    """
    num_keys, channels = k.shape[2:]
    queries = q.reshape(-1, q.shape[1] // k.shape[1] * q.shape[2], channels)  # of a head of keys
    keys, values = k.flatten(0, 1).mT.contiguous(), v.flatten(0, 1)
    made = torch.empty_like(queries)
    num_blocks = -(-queries.shape[1] * num_keys // BLOCK_SCORES)
    num_rows = -(-queries.shape[1] // num_blocks)
    num_heads = max(1, BLOCK_SCORES // (num_rows * num_keys))
    for head in range(0, len(queries), num_heads):
        heads = slice(head, head + num_heads)
        for row in range(0, queries.shape[1], num_rows):
            rows = slice(row, row + num_rows)
            scores = torch.baddbmm(
                *(q.new_empty(()), queries[heads, rows], keys[heads]),
                beta=0,
                alpha=channels**-0.5,
            )
            made[heads, rows] = scores.softmax(-1) @ values[heads]
    return made.view_as(q)


def _reads_shared_heads(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether a fused kernel takes fewer heads of keys than of queries; on a GPU flash alone."""
    if q.device.type != "cuda":
        return True
    q, k, v = (rearrange(x[:1], "b h c -> b h 1 c") for x in (q, k, v))
    return can_use_flash_attention(SDPAParams(q, k, v, None, 0.0, False, True))


def _head_for_head(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with a copy of each head for every query head that reads it."""
    groups = q.shape[1] // k.shape[1]
    return repeat(k, "l k c -> l (k g) c", g=groups), repeat(v, "l k c -> l (k g) c", g=groups)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Int[Tensor, "offset"]:
    ends = list(accumulate(lengths, initial=0))
    return sent(torch.tensor(ends, dtype=torch.int32), device)


def _attend_varlen(
    q: Tensor, k: Tensor, v: Tensor, query_lengths: tuple[int, ...], key_lengths: tuple[int, ...]
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    shares: dict[str, Any] = {"enable_gqa": True} if k.shape[1] < q.shape[1] else {}
    if shares and not _varlen_shares_heads():
        shares, (k, v) = {}, _head_for_head(q, k, v)
    out = varlen_attn(
        q,
        k,
        v,
        _offsets(query_lengths, q.device),
        _offsets(key_lengths, q.device),
        max(query_lengths),
        max(key_lengths),
        **shares,
    )
    assert isinstance(out, Tensor)  # a tuple only if asked for more than the result
    return out


@cache
def _varlen_shares_heads() -> bool:
    """Whether torch's kernel takes fewer heads of keys; that of older versions does not."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in signature(varlen_attn).parameters


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _block_diagonal(
    query_lengths: tuple[int, ...], key_lengths: tuple[int, ...], device: torch.device
) -> object:
    from xformers.ops.fmha import BlockDiagonalMask

    # without a device it would be built on the default GPU
    return BlockDiagonalMask.from_seqlens(list(query_lengths), list(key_lengths), device=device)


def _attend_xformers(
    q: Tensor, k: Tensor, v: Tensor, query_lengths: tuple[int, ...], key_lengths: tuple[int, ...]
) -> Tensor:
    from xformers.ops import memory_efficient_attention

    if k.shape[1] < q.shape[1]:
        k, v = _head_for_head(q, k, v)
    mask = _block_diagonal(query_lengths, key_lengths, q.device)
    return memory_efficient_attention(q[None], k[None], v[None], attn_bias=mask)[0]


_ATTENDERS = {"sdpa": _attend_sdpa, "varlen": _attend_varlen, "xformers": _attend_xformers}
