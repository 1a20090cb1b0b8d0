"""Checkpoint folders: written whole, verified by hash, read strictly, safetensors only.

    lumina.json             format version, modalities, architecture, sampling, sha256 of each file
    backbone.safetensors    the moving average of the weights
    vae/<modality>/         as diffusers reads it
    text_encoder/           as transformers reads it; not there if it is a frozen one of the hub
    training.safetensors    only in a training run: weights, average and optimizer, to go on from

The manifest is written last, so a folder without it is unfinished; it holds a hash of itself.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lumina_core.checkpoints.adapter_writing import trained_changes, write_peft
from lumina_core.checkpoints.manifest import (
    ADAPTER,
    BACKBONE,
    BASE,
    MANIFEST,
    TEXT_ENCODER,
    TRAINING,
    VAE,
    read_manifest,
    verify,
)
from lumina_core.checkpoints.model import Model, describe
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.checkpoints.vae_folder import copy_vae
from lumina_core.files.hashes import sha256_of
from lumina_core.files.seals import sealed
from lumina_core.files.writing import atomic_folder
from lumina_core.text.encoder import TextEncoder
from lumina_core.text.frozen import FrozenTextEncoder


def save(
    folder: Path,
    models: Sequence[Model],
    *,
    summary: Mapping[str, Any],
    sampling: Mapping[str, Any],
    dtype: torch.dtype,
    training_state: dict[str, Tensor] | None = None,
    base: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        folder: must not exist.
        models: of each modality; all have the same backbone and the same text encoder.
        summary: of the training, for people.
        sampling: recommended settings, by public key group.
        dtype: in which weights are stored, but for the training state, which keeps its own.
        training_state: what a resumed run needs.
        base: the model on which the backbone trains an adapter, which is then all that is written.

    Raises:
        LuminaError: the folder exists or cannot be written.
    """
    manifest = describe(models) | {"sampling": dict(sampling), "training": dict(summary)}
    with atomic_folder(folder) as temporary:
        weights = {k: v.contiguous() for k, v in models[0].backbone.state_dict().items()}
        if base is not None:
            write_peft(temporary, trained_changes(weights, summary["adapter"]), dtype)
            manifest |= {"network": ADAPTER, BASE: dict(base)}
        else:
            save_file(weights, temporary / BACKBONE)
            _save_parts(temporary, models, dtype)
        if training_state is not None:
            save_file(training_state, temporary / TRAINING)
        write_manifest(temporary, manifest)


def _save_parts(folder: Path, models: Sequence[Model], dtype: torch.dtype) -> None:
    """Write what stands beside the weights, and cast all of it."""
    encoder = models[0].text_encoder
    if isinstance(encoder, TextEncoder):
        encoder.save(folder / TEXT_ENCODER)
    for model in models:
        if model.modality.vae.folder is not None:
            copy_vae(model.modality.vae.folder, folder / VAE / model.name)
    _cast_weights(folder, dtype)
    if isinstance(encoder, FrozenTextEncoder) and encoder.hub_id is None:
        encoder.save(folder / TEXT_ENCODER)  # as it is: its dtype is its own


def export(
    source: Path, target: Path, dtype: torch.dtype, sampling: Mapping[str, Any] | None = None
) -> None:
    """Copy a checkpoint without its training state, its weights in another dtype: to be shipped.

    Args:
        source: a checkpoint, or the folder of a training run.
        target: must not exist.
        dtype: of the stored weights.
        sampling: recommended settings, by public key group; None: those of the source.

    Raises:
        LuminaError: the source is missing or damaged, the target exists or cannot be written.
    """
    source = checkpoint_folder(source)
    manifest = read_manifest(source)
    verify(source, manifest)
    with atomic_folder(target) as temporary:
        for name in manifest["files"].keys() - {TRAINING}:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
        _cast_weights(temporary, dtype)
        for entry in manifest["modalities"].values():
            entry["options"].pop(VAE, None)  # a folder on the machine that trained
        if manifest["text_encoder"].get("hub_id") is None:
            manifest["text_encoder"].pop("sha256", None)  # of weights that were not cast
        if sampling is not None:
            manifest["sampling"] = dict(sampling)
        write_manifest(temporary, manifest)


def _cast_weights(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite every safetensors file below a folder whose floating point weights differ."""
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            about = file.metadata()  # transformers insists on what it wrote there
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, no mapping
        cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
        if any(cast[key].dtype != weights[key].dtype for key in weights):
            save_file(cast, path, metadata=about)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hash every file of the folder, and seal the manifest."""
    hashes = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    (folder / MANIFEST).write_text(sealed(content | {"files": hashes}), encoding="utf-8")
