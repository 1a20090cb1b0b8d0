"""Reads YAML files and the values of a command line: the only file that knows Hydra and OmegaConf.

Hydra is used for two things: composing the core's YAML with its groups, and the grammar of values.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError, reason_of
from lumina_core.keys import conf_root

_LOCK = threading.Lock()  # Hydra keeps its state in process-wide singletons


def compose_core(config_name: str) -> dict[str, Any]:
    """The values of a YAML file in conf/, with the default choice of each of its groups."""
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
    return _with_text_keys(composed)


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a YAML file, by text.

    Raises:
        LuminaError: it is broken, has a key twice, or holds a list.
    """
    from omegaconf import OmegaConf
    from yaml import MarkedYAMLError

    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise LuminaError(f"{path} cannot be read: {where}{error.problem}") from error
    except Exception as error:  # OmegaConf's, or the file system's: all mean the file
        raise LuminaError(f"{path} cannot be read: {reason_of(error)}") from error
    if not isinstance(values, dict):
        raise LuminaError(f"{path} holds a list; keys with values are wanted.")
    return _with_text_keys(values)


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
    except HydraException as error:
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


def _with_text_keys(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _with_text_keys(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }
