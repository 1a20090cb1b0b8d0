"""Writes tensors into a safetensors file one by one, so that no two are in memory at a time.

The format begins with a header that says where each tensor lies, so shapes and types are known
first. Source: https://github.com/huggingface/safetensors (Format).
"""

import json
from collections.abc import Callable, Mapping
from math import prod
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""By their names in safetensors, the types of weights that are read and written; in its order."""
_ALIGNMENT = 8  # bytes to which the header is filled up, as the library does


class PlannedTensor(NamedTuple):
    """A tensor that is about to be written."""

    shape: tuple[int, ...]
    dtype: str
    """A key of DTYPES."""
    make: Callable[[], Tensor]
    """Gives it, in any floating point type, when its turn comes."""


def write_tensors(
    file: BinaryIO, tensors: Mapping[str, PlannedTensor], about: Mapping[str, str]
) -> None:
    """Write a safetensors file.

    Args:
        file: open for writing, empty.
        tensors: by name.
        about: what the header says beside them.

    Raises:
        ValueError: a tensor has another shape than was planned.
        OSError: it cannot be written.
    """
    ranks = {dtype: rank for rank, dtype in enumerate(DTYPES)}  # more bytes first: all are aligned
    order = sorted(tensors, key=lambda name: (ranks[tensors[name].dtype], name))
    header: dict[str, object] = {"__metadata__": dict(about)} if about else {}
    end = 0
    for name in order:
        shape, dtype, _ = tensors[name]
        start, end = end, end + prod(shape) * DTYPES[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        shape, dtype, make = tensors[name]
        tensor = make()
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {list(tensor.shape)}, {list(shape)} was planned")
        flat = tensor.to(DTYPES[dtype]).contiguous().reshape(-1)
        file.write(flat.view(torch.uint8).numpy().data)
