"""The options of a modality: what `schema NAME` prints, from the fields of its records.

Imports the plugin's options and nothing heavy.
"""

import dataclasses
import types
from collections.abc import Iterator
from math import isfinite
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from lumina_core.config.compose import compose_options
from lumina_core.errors import LuminaError, printable
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION, MAX_TEXT
from lumina_core.records import as_text, block_of, setting_of

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
        LuminaError: the modality cannot be used.
    """
    compose_options(name)  # or refuses what cannot be made
    options = list(_options("modality.", host.options_class(name)))
    condition = host.condition_class(name)
    return options + list(_options(f"{CONDITION}.", condition) if condition else [])


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


def _options(prefix: str, record: type, is_fixed: bool = False) -> Iterator[Option]:
    """Each field of a record, those of a record in it with dotted keys."""
    hints = get_type_hints(record)
    for field in dataclasses.fields(record):
        key, about, inner = prefix + field.name, setting_of(field), block_of(field)
        fixed = is_fixed or about.fixed
        if inner is not None:
            yield from _options(f"{key}.", inner.record, fixed)
            continue
        type_, meaning = (
            type_name(hints[field.name], about.file),
            printable(about.meaning, MAX_TEXT),
        )
        yield Option(key, type_, about.unit, _plain(field.default), meaning, fixed)


def _plain(value: Any) -> Any:
    """A value of JSON, which has neither tuples nor infinite numbers."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _row(option: Option) -> tuple[str, ...]:
    meaning = f"{option.meaning} {_FIXED}" if option.is_fixed_by_checkpoint else option.meaning
    shown = printable(as_text(option.default), MAX_TEXT)
    return option.key, option.type, option.unit or "", shown, meaning.strip()
