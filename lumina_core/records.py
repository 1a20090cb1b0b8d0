"""Builds a typed record (a frozen dataclass) from plain values, naming what does not fit.

OmegaConf's structured configs do nearly this, but make frozen records read-only, turn tuples into
lists, and speak of their own types in messages that a user has to read.
"""

import dataclasses
import sys
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.keys import unknown_key

T = TypeVar("T")

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_LIST = "a list [a,b]"


def build(
    record: type[T],
    values: Mapping[str, Any],
    prefix: str = "",
    namespace: dict[str, Any] | None = None,
) -> T:
    """A record of this type, every value checked against the annotation of its field.

    A whole number serves where a number is wanted, and a list becomes a tuple. A value that is
    already an instance of its field's type is taken as it is.

    Args:
        record: a dataclass; its fields may be records themselves.
        values: field name to plain value.
        prefix: what stands before a field in messages, with its dot.
        namespace: names that the annotations use and their module does not import.

    Raises:
        LuminaError: an unknown, missing or wrongly typed value, or one the record refuses.
    """
    hints = get_type_hints(record, localns=namespace)
    fields = {field.name: field for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    names = [prefix + name for name in fields]
    for key in values:
        if key not in fields:
            raise unknown_key(f"{prefix}{key}", names)
    built = {
        name: _convert(hints[name], values[name], prefix + name, namespace)
        for name in fields
        if name in values
    }
    for name, field in fields.items():
        if name not in values and _has_no_default(field):
            raise LuminaError(f"{prefix + name} has no value. Give it one: {prefix + name}=...")
    try:
        return record(**built)
    except (TypeError, ValueError) as error:
        raise LuminaError(f"{prefix.rstrip('.') or record.__name__}: {reason_of(error)}") from error


def check_types(record: type) -> None:
    """Refuse fields of types that no value of a YAML or a command line can be checked against.

    Raises:
        LuminaError: a field is neither bool, int, float, str, a tuple or a choice of these, nor
            a dataclass of such fields.
        Exception: an annotation cannot be read.
    """
    for name, hint in get_type_hints(record).items():
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


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _convert(hint: Any, value: Any, key: str, namespace: dict[str, Any] | None) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(args, value, key, namespace)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise _mismatch(key, value, "a block of keys")
        return build(hint, value, f"{key}.", namespace)
    if origin is tuple:
        return _convert_tuple(args, value, key, namespace)
    if hint is float and type(value) is int and abs(value) < sys.float_info.max:
        return float(value)
    if hint in _NAMES and type(value) is not hint:  # type(): True is no whole number here
        raise _mismatch(key, value, _NAMES[hint])
    return value


def _convert_union(
    args: tuple[Any, ...], value: Any, key: str, namespace: dict[str, Any] | None
) -> Any:
    if value is None and types.NoneType in args:
        return None
    is_list = isinstance(value, list | tuple)
    fitting = [arg for arg in args if (get_origin(arg) is tuple) == is_list]
    faults = []
    for choice in fitting:
        if choice is not types.NoneType:
            try:
                return _convert(choice, value, key, namespace)
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


def _convert_tuple(
    args: tuple[Any, ...], value: Any, key: str, namespace: dict[str, Any] | None
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(key, value, _LIST)
    hints = [args[0]] * len(value) if args[1:] == (...,) else list(args)
    if len(hints) != len(value):
        raise _mismatch(key, value, f"a list of {len(hints)} values")
    return tuple(
        _convert(hint, item, f"{key}[{index}]", namespace)
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


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; an empty one stays, tuples become lists."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found
