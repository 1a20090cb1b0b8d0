"""A modality's YAML, checked against the dataclasses of its plugin.

Nobody types what stands there: messages about it name the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NamedTuple, cast

from lumina_core.config.keys import PATH_KEYS, TRAINING_SETTINGS
from lumina_core.errors import LuminaError, unknown_key
from lumina_core.plugins import host
from lumina_core.plugins.loading import one_line
from lumina_core.plugins.yaml_files import (
    CONDITION,
    RECOMMENDATION_BLOCKS,
    modality_yaml,
    read_yaml,
)
from lumina_core.records import build, flat, shown
from lumina_core.sampling.settings import SAMPLING_SETTINGS


class ModalityFile(NamedTuple):
    """What a modality's YAML holds."""

    path: Path
    options: dict[str, Any]
    """Key to default."""
    condition: dict[str, Any]
    """What may be given beside a prompt, each null."""
    advice: dict[str, dict[str, Any]]
    """The values that each of RECOMMENDATION_BLOCKS recommends for the core."""


def read_modality_file(name: str) -> ModalityFile:
    """Read and check a modality's YAML, but for the values that it recommends.

    Raises:
        LuminaError: the modality cannot be used; or its YAML cannot be read or does not fit its
            dataclasses, and the message names the file.
    """
    record, given = host.options_class(name), host.condition_class(name)
    path = modality_yaml(name)
    options = read_yaml(path)
    try:
        condition = _block(options, CONDITION)
        advice = {block: _block(options, block) for block in RECOMMENDATION_BLOCKS}
        _check_options(name, record, options)
        _check_condition(given, condition)
        _check_names(SAMPLING_SETTINGS, advice["sampling"], "sampling.")
        _check_names(TRAINING_SETTINGS, advice["training"], "training.")
        _refuse_paths(advice["training"])
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error
    return ModalityFile(path, options, condition, advice)


def _block(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A block of keys, taken out of the values; empty where it is missing or null."""
    block = values.pop(name, None)
    if block is None:
        return {}
    if not isinstance(block, Mapping):
        raise LuminaError(f"{name} must be a block of keys, got {shown(block)}.")
    return dict(block)


def build_options(name: str, values: Mapping[str, Any], prefix: str = "modality.") -> Any:
    """The options of a modality, every value checked.

    Raises:
        LuminaError: as `records.build`; or the modality is broken, for its dataclass raises what a
            wrong value is no reason for.
    """
    return _built(name, host.options_class(name), values, prefix)


def build_condition(name: str, values: Mapping[str, Any]) -> Any:
    """What is given to a modality beside the prompt; errors as `build_options`."""
    return _built(name, cast(type, host.condition_class(name)), values, f"{CONDITION}.")


def _built(name: str, record: type, values: Mapping[str, Any], prefix: str) -> Any:
    try:
        return build(record, values, prefix)
    except (LuminaError, KeyboardInterrupt):
        raise
    except BaseException as error:  # of a dataclass that somebody wrote, sys.exit among it
        if host.is_strict():
            raise
        raise LuminaError(
            f"{host.find(name).title} is broken: {record.__name__} cannot be made: "
            f"{one_line(error)}."
        ) from error


def _check_options(name: str, record: type, options: Mapping[str, Any]) -> None:
    needed = [
        field.name
        for field in fields(record)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    _check_names([field.name for field in fields(record)], options)
    _check_complete(needed, options, record)
    build_options(name, options, "")


def _check_condition(record: type | None, condition: Mapping[str, Any]) -> None:
    names = [field.name for field in fields(record)] if record else []
    _check_names(names, condition, f"{CONDITION}.")
    if record:
        _check_complete(names, condition, record, f"{CONDITION}.")
    for key, value in condition.items():
        if value is not None:
            raise LuminaError(
                f"{CONDITION}.{key} must be null, got {shown(value)}: only a user gives something."
            )


def _refuse_paths(advice: Mapping[str, Any]) -> None:
    for key in flat(advice):
        if key in PATH_KEYS:
            raise LuminaError(f"training.{key} is a path, which only a user gives; leave it out.")


def _check_names(names: Sequence[str], values: Mapping[str, Any], prefix: str = "") -> None:
    known = [prefix + name for name in names]
    for key in values:
        if key not in names:
            raise unknown_key(prefix + key, known)


def _check_complete(
    names: list[str], values: Mapping[str, Any], record: type, prefix: str = ""
) -> None:
    lacking = [prefix + name for name in names if name not in values]
    if lacking:
        raise LuminaError(
            f"{', '.join(lacking)} of {record.__name__} has no value here; write its default."
        )
