"""Reads YAML files and the values of a command line: the only file that knows Hydra and OmegaConf.

Hydra is used for two things: composing the core's YAML with its groups, and the grammar of values.
A file that is read may come from a plugin. It can neither run code, nor read the environment, nor
grow in memory: no tags beyond plain YAML's, no interpolation, no aliases, and no more than
MAX_YAML_BYTES.
"""

import io
import threading
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.keys import conf_root, read_yaml_text
from lumina_core.records import shown

_LOCK = threading.Lock()  # Hydra keeps its state in process-wide singletons


def compose_core(config_name: str) -> dict[str, Any]:
    """The values of a YAML file in conf/, with the default choice of each of its groups.

    They are composed once in a process; what is returned is the caller's own.
    """
    return deepcopy(_composed(config_name))


@cache
def _composed(config_name: str) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    with _LOCK:
        outer = GlobalHydra.instance().hydra  # a program that itself runs on Hydra may call us
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf_root().resolve()), version_base="1.3"):
                composed = OmegaConf.to_container(compose(config_name), resolve=True)
        finally:
            GlobalHydra.instance().hydra = outer
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


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


def parse_value(key: str, value: str) -> Any:
    """What a value written on the command line means.

    Args:
        key: to which it is given, for messages.
        value: as written.

    Raises:
        LuminaError: it cannot be read, or asks for several values.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        with _LOCK:
            parsed = OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, ValueError, RecursionError) as error:  # 5000 digits, 900 brackets
        raise LuminaError(
            f"the value in {key}={value} cannot be read. Put a text with special characters in "
            f"quotes of its own: \"{key}='...'\""
        ) from error
    if parsed.is_sweep_override():
        raise LuminaError(
            f"{key}={value} asks for several values. A list is written {key}=[...]; "
            "sweeps are not supported."
        )
    return parsed.value()


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
