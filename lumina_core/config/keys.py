"""The keys of a command: one list, walked from the fields of its record.

Checks, help, schema, completion and pages are views of this list; layers.py merges the values.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.errors import LuminaError, nearest
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import Block, Setting, Settings, block_of, is_key, setting_of, shown

CONFIG = "config"


class Command(NamedTuple):
    """What a command is configured by."""

    name: str
    record: type
    modalities: Callable[[Mapping[str, str]], list[str]]
    """The modalities of what values name, such as a checkpoint; values are as written."""
    advice: str | None = None
    """Block of a modality's YAML that recommends values."""
    advised: tuple[str, ...] = ()
    """Keys that may be recommended: nothing that acts for the user."""
    checkpoint: str | None = None
    """Key that names a checkpoint, or a folder of training that holds one."""
    read: Callable[[Any], dict[str, Any]] = lambda words: {}
    """What a file or folder says with which it goes on; `words` are sorted."""
    between: Callable[[Any], None] = lambda layers: None
    """Puts layers between what is recommended and what is written."""
    own: tuple[str, ...] = ()
    """Blocks that each of several modalities has for itself; empty: the command takes one."""
    mixing: Callable[[tuple[str, ...]], type] = lambda names: Settings
    """The record of what part each of several modalities takes."""
    together: Callable[[str, Sequence[Any]], Any] = lambda key, values: None
    """What modalities that recommend different values of a key can all live with; None: nothing."""

    @property
    def keys(self) -> "tuple[Key, ...]":
        """What it is configured by: the keys of its record, and `config`, which gives others."""
        meaning = "file of settings, as `config` prints it; what stands beside it wins"
        return (*record_keys(self.record), Key(CONFIG, None, Setting(meaning, file=True), "str"))

    @property
    def is_conditioned(self) -> bool:
        """Whether something may be given beside a prompt."""
        return CONDITION in self.blocks

    @property
    def has_fixed_architecture(self) -> bool:
        """Whether it uses a checkpoint, which fixes the architecture."""
        return self.checkpoint == "checkpoint"

    @property
    def blocks(self) -> dict[str, Block]:
        """The records in its record, by their names."""
        found = ((field.name, block_of(field)) for field in dataclasses.fields(self.record))
        return {name: block for name, block in found if block is not None}

    @property
    def groups(self) -> dict[str, Block]:
        """The records in whose place others can be chosen."""
        return {name: block for name, block in self.blocks.items() if block.choice is not None}


class Key(NamedTuple):
    """One key of a command or of a modality."""

    name: str
    """Dotted, as one writes it."""
    default: Any
    about: Setting
    type: str
    """As its field is annotated."""

    @property
    def is_text(self) -> bool:
        """Whether its values are taken letter by letter, so that they need no quotes."""
        return "str" in self.type.split(" | ") and not self.about.choices

    @property
    def is_list(self) -> bool:
        """Whether its value is a list of texts."""
        return self.type.startswith("tuple[str")

    @property
    def description(self) -> str:
        """Unit, meaning, and what is allowed."""
        unit, allowed = self.about.unit, ", ".join(self.about.choices) or self.about.range
        words = [f"[{unit}]" if unit else "", self.about.meaning, f"({allowed})" if allowed else ""]
        return " ".join(filter(None, words))


def conf_root() -> Path:
    """The core's folder of choices: inside the package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def choices_of(group: str, block: Block) -> list[str]:
    """What can be chosen in a group."""
    files = (path.stem for path in (conf_root() / group).glob("*.yaml"))
    return sorted({str(block.choice), *block.others, *files})


def checked_choice(group: str, block: Block, choice: str) -> str:
    """A choice of a group, as it is.

    Raises:
        LuminaError: there is no such choice.
    """
    choices = choices_of(group, block)
    if choice not in choices:
        raise LuminaError(
            f"{group}={choice} is unknown; choose one of {', '.join(choices)}."
            + nearest(choice, choices)
        )
    return choice


@lru_cache
def record_keys(record: type, prefix: str = "") -> tuple[Key, ...]:
    """The keys of a record: its own before those of its bases, plain ones before records in it.

    Args:
        record: a dataclass whose fields are declared with `setting` and `block`.
        prefix: stands before each name, with its dot.
    """
    own: list[Key] = []
    inside: list[Key] = []
    for field in _ordered(record):
        name, block = prefix + field.name, block_of(field)
        if block is not None:
            if block.choice is not None:
                about = Setting("a set of values", choices=tuple(choices_of(name, block)))
                inside.append(Key(name, block.choice, about, "str"))
            inside += record_keys(block.record, f"{name}.")
            inside += _keys_of_others(name, block)
        elif is_key(field):
            kind = field.type
            text = kind.__name__ if isinstance(kind, type) else str(kind)
            own.append(Key(name, field.default, setting_of(field), text))
    return (*own, *inside)


def _ordered(record: type) -> Iterator["dataclasses.Field[Any]"]:
    by_name = {field.name: field for field in dataclasses.fields(record)}
    names = [name for each in record.__mro__ for name in inspect.get_annotations(each)]
    return (by_name[name] for name in dict.fromkeys(names) if name in by_name)


def _keys_of_others(group: str, block: Block) -> Iterator[Key]:
    """Keys that only other choices of a group have; their meaning says which."""
    known = {key.name for key in record_keys(block.record, f"{group}.")}
    found: dict[str, Key] = {}
    owners: dict[str, list[str]] = {}
    for name, record in block.others.items():
        for key in record_keys(record, f"{group}."):
            if key.name not in known:
                found.setdefault(key.name, key)
                owners.setdefault(key.name, []).append(name)
    for key in found.values():
        meaning = f"with {group}={' or '.join(owners[key.name])}: {key.about.meaning}"
        yield key._replace(about=key.about._replace(meaning=meaning))


def modality_keys(name: str, command: Command | None = None) -> list[Key]:
    """The keys of a modality: its options, and what may be given beside a prompt.

    Args:
        name: the modality.
        command: leave out what this one does not take; None: all.

    Raises:
        LuminaError: the modality cannot be used, or gives something that no user gave.
    """
    keys = [*record_keys(host.options_class(name), "modality.")]
    given = host.condition_class(name)
    if given is not None and (command is None or command.is_conditioned):
        keys += record_keys(given, f"{CONDITION}.")
    for key in keys:
        if key.name.startswith(f"{CONDITION}.") and key.default is not None:
            raise LuminaError(
                f"{host.find(name).title} is broken: {key.name} has the default "
                f"{shown(key.default)}; only a user gives something: write setting(None, ...)."
            )
    return keys


def switched_off_by(key: Key, values: Mapping[str, Any]) -> str | None:
    """The key that switches this one off by its value; None where none does.

    Args:
        key: one whose `about` says what makes it idle.
        values: of all keys, flat.
    """
    block = key.name.rpartition(".")[0]
    for beside, idle in key.about.idle.items():
        switch = f"{block}.{beside}" if block else beside
        if switch in values and values[switch] in idle:  # not every choice of a group has it
            return switch
    return None
