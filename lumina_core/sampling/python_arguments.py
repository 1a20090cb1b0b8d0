"""What a Python program gives to the functions for users, checked, and as words of a command.

A command line has only texts; Python has lists, tensors and None, whose texts nobody means: a wrong
type is a `LuminaError`, and so is a keyword that is no key.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lumina_core.config.keys import Command
from lumina_core.config.several import keys_of
from lumina_core.config.words import PROMPT_KEYS
from lumina_core.errors import LuminaError, closest
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.program import command_line
from lumina_core.records import shown

_WHOLE_KEY = re.compile(r"\w+(\.\w+)+")


def text(name: str, value: Any) -> str:
    """A text.

    Raises:
        LuminaError: it is of another type; the message calls it by its name.
    """
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def texts(name: str, value: Any) -> list[str]:
    """Several texts; one text alone is not taken for its letters.

    Raises:
        LuminaError: as `text`.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, value, "a list of texts")
    return list(value)


def true_or_false(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        LuminaError: as `text`.
    """
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")
    return value


def path(name: str, value: Any) -> Path:
    """A path, `~` replaced.

    Raises:
        LuminaError: as `text`.
    """
    if not isinstance(value, str | PathLike) or not isinstance(fspath(value), str):
        raise _wrong(name, value, "a text or a Path")
    return Path(value).expanduser()


def prompts(value: Any) -> list[str]:
    """One text or several, as a list.

    Raises:
        LuminaError: it is neither, or the list is empty.
    """
    found = [value] if isinstance(value, str) else value
    is_list = isinstance(found, list | tuple) and all(isinstance(item, str) for item in found)
    if not is_list or not found:
        raise _wrong("prompt", value, "a text or a list of texts")
    return list(found)


def words_of(
    command: Command, modality: str | Sequence[str], keywords: Mapping[str, Any]
) -> dict[str, str]:
    """Keywords as whole keys and the values of a command line.

    A keyword is a public key of the command, or its last part: `height` is `modality.height`. What
    has this name alone, or in what is made or given, comes before the settings of the core, and of
    these the blocks first that are chosen in the same call (`data="folder", path=...`).

    Args:
        command: whose keys.
        modality: whose options and conditions are meant; of several whole keys say whose.
        keywords: names and values.

    Raises:
        LuminaError: an unknown name, one that several keys end in, or a value of another type than
            a command takes.
    """
    keys = {key.name: key for key in command.keys}
    chosen = [modality] if isinstance(modality, str) else list(modality)
    own = keys_of(command, chosen)
    names = [*keys, *(key.name for key in own if key.name.partition(".")[0] not in command.own)]
    words: dict[str, str] = {}
    given: dict[str, str] = {}
    for name, value in keywords.items():
        key = _whole_key(name, names, keywords)
        if key is None:
            last_parts = sorted({key.rpartition(".")[2] for key in names})
            meant = closest(name, last_parts)
            written = chosen[0] if len(chosen) == 1 else f"[{','.join(chosen)}]"
            listing = command_line(command.name, f"+modality={written}", "--help")
            hint = f"Did you mean {meant!r}?" if meant else f"Known are those of: {listing}"
            raise LuminaError(f"unknown key {name!r}. {hint}")
        if key == "guidance" and isinstance(value, Real):
            key = "guidance.scale"
        if key in given:
            raise LuminaError(f"{given[key]} and {name} are the same key, {key}; give it once")
        given[key] = name
        words[key] = text(name, value) if key in PROMPT_KEYS else _as_text(name, value)
    return words


def as_overrides(words: Mapping[str, str]) -> list[str]:
    """Keys and values as the words of a command line."""
    return [f"{key}={value}" for key, value in words.items()]


def _whole_key(name: str, names: list[str], keywords: Iterable[str]) -> str | None:
    """The one public key that a keyword means; None where there is none."""
    if name in names or _WHOLE_KEY.fullmatch(name):  # composing says what is wrong with it
        return name
    found = [key for key in names if key.rpartition(".")[2] == name]
    own = [key for key in found if key.partition(".")[0] in ("modality", CONDITION)]
    chosen = [key for key in found if key.partition(".")[0] in keywords]
    found = chosen or own or found
    if len(found) > 1:
        raise LuminaError(
            f"{name} may be {' or '.join(found)}; write the whole key: **{{{found[0]!r}: ...}}"
        )
    return found[0] if found else None


def _as_text(key: str, value: Any) -> str:
    """A value in the grammar of a command line; JSON is what both have in common."""
    plain = _plain(key, value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _plain(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(key, item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(key, item) for name, item in value.items()}
    wanted = "None, a bool, a number, a text, a Path, or a list or dictionary of these"
    raise _wrong(key, value, wanted)


def _wrong(name: str, value: Any, wanted: str) -> LuminaError:
    return LuminaError(f"{name} is {shown(value)}; give {wanted}")
