"""What gpu.py measures beside a step of each shape: attention, pipelines, long sequences.

Each function answers with lines of figures, and raises nothing that one missing package explains.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumina_core.backbone.attention import attend
from lumina_core.backbone.settings import BACKENDS
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample

HERE = Path(__file__).resolve().parent
LENGTHS = (4160, 4160, 2352, 1056, 1056)  # of samples of 64, 48 and 32 cells, with separators
TEXT_LENGTHS = (128, 40, 128, 64, 8)
HEADS, CHANNELS = 24, 128
TINY_PART = 32  # of the lengths, on a machine without a GPU
ROUNDS = 5
NUM_TEXT_TOKENS = 128  # of a prompt of about 90 words
LONG_POSITIONS, LONG_BLOCKS = 524_288, 2
Line = dict[str, Any]


def synchronise(device: torch.device) -> None:
    """Wait until a device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Mean time of a call, after one that is not counted."""
    call()
    synchronise(device)
    started = time.perf_counter()
    for _ in range(rounds):
        call()
    synchronise(device)
    return (time.perf_counter() - started) / rounds


def backends(device: torch.device, dtype: torch.dtype, *, is_tiny: bool) -> Iterator[Line]:
    """Every attention backend on one packing, to itself and to texts, forward and backward.

    Errors are relative in the norm, against `sdpa` in float32; a gradient is that of the sum of the
    squares. Those of a dtype are as large as its rounding, whatever the backend.
    """
    part = TINY_PART if is_tiny else 1
    lengths = tuple(length // part for length in LENGTHS)
    for kind, keys in (("self", lengths), ("text", TEXT_LENGTHS)):
        generator = seeded(0)
        shapes = [(sum(count), HEADS, CHANNELS) for count in (lengths, keys, keys)]
        wide = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
        exact = attended(wide, lengths, keys, "sdpa")
        inputs = [each.to(dtype) for each in wide]
        for name in BACKENDS:
            if name != "auto":
                figures = figures_of(inputs, exact, lengths, keys, name)
                yield {"attention": kind, "backend": name, **figures}


Lengths = tuple[int, ...]


def figures_of(
    inputs: list[Tensor], exact: list[Tensor], lengths: Lengths, keys: Lengths, backend: str
) -> Line:
    """The figures of a backend; why it is absent, where it is."""
    packing = {"query_lengths": lengths, "key_lengths": keys, "backend": backend}
    try:
        found = attended(inputs, lengths, keys, backend)
    except LuminaError as error:
        return {"absent": reason_of(error)}
    device = inputs[0].device
    with torch.no_grad():
        forward = seconds_of(lambda: attend(*inputs, **packing), device)
    return {
        "forward_seconds": forward,
        "both_seconds": seconds_of(lambda: attended(inputs, lengths, keys, backend), device),
        "errors": [relative(*pair) for pair in zip(found, exact, strict=True)],
    }


def attended(inputs: list[Tensor], lengths: Lengths, keys: Lengths, backend: str) -> list[Tensor]:
    """The result, and the gradients of q, k and v."""
    leaves = [each.detach().requires_grad_() for each in inputs]
    out = attend(*leaves, query_lengths=lengths, key_lengths=keys, backend=backend)
    return [out.detach(), *torch.autograd.grad(out.float().square().sum(), leaves)]


def relative(found: Tensor, exact: Tensor) -> float:
    """|found - exact| / |exact|."""
    return float((found.float() - exact).norm() / exact.norm())


def long(
    backbone: Backbone, tflop_of: Callable[..., float], device: torch.device, *, is_tiny: bool
) -> Iterator[Line]:
    """A network of few blocks on half a million positions of one sample.

    Args:
        backbone: of LONG_BLOCKS; a whole one takes as many times longer.
        tflop_of: counts the operations of an evaluation.
        device: where the network is.
        is_tiny: take 1 / 512 of the positions.
    """
    columns = (LONG_POSITIONS // 512 if is_tiny else LONG_POSITIONS) - 1  # a separator ends the row
    grid = Grid(1, 1, columns, (1.0, 1.0, 1.0))
    dim = backbone.config.token_dims["image"]
    tokens = torch.randn(columns, dim, generator=seeded(1)).to(device)
    batch = backbone.pack([TokenSample("image", grid, tokens)])
    is_gpu = device.type == "cuda"
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(evaluation(backbone, batch, device, "auto"), device, rounds=1)
    yield {
        **{"positions": batch.lengths[0], "blocks": backbone.config.depth, "seconds": seconds},
        "peak_gib": torch.cuda.max_memory_allocated(device) / 2**30 if is_gpu else 0.0,
        "tflops": tflop_of(backbone, batch, device) / seconds,
    }


def evaluation(
    backbone: Backbone, batch: Any, device: torch.device, attention: str
) -> Callable[[], Tensor]:
    """A call of the network with texts of random features."""
    count = batch.num_samples
    width = backbone.config.text_dim
    text = torch.randn(count * NUM_TEXT_TOKENS, width, generator=seeded(2)).to(device)
    times = batch.segment_time(torch.full((count,), 0.5, device=device))
    with torch.no_grad():
        context = backbone.prepare(batch, text, [NUM_TEXT_TOKENS] * count, attention=attention)

    @torch.no_grad()
    def evaluate() -> Tensor:
        return backbone(batch, times, context)

    return evaluate


def beside(settings: dict[str, str], device: torch.device, *, is_tiny: bool) -> Iterator[Line]:
    """A guided picture of each released family beside its pipeline, both with the same weights."""
    sys.path.insert(0, str(HERE))
    try:
        from guided import FAMILIES, Scale, measure
    except ImportError as error:
        yield {"absent": reason_of(error)}
        return
    dtype = getattr(torch, settings["dtype"])
    cells = int(settings["pixels"]) // 8
    for name in FAMILIES:
        scale = Scale(
            network="tiny" if is_tiny else "released",
            cells=cells,
            steps=int(settings["steps"]),
            device=str(device),
        )
        yield measure(name, dtype, 1, scale)
