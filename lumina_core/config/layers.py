"""The values of a command in layers: later ones win, and each key says whose value it has.

The core's defaults and the modality's < its YAML < what a command puts between (a checkpoint, a
file that is repeated) < a group chosen by name < a value. A choice brings every key that it has and
resets what was recommended for these: all of `time`, `guidance` and `optimizer`. Those of `solver`
have only its name and number of steps, so a recommended `solver.shift` survives `solver=midpoint`.
A choice with keys that the default lacks, such as `data=folder`, takes the whole block's place.

Prompts and paths never meet Hydra's grammar: they are taken letter by letter.
"""

import json
import os.path
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lumina_core.config.keys import (
    CONFIG,
    Command,
    Key,
    modality_keys,
    record_keys,
    switched_off_by,
)
from lumina_core.config.modality_file import build_options, read_modality_file
from lumina_core.config.settings_file import SettingsFile
from lumina_core.config.values import compose_choice, parse_value
from lumina_core.config.words import Overrides
from lumina_core.errors import LuminaError, unknown_key
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.program import command_line
from lumina_core.records import as_text, build, fixed_names, flat, plain, shown

CORE, TYPED, RECOMMENDED = "core", "command line", "modalities"
_SOURCES = ("repeat", "checkpoint", "init_from", "out")  # keys of what may say the modality
T = TypeVar("T")


