"""Refuses a model that is larger than the files of its weights.

A config of a few bytes can ask for more memory than there is, or for an hour of building. So the
files set the limits: a model that is built has no more weights than they hold bytes, and not many
more tensors than they hold; a config counts no more layers than that.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lumina_core.files.reading import open_regular

TENSORS_PER_STORED = 4  # weight norm makes four of three, and tied weights begin as two
SPARE_TENSORS, SPARE_ELEMENTS = 64, 1 << 20  # of parts that need not be stored, such as a pooler
BYTES_PER_TENSOR = 64  # of a file that is no safetensors, at least: it aligns each to as many
SPARE_COUNT = 1000  # layers and the like that a config may name where few tensors are stored
Built = TypeVar("Built", bound=nn.Module)
_COUNTS = re.compile(r"layer|depth|label|expert|extra_ids")
"""In the names of settings for which lists and modules are made, one by one."""


class Stored(NamedTuple):
    """What files of weights hold."""

    num_bytes: int
    num_tensors: int
    sizes: frozenset[int]
    """Of the axes of the tensors; of safetensors alone."""


def stored_in(paths: Iterable[Path]) -> Stored:
    """What files of weights hold, by their headers.

    Args:
        paths: safetensors, or files whose tensors are not counted.

    Raises:
        OSError, SafetensorError: one cannot be read.
    """
    num_bytes, num_tensors, sizes = 0, 0, set[int]()
    for path in paths:
        with open_regular(path) as weights:
            own_bytes = os.fstat(weights.fileno()).st_size
        num_bytes += own_bytes
        if path.suffix != ".safetensors":
            num_tensors += own_bytes // BYTES_PER_TENSOR
            continue
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            num_tensors += len(names)
            sizes.update(size for name in names for size in file.get_slice(name).get_shape())
    return Stored(num_bytes, num_tensors, frozenset(sizes))


def weights_in(folder: Path, name: str) -> list[Path]:
    """The files that diffusers and transformers read in a folder: the weights, whole or in parts.

    Variants beside them, such as `.fp16`, are not read.
    """
    return [*folder.glob(f"{name}.safetensors"), *folder.glob(f"{name}-*-of-*.safetensors")]


@contextmanager
def built_within(paths: Iterable[Path]) -> Iterator[None]:
    """Refuse a model that is built inside and larger than the files of its weights.

    The first weight too many ends it, before anything is written into its memory.

    Args:
        paths: as in `stored_in`.

    Raises:
        ValueError: it is larger.
        OSError, SafetensorError: as `stored_in`.
    """
    stored = stored_in(paths)
    max_tensors = TENSORS_PER_STORED * stored.num_tensors + SPARE_TENSORS
    max_elements = stored.num_bytes + SPARE_ELEMENTS
    num_tensors, num_elements = 0, 0
    thread = threading.get_ident()

    def count(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        nonlocal num_tensors, num_elements
        if weight is None or threading.get_ident() != thread:
            return
        num_tensors += 1
        num_elements += weight.numel()
        if num_tensors > max_tensors or num_elements > max_elements:
            raise ValueError(
                f"its config asks for more weights than the {stored.num_tensors} tensors in "
                f"{stored.num_bytes} bytes that are stored"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def read_float32(make: Callable[[], Built], path: Path) -> Built:
    """A model with all its weights from one file, in float32.

    Args:
        make: builds it.
        path: of safetensors, with exactly these names and shapes.

    Raises:
        ValueError, OSError, SafetensorError: as `built_within`.
        RuntimeError: other weights are stored.
    """
    with built_within([path]), torch.device("meta"):
        model = make()
    stored = {name: x.to(torch.float32, copy=True) for name, x in load_file(path).items()}
    model.load_state_dict(stored, assign=True)
    return model


def check_counts(config: Any, stored: Stored) -> None:
    """Refuse a config that counts far more layers or the like than tensors are stored.

    Args:
        config: a value from JSON.
        stored: of the weights.

    Raises:
        ValueError: it does.
    """
    limit = TENSORS_PER_STORED * stored.num_tensors + SPARE_COUNT
    for key, value in config.items() if isinstance(config, Mapping) else ():
        check_counts(value, stored)
        if _COUNTS.search(key) and isinstance(value, int) and value > limit:
            raise ValueError(
                f"{key} is {value}, and {stored.num_tensors} tensors are stored; at most {limit}"
            )
