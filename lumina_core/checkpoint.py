"""Checkpoint folders: written whole, verified by hash, read strictly, safetensors only.

    lumina.json             format version, modalities, architecture, sampling, sha256 of each file
    backbone.safetensors    the moving average of the weights
    vae/<modality>/         as diffusers reads it
    text_encoder/           as transformers reads it
    training.safetensors    only in a training run: weights, average and optimizer, to go on from

The manifest is written last, so a folder without it is unfinished.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lumina_core import __version__, host
from lumina_core.backbone.flag_dit import FlagDiT, FlagDiTConfig
from lumina_core.errors import LuminaError
from lumina_core.files import atomic_folder
from lumina_core.modality import Modality
from lumina_core.text import TextEncoder, load_text_encoder

FORMAT_VERSION = 1
MANIFEST = "lumina.json"
BACKBONE = "backbone.safetensors"
TRAINING = "training.safetensors"
TEXT_ENCODER = "text_encoder"
VAE = "vae"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """A checkpoint in memory: everything that generating one modality needs."""

    name: str
    """The modality."""
    modality: Modality
    backbone: FlagDiT
    text_encoder: TextEncoder
    checkpoint_sha256: str
    """Of the manifest, which names the hash of every other file."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.backbone.parameters()).device


def save(
    folder: Path,
    model: Model,
    *,
    summary: Mapping[str, Any],
    sampling: Mapping[str, Any],
    dtype: torch.dtype,
    training_state: dict[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint folder atomically.

    Args:
        folder: must not exist.
        model: modality, backbone and text encoder.
        summary: of the training, for people.
        sampling: recommended settings, by public key group.
        dtype: in which weights are stored.
        training_state: what a resumed run needs.

    Raises:
        LuminaError: the folder exists or cannot be written.
    """
    with atomic_folder(folder) as temporary:
        weights = {k: v.to(dtype).contiguous() for k, v in model.backbone.state_dict().items()}
        save_file(weights, temporary / BACKBONE)
        _save_text_encoder(model.text_encoder, temporary / TEXT_ENCODER, dtype)
        shutil.copytree(_vae_folder(model), temporary / VAE / model.name)
        if training_state is not None:
            save_file(training_state, temporary / TRAINING)
        manifest = _describe(model) | {"sampling": sampling, "training": summary}
        manifest["files"] = {
            path.relative_to(temporary).as_posix(): _sha256(path)
            for path in sorted(temporary.rglob("*"))
            if path.is_file()
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _vae_folder(model: Model) -> Path:
    return Path(model.modality.vae.folder)


def _save_text_encoder(encoder: TextEncoder, folder: Path, dtype: torch.dtype) -> None:
    before = next(encoder.parameters()).dtype
    encoder.to(dtype)
    encoder.save(folder)
    encoder.to(before)


def _describe(model: Model) -> dict[str, Any]:
    config = asdict(model.backbone.config)
    token_dims = config.pop("token_dims")
    options = model.modality.options
    architecture = {
        f.name: getattr(options, f.name) for f in fields(options) if f.metadata.get("architecture")
    }
    return {
        "format": FORMAT_VERSION,
        "lumina_core": __version__,
        "modalities": {
            model.name: {"options": architecture, "token_dim": token_dims[model.name]}
        },
        "backbone": config,
        "text_encoder": {"max_tokens": model.text_encoder.max_tokens},
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, its format checked.

    Raises:
        LuminaError: no checkpoint, a broken one, or one of a newer version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LuminaError(
            f"no checkpoint in {folder}: {MANIFEST} is missing; give checkpoint=FOLDER"
        ) from error
    except ValueError as error:
        raise LuminaError(f"{path} is broken: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT_VERSION:
        raise LuminaError(
            f"{folder} has checkpoint format {found}, this version reads {FORMAT_VERSION}; "
            "upgrade lumina-core"
        )
    return manifest


def manifest_sha256(folder: Path) -> str:
    """Hash of the manifest, and through it of the whole checkpoint."""
    return _sha256(folder / MANIFEST)


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare every file with its hash.

    Raises:
        LuminaError: a file is missing or was changed.
    """
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise LuminaError(f"{folder / MANIFEST} names {name!r}, which is outside its folder")
        if not path.is_file():
            raise LuminaError(f"{path} is missing: the checkpoint is incomplete; copy it again")
        status = path.stat()
        if _sha256_once(path, status.st_size, status.st_mtime_ns) != expected:
            raise LuminaError(f"{path} is damaged (its sha256 differs); copy the checkpoint again")


@lru_cache(maxsize=1024)
def _sha256_once(path: Path, size: int, changed: int) -> str:
    """Hash of a file, remembered while size and time of change stay."""
    return _sha256(path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def load(
    folder: Path, name: str, options: Any, *, device: torch.device, dtype: torch.dtype
) -> Model:
    """Read a checkpoint for one modality.

    Args:
        folder: the checkpoint.
        name: a modality that it knows.
        options: of the modality; architecture fields as in the checkpoint.
        device: where the weights go.
        dtype: in which the backbone computes.

    Raises:
        LuminaError: the checkpoint is missing, damaged, or does not know the modality.
    """
    manifest = read_manifest(folder)
    known = list(manifest["modalities"])
    if name not in known:
        raise LuminaError(
            f"checkpoint {folder} knows {', '.join(known)}, not {name!r}; "
            f"use +modality={known[0]} or another checkpoint"
        )
    verify(folder, manifest)
    token_dims = {key: entry["token_dim"] for key, entry in manifest["modalities"].items()}
    backbone = _load_backbone(folder, manifest["backbone"], token_dims).to(device, dtype)
    encoder = load_text_encoder(folder / TEXT_ENCODER, manifest["text_encoder"]["max_tokens"])
    modality = host.modality_class(name)(options, folder / VAE / name)
    modality.vae.to(device)
    return Model(
        name, modality, backbone, encoder.to(device).requires_grad_(False), manifest_sha256(folder)
    )


def _load_backbone(
    folder: Path, config: Mapping[str, Any], token_dims: Mapping[str, int]
) -> FlagDiT:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    try:
        shape = FlagDiTConfig(token_dims=token_dims, **values)
        with torch.device("meta"):
            backbone = FlagDiT(shape)
        weights = load_file(folder / BACKBONE)
        floats = {k: v.float() for k, v in weights.items()}
        backbone.load_state_dict(floats, strict=True, assign=True)
    except (OSError, SafetensorError, TypeError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise LuminaError(f"{folder / BACKBONE} does not fit its manifest: {line}") from error
    return backbone.eval().requires_grad_(False)


def training_state(
    model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Everything of a run that its seed and step do not give, as named tensors."""
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    state |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
    return {k: v.detach().clone().contiguous() for k, v in state.items()}


def restore_training_state(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Set model, average and optimizer to a saved state, strictly.

    Raises:
        LuminaError: the file is missing or does not fit.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    moments: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118, no mapping
                part, name = key.split(".", 1)
                parts[part][name] = file.get_tensor(key)
        for key, value in parts["optimizer"].items():
            number, name = key.split(".", 1)
            moments.setdefault(int(number), {})[name] = value
        model.load_state_dict(parts["model"])
        average.load_state_dict(parts["average"])
        optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise LuminaError(f"{path} does not fit this run: {line}; resume with its settings") from error
