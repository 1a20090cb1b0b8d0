"""Reads the values of a YAML file, which a plugin may have brought, into plain dictionaries.

The file can neither run code, nor read the environment, nor grow in memory: no tags beyond plain
YAML's, no interpolation, no aliases, and no more than MAX_YAML_BYTES.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError, reason_of
from lumina_core.keys import read_yaml_text


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a YAML file. Interpolations stay as written: `${...}` is a text like any other.

    Raises:
        LuminaError: it is broken or too large, holds a list, a key that is no text, or an alias.
    """
    from omegaconf import OmegaConf

    text = read_yaml_text(path)
    try:
        if "*" in text and _has_alias(text):  # nine lines of them can stand for 10^9 values
            raise LuminaError("it has an alias (*name); write the value out")
        values = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except Exception as error:  # a parser's: all mean the file
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
            raise LuminaError(f"{path} has the key {key!r}; a key is a text.")
        if isinstance(value, Mapping):
            _refuse_strange_keys(value, path)
