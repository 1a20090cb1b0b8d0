"""What a Python program gives to the functions for users, checked: a wrong type is a `LuminaError`.

A command line has only texts; Python has lists, tensors and None, whose texts nobody means.
"""

import json
import re
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.records import shown

_KEY = re.compile(r"\w+(\.\w+)*")


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


def whole_number(name: str, value: Any) -> int:
    """A whole number, also one of NumPy.

    Raises:
        LuminaError: as `text`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong(name, value, "a whole number")
    return int(value)


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


def overrides(settings: Any) -> list[str]:
    """Settings as words of a command line.

    Args:
        settings: keys of `run` and their values, or None.

    Raises:
        LuminaError: they are no mapping, or a key or a value is of another type than a command
            takes.
    """
    if settings is None:
        return []
    if not isinstance(settings, Mapping):
        raise _wrong("settings", settings, "a dictionary of keys and values, or None")
    for key in settings:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise _wrong("a key of settings", key, "a key of `run` such as 'solver.num_steps'")
    return [f"{key}={_as_text(key, value)}" for key, value in settings.items()]


def _as_text(key: str, value: Any) -> str:
    """A value in the grammar of overrides; JSON is what both have in common."""
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
    raise _wrong(f"settings[{key!r}]", value, wanted)


def _wrong(name: str, value: Any, wanted: str) -> LuminaError:
    return LuminaError(f"{name} is {shown(value)}; give {wanted}")
