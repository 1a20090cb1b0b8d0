"""How much memory a computation needs at most, counted without computing it.

Operators of torch's FakeTensorMode give tensors that have a shape, a dtype and no memory. So the
code itself runs, at any size and in moments, while the bytes of its tensors are counted: no formula
has to follow what a network keeps for its gradients. What kernels and allocators need on top is not
seen.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lumina_core.backbone.attention import forget_groups
from lumina_core.backbone.network import PackagedNetwork
from lumina_core.backbone.settings import LABEL, BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.sequence import TokenBatch, TokenSample

DEPTHS = (2, 3)  # blocks that are traced; what each further one adds is their difference


class TensorBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made within the block and still live."""

    def __init__(self, network: nn.Module | None = None) -> None:
        """Begin at zero.

        Args:
            network: whose weights are there already, so that views of them are not counted.
        """
        super().__init__()
        self.live = 0
        self.peak = 0
        there = () if network is None else (*network.parameters(), *network.buffers())
        self._known = {weight.untyped_storage()._cdata for weight in there}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


class Traced(NamedTuple):
    """What a call needs."""

    num_bytes: int
    """Of its tensors, at most at once."""
    flops: int
    """Of its matrix products and convolutions, a product and its sum counted as two."""


def traced(network: nn.Module, call: Callable[[], object]) -> Traced:
    """What a call needs that computes with a network, whose own weights are not counted.

    Args:
        network: on the meta device; its weights are without memory afterwards.
        call: uses it, on a CPU, and makes its inputs itself.
    """
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention_flops(q: Any, k: Any, v: Any, *others: Any, **words: Any) -> int:
        return int(sdpa_flop_count(q, k, v))

    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    counter = FlopCounterMode(display=False, custom_mapping={fused: attention_flops})
    with _without_memory(network), counter, TensorBytes(network) as tensors:
        call()
    return Traced(tensors.peak, counter.get_total_flops())


def traced_bytes(network: nn.Module, call: Callable[[], object]) -> int:
    """The bytes of `traced`, also of a call that computes what it dropped a second time.

    What counts operations holds tensors of such a call for longer than they live.
    """
    with _without_memory(network), TensorBytes(network) as tensors:
        call()
    return tensors.peak


@contextmanager
def _without_memory(network: nn.Module) -> Iterator[None]:
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            network.to_empty(device="cpu")
            yield
    finally:
        forget_groups()  # nobody else may meet indices without memory


def evaluation(
    network: PackagedNetwork, samples: Sequence[TokenSample], text: tuple[int, int]
) -> Traced:
    """What an evaluation of the network of a package needs, without gradients.

    Args:
        network: on the meta device; its weights are without memory afterwards.
        samples: computed at once.
        text: tokens of the text of each, and their width.
    """
    batch, (length, width) = network.pack(samples), text
    lengths = [length] * batch.num_samples

    @torch.no_grad()
    def evaluate() -> None:
        context = network.prepare(batch, torch.zeros(sum(lengths), width), lengths)
        network(batch, batch.segment_time(torch.zeros(batch.num_samples)), context)

    return traced(network, evaluate)


def sampling_bytes(
    config: BackboneConfig,
    samples: list[TokenSample],
    text_length: int,
    dtype: torch.dtype,
    *,
    is_guided: bool,
) -> int:
    """Memory of the tensors of a guided or plain evaluation, without the weights, in bytes.

    Args:
        config: of the network.
        samples: computed at once.
        text_length: tokens of the text of each.
        dtype: of the network.
        is_guided: a second copy of each sample is computed beside it.
    """
    shaped = _empty(config, 1)
    batches = [shaped.pack(samples)]
    if is_guided:
        twice = [sample for sample in samples for _ in range(2)]
        batches.append(shaped.pack(twice))

    def evaluate(network: Backbone) -> None:
        prepared = [(batch, _context(network, batch, text_length)) for batch in batches]
        batch, context = prepared[-1]
        network(batch, batch.segment_time(torch.zeros(batch.num_samples)), context)

    def at(depth: int) -> int:
        network = _empty(config, depth).to(dtype).requires_grad_(False)
        return traced_bytes(network, lambda: evaluate(network))

    return _extrapolated(at, config.depth)


def training_step_bytes(
    config: BackboneConfig,
    samples: list[TokenSample],
    text_length: int,
    dtype: torch.dtype,
    *,
    recomputes: bool = False,
) -> int:
    """Memory of the tensors of a loss and of its gradients, those of the weights included.

    Args:
        config: of the network.
        samples: of one batch.
        text_length: tokens of the text of each.
        dtype: in which products are computed; weights are float32.
        recomputes: blocks keep their inputs alone and compute once more.
    """
    batch = _empty(config, 1).pack(samples)

    def step(network: Backbone) -> None:
        with _autocast(dtype):
            context = _context(network, batch, text_length)
            time = batch.segment_time(torch.zeros(batch.num_samples))
            velocity = network(batch, time, context)
            loss = (velocity - batch.state).square().mean()
        loss.backward()

    def at(depth: int) -> int:
        network = _empty(config, depth)
        network.recomputes = recomputes
        return traced_bytes(network, lambda: step(network))

    return _extrapolated(at, config.depth)


def _empty(config: BackboneConfig, depth: int) -> Backbone:
    with torch.device("meta"):
        return Backbone(replace(config, depth=depth))


def _context(network: Backbone, batch: TokenBatch, text_length: int) -> Any:
    if network.config.text == LABEL:  # its number alone
        return network.prepare(batch, torch.zeros(batch.num_samples, 1), [1] * batch.num_samples)
    lengths = [text_length] * batch.num_samples
    return network.prepare(batch, torch.zeros(sum(lengths), network.config.text_dim), lengths)


def _autocast(dtype: torch.dtype) -> AbstractContextManager[Any]:
    return nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)


def _extrapolated(at: Callable[[int], int], depth: int) -> int:
    """What many blocks need: each adds as much as the last of a few."""
    few, more = DEPTHS
    if depth <= more:
        return at(depth)
    last = at(more)
    return last + (depth - more) * (last - at(few))
