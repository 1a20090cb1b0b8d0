"""The texts of --help. The lines about keys come from the comments in the YAML files."""

from collections.abc import Iterator, Sequence

from lumina_core.config.effective import effective_keys, of_checkpoint, recommended
from lumina_core.config.keys import Key, command_keys, group_choices, group_defaults, modality_keys
from lumina_core.config.words import modalities_in_use
from lumina_core.errors import LuminaError, printable
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import Plugin
from lumina_core.plugins.yaml_files import CONDITION, MAX_TEXT, RECOMMENDATION_BLOCKS, modality_yaml
from lumina_core.program import program

USAGES = {
    "run": '+modality=NAME "PROMPT" [KEY=VALUE ...]',
    "infer": '"PROMPT" [KEY=VALUE ...]',
    "train": "+modality=NAME [KEY=VALUE ...]",
    "train-vae": "+modality=NAME [KEY=VALUE ...]",
    "evaluate": "+modality=NAME [KEY=VALUE ...]",
    "plugins": "[--json] [--check]",
    "schema": "NAME [--json]",
    "examples": "[NAME] [--json]",
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
    "examples": "prompts that the demos know, for each task of one or all installed modalities",
    "doctor": "what is wrong; with a name, one modality; --contract checks every rule of plugins",
    "info": "the request inside a file that we made, or what a checkpoint folder holds",
    "gallery": "write a page that shows the results in a folder with their settings",
    "new-modality": "write the package of a new modality, complete and working, to start from",
    "completion": "a script that teaches a shell to complete commands, keys and values",
    "version": "the version of lumina-core",
}
_WIDTH = 34  # of the column of keys


def main_help() -> list[str]:
    """The lines that `--help` without a command prints."""
    lines = [f"usage: {program()} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<14}{summary}" for name, summary in SUMMARIES.items()]
    return [*lines, "", f"{program()} COMMAND --help tells more."]


def command_help(command: str, words: Sequence[str] = ()) -> list[str]:
    """The lines that `COMMAND --help` prints; imports no plugin.

    Args:
        command: whose.
        words: beside --help. Where they name a modality, or something that has one, each key is
            shown with the value that would be used and where that comes from.

    Raises:
        LuminaError: what the words name cannot be used.
    """
    lines = [f"usage: {program()} {command} {USAGES[command]}".rstrip(), "", SUMMARIES[command]]
    if "KEY=VALUE" not in USAGES[command]:
        return lines
    asked = "run" if command == "infer" else command  # a usual modality is not asked about
    if names := modalities_in_use(asked, list(words)):
        lines += ["", *_effective_lines(command, list(words), names[0])]
    else:
        lines += ["", "keys:", *_core_lines(command)]
        for plugin in host.discover():
            lines += ["", *_modality_lines(plugin, command)]
        lines += ["", f"{program()} {command} --help +modality=NAME shows the values in use."]
    lines += ["-m makes one job of each combination of values, written KEY=A,B or KEY=range(0,3)."]
    if any(key.name == "prompt" for key in command_keys(command)):
        lines += ["An argument that is no KEY=VALUE is the prompt; -- ends the settings."]
    return lines


def _core_lines(command: str) -> list[str]:
    return [_line(key) for key in _in_order(command, command_keys(command))]


def _effective_lines(command: str, words: list[str], name: str) -> list[str]:
    plugin = host.find(name)
    found = effective_keys(command, words, name, modality_yaml(name))
    origins = {each.key.name: printable(each.origin, _WIDTH) for each in found}
    width = max(map(len, origins.values()))
    title = f"values with modality {name} ({plugin.package} {plugin.version}), and whose they are:"
    keys = _in_order(command, [each.key for each in found])
    return [title, *(_line(key, f"{origins[key.name]:<{width}}  ") for key in keys)]


def _in_order(command: str, keys: list[Key]) -> Iterator[Key]:
    """Plain keys first, then each block; a group says what can be chosen."""
    groups = group_defaults(command)
    members: dict[str, list[Key]] = {group: [] for group in groups}
    chosen = {}
    for key in keys:
        block, dot, _ = key.name.partition(".")
        if dot:
            members.setdefault(block, []).append(key)
        elif key.name in groups:
            chosen[key.name] = key.default or groups[key.name]
        elif key.default:
            yield key
    for block, inside in members.items():
        if block in groups:
            choices = ", ".join(group_choices(block))
            yield Key(block, chosen[block], f"a set of values: {choices}")
        yield from inside


def _modality_lines(plugin: Plugin, command: str) -> list[str]:
    title = f"modality {plugin.name} ({plugin.package} {plugin.version}): "
    if plugin.error is not None:
        return [f"{title}{plugin.status}, {plugin.error}"]
    try:
        keys = modality_keys(modality_yaml(plugin.name))
    except LuminaError as error:
        return [f"{title}{error}"]
    hidden = RECOMMENDATION_BLOCKS + (() if command in ("run", "infer") else (CONDITION,))
    options = [key for key in keys if key.name.partition(".")[0] not in hidden]
    lines = [title + plugin.summary, *(_line(key) for key in options if key.default)]
    lines += _instead("it sets", recommended(command, keys))
    demo = host.demo_folder(plugin.name)
    if demo is not None:
        try:
            advised, _ = of_checkpoint(command, plugin.name, demo)
        except LuminaError as error:
            return [*lines, f"  {error}"]
        lines += _instead("its demo checkpoint sets", advised)
    return lines


def _instead(who: str, values: dict[str, str]) -> list[str]:
    """The line about what stands in place of defaults, if anything does."""
    text = " ".join(f"{key}={value}" for key, value in values.items())
    return [f"  values {who} instead: {printable(text, len(text))}"] * bool(values)


def _line(key: Key, origin: str = "") -> str:
    default, meaning = (printable(text, MAX_TEXT) for text in (key.default, key.meaning))
    return f"  {f'{key.name}={default}':<{_WIDTH}}  {origin}{meaning}".rstrip()
