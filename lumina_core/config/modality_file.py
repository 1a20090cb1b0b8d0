"""A modality's YAML, which recommends values for the core; and its records, made of plain values.

Nobody types what stands in the YAML: messages about it name the file.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, cast

from lumina_core.errors import LuminaError, unknown_key
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import (
    CONDITION,
    RECOMMENDATION_BLOCKS,
    modality_yaml,
    read_yaml,
)
from lumina_core.records import build, shown


class ModalityFile(NamedTuple):
    """What a modality's YAML holds."""

    path: Path
    advice: dict[str, dict[str, Any]]
    """The values that each of RECOMMENDATION_BLOCKS recommends for the core."""


def read_modality_file(name: str) -> ModalityFile | None:
    """Read a modality's YAML; None where it recommends nothing.

    Raises:
        LuminaError: the modality cannot be used; or its YAML cannot be read or holds something
            else, and the message names the file.
    """
    path = modality_yaml(name)
    if path is None:
        return None
    values = read_yaml(path)
    try:
        for key in values:
            if key not in RECOMMENDATION_BLOCKS:
                raise _no_recommendation(name, key)
        advice = {block: _block(values, block) for block in RECOMMENDATION_BLOCKS}
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error
    return ModalityFile(path, advice)


def _no_recommendation(name: str, key: str) -> LuminaError:
    options = host.options_class(name)
    if key == CONDITION or key in {field.name for field in fields(options)}:
        return LuminaError(
            f"{key} has its default in {options.__name__}, where setting(...) declares it; the "
            "YAML only recommends: delete it there"
        )
    return unknown_key(key, list(RECOMMENDATION_BLOCKS))


def _block(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A block of keys; empty where it is missing or null."""
    block = values.get(name)
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
        from lumina_core.plugins.loading import one_line  # brings pluggy

        if host.is_strict():
            raise
        raise LuminaError(
            f"{host.find(name).title} is broken: {record.__name__} cannot be made: "
            f"{one_line(error)}."
        ) from error
