"""The texts of --help. The lines about keys come from the comments in the YAML files."""

from pathlib import Path

from lumina_core import host
from lumina_core.entry_points import Plugin
from lumina_core.errors import LuminaError, printable
from lumina_core.keys import (
    CONDITION,
    RECOMMENDATION_BLOCKS,
    Key,
    command_keys,
    group_choices,
    group_defaults,
    modality_keys,
)

PROGRAM = "python -m lumina_core"
USAGES = {
    "run": '+modality=NAME "PROMPT" [KEY=VALUE ...]',
    "infer": '"PROMPT" [KEY=VALUE ...]',
    "train": "+modality=NAME [KEY=VALUE ...]",
    "train-vae": "+modality=NAME [KEY=VALUE ...]",
    "evaluate": "+modality=NAME [KEY=VALUE ...]",
    "plugins": "[--json] [--check]",
    "schema": "NAME [--json]",
    "doctor": "[NAME [--contract [--json] [modality.vae=FOLDER]]]",
    "info": "FILE [--json]",
    "gallery": "FOLDER [out=FILE.html]",
    "new-modality": "NAME [DIR] [--shape line|grid]",
    "completion": "bash|zsh",
    "version": "",
}
SUMMARIES = {
    "run": "make something from a prompt",
    "infer": "run with the modality of the checkpoint; without one the only installed, or image",
    "train": "train a checkpoint",
    "train-vae": "train the small autoencoder of a modality",
    "evaluate": "measure how often a checkpoint shows what the prompt asked for",
    "plugins": "list the installed modalities; --check imports each one",
    "schema": "the options of a modality with their types, units and defaults",
    "doctor": "what is wrong; with a name, one modality; --contract checks every rule of plugins",
    "info": "the request inside a file that we made, or what a checkpoint folder holds",
    "gallery": "write a page that shows the results in a folder with their settings",
    "new-modality": "write the package of a new modality, complete and working, to start from",
    "completion": "a script that teaches a shell to complete commands, keys and values",
    "version": "the version of lumina-core",
}
_WIDTH = 34  # of the column of keys
MAX_TEXT = 300  # characters of a default or a comment in a plugin's YAML


def main_help() -> list[str]:
    """The lines that `--help` without a command prints."""
    lines = [f"usage: {PROGRAM} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<14}{summary}" for name, summary in SUMMARIES.items()]
    return [*lines, "", f"{PROGRAM} COMMAND --help tells more."]


def command_help(command: str) -> list[str]:
    """The lines that `COMMAND --help` prints; imports no plugin."""
    lines = [f"usage: {PROGRAM} {command} {USAGES[command]}".rstrip(), "", SUMMARIES[command]]
    if "KEY=VALUE" in USAGES[command]:
        lines += ["", "keys:", *_core_lines(command)]
        for plugin in host.discover():
            lines += ["", *_modality_lines(plugin, command)]
        lines += ["", "An argument that is no KEY=VALUE is the prompt; -- ends the settings."]
    return lines


def modality_yaml(name: str) -> Path:
    """The file with a modality's options and recommended values.

    Raises:
        LuminaError: the modality cannot be used, or its package ships no such file.
    """
    path = host.conf_folder(name) / "modality" / f"{name}.yaml"
    if not path.is_file():
        others = ", ".join(sorted(each.name for each in path.parent.glob("*.yaml")))
        reason = (
            f"It holds {printable(others, MAX_TEXT)}: the file and the entry point have one name"
            if others
            else "Its package_data should list conf/modality/*.yaml: tell its author"
        )
        raise LuminaError(f"Modality {name!r} ships no conf/modality/{name}.yaml. {reason}.")
    return path


def _core_lines(command: str) -> list[str]:
    groups = group_defaults(command)
    keys = [key for key in command_keys(command) if key.default and "." not in key.name]
    lines = [_line(key) for key in keys]
    blocks: dict[str, list[Key]] = {group: [] for group in groups}
    for key in command_keys(command):
        block, dot, _ = key.name.partition(".")
        if dot:
            blocks.setdefault(block, []).append(key)
    for block, members in blocks.items():
        if block in groups:
            choices = ", ".join(group_choices(block))
            lines.append(_line(Key(block, groups[block], f"a set of values: {choices}")))
        lines += [_line(key) for key in members]
    return lines


def _modality_lines(plugin: Plugin, command: str) -> list[str]:
    title = f"modality {plugin.name} ({plugin.package} {plugin.version}): "
    if plugin.error is not None:
        return [f"{title}{plugin.status}, {plugin.error}"]
    try:
        keys = modality_keys(modality_yaml(plugin.name))
    except LuminaError as error:
        return [f"{title}{error}"]
    block = "training" if command.startswith("train") else "sampling"
    hidden = RECOMMENDATION_BLOCKS + (() if command in ("run", "infer") else (CONDITION,))
    options = [key for key in keys if key.name.partition(".")[0] not in hidden]
    advised = [key for key in keys if key.name.startswith(f"{block}.") and key.default]
    lines = [title + plugin.summary, *(_line(key) for key in options if key.default)]
    if advised:
        values = (f"{key.name.removeprefix(f'{block}.')}={key.default}" for key in advised)
        text = " ".join(values)
        lines.append("  values it sets instead: " + printable(text, len(text)))
    return lines


def _line(key: Key) -> str:
    default, meaning = (printable(text, MAX_TEXT) for text in (key.default, key.meaning))
    return f"  {f'{key.name}={default}':<{_WIDTH}}  {meaning}".rstrip()
