"""Typed records (frozen dataclasses) of settings: each field says all about its key, once.

`setting` declares a field with its default, meaning, unit and bounds; `Settings` checks the bounds
wherever a record is made; `build` makes one from plain values and names what does not fit. Help,
schema, completion and pages are views of the same fields.

OmegaConf's structured configs do nearly this, but make frozen records read-only, turn tuples into
lists, and speak of their own types in messages that a user has to read.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Mapping
from math import isfinite
from typing import Any, ClassVar, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from lumina_core.errors import MAX_REASON, LuminaError, nearest, printable, reason_of, unknown_key

T = TypeVar("T")

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_LIST = "a list [a,b]"
DTYPE_NAMES = ("float32", "bfloat16", "float16")  # what they are in torch, runtime.py says
RESIDENT, BLOCKS = OFFLOAD_NAMES = ("none", "blocks")  # what waits outside of a GPU's memory
EXACT, INT8 = QUANTISE_NAMES = ("none", "int8")  # how many bits the weights of blocks have
_SETTING, _BLOCK = "setting", "block"  # in the metadata of a field


class Setting(NamedTuple):
    """What a field says about its key beside type and default; see `setting`."""

    meaning: str = ""
    unit: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    idle: Mapping[str, tuple[Any, ...]] = {}
    fixed: bool = False
    file: bool = False
    untold: bool = False

    @property
    def range(self) -> str:
        """The bounds in words: `1 to 9`, `above 0`; empty where there are none."""
        if self.at_least is not None and self.at_most is not None:
            return f"{_short(self.at_least)} to {_short(self.at_most)}"
        bounds = [
            f"{_short(self.at_least)} or more" if self.at_least is not None else "",
            f"above {_short(self.above)}" if self.above is not None else "",
            f"at most {_short(self.at_most)}" if self.at_most is not None else "",
            f"below {_short(self.below)}" if self.below is not None else "",
        ]
        return ", ".join(filter(None, bounds))


class Block(NamedTuple):
    """What a field says about a record within a record; see `block`."""

    record: type
    choice: str | None = None
    others: Mapping[str, type] = {}

    def record_of(self, choice: Any, key: str) -> type:
        """The record of a choice.

        Raises:
            LuminaError: there is no such choice; the message calls it by its key.
        """
        known = {str(self.choice): self.record, **self.others}
        if str(choice) not in known:
            raise _unknown_choice(key, choice, tuple(known))
        return known[str(choice)]


def setting(
    default: Any,
    meaning: str = "",
    *,
    unit: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    idle: Mapping[str, tuple[Any, ...]] | None = None,
    fixed: bool = False,
    file: bool = False,
    untold: bool = False,
) -> Any:
    """A field of a record of settings. It is all that is said about a key, and said nowhere else.

    Args:
        default: the value where nobody sets one.
        meaning: one line for help, without the unit.
        unit: in which a number counts, such as `pixels`; None for texts.
        at_least: bound of the number, or of each in a list; null is within all bounds.
        above: likewise, the bound itself left out.
        at_most: likewise.
        below: likewise.
        choices: the texts that are allowed.
        idle: a key beside this one, and its values that switch this one off: who sets both is told.
        fixed: part of the architecture. It is set in training, and a checkpoint fixes it.
        file: names a file or folder, in which ~ is the home folder.
        untold: a request says nothing of it where it has its default. So files from before there
            was such a key have the same request as files made alike today.
    """
    about = Setting(
        meaning, unit, at_least, above, at_most, below, choices, idle or {}, fixed, file, untold
    )
    return dataclasses.field(default=default, metadata={_SETTING: about})


def block(record: type, choice: str | None = None, **others: type) -> Any:
    """A field that is a record itself, whose keys have the name of the field and a dot before them.

    Args:
        record: its type.
        choice: the name of its defaults among those that can be chosen in its place.
        others: choices with another record.
    """
    return dataclasses.field(
        default_factory=record, metadata={_BLOCK: Block(record, choice, others)}
    )


def is_key(field: "dataclasses.Field[Any]") -> bool:
    """Whether a field is declared with `setting`."""
    return _SETTING in field.metadata


def setting_of(field: "dataclasses.Field[Any]") -> Setting:
    """What a field says about its key; nothing, if it is declared without `setting`."""
    return field.metadata.get(_SETTING) or Setting()


def block_of(field: "dataclasses.Field[Any]") -> Block | None:
    """What a field says about the record that it is; None for a plain value."""
    if dataclasses.is_dataclass(field.default) and not isinstance(field.default, type):
        return Block(type(field.default))
    return field.metadata.get(_BLOCK)


def fixed_names(record: Any) -> list[str]:
    """The fields of a record, or of a type of one, that a checkpoint fixes."""
    return [field.name for field in dataclasses.fields(record) if setting_of(field).fixed]


def file_names(record: Any) -> list[str]:
    """The fields of a record, or of a type of one, that name a file."""
    return [field.name for field in dataclasses.fields(record) if setting_of(field).file]


class Settings:
    """Base of a frozen dataclass of settings, which refuses what is out of bounds.

    `class Place(Settings, block="modality.place")` names what stands before its keys in messages.
    `__post_init__` of a subclass is for what concerns two fields; it calls that of `super()` first.
    """

    _prefix: ClassVar[str] = ""

    def __init_subclass__(cls, block: str | None = None) -> None:
        if block is not None:
            cls._prefix = f"{block}."

    def __post_init__(self) -> None:
        """Check the bounds of each field.

        Raises:
            LuminaError: a value is out of bounds, or none of the choices.
        """
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, about = getattr(self, field.name), setting_of(field)
            key = self._prefix + field.name
            if about.choices and value not in about.choices:
                raise _unknown_choice(key, value, about.choices)
            values = value if isinstance(value, tuple) else (value,)
            if not all(_is_within(each, about) for each in values if type(each) in (int, float)):
                text = printable(str(list(values) if values is value else value), MAX_REASON)
                raise LuminaError(f"{key} is {text}; set {_allowed(field, value)}.")


class Options(Settings, block="modality"):
    """Base of the options of a modality."""


def _unknown_choice(key: str, value: Any, choices: tuple[str, ...]) -> LuminaError:
    return LuminaError(
        f"{key} is {value!r}; choose one of {', '.join(choices)}.{nearest(str(value), choices)}"
    )


def _is_within(value: float, about: Setting) -> bool:
    return (
        (type(value) is int or isfinite(value))
        and (about.at_least is None or value >= about.at_least)
        and (about.above is None or value > about.above)
        and (about.at_most is None or value <= about.at_most)
        and (about.below is None or value < about.below)
    )


def _allowed(field: "dataclasses.Field[Any]", value: Any) -> str:
    """What a field takes, in words: `a whole number from 1 to 9, or null`."""
    about = setting_of(field)
    is_range = about.at_least is not None and about.at_most is not None
    kind = "" if is_range else "finite "  # an infinite number is in no range
    noun = f"{kind}number" if "float" in str(field.type) else "whole number"
    words = f"{noun}s" if isinstance(value, tuple) else f"a {noun}"
    if is_range:
        words += f" from {_short(about.at_least)} to {_short(about.at_most)}"
    else:
        bounds = (
            ("of at least", about.at_least),
            ("above", about.above),
            ("at most", about.at_most),
            ("below", about.below),
        )
        words += " and".join(f" {side} {_short(x)}" for side, x in bounds if x is not None)
    return words + ", or null" * ("None" in str(field.type))


def _short(bound: float | None) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def plain(record: type) -> dict[str, Any]:
    """The defaults of a record as plain values; a record in it is a mapping."""
    fields = dataclasses.fields(record)
    blocks = {field.name: block_of(field) for field in fields}
    return {
        field.name: plain(inner.record) if (inner := blocks[field.name]) else field.default
        for field in fields
        if blocks[field.name] or is_key(field)
    }


def told(record: Any) -> dict[str, Any]:
    """The values of a record as a request has them: without those that are `untold` by default."""
    found = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = told(value)
        elif not (setting_of(field).untold and value == field.default):
            found[field.name] = value
    return found


def untold(record: type) -> dict[str, Any]:
    """The defaults of which a request says nothing; a record within the record is a mapping."""
    found = {}
    for field in dataclasses.fields(record):
        inner = block_of(field)
        values = untold(inner.record) if inner else field.default
        if values if inner else setting_of(field).untold:
            found[field.name] = values
    return found


def build(record: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A record of this type, every value checked against the annotation of its field.

    A whole number serves where a number is wanted, and a list becomes a tuple. A value that is
    already an instance of its field's type is taken as it is.

    Args:
        record: a dataclass; its fields may be records themselves.
        values: field name to plain value.
        prefix: what stands before a field in messages, with its dot.

    Raises:
        LuminaError: an unknown, missing or wrongly typed value, or one the record refuses.
    """
    hints = get_type_hints(record)
    fields = {field.name: field for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    names = [prefix + name for name in fields]
    for key in values:
        if key not in fields:
            raise unknown_key(f"{prefix}{key}", names)
    for name, field in fields.items():
        inner, given = block_of(field), values.get(name)
        if inner is not None and inner.others and isinstance(given, Mapping):
            hints[name] = inner.record_of(given.get("name"), f"{prefix}{name}.name")
    built = {name: _convert(hints[name], values[name], prefix + name) for name in values}
    try:
        return record(**built)
    except (TypeError, ValueError) as error:
        raise LuminaError(f"{prefix.rstrip('.') or record.__name__}: {reason_of(error)}") from error


def check_types(record: type) -> None:
    """Refuse fields of types that no value of a YAML or a command line can be checked against.

    Raises:
        LuminaError: a field is declared without `setting`, or neither bool, int, float, str, a
            tuple or a choice of these, nor a dataclass of such fields.
        Exception: an annotation cannot be read.
    """
    hints = get_type_hints(record)
    for field in dataclasses.fields(record):
        name, hint = field.name, hints[field.name]
        if not is_key(field) and block_of(field) is None:
            raise LuminaError(
                f"{record.__name__}.{name} is no setting; declare it as {name}: ... = "
                "setting(DEFAULT, MEANING)"
            )
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            check_types(hint)
        elif not _is_plain(hint):
            raise LuminaError(
                f"{record.__name__}.{name} is of type {getattr(hint, '__name__', hint)}; use bool, "
                "int, float, str, None, tuples and | of these, or a dataclass"
            )


def _is_plain(hint: Any) -> bool:
    args = get_args(hint)
    if get_origin(hint) in (tuple, Union, types.UnionType):
        return bool(args) and all(arg is ... or _is_plain(arg) for arg in args)
    return hint in (*_NAMES, types.NoneType)


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(args, value, key)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise _mismatch(key, value, "a block of keys")
        return build(hint, value, f"{key}.")
    if origin is tuple:
        return _convert_tuple(args, value, key)
    if hint is float and type(value) is int and abs(value) < sys.float_info.max:
        return float(value)
    if hint in _NAMES and type(value) is not hint:  # type(): True is no whole number here
        raise _mismatch(key, value, _NAMES[hint])
    return value


def _convert_union(args: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None and types.NoneType in args:
        return None
    is_list = isinstance(value, list | tuple)
    fitting = [arg for arg in args if (get_origin(arg) is tuple) == is_list]
    faults = []
    for choice in fitting:
        if choice is not types.NoneType:
            try:
                return _convert(choice, value, key)
            except LuminaError as fault:
                faults.append(fault)
    if faults and (is_list or isinstance(value, Mapping)):
        raise faults[-1]  # says which part of the value does not fit
    raise _mismatch(key, value, " or ".join(_described(arg) for arg in args))


def _described(hint: Any) -> str:
    if hint is types.NoneType:
        return "null"
    if get_origin(hint) is tuple:
        return _LIST
    return _NAMES.get(hint, "a block of keys")


def _convert_tuple(args: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(key, value, _LIST)
    hints = [args[0]] * len(value) if args[1:] == (...,) else list(args)
    if len(hints) != len(value):
        raise _mismatch(key, value, f"a list of {len(hints)} values")
    return tuple(
        _convert(hint, item, f"{key}[{index}]")
        for index, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _mismatch(key: str, value: Any, wanted: str) -> LuminaError:
    return LuminaError(f"{key} must be {wanted}, got {shown(value)}.")


def shown(value: Any) -> str:
    """A value in a message: as one writes it where Python does so otherwise, else with its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{printable(repr(value), MAX_REASON)} ({type(value).__name__})"


def as_text(value: Any) -> str:
    """A value as one writes it on a command line."""
    return value if value and isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; an empty one stays, tuples become lists."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


MAX_TEXT = 10_000  # characters of a prompt or a caption; encoders read the first 300 to 2000
NUM_SEEDS = 2**63  # torch generators take a seed below this


def check_seed(seed: int, count: int) -> None:
    """Refuse a seed from which so many samples cannot be counted on."""
    if not 0 <= seed <= NUM_SEEDS - count:
        raise LuminaError(f"seed is {seed}; set a whole number from 0 to {NUM_SEEDS - count}.")


def check_text(key: str, text: str) -> None:
    """Refuse a text that no encoder reads: too long, or no Unicode."""
    if len(text) > MAX_TEXT:
        raise LuminaError(
            f"the {key} has {len(text)} characters; at most {MAX_TEXT} are read. Shorten it."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LuminaError(
            f"the {key} is no valid UTF-8: half a character stands in it. Write it as UTF-8."
        ) from error
