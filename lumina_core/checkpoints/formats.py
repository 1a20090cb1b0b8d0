"""What a path or a name means, recognised by content: our folder, one of diffusers, a single file.

    a folder that we wrote, or that of a training      lumina.json
    a pipeline of diffusers                            model_index.json, and its transformer
    a transformer of diffusers                         config.json with its _class_name
    weights of Lumina-T2X, in one part or several      consolidated.00-of-01.safetensors or .pth
    one file of weights, or a folder with one          its names tell the family

Parts that stand beside the weights in folders vae and text_encoder belong to them. foreign.py makes
the manifest that others lack. Imports no torch before it has to.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.manifest import (
    ADAPTER,
    BACKBONE,
    MANIFEST,
    TEXT_ENCODER,
    VAE,
    read_manifest,
)
from lumina_core.checkpoints.named import NamedModel, named_model
from lumina_core.checkpoints.newest import DEMO, checkpoint_folder
from lumina_core.checkpoints.obtaining import Located, located, obtain
from lumina_core.checkpoints.source import Parts, Source, own_source
from lumina_core.errors import MAX_NAME, LuminaError, nearest, printable, unread
from lumina_core.files.reading import open_regular, read_json
from lumina_core.hub import is_hub_id, local_folder
from lumina_core.plugins.yaml_files import model_files

PIPELINE, TRANSFORMER, CONFIG = "model_index.json", "transformer", "config.json"
CLASS_NAME = "_class_name"  # in the config of a part of diffusers
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
INDEX_SUFFIX = ".safetensors.index.json"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
ARGUMENTS = "model_args.pth"
ARCHIVE = b"PK\x03\x04"  # of zip, in which torch.save writes
NO_WEIGHTS = (ARGUMENTS, "optimizer.", "scheduler.", "rng", "training_args.bin")
"""Beginnings of the names of files beside weights, which hold something else."""
MAX_LISTED = 4  # files in a message


def source_of(path: Path) -> Source:
    """The model that a path leads to.

    Args:
        path: a file or folder.

    Raises:
        LuminaError: there is none, or none that can be read.
    """
    if path.is_file():
        return _of_file(path)
    folder = checkpoint_folder(path)
    if (folder / MANIFEST).exists() or (folder / BACKBONE).exists():  # or says what is missing
        return own_source(folder)
    if (folder / PIPELINE).is_file():
        return _of_pipeline(folder)
    class_name = _read(folder / CONFIG).get(CLASS_NAME) if (folder / CONFIG).is_file() else None
    if class_name is not None:
        has_parts = (folder.parent / PIPELINE).is_file()
        return _of_transformer(folder, _beside(folder.parent if has_parts else folder))
    if files := weight_files(folder):
        from lumina_core.checkpoints.consolidated import consolidated_files

        chosen = consolidated_files(folder) or files
        if len(chosen) == 1 or chosen is not files:
            return _foreign(folder, chosen, _beside(folder))
        names = ", ".join(printable(path.name, MAX_NAME) for path in files[:MAX_LISTED])
        raise LuminaError(
            f"{folder} holds {len(files)} files of weights, {names}{', ...' * (len(files) > 4)}; "
            "name one of them"
        )
    return own_source(folder)  # which says what is missing


def adapter_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of the adapter that a folder holds, or of the newest of a training; else None.

    Raises:
        LuminaError: it is damaged, or the training has finished no checkpoint.
    """
    folder = checkpoint_folder(path) if path.is_dir() else path
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else {"network": None}
    return manifest if manifest["network"] == ADAPTER else None


def find_source(name: str, *, download: bool, described: bool = False) -> Source:
    """The model that a path, the name of a model or an id of the hub means.

    Args:
        name: what a user wrote; a path that is there comes first.
        download: fetch what is named and is not there yet.
        described: of a name that is not there its description serves, if that says enough.

    Raises:
        LuminaError: as `source_of`, or there is nothing of this name.
    """
    path = Path(name).expanduser()
    if path.exists():
        return source_of(path)
    model = named_model(name)
    if model is not None and described and model.configs and located(model) is None:
        from lumina_core.checkpoints.packaged import described_source

        return described_source(name, model)
    if model is not None:
        return _of_named(name, model, obtain(name, model, download=download))
    if is_hub_id(name) and name.count("/") == 1:
        return replace(source_of(local_folder(name, download=download)), name=name)
    if name == DEMO:
        raise LuminaError(
            "there is no checkpoint 'demo'. A demo is used where checkpoint is left out; of an "
            "adapter of a demo `info` says in which folder that is"
        )
    try:
        return source_of(path)
    except LuminaError as error:
        hint = nearest(name, list(model_files()))
        raise LuminaError(f"{error}.{hint}" if hint else str(error)) from error


def lasting_name(name: str) -> str:
    """The name of a model as it is found from any folder, later."""
    return str(Path(name).absolute()) if Path(name).exists() else name


def modalities_of(path: Path) -> list[str]:
    """The modalities that the model of a path makes.

    Raises:
        LuminaError: as `source_of`.
    """
    return list(source_of(path).manifest["modalities"])


def weight_files(folder: Path) -> list[Path]:
    """The files of weights that stand in a folder, an index in place of those that it lists."""
    files = [path for path in sorted(folder.glob("*")) if path.is_file()]
    indices = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
    if indices:
        return indices
    found = [path for path in files if path.suffix in WEIGHT_SUFFIXES or _is_archive(path)]
    return [path for path in found if not path.name.startswith(NO_WEIGHTS)]


