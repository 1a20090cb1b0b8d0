"""What everything in a process shares: settings and random numbers, compared and put back."""

import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile

Part = tuple[Callable[[], Any], Callable[[Any], object]]
"""How one is read, and how it is put back."""
SET_BY_TORCH = ("TORCHINDUCTOR_CACHE_DIR",)  # in the environment, when diffusers is imported


def _of(owner: Any, attribute: str) -> Part:
    return lambda: getattr(owner, attribute), lambda value: setattr(owner, attribute, value)


def _handler(number: signal.Signals) -> Part:
    return lambda: signal.getsignal(number), lambda value: signal.signal(number, value)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "a removed folder"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SET_BY_TORCH}


def _set_environment(value: dict[str, str]) -> None:
    for name in _environment().keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def _set_default_device(value: torch.device) -> None:
    # "cpu" would be a mode that every call goes through; None is what a process starts with
    torch.set_default_device(None if value == torch.device("cpu") else value)


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _wide_filters() -> list[Any]:
    """Filters of warnings that reach beyond a module, a text and a class of some library's own."""
    return [
        each
        for each in warnings.filters
        if each[1] is None and each[3] is None and each[2].__module__ == "builtins"
    ]


def _set_wide_filters(value: list[Any]) -> None:
    others = [each for each in warnings.filters if each not in _wide_filters()]
    warnings.filters[:] = [*others, *value]  # type: ignore[index]


def _numpy_numbers() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return name, tuple(keys), *rest  # arrays are not equal or unequal, but element by element


def _set_numpy_numbers(value: tuple[Any, ...]) -> None:
    name, keys, *rest = value
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))


SETTINGS: dict[str, Part] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _set_default_device),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "deterministic algorithms": (
        _deterministic,
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    "precision of products of matrices": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "benchmark of cuDNN": _of(torch.backends.cudnn, "benchmark"),
    "TF32 of cuDNN": _of(torch.backends.cudnn, "allow_tf32"),
    "print options of torch": (
        lambda: dict(vars(torch._tensor_str.PRINT_OPTS)),  # there is no public way to read them
        lambda value: torch.set_printoptions(**value),
    ),
    "print options of NumPy": (
        np.get_printoptions,
        lambda value: np.set_printoptions(**value),  # type: ignore[arg-type]
    ),
    "errors of NumPy": (np.geterr, lambda value: np.seterr(**value)),
    "what Pillow reads of files that are cut off": _of(ImageFile, "LOAD_TRUNCATED_IMAGES"),
    "largest picture of Pillow": _of(Image, "MAX_IMAGE_PIXELS"),
    "working folder": (_working_folder, os.chdir),
    "environment": (_environment, _set_environment),
    "rights of new files": (_umask, os.umask),
    "locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda value: locale.setlocale(locale.LC_ALL, value),
    ),
    "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "handler of SIGINT": _handler(signal.SIGINT),
    "handler of SIGTERM": _handler(signal.SIGTERM),
    "standard output": _of(sys, "stdout"),
    "standard error": _of(sys, "stderr"),
    "sys.excepthook": _of(sys, "excepthook"),
    "sys.path": (lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
    "level of logging": (lambda: logging.root.level, logging.root.setLevel),
    "handlers of logging": (
        lambda: list(logging.root.handlers),
        lambda value: logging.root.handlers.__setitem__(slice(None), value),
    ),
    "warnings": (_wide_filters, _set_wide_filters),
}
RANDOM_NUMBERS: dict[str, Part] = {
    "torch": (
        lambda: torch.get_rng_state().numpy().tobytes(),
        lambda value: torch.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8)),
    ),
    "NumPy": (_numpy_numbers, _set_numpy_numbers),
    "Python": (random.getstate, random.setstate),
}


def state_of(parts: Mapping[str, Part]) -> dict[str, Any]:
    """What each is now."""
    return {name: read() for name, (read, _) in parts.items()}


def changed_since(before: Mapping[str, Any], parts: Mapping[str, Part]) -> list[str]:
    """Names of those that are no longer what they were."""
    return [name for name, value in state_of(parts).items() if value != before[name]]


@contextmanager
def state_kept() -> Iterator[list[str]]:
    """After the block every setting and random number is as before, and what was not is listed."""
    parts = SETTINGS | RANDOM_NUMBERS
    before = state_of(parts)
    changed: list[str] = []
    try:
        yield changed
    finally:
        changed += changed_since(before, parts)
        for name in changed:
            parts[name][1](before[name])
