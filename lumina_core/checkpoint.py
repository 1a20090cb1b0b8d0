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
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lumina_core import __version__
from lumina_core.autoencoder import FramewiseAutoencoder, read_config
from lumina_core.backbone.flag_dit import FlagDiT, FlagDiTConfig
from lumina_core.checkpoint_folder import checkpoint_folder
from lumina_core.errors import LuminaError, reason_of
from lumina_core.files import atomic_folder, known_sha256, sha256_of
from lumina_core.frozen_text import FrozenTextEncoder, check_sha256
from lumina_core.hub import local_folder
from lumina_core.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    SYNTHETIC,
    data_seen,
    read_manifest,
    sealed,
)
from lumina_core.modality import Modality, has_weights
from lumina_core.optimizer import Optimizers
from lumina_core.parts import make_modality
from lumina_core.records import fixed_names, flat
from lumina_core.text import Reading, TextEncoder
from lumina_core.vae_folder import copy_vae, has_same_weights
from lumina_core.weight_files import built_within

BACKBONE = "backbone.safetensors"
TRAINING = "training.safetensors"
TEXT_ENCODER = "text_encoder"
VAE = "vae"
WRONG_SHAPES = (TypeError, ValueError, ArithmeticError, RuntimeError)
"""What is raised where a network is built from numbers that describe none."""
DECODER = ("decoder.", "post_quant_conv.")  # weights that say nothing of what latents mean
NUM_KEPT_STATES = 2  # newest checkpoints of a run that keep their training state


@dataclass(frozen=True)
class Model:
    """A checkpoint in memory: everything that generating one modality needs."""

    name: str
    """The modality."""
    modality: Modality
    backbone: FlagDiT
    text_encoder: TextEncoder | FrozenTextEncoder
    checkpoint_sha256: str
    """Of the manifest, which names the hash of every other file."""
    attention: str = "auto"
    """Backend with which it computes; no part of the checkpoint, which runs on any machine."""
    is_of_world: bool = False
    """Whether all that it was trained on are captions of its modality's world."""
    text_cache: Path | None = None
    """Folder that keeps features of texts while it samples; None: memory only."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.backbone.parameters()).device

    def text_features(
        self, texts: Sequence[str]
    ) -> tuple[Float[Tensor, "text text_dim"], tuple[int, ...]]:
        """Features of prompts, without gradients, packed end to end, and how many each has."""
        if isinstance(self.text_encoder, FrozenTextEncoder):
            return self.text_encoder(texts, cache=self.text_cache)
        return self.text_encoder.encode(texts)


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
        dtype: in which weights are stored, but for the training state, which keeps its own.
        training_state: what a resumed run needs.

    Raises:
        LuminaError: the folder exists or cannot be written.
    """
    with atomic_folder(folder) as temporary:
        weights = {k: v.contiguous() for k, v in model.backbone.state_dict().items()}
        save_file(weights, temporary / BACKBONE)
        encoder = model.text_encoder
        if isinstance(encoder, TextEncoder):
            encoder.save(temporary / TEXT_ENCODER)
        if model.modality.vae.folder is not None:
            copy_vae(model.modality.vae.folder, temporary / VAE / model.name)
        _cast_weights(temporary, dtype)
        if isinstance(encoder, FrozenTextEncoder) and encoder.hub_id is None:
            encoder.save(temporary / TEXT_ENCODER)  # as it is: its dtype is its own
        if training_state is not None:
            save_file(training_state, temporary / TRAINING)
        manifest = describe(model) | {"sampling": dict(sampling), "training": dict(summary)}
        _write_manifest(temporary, manifest)


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
        _write_manifest(temporary, manifest)


def drop_old_training_states(folders: list[Path]) -> None:
    """Delete the training state of all but the newest checkpoints, which stay whole otherwise.

    Behind a link nothing is deleted: that may be an archive.

    Args:
        folders: checkpoints of one run, the oldest first.
    """
    for folder in folders[:-NUM_KEPT_STATES]:
        if not (folder.is_symlink() or folder.parent.is_symlink()):
            (folder / TRAINING).unlink(missing_ok=True)