class Layers:
    """Values that are put on top of each other, and whose each is."""

    def __init__(self, command: Command, name: str) -> None:
        """Begin with the defaults.

        Args:
            command: whose values.
            name: the modality.

        Raises:
            LuminaError: the modality cannot be used.
        """
        self.command, self.name = command, name
        self.words = Overrides([], {}, {}, {})
        self.known: dict[str, Any] = {}  # what a file or folder says with which the command goes on
        self.keys = {key.name: key for key in record_keys(command.record)}
        self.values = plain(command.record)
        self.origins = dict.fromkeys(flat(self.values), CORE)
        self.choices = {name: str(block.choice) for name, block in command.groups.items()}
        self.files: list[tuple[Path, dict[str, Any]]] = []
        self.open_options: frozenset[str] = frozenset()  # of the architecture, left to the user
        self.members: dict[str, Layers] = {}  # of each, where these are of several modalities
        self.note: str | None = None  # on recommendations that differ
        own = modality_keys(name, command)
        self.keys |= {key.name: key for key in own}
        self.values["modality"] = plain(host.options_class(name))
        given = host.condition_class(name)
        if given is not None and command.is_conditioned:
            self.values[CONDITION] |= plain(given)
        self.origins |= dict.fromkeys((key.name for key in own), host.find(name).package)

    def put(self, layer: Mapping[str, Any], origin: str, where: str = "") -> None:
        """Set values.

        Args:
            layer: nested, the modality's options below `modality`.
            origin: whose they are.
            where: the file in which they stand, for messages.

        Raises:
            LuminaError: a key that is not there.
        """
        self.values = _overlay(self.values, layer, where)
        self.origins |= dict.fromkeys(flat(layer), origin)

    def close(self, path: Path) -> None:
        """End the layer of a file, so that `built` can blame it."""
        self.files.append((path, self.values))

    def replace(self, group: str, chosen: Mapping[str, Any], origin: str) -> None:
        """Set values of a group, in the whole place of a choice that lacks their keys."""
        if chosen.keys() <= self.values[group].keys():
            self.put({group: chosen}, origin)
            return
        self.values = self.values | {group: dict(chosen)}
        kept = {k: v for k, v in self.origins.items() if not k.startswith(f"{group}.")}
        self.origins = kept | dict.fromkeys(flat({group: chosen}), origin)

    def write(self) -> None:
        """Set what is written on the command line: `words`.

        Raises:
            LuminaError: an unknown or refused key, or a value that cannot be read.
        """
        words = self.words
        if words.file is not None:
            self._put_settings(words.file)
        self._choose(words.choices)
        for key, text in words.values.items():
            is_of_file = words.file is not None and words.file.texts.get(key) == text
            if key == CONFIG or is_of_file:  # which are taken already
                continue
            if key == "checkpoint":  # as what stands between has done, but for saying who named it
                self.origins[key] = TYPED
                continue
            self._check(key)
            self.put(nested(key, value_of(self.keys.get(key), key, text)), TYPED)
        for written, text in words.options.items():
            key = f"modality.{written.removeprefix(f'{self.name}.')}"  # with one it says the same
            self._check_option(key, text)
            self.put(nested(key, value_of(self.keys[key], key, text)), TYPED)
        self._refuse_idle_keys()

    def _choose(self, choices: Mapping[str, str]) -> None:
        """Put choices of groups; one with another record takes the whole block's place."""
        for group, choice in choices.items():
            block = self.command.groups[group]
            chosen = compose_choice(group, block, choice)
            others, before = block.others, self.values[group]
            if others and others.get(str(before["name"])) is not others.get(choice):
                self.values = self.values | {group: {}}
            self.replace(group, chosen, f"{group}={choice}")
            self.choices[group] = choice

    def _put_settings(self, file: SettingsFile) -> None:
        """Put what the file of `config` gives.

        Raises:
            LuminaError: an unknown or refused key; names the file.
        """
        try:
            self._choose(file.choices)
            for key, text in file.texts.items():
                if self.words.values.get(key) == text:
                    value = value_of(self.keys[key], key, text)
                    self.put({} if key == "checkpoint" else {key: value}, str(file.path))
                    self.origins[key] = str(file.path)
            for key, value in file.values.items():
                is_option = key.startswith("modality.")
                self._check_option(key, as_text(value)) if is_option else self._check(key)
                self.put(nested(key, plain_value(self.keys.get(key), value)), str(file.path))
        except LuminaError as error:
            raise LuminaError(f"{file.path}: {error}") from error
        self.files.append((file.path, self.values))

    def lines(self) -> list[tuple[str, Any, str]]:
        """Each key with its value and whose that is, as a file of settings has them.

        A checkpoint is what was written, for the demo lies elsewhere on another machine; what it
        fixes begins with #.
        """
        words, values = self.words, flat(self.values)
        values["checkpoint"] = words.values.get("checkpoint")
        sources = (f"{key}={words.values.get(key)}" for key in _SOURCES if key in words.values)
        origin = TYPED if words.modalities else next(sources, CORE)
        if words.file and words.file.modalities:
            origin = str(words.file.path)
        found = [("modality", list(self.members) or self.name, origin)]
        for key in self.keys.values():
            if key.name in values and key.name not in self.choices:
                is_open = key.name.removeprefix("modality.") in self.open_options
                is_fixed = key.about.fixed and self.command.has_fixed_architecture and not is_open
                name = f"{'# ' * is_fixed}{key.name}"
                found.append((name, values[key.name], self.origins[key.name]))
        return found

    def built(self, make: Callable[[dict[str, Any]], T]) -> T:
        """What is made of the values; a refusal of a value that stands in a file names the file.

        It is the file's fault where the values up to its own are refused alike.
        """
        try:
            return make(self.values)
        except LuminaError as error:
            for path, values in self.files:
                try:
                    make(values)
                except LuminaError as fault:
                    if str(fault) == str(error):
                        raise LuminaError(f"{path}: {fault}") from fault
            raise

    def _check(self, key: str) -> None:
        """Refuse a key that is not there, or that only another choice of its group has."""
        group, _, last = key.partition(".")
        names = [name for name in self.keys if name.startswith(f"{group}.")]
        if group == CONDITION and key not in names:
            if not last:
                members = ", ".join(names)
                raise LuminaError(f"{key!r} is a block of keys. Set one of them: {members}")
            raise unknown_key(key, names)
        if group in self.command.groups and last.partition(".")[0] not in self.values[group]:
            owners = [
                f"{group}={name}"
                for name, record in self.command.groups[group].others.items()
                if key in [each.name for each in record_keys(record, f"{group}.")]
            ]
            if owners:
                raise LuminaError(f"{key} has no effect here; it belongs to {' or '.join(owners)}")

    def _check_option(self, key: str, text: str) -> None:
        options = [name for name in self.keys if name.startswith("modality.")]
        first = key.split(".")[1]
        known = {name.split(".")[1] for name in options}
        if first not in (*known, self.name) and first in (*host.SHIPPED, *host.installed()):
            raise LuminaError(
                f"{key} is an option of {first!r}; the modality in use is {self.name!r}. Leave it "
                f"out, or choose +modality={first}"
            )
        if key not in options:
            raise unknown_key(key, options)
        fixed = set(fixed_names(host.options_class(self.name))) - self.open_options
        if self.command.has_fixed_architecture and first in fixed:
            written = command_line("train", f"+modality={self.name}", f"{key}={text}")
            raise LuminaError(
                f"{key} belongs to the architecture, which the checkpoint fixes. It is set in "
                f"training: {written}"
            )

    def _refuse_idle_keys(self) -> None:
        """Refuse a value that was written down but that another key switches off."""
        values = flat(self.values)
        for key in self.words.values.keys() & self.keys.keys():
            if switch := switched_off_by(self.keys[key], values):
                raise LuminaError(
                    f"{key}={self.words.values[key]} has no effect with {switch}="
                    f"{as_text(values[switch])}; leave it out or choose another {switch}"
                )


