"""The options of a modality: what `schema NAME` prints.

Types come from the plugin's dataclasses, defaults, units and meanings from its YAML and the
comments in it. Imports the plugin's options and nothing heavy.
"""

import dataclasses
import json
import types
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from lumina_core.config.compose import compose_options
from lumina_core.config.keys import Key, modality_keys, unit_and_meaning
from lumina_core.errors import LuminaError, printable
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION, MAX_TEXT, modality_yaml
from lumina_core.records import setting_of

_FIXED = "(fixed by a checkpoint)"
_HEADINGS = ("key", "type", "unit", "default", "meaning")


class Option(NamedTuple):
    """One option of a modality, or one thing that may be given beside a prompt."""

    key: str
    """As one writes it on the command line."""

    type: str
    """bool, int, float, str or file; [int, int] and [float, ...] are lists; `a | null` may be
    null."""

    unit: str | None
    """In which the value counts; None for texts and files."""

    default: Any
    """A value of JSON; inf and nan are texts."""

    meaning: str

    is_fixed_by_checkpoint: bool
    """It is set in training and refused afterwards."""


def modality_schema(name: str) -> list[Option]:
    """The options of a modality in the order of their dataclass, then its conditions.

    Raises:
        LuminaError: the modality cannot be used, or its YAML does not fit its dataclass.
    """
    notes = {key.name: key for key in modality_keys(modality_yaml(name))}
    defaults = compose_options(name)
    options = list(_options("modality.", host.options_class(name), defaults, notes))
    condition = host.condition_class(name)
    return options + list(_options(f"{CONDITION}.", condition, None, notes) if condition else [])


def schema_records(options: list[Option]) -> list[dict[str, Any]]:
    """The options for machines."""
    return [option._asdict() for option in options]


def schema_table(options: list[Option]) -> list[str]:
    """One line per option, below a line of headings."""
    rows = [_HEADINGS, *(_row(option) for option in options)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def chosen_name(names: list[str]) -> str:
    """The one modality that was named.

    Raises:
        LuminaError: none or several were.
    """
    if len(names) == 1:
        return names[0]
    raise LuminaError(
        f"schema takes one modality, got {' '.join(names) or 'none'}; {host.present()}"
    )


def type_name(hint: Any, is_file: bool = False) -> str:
    """The annotation of a field, as `schema` writes it.

    Args:
        hint: the annotation.
        is_file: its text names a file.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(arg, is_file) for arg in args)
    if origin is tuple:
        return f"[{', '.join('...' if arg is ... else type_name(arg, is_file) for arg in args)}]"
    if hint is types.NoneType:
        return "null"
    if hint is str and is_file:
        return "file"
    return getattr(hint, "__name__", str(hint))


def _options(
    prefix: str, record: type, defaults: Any, notes: Mapping[str, Key], is_fixed: bool = False
) -> Iterator[Option]:
    """Each field of a record, those of a record in it with dotted keys."""
    hints = get_type_hints(record)
    for field in dataclasses.fields(record):
        key, hint = prefix + field.name, hints[field.name]
        default = None if defaults is None else getattr(defaults, field.name)
        fixed = is_fixed or setting_of(field).fixed
        if dataclasses.is_dataclass(hint):
            yield from _options(f"{key}.", cast(type, hint), default, notes, fixed)
            continue
        comment = printable(notes[key].meaning, MAX_TEXT) if key in notes else ""
        unit, meaning = unit_and_meaning(comment)
        type_ = type_name(hint, setting_of(field).file)
        yield Option(key, type_, unit, _plain(default), meaning, fixed)


def _plain(value: Any) -> Any:
    """A value of JSON, which has neither tuples nor infinite numbers."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _row(option: Option) -> tuple[str, ...]:
    default = option.default
    shown = default if isinstance(default, str) else json.dumps(default)
    meaning = f"{option.meaning} {_FIXED}" if option.is_fixed_by_checkpoint else option.meaning
    return option.key, option.type, option.unit or "", printable(shown, MAX_TEXT), meaning.strip()
