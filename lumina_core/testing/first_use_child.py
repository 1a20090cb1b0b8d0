"""A process that uses a modality once and writes down what it did."""

import dataclasses
import json
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from lumina_core.data.pool import encode_sample
from lumina_core.errors import LuminaError, PluginError, reason_of
from lumina_core.modality import SizeLimits
from lumina_core.plugins import host
from lumina_core.records import file_names
from lumina_core.runtime import seeded
from lumina_core.sampling import run
from lumina_core.testing.first_use import _BETWEEN, Findings
from lumina_core.testing.process_state import RANDOM_NUMBERS, SETTINGS, changed_since, state_of
from lumina_core.testing.rules import reason_and_place
from lumina_core.testing.samples import medium
from lumina_core.testing.subject import SEED, Subject
from lumina_core.testing.verdicts import NotApplicableError
from lumina_core.training import train

NETWORK_EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "socket.getnameinfo": 0,
}
"""Of sys.audit, with the place of the address among their arguments."""
SHARE = 0.5  # of its length, for a medium that begins small
IMPORTED_BEFORE = (run, train)
"""What a command has imported when it comes to the plugin: what these set is not the plugin's."""


def use(subject: Subject) -> None:
    """Everything that a plugin does, once."""
    modality = subject.new_modality()
    sample = subject.samples[0]
    drawn = next(subject.drawn(1))
    tokens = encode_sample(subject.name, modality, drawn.media, drawn.options, drawn.caption).tokens
    modality.tokenizer.detokenize(tokens.tokens, drawn.grid)
    for max_tokens in (drawn.grid.num_patches, max(drawn.grid.num_patches // 2, 1)):
        with suppress(LuminaError):
            modality.fit(drawn.media, SizeLimits(1, max_tokens, 100.0))
    if (small := modality.coarser(sample.options, SHARE)) is not None:
        modality.enlarged(medium(modality, small, seeded(SEED))[1], sample.options)
    with suppress(NotImplementedError):  # of a formula
        modality.vae.pixels(drawn.media)
    made = subject.decoded(sample.latent, sample.options, modality)
    if modality.world is not None:
        modality.world.judge(made, sample.caption, sample.options)
        modality.world.task_of(sample.caption)
    modality.decoder.preview(made, sample.options)
    _use_files(subject, modality)


def _use_files(subject: Subject, modality: Any) -> None:
    for suffix, one in subject.kinds(is_read=False):
        modality.decoder.read_metadata(subject.written(suffix, one))
    record: Any = host.condition_class(subject.name)
    fields = [] if record is None else dataclasses.fields(record)
    empty = dict.fromkeys((field.name for field in fields), None)
    for suffix, one in subject.kinds():
        path = subject.written(suffix, one)
        modality.described(path, modality.read(path, one.options), one.options)
        for name in file_names(record) if record else ():
            with suppress(LuminaError):
                modality.condition(record(**empty | {name: str(path)}), one.options)


def _findings(subject: Subject, call: Callable[[], object], asked: list[str]) -> Findings:
    """What a call did beside its work."""
    asked.clear()
    settings, numbers = state_of(SETTINGS), state_of(RANDOM_NUMBERS)
    refusal = fault = ""
    try:
        call()
    except NotApplicableError as error:
        refusal = str(error)
    except (LuminaError, PluginError) as error:
        fault = str(error)
    except (Exception, SystemExit) as error:
        place = reason_and_place(error, subject)
        fault = place or f"{type(error).__name__}: {reason_of(error)}"
    changed = changed_since(settings, SETTINGS), changed_since(numbers, RANDOM_NUMBERS)
    return Findings(*changed, list(asked), refusal, fault)


def _import(name: str) -> None:
    """Import what the spec names as it is: the host would put some of it back."""
    import_module(host.find(name).module)
    spec = host.load(name)
    for path in (spec.options, spec.modality, spec.condition):
        if path is not None:
            import_module(path.partition(":")[0])


def _mark() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        print(_BETWEEN, end="", file=stream, flush=True)


def main(name: str, folder: str, vae: str | None = None) -> None:
    """Import, use, and write down what was found."""
    asked: list[str] = []

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in NETWORK_EVENTS:
            return
        address = arguments[NETWORK_EVENTS[event]]
        if isinstance(address, tuple) or event not in ("socket.connect", "socket.sendto"):
            asked.append(str(address))  # else a socket of this machine, which has a path
            raise OSError("no network in this check")

    subject = Subject(name, Path(folder), None if vae is None else Path(vae))
    torch.set_num_threads(1)
    sys.addaudithook(refuse)
    told = warnings.showwarning
    warnings.showwarning = lambda *words, **more: None  # a library may warn of what it will
    _mark()
    importing = _findings(subject, lambda: _import(name), asked)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    _mark()
    warnings.showwarning = told
    using = _findings(subject, lambda: use(subject), asked)
    answer = [dataclasses.asdict(each) for each in (importing, using)]
    Path(folder, "findings.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
