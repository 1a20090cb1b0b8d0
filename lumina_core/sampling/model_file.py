"""Checks the description of a named model against what its modality and `run` take.

Models are listed and found without this: their authors ask for it, by `lumina doctor` and the
contract.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.named import NamedModel, read_model
from lumina_core.config.modality_file import build_options
from lumina_core.errors import MAX_REASON, LuminaError, nearest, printable, unknown_key
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import LABELS, label_file
from lumina_core.records import fixed_names
from lumina_core.sampling.compose import compose_sampling


def check_model_file(path: Path) -> None:
    """Refuse a description that `run` could not use; of a modality that is not there it says less.

    Raises:
        LuminaError: a key is missing, unknown or wrong; the message names the file.
    """
    model = read_model(path)
    try:
        _check_family(model)
        if model.labels is not None and label_file(model.labels) is None:
            raise LuminaError(
                f"labels is {model.labels}, and no package has {LABELS}/{model.labels}.txt"
            )
        if model.modality in host.installed():
            _check_options(model)
            compose_sampling(model.modality, model.sampling)
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error


def _check_family(model: NamedModel) -> None:
    """Refuse a family that there is not, and a layout in which it is not stored."""
    from lumina_core.backbone.families.registry import FAMILIES  # brings torch

    names = list(FAMILIES)
    if model.package is not None:
        if host.way_to_install(model.package) is None and model.family not in host.networks():
            family = printable(repr(model.family), MAX_REASON)
            raise LuminaError(f"family is {family}, and {model.package} has no such network")
        return
    if model.family not in names:
        family = printable(repr(model.family), MAX_REASON)
        raise LuminaError(
            f"family is {family}; choose one of {', '.join(names)}.{nearest(model.family, names)}"
        )
    layouts = FAMILIES[model.family].layouts
    if model.layout not in layouts:
        raise LuminaError(f"{model.family} has no layout={model.layout}; {', '.join(layouts)}")


def _check_options(model: NamedModel) -> None:
    """Refuse options that the modality does not have, or that stand in the wrong block."""
    record = host.options_class(model.modality)
    fixed = fixed_names(record)
    _check_names(model.options, fixed, "options")
    for place, options in enumerate(model.trained):
        free = [field.name for field in fields(record) if field.name not in fixed]
        _check_names(options, free, f"trained[{place}]")
        build_options(model.modality, {**model.options, **options}, f"trained[{place}].")


def _check_names(values: Mapping[str, Any], known: list[str], block: str) -> None:
    for key in values:
        if key not in known:
            raise unknown_key(f"{block}.{key}", [f"{block}.{name}" for name in known])
