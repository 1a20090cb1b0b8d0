"""What may come next on a command line, for the completion of shells.

The script of a shell stands beside this file; it asks the hidden command `complete` at each
completion, so that it knows what is installed now. Answers come from the keys of a command,
package metadata and the options of the one chosen modality: nothing heavy is imported.
"""

import re
from pathlib import Path

from lumina_core.cli import help
from lumina_core.cli.configured import CONFIGURED
from lumina_core.config.keys import Command, Key
from lumina_core.config.several import MIXING, keys_of
from lumina_core.config.words import MULTIRUN, modalities_in_use
from lumina_core.errors import LuminaError, nearest
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION, model_files
from lumina_core.training.plan_words import PLANNED, completed_plan

SHELLS = ("bash", "zsh")
MODEL_KEYS = ("checkpoint", "init_from")
"""Keys that take the name of a model."""

FILES = "@files"
"""Stands for the names of files, which the shell knows best."""

_CHOICES = r"[\w-]+(?:\|[\w-]+)+"
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
        options = MULTIRUN if command in CONFIGURED else ()
        options += tuple(re.findall(r"--[\w-]+", help.USAGES[command]))
        return _begin_with(begun, [*options, "--help"])
    if command == "config" and given:
        command, *given = given
    if command == "plan":
        what = () if given else PLANNED
        return [*_begin_with(begun, [*what]), *_settings(*completed_plan(given), begun)]
    if command in CONFIGURED:
        return _settings(CONFIGURED[command].command, given, begun)
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
    if command == "models" and not is_named:
        return _begin_with(begun, list(model_files()))
    choices = [word for words in re.findall(_CHOICES, usage) for word in words.split("|")]
    takes_file = re.search(r"(?<!=)\b(FILE|FOLDER)\b", usage) or ("DIR" in usage and is_named)
    return _begin_with(begun, [*keys, *choices, *([FILES] if takes_file else [])])


def _settings(command: Command, given: list[str], begun: str) -> list[str]:
    """Keys of a command, or the values of a key."""
    pluses = "+" * (len(begun) - len(begun.lstrip("+")))
    key, equals, _ = begun.removeprefix(pluses).partition("=")
    blocks = ("modality.", f"{CONDITION}.", *(f"{block}." for block in (*command.own, MIXING)))
    is_own = any(key.startswith(block) or block.startswith(key) for block in blocks)
    keys = list(command.keys)
    if is_own:  # importing a modality takes time
        keys += _keys_of_modality(command, given)
    if equals:
        values = _values(key, keys)
        return _begin_with(
            begun, [word if word == FILES else f"{pluses}{key}={word}" for word in values]
        )
    if pluses:  # needed nowhere, and written by habit in front of this one
        return _begin_with(begun, [f"{pluses}modality="])
    return _begin_with(begun, ["modality=", *(f"{key.name}=" for key in keys)])


def _keys_of_modality(command: Command, given: list[str]) -> list[Key]:
    """The keys of the modality in use; none where none is, or one that cannot be used."""
    try:
        names = modalities_in_use(command, given)
        if not command.own:
            names = names[-1:]  # which wins
        keys = keys_of(command, names) if names else []
    except LuminaError:
        return []  # a command that uses it says why
    return [key for key in keys if not (key.about.fixed and command.has_fixed_architecture)]


def _values(name: str, keys: list[Key]) -> list[str]:
    """What a key may be set to, as far as it is known."""
    if name == "modality":
        return host.installed()
    for key in keys:
        if key.name == name:
            is_path = key.about.file or name == "modality.vae"
            truths = ["true", "false"] * (key.type == "bool")
            models = list(model_files()) * (name in MODEL_KEYS)
            return [FILES, *models] if is_path else [*key.about.choices, *truths]
    return []