def _cast_weights(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite every safetensors file below a folder whose floating point weights differ."""
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            about = file.metadata()  # transformers insists on what it wrote there
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, no mapping
        cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
        if any(cast[key].dtype != weights[key].dtype for key in weights):
            save_file(cast, path, metadata=about)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hash every file of the folder, and seal the manifest."""
    hashes = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    (folder / MANIFEST).write_text(sealed(content | {"files": hashes}), encoding="utf-8")


def describe(model: Model) -> dict[str, Any]:
    """The part of the manifest that follows from the architecture."""
    config = asdict(model.backbone.config)
    token_dims, feature_dims = config.pop("token_dims"), config.pop("feature_dims")
    options = model.modality.options
    architecture = {
        name: getattr(options, name)
        for name in fixed_names(options)
        if name != VAE  # the checkpoint holds it
    }
    entry = {"options": architecture, "token_dim": token_dims[model.name]}
    if model.name in feature_dims:
        entry["feature_dim"] = feature_dims[model.name]
    return {
        "format": FORMAT_VERSION,
        "lumina_core": __version__,
        "modalities": {model.name: entry},
        "backbone": config,
        "text_encoder": _describe_text_encoder(model.text_encoder),
    }


def _describe_text_encoder(encoder: TextEncoder | FrozenTextEncoder) -> dict[str, Any]:
    """How it reads texts; of a frozen one also which it is."""
    about = asdict(encoder.reading)
    if isinstance(encoder, FrozenTextEncoder):
        about |= {"hub_id": encoder.hub_id, "sha256": encoder.sha256}
    return about


def manifest_sha256(folder: Path) -> str:
    """Hash of the manifest, and through it of the whole checkpoint."""
    return sha256_of(folder / MANIFEST)


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare every file with its hash.

    Raises:
        LuminaError: a file is missing, was changed, or stands there without being listed.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in manifest["files"] and name not in (MANIFEST, TRAINING):
            raise LuminaError(f"{path} is no part of the checkpoint; move it to another place")
    for name, expected in manifest["files"].items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise LuminaError(f"{folder / MANIFEST} names {name!r}, which is outside its folder")
        path = folder / name
        if name == TRAINING and not path.exists():
            continue  # older checkpoints of a run have given it up
        if not path.is_file():
            raise LuminaError(f"{path} is missing: the checkpoint is incomplete; copy it again")
        if known_sha256(path) != expected:
            raise LuminaError(f"{path} is damaged (its sha256 differs); copy the checkpoint again")


def load(
    folder: Path,
    name: str,
    options: Any,
    *,
    device: torch.device,
    dtype: torch.dtype,
    download: bool = False,
) -> Model:
    """Read a checkpoint for one modality; the weights of its text encoder when they are needed.

    Args:
        folder: the checkpoint.
        name: a modality that it knows.
        options: of the modality; architecture fields as in the checkpoint.
        device: where the weights go.
        dtype: in which the backbone computes.
        download: fetch a text encoder that the checkpoint names by its id on the hub.

    Raises:
        LuminaError: the checkpoint is missing, damaged, or does not know the modality, or its text
            encoder is not there.
    """
    manifest = read_manifest(folder)
    known = list(manifest["modalities"])
    if name not in known:
        raise LuminaError(
            f"checkpoint {folder} knows {', '.join(known)}, not {name!r}; "
            f"use +modality={known[0]} or another checkpoint"
        )
    verify(folder, manifest)
    backbone = _load_backbone(folder, manifest).to(device, dtype)
    encoder = load_frozen_encoder(folder, manifest["text_encoder"], device, download=download)
    vae_folder = folder / VAE / name if has_weights(options) else None
    modality = make_modality(name, options, vae_folder)
    modality.vae.to(device)
    is_of_world = all(kind == SYNTHETIC for kind in data_seen(manifest))
    sha256 = manifest_sha256(folder)
    return Model(name, modality, backbone, encoder, sha256, is_of_world=is_of_world)


def load_frozen_encoder(
    folder: Path, about: Mapping[str, Any], device: torch.device, *, download: bool
) -> FrozenTextEncoder:
    """The text encoder of a checkpoint, which reads texts as in its training.

    Args:
        folder: the checkpoint.
        about: what its manifest says of the encoder.
        device: where it computes.
        download: fetch one that is named by its id on the hub.

    Raises:
        LuminaError: it is not there, or another one than in training.
    """
    names = {field.name for field in fields(Reading)}
    try:
        reading = Reading(**{key: value for key, value in about.items() if key in names})
    except LuminaError as error:
        raise LuminaError(f"{folder / MANIFEST}: {error}") from error
    hub_id = about.get("hub_id")
    if hub_id is None:
        return FrozenTextEncoder(folder / TEXT_ENCODER, reading, device)
    source = local_folder(hub_id, download=download)
    encoder = FrozenTextEncoder(source, reading, device, hub_id=hub_id)
    check_sha256(encoder, about["sha256"])
    return encoder


def _load_backbone(folder: Path, manifest: Mapping[str, Any]) -> FlagDiT:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in manifest["backbone"].items()
    }
    modalities = manifest["modalities"].items()
    values["token_dims"] = {name: entry["token_dim"] for name, entry in modalities}
    values["feature_dims"] = {
        name: entry["feature_dim"] for name, entry in modalities if "feature_dim" in entry
    }
    try:
        if missing := [f.name for f in fields(FlagDiTConfig) if f.name not in values]:
            raise LuminaError(f"backbone.{missing[0]} is missing")
        shape = FlagDiTConfig(**values)
        with torch.device("meta"), built_within([folder / BACKBONE]):
            backbone = FlagDiT(shape)
        weights = load_file(folder / BACKBONE)
        floats = {k: v.float() for k, v in weights.items()}
        backbone.load_state_dict(floats, strict=True, assign=True)
    except (LuminaError, OSError, SafetensorError, *WRONG_SHAPES) as error:
        raise LuminaError(
            f"{folder / BACKBONE} does not fit its manifest: {reason_of(error)}"
        ) from error
    return backbone.eval().requires_grad_(False)


