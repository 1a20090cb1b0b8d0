"""Device, dtype and random numbers: the one place that decides them."""

import gc
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

import torch

from lumina_core.errors import LuminaError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SEED_BITS = 63  # what torch.Generator.manual_seed takes


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means.

    Raises:
        LuminaError: it is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise LuminaError(f"device={name!r} is unknown; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LuminaError(
            f"device={name} is not there: this machine has {torch.cuda.device_count()} "
            f"CUDA devices; use device=cpu"
        )
    return device


def resolve_dtype(name: str) -> torch.dtype:
    """The dtype in which the backbone computes.

    Raises:
        LuminaError: the name is unknown.
    """
    if name not in DTYPES:
        valid = tuple(DTYPES)
        raise LuminaError(
            f"dtype={name!r} is unknown; use one of {', '.join(valid)}." + nearest(name, valid)
        )
    return DTYPES[name]


def arithmetic(device: torch.device) -> str:
    """On what the last bits of a result depend: the GPU, or the instructions and threads of a CPU.

    Products of few rows are summed in another order by another number of threads.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"CPU, {capability}, threads: {torch.get_num_threads()}"


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Within the block matrices are multiplied in a dtype; weights stay as they are.

    With float32 it changes nothing.
    """
    computed = resolve_dtype(dtype)
    return torch.autocast(device.type, computed, enabled=computed != torch.float32)


def seeded(*numbers: int) -> torch.Generator:
    """A CPU generator that depends on these numbers alone: a seed, or a seed and a step, say."""
    seed = numbers[0] if len(numbers) == 1 else derived_seed(*numbers)
    return torch.Generator().manual_seed(seed)


def derived_seed(*numbers: int) -> int:
    """A seed hashed from several numbers, so that neighbouring numbers share nothing."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def release_memory(device: torch.device) -> None:
    """Give memory of tensors that nothing uses any more back, on a GPU to other programs too."""
    gc.collect()  # large modules may hold each other
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def quiet(library_logging: ModuleType) -> Iterator[None]:
    """Within the block transformers or diffusers shows no bars and no advice; errors still raise.

    Args:
        library_logging: `transformers.utils.logging` or `diffusers.utils.logging`.
    """
    verbosity, has_bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():  # of torch, at what these libraries still call
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        library_logging.set_verbosity(verbosity)
        if has_bars:
            library_logging.enable_progress_bar()
