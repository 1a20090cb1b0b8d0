"""Where the parts of a named model are on this disk, and how they get there.

What is on disk is found without network. Nothing is fetched unless the user says download=true.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lumina_core.checkpoints.named import NamedModel, Part, lack_of_package, use_words
from lumina_core.errors import LuminaError
from lumina_core.hub import FILES
from lumina_core.hub_cache import gap_in, snapshot
from lumina_core.program import command_line
from lumina_core.terminal import size_text

if TYPE_CHECKING:
    from lumina_core.fetching import Want

WEIGHTS = "*.safetensors"
VOCABULARY = tuple(pattern for pattern in FILES if pattern != WEIGHTS)
OF_PIPELINE = {"": "model_index.json", "scheduler": "scheduler_config.json"}
"""Files beside the parts in a folder of diffusers, by their folders."""


class Located(NamedTuple):
    """The folders on this disk with the parts of a model."""

    pipeline: Path
    """The whole repository of the backbone, in which parts of diffusers stand side by side."""
    backbone: Path
    vae: Path | None
    text_encoder: Path | None
    tokenizer: Path | None


def located(model: NamedModel) -> Located | None:
    """Where a model is on this disk; None where a part of it is not. Asks no network."""
    found = {key: _part_folder(model, key) for key in model.parts}
    pipeline, backbone = _folder(model, model.backbone, ""), found["backbone"]
    if pipeline is None or backbone is None or None in found.values():
        return None
    vae, encoder = found.get("vae"), found.get("text_encoder")
    return Located(pipeline, backbone, vae, encoder, _tokenizer_folder(model) or encoder)


def obtain(name: str, model: NamedModel, *, download: bool) -> Located:
    """Where a model is on this disk, fetched if it is not there and the user says so.

    Args:
        name: of the model.
        model: its description.
        download: fetch what is missing; else nothing leaves the machine.

    Raises:
        LuminaError: it is not there, or has to be converted; or it cannot be fetched, as
            `fetching.fetch` says.
    """
    found = located(model)
    if (lack := lack_of_package(name, model)) is not None:
        raise LuminaError(lack)
    if found is None and model.convert is not None:
        command = command_line(*use_words(name, model))
        raise LuminaError(
            f"{model.hub_id} holds {name} in files that are not read as they are: {model.convert}; "
            f"then give the folder: {command}"
        )
    if found is None and download:
        from lumina_core.fetching import fetch

        fetch(wants(model))
        found = located(model)
    if found is None:
        notes = f" ({model.licence.note})" if model.licence.note else ""
        command = command_line(*use_words(name, model))
        raise LuminaError(
            f"{name} is not on this disk: {size_text(model.num_bytes)} from {model.hub_id} under "
            f"{model.licence.name}{notes}. Add download=true to fetch it: {command}"
        )
    return found


def obtain_part(name: str, model: NamedModel, key: str, *, download: bool) -> Path:
    """The folder of one part of a model, for weights that bring none.

    Args:
        name: of the model.
        model: its description.
        key: of the part, in `parts`.
        download: fetch it where it is missing; else nothing leaves the machine.

    Raises:
        LuminaError: as `obtain`.
    """
    found = _part_folder(model, key)
    if found is None and download:
        from lumina_core.fetching import fetch

        fetch(_wants_of(model, key))
        found = _part_folder(model, key)
    if found is None:
        hub_id, _ = _repository(model, model.parts[key])
        asked = "modality.vae" if key == "vae" else key
        raise LuminaError(
            f"the weights bring no {key}, and that of {name} is not on this disk; put a folder "
            f"{key} beside them, or give {asked}=FOLDER, or download=true to fetch it from {hub_id}"
        )
    return found


def wants(model: NamedModel) -> "list[Want]":
    """What is fetched of a model; pickles by the names that its description gives, else none."""
    from lumina_core.fetching import Want

    found = [want for key in model.parts for want in _wants_of(model, key)]
    if model.layout == "diffusers":
        repository = _repository(model, model.backbone)
        found += [Want(*repository, folder, (name,)) for folder, name in OF_PIPELINE.items()]
    return found


def _wants_of(model: NamedModel, key: str) -> "list[Want]":
    from lumina_core.fetching import Want

    part, repository = model.parts[key], _repository(model, model.parts[key])
    found = [Want(*repository, part.folder, part.files or FILES, part.files or (WEIGHTS,))]
    if part is model.text_encoder and part.tokenizer is not None:
        found.append(Want(*repository, part.tokenizer, VOCABULARY))
    return found


def _part_folder(model: NamedModel, key: str) -> Path | None:
    """The folder of a part, if all of it is on this disk."""
    part = model.parts[key]
    folder = _folder(model, part, part.folder)
    wanted = part.files or (WEIGHTS,)
    if folder is None or not all(any(folder.glob(pattern)) for pattern in wanted):
        return None
    lacks_vocabulary = (
        part is model.text_encoder
        and part.tokenizer is not None
        and _tokenizer_folder(model) is None
    )
    return None if lacks_vocabulary or gap_in(folder) is not None else folder


def _tokenizer_folder(model: NamedModel) -> Path | None:
    """The folder of the vocabulary, where it is not beside the weights."""
    tower = model.text_encoder
    if tower is None or tower.tokenizer is None:
        return None
    return _folder(model, tower, tower.tokenizer)


def _folder(model: NamedModel, part: Part, folder: str) -> Path | None:
    """A folder of a part's repository on this disk."""
    repository = snapshot(*_repository(model, part))
    found = None if repository is None else repository / folder
    return found if found is not None and found.is_dir() else None


def _repository(model: NamedModel, part: Part) -> tuple[str, str | None]:
    """Of a part: the id on the hub, and the revision."""
    own = part.hub_id is not None and part.hub_id != model.hub_id
    return (str(part.hub_id), part.revision) if own else (model.hub_id, model.revision)