def _is_archive(path: Path) -> bool:
    """Whether a file without a suffix begins as torch.save begins: some releases name none."""
    if path.suffix:
        return False
    try:
        with open_regular(path) as file:
            return file.read(len(ARCHIVE)) == ARCHIVE
    except (OSError, ValueError):
        return False


def is_weights(path: Path) -> bool:
    """Whether a path is a checkpoint by its name, or a folder that says so."""
    if path.is_file():
        return path.name.endswith((*WEIGHT_SUFFIXES, INDEX_SUFFIX)) or _is_archive(path)
    return any((checkpoint_folder(path) / name).exists() for name in (MANIFEST, PIPELINE))


def _of_file(path: Path) -> Source:
    if not is_weights(path):
        raise LuminaError(
            f"{path} is no checkpoint; name a folder, or a file of weights "
            f"({', '.join(WEIGHT_SUFFIXES)})"
        )
    from lumina_core.checkpoints.consolidated import consolidated_files

    return _foreign(path, consolidated_files(path) or [path], _beside(path.parent))


def _of_pipeline(folder: Path) -> Source:
    index = _read(folder / PIPELINE)
    if not (folder / TRANSFORMER / CONFIG).is_file():
        kind = printable(str(index.get(CLASS_NAME)), MAX_NAME)
        raise LuminaError(
            f"{folder} is a {kind} of diffusers without {TRANSFORMER}/{CONFIG}; name a pipeline "
            "of a family that `lumina models` lists, whole"
        )
    return _of_transformer(folder / TRANSFORMER, _beside(folder))


def _of_transformer(folder: Path, parts: Parts) -> Source:
    """A transformer of diffusers, and the parts of its pipeline."""
    return _foreign(folder, [transformer_file(folder)], parts, _read(folder / CONFIG))


def transformer_file(folder: Path) -> Path:
    """The weights of a transformer of diffusers, or the index of their parts.

    Raises:
        LuminaError: there are none, or several variants and no plain one.
    """
    files = weight_files(folder)
    plain = [path for path in files if path.name.startswith("diffusion_pytorch_model.safetensors")]
    chosen = plain or files  # a variant, such as .fp16, where it stands alone
    if len(chosen) != 1:
        found = ", ".join(printable(path.name, MAX_NAME) for path in chosen[:MAX_LISTED]) or "none"
        raise LuminaError(
            f"{folder} has no diffusion_pytorch_model.safetensors, and not one other file of "
            f"weights (found: {found}); copy the folder again"
        )
    return chosen[0]


def _of_named(name: str, model: NamedModel, place: Located) -> Source:
    """A model with a name: its description says where which part is."""
    if model.layout == "diffusers":
        parts = _beside(place.pipeline)
        files, config = [transformer_file(place.backbone)], _read(place.backbone / CONFIG)
    else:
        patterns = model.backbone.files or ("*.safetensors",)
        files = [path for each in patterns for path in sorted(place.backbone.glob(each))]
        parts, config = _beside(place.backbone), None
    parts = parts._replace(
        vae=place.vae, text_encoder=place.text_encoder, name=name, description=model
    )
    return _foreign(place.backbone, files, parts, config)


def _beside(folder: Path) -> Parts:
    """The parts of a model that stand in a folder."""
    vae, encoder, scheduler = (folder / name for name in (VAE, TEXT_ENCODER, SCHEDULER_CONFIG))
    index = _read(folder / PIPELINE) if (folder / PIPELINE).is_file() else {}
    return Parts(
        vae if (vae / CONFIG).is_file() else None,
        encoder if (encoder / CONFIG).is_file() else None,
        _read(scheduler) if scheduler.is_file() else None,
        dict(_other_networks(folder)) if index else {},
        {k: v for k, v in index.items() if isinstance(v, bool | int | float) or k == CLASS_NAME},
        _arguments(folder),
    )


def _other_networks(folder: Path) -> Iterator[tuple[str, tuple[dict[str, Any], Path]]]:
    """Config and weights of each network of diffusers in a pipeline, but for the main ones."""
    for path in sorted(folder.glob(f"*/{CONFIG}")):
        name = path.parent.name
        if name not in (TRANSFORMER, VAE, TEXT_ENCODER):
            with suppress(LuminaError):  # a part that is not whole; whoever needs it says so
                if (config := _read(path)).get(CLASS_NAME):
                    yield name, (config, transformer_file(path.parent))


def _arguments(folder: Path) -> dict[str, Any]:
    if not (folder / ARGUMENTS).exists():
        return {}
    from lumina_core.checkpoints.consolidated import read_arguments  # brings torch

    return read_arguments(folder / ARGUMENTS)


def _foreign(
    path: Path, files: list[Path], parts: Parts, config: Mapping[str, Any] | None = None
) -> Source:
    from lumina_core.checkpoints.foreign import foreign_source

    return foreign_source(path, files, parts, config)


def _read(path: Path) -> dict[str, Any]:
    """The keys of a JSON file of others."""
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise unread(path, error) from error
    if not isinstance(found, dict):
        raise LuminaError(f"{path} holds no keys; copy it again")
    return found