def check_architecture(folder: Path, model: Model) -> None:
    """Refuse to go on with a model that is not the one of a checkpoint, naming what differs.

    Raises:
        LuminaError: another backbone, text encoder, patch size or autoencoder.
    """
    for difference in differences(folder, model):
        raise LuminaError(
            f"{folder} was trained with {difference}; resume with the settings of its start"
        )
    if not has_same_autoencoder(folder, model):
        raise LuminaError(
            f"{folder} was trained with another autoencoder; resume with "
            f"modality.vae={folder / VAE / model.name}"
        )


def differences(folder: Path, model: Model) -> list[str]:
    """How a model differs from the one of a checkpoint, its autoencoder aside."""
    stored, wanted = (flat(x) for x in (read_manifest(folder), describe(model)))
    return [
        f"{key}={stored[key]}, this run has {wanted[key]}"
        for key in sorted(wanted.keys() & stored.keys() - {"lumina_core"})
        if wanted[key] != stored[key]
    ]


def has_same_autoencoder(folder: Path, model: Model) -> bool:
    """Whether a checkpoint's autoencoder is that of the model: its config and its weights."""
    return _compare_autoencoders(folder, model, model.name, skip=())


def has_same_latents(folder: Path, model: Model, name: str) -> bool:
    """Whether latents of a modality of a checkpoint mean what those of the model do.

    Decoders may differ. An autoencoder without weights is the same for the same modality alone.
    """
    return _compare_autoencoders(folder, model, name, skip=DECODER)


def _compare_autoencoders(folder: Path, model: Model, name: str, *, skip: tuple[str, ...]) -> bool:
    own = model.modality.vae.folder
    if own is None:
        return name == model.name
    places = (folder / VAE / name, Path(own))
    stored, wanted = ({**FramewiseAutoencoder.defaults, **read_config(x)} for x in places)
    keys = {key for key in stored | wanted if not key.startswith("_")}  # these say who wrote it
    has_same_config = all(stored.get(key) == wanted.get(key) for key in keys)
    return has_same_config and has_same_weights(*places, skip=skip)


def training_state(
    model: nn.Module, average: nn.Module, optimizer: Optimizers
) -> dict[str, Tensor]:
    """Everything of a run that its seed and step do not give, as named tensors."""
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    state |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
    return {k: v.detach().clone().contiguous() for k, v in state.items()}


def restore_training_state(
    path: Path, model: nn.Module, average: nn.Module, optimizer: Optimizers
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
                # a copy: a tensor inside the file lies at odd addresses, where kernels round
                # differently, and a resumed run would part from an uninterrupted one
                parts[part][name] = file.get_tensor(key).clone()
        for key, value in parts["optimizer"].items():
            number, name = key.split(".", 1)
            moments.setdefault(int(number), {})[name] = value
        model.load_state_dict(parts["model"])
        average.load_state_dict(parts["average"])
        _check_moments(moments, optimizer)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise LuminaError(
            f"{path} does not fit this run: {reason_of(error)}; resume with its settings"
        ) from error


def _check_moments(moments: Mapping[int, Mapping[str, Tensor]], optimizer: Optimizers) -> None:
    """Torch takes moments of any shape; a weight without any was never updated."""
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, named in moments.items():
        shapes = {tuple(value.shape) for value in named.values() if value.ndim}
        if number >= len(trained) or shapes - {tuple(trained[number].shape)}:
            raise ValueError("another optimizer, or of other weights")
