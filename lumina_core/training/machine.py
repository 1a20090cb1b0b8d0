"""What this machine has: memory, what of it a program takes before it works, and speed."""

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.runtime import autocast, resolve_dtype
from lumina_core.sequence import Grid, TokenSample, pack

MEASURED_SECONDS = 0.3
FIRST_ROWS = 32  # of the first product; each has twice as many as the one before
MIN_PRODUCTS = 3  # a busy machine may be slow at one of them
MAX_SIDE = 2048  # of the matrix: larger ones are no faster

BFLOAT16_PEAKS = (
    (("B200",), 2250e12),
    (("H200",), 989.4e12),
    (("H100", "PCIe"), 756e12),
    (("H100", "NVL"), 835e12),
    (("H100",), 989.4e12),
    (("A100",), 312e12),
    (("L40S",), 362e12),
    (("L4",), 121e12),
    (("4090",), 165.2e12),
    (("3090",), 71e12),
)
"""Operations per second of dense products, by words of a GPU's name: NVIDIA's data sheets."""

_STATM = Path("/proc/self/statm")


class Peak(NamedTuple):
    """The most that a device can compute."""

    flops_per_second: float
    source: str
    """`measured`, or the GPU whose data sheet says it."""


def available_bytes(device: torch.device) -> int:
    """The memory that a device has, used or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def program_bytes(device: torch.device) -> int:
    """What the program and its libraries take of that memory now: on a GPU nothing."""
    if device.type == "cuda":
        return 0
    if _STATM.is_file():
        return os.sysconf("SC_PAGE_SIZE") * int(_STATM.read_text().split()[1])
    import resource  # where there is no /proc; in bytes on a Mac

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has had so far, of the device that it computes on."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes, but on a Mac


@torch.random.fork_rng(devices=[])
def rehearse(dtype: str, device: torch.device, *, is_training: bool) -> None:
    """Compute a little, so that the code of libraries is in memory, as it is when it is needed.

    Args:
        dtype: in which is computed.
        device: that computes.
        is_training: gradients and an update as well.
    """
    backbone = Backbone(BackboneConfig(token_dims={"": 4}, depth=1)).to(device)
    if not is_training:
        backbone.to(resolve_dtype(dtype)).requires_grad_(False)
    grid = Grid(1, 8, 8, step=(1.0, 1.0, 1.0))
    batch = pack([TokenSample("", grid, torch.zeros(grid.num_patches, 4))], separators=True)
    batch = batch.to(device)
    with autocast(device, dtype if is_training else "float32"):
        text = torch.zeros(1, backbone.config.text_dim, device=device)
        context = backbone.prepare(batch, text, [1])
        velocity = backbone(batch, torch.zeros(1, device=device), context)
    picture, kernel = torch.zeros(1, 32, 32, 32), torch.zeros(32, 32, 3, 3)
    functional.conv2d(picture.to(device), kernel.to(device))
    if is_training:
        velocity.square().mean().backward()
        torch.optim.AdamW(backbone.parameters(), fused=True).step()


def flops_per_second(inputs: int, outputs: int, dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of a linear layer, measured for MEASURED_SECONDS.

    Args:
        inputs: of the layer.
        outputs: of the layer.
        dtype: of its weights and inputs.
        device: that multiplies.
    """
    inputs, outputs = min(inputs, MAX_SIDE), min(outputs, MAX_SIDE)
    weights = torch.ones(outputs, inputs, dtype=dtype, device=device)
    one = torch.ones(1, inputs, dtype=dtype, device=device)
    functional.linear(one, weights)  # the first of a process is slow
    rows, best, started = FIRST_ROWS, 0.0, time.perf_counter()
    number = 0
    while time.perf_counter() - started < MEASURED_SECONDS or number < MIN_PRODUCTS:
        number += 1
        x = torch.ones(rows, inputs, dtype=dtype, device=device)
        before = time.perf_counter()
        functional.linear(x, weights)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * rows * inputs * outputs / (time.perf_counter() - before))
        rows = min(2 * rows, MAX_SIDE)
    return best


def matmul_peak(shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Peak:
    """Operations per second of large products: of a known GPU from a table, else as measured."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        words = torch.cuda.get_device_name(device).replace("-", " ").split()
        for names, peak in BFLOAT16_PEAKS:
            if set(names) <= set(words):
                return Peak(peak, f"data sheet of {' '.join(names)}")
    return Peak(_measured(*shape, dtype, device), "measured")


@cache  # a process that trains often measures once
def _measured(inputs: int, outputs: int, dtype: torch.dtype, device: torch.device) -> float:
    return flops_per_second(inputs, outputs, dtype, device)
