"""The texts of `models`: which models have a name, what each needs, and whether it is on disk."""

from collections.abc import Iterator, Mapping
from typing import Any

from lumina_core.checkpoints.named import (
    NamedModel,
    known_model,
    lack_of_package,
    read_model,
    use_words,
)
from lumina_core.checkpoints.obtaining import located
from lumina_core.errors import LuminaError, printable
from lumina_core.plugins.yaml_files import model_files
from lumina_core.program import command_line
from lumina_core.records import as_text, flat
from lumina_core.terminal import size_text

_MAX_LICENCE = 20  # characters in the table
_BYTES = "_bytes"
_TITLES = ("name", "makes", "weights", "download", "memory", "text encoder", "licence", "on disk")


def all_models() -> tuple[dict[str, NamedModel], list[str]]:
    """Every model with a name that can be read, and what is wrong with the others."""
    found, faults = {}, []
    for name, path in model_files().items():
        try:
            found[name] = read_model(path)
        except LuminaError as error:
            faults.append(str(error))
    return found, faults


def model_table(models: Mapping[str, NamedModel]) -> list[str]:
    """A line for each model, and what one types to use it."""
    if not models:
        return ["no installed package describes a model"]
    rows = [_TITLES, *(_row(name, model) for name, model in models.items())]
    has_notes = any(model.licence.note for model in models.values())
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lacks = [lack for name, model in models.items() if (lack := lack_of_package(name, model))]
    return [
        *lines,
        "",
        *lacks,
        "memory is that of the weights in bfloat16; those of the text encoder are gone by then",
        *["* there is something to know before use; it is shown with the model"] * has_notes,
        f'use one: {command_line("infer")} checkpoint=NAME download=true "PROMPT"',
        f"more of one, and its own command: {command_line('models')} NAME",
    ]


def _row(name: str, model: NamedModel) -> tuple[str, ...]:
    text = size_text(model.text_memory_bytes) if model.text_encoder else "-"
    return (
        name,
        printable(model.modality, _MAX_LICENCE),
        f"{model.num_parameters / 10**9:.1f}B",
        size_text(model.num_bytes),
        size_text(model.memory_bytes),
        text,
        printable(model.licence.name, _MAX_LICENCE) + " *" * bool(model.licence.note),
        "no" if located(model) is None else "yes",
    )


def model_record(name: str, model: NamedModel) -> dict[str, Any]:
    """A model for machines."""
    return {
        "name": name,
        "meaning": model.meaning,
        "modality": model.modality,
        "family": model.family,
        "parameters": model.num_parameters,
        "download_bytes": model.num_bytes,
        "memory_bytes": model.memory_bytes,
        "text_memory_bytes": model.text_memory_bytes,
        "licence": {"name": model.licence.name, "note": model.licence.note},
        "gated": sorted(
            {part.hub_id or model.hub_id for part in model.parts.values() if part.gated}
        ),
        "hub_id": model.hub_id,
        "revision": model.revision,
        "trained": [dict(options) for options in model.trained],
        "sampling": dict(model.sampling),
        "on_disk": located(model) is not None,
        **({"convert": model.convert} if model.convert else {}),
        **({"needs": lack} if (lack := lack_of_package(name, model)) else {}),
        "command": command_line(*use_words(name, model)),
    }


def record_of(name: str) -> dict[str, Any]:
    """The record of one model.

    Raises:
        LuminaError: no package has it, or its description cannot be used.
    """
    return model_record(name, known_model(name))


def lines_of(record: Mapping[str, Any]) -> Iterator[str]:
    """A record as `key: value` for people."""
    sizes = {key: value for key, value in record.items() if key.endswith(_BYTES)}
    told = {key.removesuffix(_BYTES): size_text(value) for key, value in sizes.items()}
    others = {key: value for key, value in record.items() if key not in (*sizes, "command")}
    shown = flat({**others, **told, "command": record["command"]})
    yield from (f"{key}: {as_text(value)}" for key, value in shown.items())
