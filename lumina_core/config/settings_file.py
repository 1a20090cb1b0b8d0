"""A file of settings: what `lumina config COMMAND` prints, and `config=FILE` gives back to COMMAND.

A line per key, written as on the command line (`solver.num_steps: 24`); blocks of keys mean the
same. What is not there is not set, nor is a path, a choice or a modality that is null. Reading
executes nothing and replaces nothing: plugins/yaml_files.py says what a file may hold.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, isnan
from os.path import expanduser
from pathlib import Path
from re import ASCII, compile
from typing import Any, NamedTuple

from lumina_core.config.keys import CONFIG, Command, checked_choice, choices_of
from lumina_core.config.several import MIXING, One, of_one
from lumina_core.errors import LuminaError, printable, unknown_key
from lumina_core.plugins.yaml_files import CONDITION, read_yaml
from lumina_core.program import command_line
from lumina_core.records import as_text, flat, shown

COMMAND = "command"
_ALIKE = {"infer": "run"}  # have the same keys
_WORD = compile(r"[A-Za-z][\w/-]*", ASCII)
_NO_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # of some YAML version
_MAX_SHOWN = 80  # characters in front of an origin, and of an origin


class SettingsFile(NamedTuple):
    """What a file gives, sorted."""

    path: Path
    modalities: list[str]
    choices: dict[str, str]
    """Group to the name chosen in it."""
    texts: dict[str, str]
    """Paths and `resume`, as one writes them: what else there is may follow from them."""
    values: dict[str, Any]
    """Dotted key to plain value."""
    mixing: dict[str, Any]
    """As `values`: what part each of several modalities takes."""


def read_settings(path: Path, command: Command, one: One | None = None) -> SettingsFile:
    """The settings that a file gives to a command.

    Args:
        path: the file.
        command: which.
        one: of several modalities that whose settings are wanted; None: there is one, or the first
            of those that the file names will do.

    Raises:
        LuminaError: it cannot be read, was written for another command, or has an unknown key.
    """
    if not path.is_file():
        line = command_line(CONFIG, command.name)
        raise LuminaError(f"config={path} is no file; write one: {line}")
    found = dict(_pairs(read_yaml(path), path))
    made_for = found.pop(COMMAND, command.name)
    if made_for not in (command.name, _ALIKE.get(command.name)):
        raise LuminaError(
            f"{path} holds settings of {printable(as_text(made_for), _MAX_SHOWN)}, not of "
            f"{command.name}; use it with that"
        )
    try:
        return _sorted(path, found, command, one)
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error


def _sorted(path: Path, found: dict[str, Any], command: Command, one: One | None) -> SettingsFile:
    file = SettingsFile(path, [], {}, {}, {}, {})
    named = found.get("modality")
    if command.own and isinstance(named, list) and all(isinstance(name, str) for name in named):
        del found["modality"]
        file.modalities.extend(named)
        one = one or One(named[0], tuple(named))
    if one is not None:
        file.mixing.update({k: v for k, v in found.items() if k.partition(".")[0] == MIXING})
        found = dict(of_one(found.items(), one, command))
    keys, groups = {key.name: key for key in command.keys}, command.groups
    for key, value in found.items():
        block = key.partition(".")[0]
        is_path = key in keys and keys[key].about.file and not keys[key].is_list
        is_routing = is_path and "." not in key
        if key == CONFIG:
            raise LuminaError(f"{CONFIG} cannot stand in a file; leave it out")
        if key == "modality" or key in groups or is_routing:
            if value is None:
                continue
            if not isinstance(value, str):
                raise LuminaError(f"{key} must be a text or null, got {shown(value)}.")
        if key == "modality":
            file.modalities.append(value)
        elif key in groups:
            file.choices[key] = checked_choice(key, groups[key], value)
        elif is_routing:
            file.texts[key] = expanduser(value)
        elif key == "resume":
            file.texts[key] = json.dumps(value)
        elif key in command.blocks:
            raise LuminaError(f"{key!r} is a block of keys, got {shown(value)}")
        elif key in keys or block == "modality" or (block == CONDITION and command.is_conditioned):
            file.values[key] = value
        else:
            raise unknown_key(key, list(keys))
    for group, about in groups.items():  # of choices with other keys the name says which it is
        name = found.get(f"{group}.name")
        if about.others and name in choices_of(group, about):
            file.choices.setdefault(group, str(name))
    return file


def settings_text(command: str, lines: Sequence[tuple[str, Any, str]]) -> list[str]:
    """The lines of a file of settings, with the origin of each value beside it.

    Args:
        command: that is to use it.
        lines: key, value and origin; a key that begins with # is told and not set.
    """
    texts = [f"{key}: {as_yaml(value)}" for key, value, _ in lines]
    width = min(_MAX_SHOWN, max(map(len, texts)))
    return [
        f"{COMMAND}: {command}",
        *(
            f"{text:<{width}}  # {printable(origin, _MAX_SHOWN)}"
            for text, (_, _, origin) in zip(texts, lines, strict=True)
        ),
    ]


def as_yaml(value: Any) -> str:
    """A plain value on one line of YAML; every reader takes a text for that text."""
    if isinstance(value, str):
        is_word = _WORD.fullmatch(value) and value.lower() not in _NO_WORDS
        return value if is_word else _quoted(value)
    if isinstance(value, float) and not isfinite(value):
        return ".nan" if isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, Mapping):
        members = (f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in written)


def _pairs(values: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
    """Each key with its value, blocks flattened.

    Raises:
        LuminaError: a key is there twice, in a block and by its full name.
    """
    seen: set[str] = set()
    for key, value in values.items():
        for full, each in flat({key: value}).items():
            if full in seen:
                raise LuminaError(f"{path} sets {full} twice; leave one out")
            seen.add(full)
            yield full, each
