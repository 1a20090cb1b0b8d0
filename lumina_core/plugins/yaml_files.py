"""The YAML that packages ship: found, bounded in size, and read without executing anything."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.files.reading import read_regular
from lumina_core.plugins import host
from lumina_core.records import shown


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a YAML file. Interpolations stay as written: `${...}` is a text like any other.

    Raises:
        LuminaError: it is broken or too large, has a key twice or one that is no text, an alias,
            or holds a list.
    """
    from omegaconf import OmegaConf
    from yaml import MarkedYAMLError

    text = read_yaml_text(path)
    try:
        if "*" in text and _has_alias(text):  # nine lines of them can stand for 10^9 values
            raise LuminaError("it has an alias (*name); write the value out")
        values = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = printable(error.problem or "it is broken", MAX_REASON)
        raise LuminaError(f"{path} cannot be read: {where}{problem}") from error
    except Exception as error:  # OmegaConf's, or of a parser that gave up: all mean the file
        raise LuminaError(f"{path} cannot be read: {reason_of(error)}") from error
    if not isinstance(values, dict):
        raise LuminaError(f"{path} holds a list; keys with values are wanted.")
    _refuse_strange_keys(values, path)
    return {str(key): value for key, value in values.items()}


def _has_alias(text: str) -> bool:
    import yaml  # comes with hydra-core, as omegaconf does

    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))


def _refuse_strange_keys(values: Mapping[Any, Any], path: Path) -> None:
    for key, value in values.items():
        if not isinstance(key, str):
            raise LuminaError(
                f"{path} has the key {shown(key)}; a key is a text: write a word, or quote it"
            )
        if isinstance(value, Mapping):
            _refuse_strange_keys(value, path)


RECOMMENDATION_BLOCKS = ("sampling", "training")
"""Blocks of a modality's YAML that recommend values for the core."""

CONDITION = "condition"
"""Block of a modality's YAML with what may be given beside a prompt; what is in no block of these
are the modality's options."""

MAX_YAML_BYTES = 2**16  # 25 times the largest of ours; a file of this size is parsed in 1 s


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file, not parsed.

    Raises:
        LuminaError: the file cannot be read, is not UTF-8, or is too large to be one of settings.
    """
    try:
        content = read_regular(path, MAX_YAML_BYTES)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise LuminaError(
            f"{path} cannot be read: {error.strerror}. Reinstall its package."
        ) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LuminaError(
            f"{path} cannot be read: line {line} is not UTF-8; save the file as UTF-8."
        ) from error


MAX_TEXT = 300  # characters of a default or a comment in a plugin's YAML


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
