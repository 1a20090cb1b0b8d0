"""Rules about what surrounds a plugin: the network, random numbers, settings of the process."""

import json
import random
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lumina_core import host
from lumina_core.testing.contract import demand, rule
from lumina_core.testing.subject import Subject

_STATE = """
import json, locale, logging, os, random, signal, sys, warnings
import numpy, torch
import lumina_core.cli, lumina_core.train, lumina_core.run
def state():
    return {{
        "default dtype": str(torch.get_default_dtype()),
        "number of threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "random numbers of torch": hash(bytes(torch.get_rng_state().numpy())),
        "random numbers of NumPy": hash(bytes(numpy.random.get_state()[1])),
        "random numbers of Python": hash(random.getstate()),
        "working folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion limit": sys.getrecursionlimit(),
        "handler of SIGINT": str(signal.getsignal(signal.SIGINT)),
        "handler of SIGTERM": str(signal.getsignal(signal.SIGTERM)),
        "standard output": sys.stdout is sys.__stdout__,
        "environment": dict(os.environ),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "errors of NumPy": numpy.geterr(),
        "warnings": [each for each in warnings.filters if each[1:4] == (None, Warning, None)],
    }}
before = state()
for module in {modules}:
    __import__(module)
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""


@rule
def imports_change_no_settings(subject: Subject) -> None:
    """An import of the plugin prints nothing and changes no setting or random number."""
    spec = host.load(subject.name)
    paths = (subject.plugin.value, spec.options, spec.modality, spec.condition)
    modules = [path.partition(":")[0] for path in paths if path is not None]
    code = _STATE.format(modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    demand(done.returncode == 0, f"it cannot be imported: {done.stderr[-300:]}", "mend it")
    changed = json.loads(done.stdout.splitlines()[-1])
    demand(
        not changed,
        f"importing {', '.join(modules)} changes the {' and the '.join(changed)}",
        "do nothing at import",
    )
    demand(
        len(done.stdout.splitlines()) == 1,
        f"importing it prints {done.stdout.splitlines()[0]!r}",
        "print nothing: results of commands are on standard output",
    )


@rule
def parts_change_no_settings(subject: Subject) -> None:
    """Drawing, encoding, decoding, writing and reading change no setting of the process."""
    with warnings.catch_warnings(action="default"):
        before = _settings()
        _use(subject)
        after = _settings()
    changed = [name for name in before if before[name] != after[name]]
    demand(
        not changed,
        f"using its parts changes the {' and the '.join(changed)}",
        "pass settings as arguments, or put them back",
    )


@rule
def parts_take_no_global_random_numbers(subject: Subject) -> None:
    """No part takes or seeds the random numbers of the process: torch's, NumPy's, Python's."""
    before = _random_states()
    with _python_numbers() as taken:
        _use(subject)
    after = _random_states()
    changed = [name for name in before if before[name] != after[name]]
    changed += ["Python"] if taken and "Python" not in changed else []
    demand(
        not changed,
        f"using its parts moves the random numbers of {' and '.join(changed)}",
        "use the generator that is given, or one of your own with a fixed seed",
    )


@rule
def parts_need_no_network(subject: Subject) -> None:
    """No part opens a connection: weights are fetched by the core, when the user allows it."""
    with _no_network() as asked:
        _use(subject)
    demand(
        not asked,
        f"using its parts asks the network for {asked[:1]}",
        "use lumina_core.local_folder, which fetches only with download=true",
    )


def _use(subject: Subject) -> None:
    """Everything that a plugin does, once, with parts that are new."""
    modality = subject.new_modality()
    sample = subject.samples[0]
    drawn = next(subject.drawn(1))
    latent = modality.vae.encode(drawn.media)
    modality.tokenizer.detokenize(modality.tokenizer.tokenize(latent), drawn.grid)
    made = subject.decoded(sample.latent, sample.options)
    modality.world.judge(made, sample.caption, sample.options)
    for suffix, one in subject.kinds(is_read=False):
        path = subject.written(suffix, one)
        modality.decoder.read_metadata(path)
    for suffix, one in subject.kinds():
        modality.decoder.read(subject.written(suffix, one))
    modality.decoder.preview(made)


def _settings() -> dict[str, Any]:
    import locale
    import logging
    import os
    import signal

    os.umask(mask := os.umask(0))
    pictures = vars(sys.modules["PIL.ImageFile"]) if "PIL.ImageFile" in sys.modules else {}
    return {
        "rights of new files": mask,
        "logging": (logging.root.level, list(logging.root.handlers)),
        "errors of NumPy": np.geterr(),
        "warnings": [each for each in warnings.filters if each[1:4] == (None, Warning, None)],
        "what Pillow reads of files that are cut off": pictures.get("LOAD_TRUNCATED_IMAGES", False),
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "working folder": os.getcwd(),
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion limit": sys.getrecursionlimit(),
        "handler of SIGINT": signal.getsignal(signal.SIGINT),
        "standard output": sys.stdout,
        "print options of torch": repr(torch.tensor([1 / 3])),
    }


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "NumPy": repr(np.random.get_state(legacy=False)),
    }
    if "beartype" not in sys.modules:  # it checks elements that it picks by Python's own numbers
        states["Python"] = random.getstate()
    return states


@contextmanager
def _python_numbers() -> Iterator[list[str]]:
    """Within the block names of functions of `random` that are called are put on a list."""
    taken: list[str] = []
    kept = {
        name: value
        for name, value in vars(random).items()
        if isinstance(getattr(value, "__self__", None), random.Random)
    }

    def recorder(name: str, call: Any) -> Any:
        def recording(*words: Any, **more: Any) -> Any:
            taken.append(name)
            return call(*words, **more)

        return recording

    for name, call in kept.items():
        setattr(random, name, recorder(name, call))
    try:
        yield taken
    finally:
        for name, call in kept.items():
            setattr(random, name, call)


@contextmanager
def _no_network() -> Iterator[list[str]]:
    """Within the block every connection is refused, and its address put on a list."""
    asked: list[str] = []

    def refuse(self: Any, address: Any, *rest: Any) -> Any:
        asked.append(str(address))
        raise OSError("no network in this check")

    def lookup(host_name: Any, *rest: Any, **more: Any) -> Any:
        asked.append(str(host_name))
        raise OSError("no network in this check")

    kept = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = lookup  # type: ignore[assignment]
    try:
        yield asked
    finally:
        socket.socket.connect, socket.getaddrinfo = kept  # type: ignore[method-assign]
