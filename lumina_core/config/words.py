"""Tells overrides, options and the prompt apart in the words of a command line.

An argument is an override only if it looks like `key=value` and its first key exists; anything
else is the prompt, so that a prompt needs no quoting beyond the shell's. A single word that looks
like an override with a misspelt key is refused instead of being painted.
"""

import os.path
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lumina_core.config.keys import CONFIG, Command, checked_choice
from lumina_core.config.settings_file import SettingsFile, read_settings
from lumina_core.config.several import MIXING, One, of_one
from lumina_core.errors import LuminaError, closest, unknown_key
from lumina_core.plugins.yaml_files import CONDITION, RECOMMENDATION_BLOCKS
from lumina_core.program import command_line

ARCHITECTURE_KEYS = ("backbone", "text_encoder")
"""Known to commands that use a checkpoint only in order to be refused: it fixes them."""

PROMPT_KEYS = ("prompt", "negative_prompt")

MULTIRUN = ("-m", "--multirun")
"""Make one job of each combination of values."""

MAX_SHOWN_PROMPTS = 4  # in a message; a sentence without quotes is one for each word
_OVERRIDE = re.compile(r"[+~]{0,2}(?P<key>[\w./@]+)=")
_ITEM = re.compile(r"[+~]{0,2}(?P<key>[\w.]+)\[\d*\]=\S*")
_OF_HYDRA = re.compile(r"[+~]{0,2}hydra[./][\w./@]+=")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=\S*)?")
_HELP = ("-h", "--help")


class Arguments(NamedTuple):
    """The words after the command, sorted out."""

    overrides: list[str]
    """`key=value` each; a bare prompt is among them as `prompt=...`, letter by letter."""

    wants_help: bool


class Overrides(NamedTuple):
    """The overrides of a command by what they address, values still as written."""

    modalities: list[str]
    choices: dict[str, str]
    """Group to the name chosen in it."""
    options: dict[str, str]
    """Key below `modality` to value."""
    values: dict[str, str]
    """Dotted key of the core to value; a path that is `null` is left out, ~ is expanded."""
    file: SettingsFile | None = None
    """What `config=FILE` gives, below all of these; its paths are among the values already."""
    mixing: Mapping[str, str] = {}
    """Dotted key of what part a modality takes, to value."""


def parse(words: list[str], names: list[str]) -> Arguments:
    """Sort the words after a command.

    Args:
        words: as the shell gave them.
        names: every valid key of the command, dotted; `prompt` among them if it takes one.

    Raises:
        LuminaError: two prompts, a prompt where none is taken, a misspelt key, an unknown option.
    """
    before, after = _split_at_dashes(words)
    if any(word in _HELP for word in before):
        return Arguments([], wants_help=True)
    overrides = []
    for word in before:
        if not is_override(word, names):
            _refuse_slips(word, names)
            word = f"prompt={word}"
        overrides.append(word)
    overrides += [f"prompt={word}" for word in after]
    _check_prompts(overrides, names)
    return Arguments(overrides, wants_help=False)


