"""What may come next on a command line, for the completion of shells.

The script of a shell stands beside this file; it asks the hidden command `complete` at each
completion, so that it knows what is installed now. Answers come from the text of the YAML files,
package metadata and the options of the one chosen modality: nothing heavy is imported.
"""

import re
from pathlib import Path

from lumina_core.cli import help
from lumina_core.config.keys import (
    CONFIG_NAMES,
    PATH_KEYS,
    command_keys,
    group_choices,
    group_defaults,
    modality_keys,
)
from lumina_core.config.words import (
    CHECKPOINT_COMMANDS,
    CONDITIONED_COMMANDS,
    MULTIRUN,
    modalities_in_use,
)
from lumina_core.errors import LuminaError, nearest
from lumina_core.plugins import host, yaml_files
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import file_names, fixed_names

SHELLS = ("bash", "zsh")
FILES = "@files"
"""Stands for the names of files, which the shell knows best."""

_CHOICES = r"\w+(?:\|\w+)+"
NAMED_COMMANDS = ("doctor", "examples", "schema")
"""Commands that take the name of a modality."""


def script(shells: list[str]) -> str:
    """What a shell evaluates once in order to complete our command lines.

    Args:
        shells: the names that were given; one of SHELLS is wanted.

    Raises:
        LuminaError: none, several or an unknown one.
    """
    known = " or ".join(SHELLS)
    if len(shells) != 1:
        raise LuminaError(f"completion takes one shell, {known}, got {' '.join(shells) or 'none'}.")
    (shell,) = shells
    if shell not in SHELLS:
        raise LuminaError(f"no completion for {shell!r}; use {known}.{nearest(shell, SHELLS)}")
    return Path(__file__).with_name(f"completion.{shell}").read_text(encoding="utf-8")


def complete(words: list[str]) -> list[str]:
    """What the last word may become; a key ends with `=`, and FILES may be among the answers.

    Args:
        words: those after the program's name, the last of them begun or empty.
    """
    *before, begun = words or [""]
    if not before:
        return _begin_with(begun, list(help.SUMMARIES))
    command, *given = before
    if command not in help.USAGES or "--" in given:
        return []
    if begun.startswith("-"):
        options = MULTIRUN if command in CONFIG_NAMES else ()
        options += tuple(re.findall(r"--[\w-]+", help.USAGES[command]))
        return _begin_with(begun, [*options, "--help"])
    if command in CONFIG_NAMES:
        return _settings(command, given, begun)
    return _arguments(command, given, begun)


def _begin_with(begun: str, words: list[str]) -> list[str]:
    return [word for word in words if word == FILES or word.startswith(begun)]


def _arguments(command: str, given: list[str], begun: str) -> list[str]:
    """The arguments of a command without a configuration, as its usage has them."""
    usage = help.USAGES[command]
    values = dict(re.findall(rf"(--[\w-]+) ({_CHOICES})", usage))  # of options
    if given and given[-1] in values:
        return _begin_with(begun, values[given[-1]].split("|"))
    usage = re.sub(rf"--[\w-]+ {_CHOICES}", "", usage)
    keys = re.findall(r"[\w.]+=(?=FILE|FOLDER)", usage)
    if begun.startswith(tuple(keys)):
        return [FILES]
    is_named = any(not word.startswith("-") and "=" not in word for word in given)
    if command in NAMED_COMMANDS and not is_named:
        plugins = [plugin for plugin in host.discover() if plugin.status != "blocked"]
        return _begin_with(begun, [plugin.name for plugin in plugins])
    choices = [word for words in re.findall(_CHOICES, usage) for word in words.split("|")]
    takes_file = re.search(r"(?<!=)\b(FILE|FOLDER)\b", usage) or ("DIR" in usage and is_named)
    return _begin_with(begun, [*keys, *choices, *([FILES] if takes_file else [])])


def _settings(command: str, given: list[str], begun: str) -> list[str]:
    """Keys of a command, or the values of a key."""
    pluses = "+" * (len(begun) - len(begun.lstrip("+")))
    key, equals, _ = begun.removeprefix(pluses).partition("=")
    blocks = ("modality.", f"{CONDITION}.")
    is_own = any(key.startswith(block) or block.startswith(key) for block in blocks)
    modality = _modality(command, given) if is_own else None  # importing it takes time
    if equals:
        values = _values(command, key, modality)
        return _begin_with(
            begun, [word if word == FILES else f"{pluses}{key}={word}" for word in values]
        )
    if pluses:  # needed nowhere, and written by habit in front of this one
        return _begin_with(begun, [f"{pluses}modality="])
    return _begin_with(begun, [f"{name}=" for name in ["modality", *_defaults(command, modality)]])


def _modality(command: str, given: list[str]) -> str | None:
    """The modality in use; None where none is, or one that cannot be used."""
    named = modalities_in_use(command, given)
    try:
        for name in named:
            host.options_class(name)
            modality_keys(yaml_files.modality_yaml(name))
    except LuminaError:
        return None  # a command that uses it says why
    return named[-1] if named else None


def _defaults(command: str, modality: str | None) -> dict[str, str]:
    """Key to default of everything that a command line may set."""
    groups = group_defaults(command)
    keys = [key for key in command_keys(command) if key.default or key.name in groups]
    if modality is not None:
        blocks = ("modality", CONDITION) if command in CONDITIONED_COMMANDS else ("modality",)
        fixed = _fixed_options(modality) if command in CHECKPOINT_COMMANDS else []
        keys += [
            key
            for key in modality_keys(yaml_files.modality_yaml(modality))
            if key.default and key.name.partition(".")[0] in blocks and key.name not in fixed
        ]
    return {key.name: key.default for key in keys}


def _values(command: str, key: str, modality: str | None) -> list[str]:
    """What a key may be set to, as far as it is known."""
    if key == "modality":
        return host.installed()
    default = _defaults(command, modality).get(key)
    if default is None:
        return []
    group = key.removesuffix(".name")
    if group in group_defaults(command):
        return group_choices(group)
    if default in ("true", "false"):
        return ["true", "false"]
    is_path = key in PATH_KEYS or key == "modality.vae" or key in _file_conditions(modality)
    return [FILES] if is_path else []


def _fixed_options(modality: str) -> list[str]:
    return [f"modality.{name}" for name in fixed_names(host.options_class(modality))]


def _file_conditions(modality: str | None) -> list[str]:
    record = host.condition_class(modality) if modality else None
    return [f"{CONDITION}.{name}" for name in file_names(record)] if record else []
