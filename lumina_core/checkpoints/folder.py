"""Checkpoint folders: written whole, verified by hash, read strictly, safetensors only.

    lumina.json             format version, modalities, architecture, sampling, sha256 of each file
    backbone.safetensors    the moving average of the weights
    vae/<modality>/         as diffusers reads it
    text_encoder/           as transformers reads it; not there if it is a frozen one of the hub
    state/                  only in a training run: weights, average and optimizer, to go on from

The manifest is written last, so a folder without it is unfinished; it holds a hash of itself.
"""

import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
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
    VAE,
    is_of_state,
    read_manifest,
    verify,
)
from lumina_core.checkpoints.model import Model, describe
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.checkpoints.vae_folder import copy_vae
from lumina_core.errors import LuminaError
from lumina_core.files.hashes import sha256_of
from lumina_core.files.seals import sealed
from lumina_core.files.writing import atomic_folder
from lumina_core.text.encoder import TextEncoder
from lumina_core.text.frozen import FrozenTextEncoder

NO_HASHES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Contents:
    """What a checkpoint is written from, but for its weights."""

    models: Sequence[Model]
    """Parts and how they are built; of the weights that they have, those that are not trained."""
    manifest: Mapping[str, Any]
    dtype: torch.dtype
    """In which weights are stored, but for the training state, which keeps its own."""


def contents_of(
    models: Sequence[Model],
    *,
    summary: Mapping[str, Any],
    sampling: Mapping[str, Mapping[str, Any]],
    dtype: torch.dtype,
    base: Mapping[str, str] | None = None,
) -> Contents:
    """What a checkpoint holds.

    Args:
        models: of each modality; all have the same backbone and the same text encoder.
        summary: of the training, for people and to go on from.
        sampling: recommended settings of each modality, by public key group.
        dtype: of the stored weights.
        base: the model on which the backbone trains an adapter, which is then all that is written.
    """
    manifest = describe(models) | {"training": dict(summary)}
    _recommend(manifest, sampling)
    if base is not None:
        manifest |= {"network": ADAPTER, BASE: dict(base)}
    return Contents(models, deepcopy(manifest), dtype)


def _recommend(manifest: dict[str, Any], sampling: Mapping[str, Mapping[str, Any]]) -> None:
    """Say in a manifest how each modality is sampled, in the place of what it says."""
    manifest["sampling"] = {}
    for name, entry in manifest["modalities"].items():
        entry.pop("sampling", None)
        if own := sampling.get(name):
            entry["sampling"] = dict(own)


def fill(
    folder: Path,
    contents: Contents,
    weights: Mapping[str, Tensor],
    hashes: Mapping[str, str] = NO_HASHES,
) -> None:
    """Write a checkpoint into a folder that is not in use yet.

    Args:
        folder: may hold a training state.
        contents: what it is a checkpoint of.
        weights: of the parts that are trained, by the name of the part and that in it.
        hashes: of the files that are there, by name.

    Raises:
        OSError: the folder cannot be written.
    """
    manifest, backbone = contents.manifest, _part(weights, "backbone.")
    if manifest["network"] == ADAPTER:
        changes = trained_changes(backbone, manifest["training"]["adapter"])
        write_peft(folder, changes, contents.dtype)
    else:
        save_file(_cast(backbone, contents.dtype), folder / BACKBONE)
        _save_parts(folder, contents.models, contents.dtype, _part(weights, "text_encoder."))
    write_manifest(folder, manifest, hashes)


def _part(weights: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """The weights of one part, by their names in it."""
    return {
        name.removeprefix(start): value.contiguous()
        for name, value in weights.items()
        if name.startswith(start)
    }


def _save_parts(
    folder: Path, models: Sequence[Model], dtype: torch.dtype, weights: Mapping[str, Tensor]
) -> None:
    """Write what stands beside the backbone; a text encoder that learns along has the weights."""
    encoder = models[0].text_encoder
    if isinstance(encoder, TextEncoder):
        encoder.save(folder / TEXT_ENCODER, weights)
    for model in models:
        if model.modality.vae.folder is not None:
            copy_vae(model.modality.vae.folder, folder / VAE / model.name)
    for part in (TEXT_ENCODER, VAE):
        _cast_weights(folder / part, dtype)
    if isinstance(encoder, FrozenTextEncoder) and encoder.hub_id is None:
        encoder.save(folder / TEXT_ENCODER)  # as it is: its dtype is its own


def export(
    source: Path,
    target: Path,
    dtype: torch.dtype,
    sampling: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Copy a checkpoint without its training state, its weights in another dtype: to be shipped.

    Args:
        source: a checkpoint, or the folder of a training run.
        target: must not exist.
        dtype: of the stored weights.
        sampling: recommended settings of each modality, by public key group; None: those of the
            source.

    Raises:
        LuminaError: the source is missing or damaged, lacks a modality for which settings are
            recommended, or the target exists or cannot be written.
    """
    source = checkpoint_folder(source)
    manifest = read_manifest(source)
    verify(source, manifest)
    if unknown := set(sampling or ()) - manifest["modalities"].keys():
        known = ", ".join(manifest["modalities"])
        raise LuminaError(
            f"{source} knows {known}, and settings are recommended for {', '.join(sorted(unknown))}"
        )
    with atomic_folder(target) as temporary:
        for name in [name for name in manifest["files"] if not is_of_state(name)]:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
        _cast_weights(temporary, dtype)
        for entry in manifest["modalities"].values():
            entry["options"].pop(VAE, None)  # a folder on the machine that trained
        if manifest["text_encoder"].get("hub_id") is None:
            manifest["text_encoder"].pop("sha256", None)  # of weights that were not cast
        if sampling is not None:
            _recommend(manifest, sampling)
        write_manifest(temporary, manifest)


def _cast_weights(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite every safetensors file below a folder whose floating point weights differ."""
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            about = file.metadata()  # transformers insists on what it wrote there
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, no mapping
        cast = _cast(weights, dtype)
        if any(cast[key].dtype != weights[key].dtype for key in weights):
            save_file(cast, path, metadata=about)


def _cast(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}


def write_manifest(
    folder: Path, manifest: Mapping[str, Any], hashes: Mapping[str, str] = NO_HASHES
) -> None:
    """Hash every file of the folder whose hash is not known, and seal the manifest."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {name: hashes.get(name) or sha256_of(path) for name, path in names.items()}
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    (folder / MANIFEST).write_text(sealed(content | {"files": files}), encoding="utf-8")