def without_multirun(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words after a command without -m and the settings of Hydra that go with it.

    Returns:
        The others, and the settings of Hydra; None where there is no -m.
    """
    before, _ = _split_at_dashes(words)
    if not set(MULTIRUN) & set(before):
        return words, None
    of_hydra = [word for word in before if _OF_HYDRA.match(word)]
    others = [word for word in before if word not in (*MULTIRUN, *of_hydra)]
    return others + words[len(before) :], of_hydra


def is_override(word: str, names: list[str]) -> bool:
    """Whether a word is `key=value` with a first key that exists."""
    match = _OVERRIDE.match(word)
    known = {*RECOMMENDATION_BLOCKS, CONDITION, *(_first(name) for name in names)}
    return match is not None and _first(match["key"]) in known


def chosen_modalities(words: list[str]) -> list[str]:
    """The modalities that words choose, before anything else about them is known."""
    values = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("modality=")]
    return [name.strip() for value in values[-1:] for name in value.strip("[]").split(",")]


def modalities_in_use(command: Command, words: list[str]) -> list[str]:
    """The modalities that a command works on, before its words are checked: those that they
    choose, else those of what they name, such as a checkpoint.

    Empty where nothing says it, or a checkpoint cannot be read: the command says why.
    """
    if chosen := chosen_modalities(words):
        return chosen
    given = dict(word.lstrip("+").partition("=")[::2] for word in words)
    try:
        if path := given.get(CONFIG):
            file = read_settings(Path(path).expanduser(), command)
            given = file.texts | given
            if file.modalities:
                return file.modalities
        return command.modalities(given)
    except (LuminaError, OSError, RuntimeError):  # ~nobody has no home folder
        return []


def split_override(override: str) -> tuple[str, str]:
    """Key and value of an override; a leading + is dropped, it changes nothing.

    Raises:
        LuminaError: it is not of the form key=value, or removes a key with ~.
    """
    key, equals, value = override.partition("=")
    if not equals:
        raise LuminaError(f"{override!r} is no override. Write key=value.")
    if key.startswith("~"):
        raise LuminaError(f"{override!r} would remove a key; every key needs a value. Drop the ~.")
    return key.lstrip("+"), value


def sort_overrides(overrides: list[str], command: Command, one: One | None = None) -> Overrides:
    """Sort the overrides of a command; the last one of a key wins.

    Args:
        overrides: as the user wrote them.
        command: which.
        one: of several modalities that whose overrides are wanted; None: there is one.

    Raises:
        LuminaError: an unknown key or choice, a whole block, an empty path, or what a checkpoint
            fixes.
    """
    keys = {key.name: key for key in command.keys}
    names, groups = list(keys), command.groups
    pairs = [split_override(override) for override in overrides]
    mixing = {key: value for key, value in pairs if key.partition(".")[0] == MIXING}
    if one is not None:
        pairs = of_one(pairs, one, command)
    words = Overrides([], {}, {}, {}, None, mixing)
    path = dict(pairs).get(CONFIG, "null")
    if path not in ("", "null"):
        file = read_settings(Path(path).expanduser(), command, one)
        words = Overrides([*file.modalities], {}, {}, dict(file.texts), file, mixing)
    for key, value in pairs:
        is_of_network = key.partition(".")[0] in ARCHITECTURE_KEYS and key not in keys
        if is_of_network and command.has_fixed_architecture:
            raise LuminaError(
                f"{key} belongs to the architecture, which the checkpoint fixes. "
                f"It is set in training: {command_line('train', f'{key}={value}')}"
            )
        if key == "modality":
            words.modalities[:] = chosen_modalities([f"{key}={value}"])
        elif key.startswith("modality."):
            words.options[key.removeprefix("modality.")] = value
        elif key in groups:
            words.choices[key] = checked_choice(key, groups[key], value)
        elif (
            key in command.blocks and key != CONDITION
        ):  # layers.py knows what the modality has in it
            members = ", ".join(name for name in names if name.startswith(f"{key}."))
            raise LuminaError(f"{key!r} is a block of keys. Set one of them: {members}")
        elif key in keys and keys[key].about.file:
            _set_path(words.values, key, value)
        elif key in keys or (command.is_conditioned and key.partition(".")[0] == CONDITION):
            words.values[key] = value
        else:
            raise unknown_key(key, names)
    if words.file and words.file.modalities not in ([], words.modalities):
        raise LuminaError(
            f"config={path} is of modality {','.join(words.file.modalities)!r}; leave out "
            f"+modality={','.join(words.modalities)}, or write another file"
        )
    return words


def _set_path(values: dict[str, str], key: str, text: str) -> None:
    if not text:
        raise LuminaError(f"{key} is empty. Give a path, or leave it out: {key}=null")
    values.pop(key, None)
    if text != "null" or "." in key:  # in a block it may be more than the default
        values[key] = os.path.expanduser(text)


def _split_at_dashes(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _refuse_slips(word: str, names: list[str]) -> None:
    if _OPTION.fullmatch(word):
        raise LuminaError(
            f"unknown option {word!r}. Settings are written key=value; a prompt that starts with "
            "a dash stands after --."
        )
    item = _ITEM.fullmatch(word)
    if item and item["key"] in names:
        raise LuminaError(f"{word!r} sets part of a list. Write all of it: {item['key']}=[a,b]")
    match = _OVERRIDE.match(word)
    if match is None:
        return
    meant = closest(match["key"], names)
    is_one_word = len(word.split()) == 1
    is_marked = word[0] in "+~"  # nobody starts a prompt like this
    if (meant and (is_one_word or meant in PROMPT_KEYS)) or (is_one_word and is_marked):
        hint = f" Did you mean {meant!r}?" if meant else ""
        raise LuminaError(
            f"unknown key {match['key']!r} in {_shortened(word)!r}.{hint} "
            "A prompt like this stands after --."
        )


def _check_prompts(overrides: list[str], names: list[str]) -> None:
    pairs = [split_override(override) for override in overrides]
    prompts = [value for key, value in pairs if key == "prompt"]
    if prompts and "prompt" not in names:
        raise LuminaError(
            f"unexpected argument {_shortened(prompts[0])!r}. This command takes settings only, "
            "written key=value."
        )
    if len(prompts) > 1:
        for prompt in prompts:  # one alone may be a prompt like x=3, beside another it is a slip
            match = _OVERRIDE.match(prompt)
            if prompt in names:
                raise LuminaError(f"{prompt!r} is a key without a value. Write {prompt}=VALUE.")
            if match and match["key"] in names:  # before the dashes it were no prompt
                raise LuminaError(
                    f"{_shortened(prompt)!r} stands after --, where everything is prompt. Write "
                    "settings before --."
                )
            if match and len(prompt.split()) == 1:
                raise LuminaError(
                    f"unknown key {match['key']!r} in {_shortened(prompt)!r}. A prompt like this "
                    "stands alone, after --."
                )
        shown = [repr(_shortened(prompt)) for prompt in prompts[:MAX_SHOWN_PROMPTS]]
        more = [f"{len(prompts) - len(shown)} more"] * (len(prompts) > len(shown))
        *first, last = shown + more
        raise LuminaError(
            f"{len(prompts)} prompts: {', '.join(first)} and {last}. Put quotes around the whole "
            "prompt, or leave out all but one."
        )


def _first(key: str) -> str:
    return re.split(r"[./@]", key, maxsplit=1)[0]


def _shortened(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