def advised(command: Command, name: str, shared: Mapping[str, Any] | None = None) -> Layers:
    """The defaults with what a modality's YAML recommends.

    Args:
        command: which.
        name: the modality.
        shared: by dotted key, what several modalities recommend together for what they share, in
            the place of what this one recommends for it; None: there is one.

    Raises:
        LuminaError: the modality or its YAML cannot be used.
    """
    layers = Layers(command, name)
    path, advice = advice_of(command, name)
    if shared is not None:
        advice = {key: value for key, value in advice.items() if key in command.own}
    if path is not None:
        where = f"{path}, {command.advice}"
        layers.put(advice, host.find(name).package, where)
        for key, value in (shared or {}).items():
            layers.put(nested(key, value), RECOMMENDED)
        layers.close(path)
    return layers


def advice_of(command: Command, name: str) -> tuple[Path | None, dict[str, Any]]:
    """A modality's YAML, and what it recommends for a command; None where there is none.

    Raises:
        LuminaError: it cannot be used, or recommends what it may not.
    """
    file = read_modality_file(name)
    if file is None or command.advice is None:
        return None, {}
    advice = file.advice[command.advice]
    check_advised(command, advice, f"{command.advice}.", f"{file.path}: ")
    return file.path, advice


def check_advised(command: Command, advice: Mapping[str, Any], prefix: str, where: str) -> None:
    """Refuse recommendations of what acts for the user, such as a path.

    Args:
        command: whose keys they are.
        advice: nested.
        prefix: before their names, in messages.
        where: the file, in front of a message.
    """
    names = [prefix + name for name in command.advised]
    paths = {key.name for key in record_keys(command.record) if key.about.file}
    for key in advice:
        if key not in command.advised:
            raise LuminaError(f"{where}{unknown_key(prefix + key, names)}")
    for key in flat(advice):
        if key in paths:
            raise LuminaError(
                f"{where}{prefix}{key} is a path, which only a user gives; leave it out."
            )


def build_record(record: type[T], name: str, values: Mapping[str, Any]) -> T:
    """The record of a command; the options are built first, for they say the most."""
    options = build_options(name, values["modality"])
    return build(record, {**values, "modality": name, "options": options})


def value_of(key: Key | None, name: str, text: str) -> Any:
    """The value that was written for a key.

    Raises:
        LuminaError: it cannot be read, or names no file.
    """
    if key is not None and key.about.file:
        if not text:
            raise LuminaError(f"{name} is empty. Give a path, or leave it out: {name}=null")
        if key.is_list:
            return _listed(text)
        return None if text == "null" else os.path.expanduser(text)
    if key is not None and key.is_text and (text != "null" or "None" not in key.type):
        return text
    return plain_value(key, parse_value(name, text))


def plain_value(key: Key | None, value: Any) -> Any:
    """A plain value for a key: ~ is expanded in a path, and one name needs no brackets."""
    if key is None or not isinstance(value, str):
        return value
    if key.is_list:
        return [value]
    return os.path.expanduser(value) if key.about.file else value


def _listed(text: str) -> list[str]:
    """The texts of a list, letter by letter: one, [a,b], or a list of JSON."""
    if not (text.startswith("[") and text.endswith("]")):
        return [text]
    try:
        found = json.loads(text)
    except ValueError:
        found = [part.strip() for part in text[1:-1].split(",")] if text[1:-1].strip() else []
    return [str(each) for each in found]


def _overlay(
    values: dict[str, Any], layer: Mapping[str, Any], where: str = "", prefix: str = ""
) -> dict[str, Any]:
    """Values with a layer on top; a key of the layer that is not there is refused."""
    result = dict(values)
    place = f" in {where}" if where else ""
    for key, value in layer.items():
        if key not in values:
            raise unknown_key(prefix + key, [prefix + name for name in values], place)
        if isinstance(values[key], Mapping):
            if not isinstance(value, Mapping):
                raise LuminaError(
                    f"{prefix}{key} must be a block of keys{place}, got {shown(value)}."
                )
            value = _overlay(values[key], value, where, f"{prefix}{key}.")
        result[key] = value
    return result


def nested(key: str, value: Any) -> dict[str, Any]:
    """A value as a layer, below the parts of its dotted key."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
