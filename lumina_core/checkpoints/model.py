"""A checkpoint in memory: loaded strictly onto a device, and described for its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lumina_core import __version__
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.manifest import (
    BACKBONE,
    FORMAT_VERSION,
    MANIFEST,
    NETWORK,
    SYNTHETIC,
    TEXT_ENCODER,
    VAE,
    data_seen,
    manifest_sha256,
    read_manifest,
    verify,
)
from lumina_core.checkpoints.placement import Placed, Placement
from lumina_core.checkpoints.stored import open_weights
from lumina_core.checkpoints.weights import fill
from lumina_core.errors import LuminaError, printable, reason_of
from lumina_core.files.weights import built_within
from lumina_core.hub import local_folder
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins.entry_points import MAX_NAME
from lumina_core.plugins.parts import make_modality
from lumina_core.plugins.yaml_files import label_file
from lumina_core.records import EXACT, fixed_names
from lumina_core.text.encoder import Features, TextEncoder
from lumina_core.text.frozen import FrozenTextEncoder, check_sha256
from lumina_core.text.labels import LabelEncoder
from lumina_core.text.settings import Reading, Text

WRONG_SHAPES = (TypeError, ValueError, ArithmeticError, RuntimeError)
"""What is raised where a network is built from numbers that describe none."""


@dataclass(frozen=True)
class Model:
    """A checkpoint in memory: everything that generating one modality needs."""

    name: str
    """The modality."""
    modality: Modality
    backbone: Backbone
    text_encoder: TextEncoder | FrozenTextEncoder | LabelEncoder
    checkpoint_sha256: str
    """Of the manifest, which names the hash of every other file."""
    attention: str = "auto"
    """Backend with which it computes; no part of the checkpoint, which runs on any machine."""
    is_of_world: bool = False
    """Whether all that it was trained on are captions of its modality's world."""
    family: str = ""
    """Of the released models that it is like; empty: none."""
    text_cache: Path | None = None
    """Folder that keeps features of texts while it samples; None: memory only."""
    placed: Placed | None = None
    """Puts the backbone where it computes when that is first needed; None: it is there."""

    @property
    def device(self) -> torch.device:
        """Where the backbone computes."""
        if self.placed is not None:
            return self.placed.placement.device
        return next(self.backbone.parameters()).device

    @property
    def quantise(self) -> str:
        """How many bits the weights of its blocks have, as a request says it."""
        return EXACT if self.placed is None else self.placed.placement.quantise

    def ready_backbone(self) -> Backbone:
        """The backbone where it computes; to be asked for after the features of texts."""
        return self.backbone if self.placed is None else self.placed.backbone()

    def text_features(self, texts: Sequence[Text]) -> Features:
        """Features of prompts and negative prompts, without gradients."""
        if isinstance(self.text_encoder, FrozenTextEncoder):
            return self.text_encoder(texts, cache=self.text_cache)
        return self.text_encoder.encode(texts)


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
        "network": NETWORK,
        "family": model.family,
        "backbone": config,
        "adapters": [],
        "text_encoder": _describe_text_encoder(model.text_encoder),
    }


def _describe_text_encoder(
    encoder: TextEncoder | FrozenTextEncoder | LabelEncoder,
) -> dict[str, Any]:
    """How it reads texts; of a frozen one also which it is."""
    if isinstance(encoder, LabelEncoder):
        return {"max_tokens": encoder.max_tokens, "labels": encoder.labels}
    about = asdict(encoder.reading)
    if isinstance(encoder, FrozenTextEncoder):
        about |= {"hub_id": encoder.hub_id, "sha256": encoder.sha256}
    return about


def load(
    folder: Path,
    name: str,
    options: Any,
    *,
    device: torch.device,
    dtype: torch.dtype,
    download: bool = False,
) -> Model:
    """As `opened`, with the backbone where it computes: on a device, in a dtype."""
    model = opened(folder, name, options, Placement(device, dtype), download=download)
    model.ready_backbone()
    return model


def opened(
    folder: Path, name: str, options: Any, placement: Placement, *, download: bool = False
) -> Model:
    """Open a checkpoint for one modality; weights are read when they are needed.

    Args:
        folder: the checkpoint.
        name: a modality that it knows.
        options: of the modality; architecture fields as in the checkpoint.
        placement: where the backbone computes, and how its weights are kept there.
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
    backbone = _load_backbone(folder, manifest)
    encoder: FrozenTextEncoder | LabelEncoder
    if backbone.config.num_classes is not None:
        encoder = label_encoder(backbone.config.num_classes, manifest["text_encoder"])
    else:
        encoder = load_frozen_encoder(
            folder, manifest["text_encoder"], placement.device, download=download
        )
    vae_folder = folder / VAE / name if has_weights(options) else None
    modality = make_modality(name, options, vae_folder)
    modality.vae.to(placement.device)
    is_of_world = all(kind == SYNTHETIC for kind in data_seen(manifest))
    sha256 = manifest_sha256(folder)
    return Model(
        name,
        modality,
        backbone,
        encoder,
        sha256,
        is_of_world=is_of_world,
        family=manifest["family"],
        placed=Placed(backbone, placement),
    )


def label_encoder(num_classes: int, about: Mapping[str, Any]) -> LabelEncoder:
    """What numbers the classes of a checkpoint, by the names that its manifest mentions.

    Raises:
        LuminaError: no installed package has these names.
    """
    labels = about.get("labels")
    if not labels:
        return LabelEncoder(num_classes)
    if (file := label_file(labels)) is None:
        raise LuminaError(
            f"the checkpoint names classes as {printable(labels, MAX_NAME)!r}, and no installed "
            "package has such names; install the one that described the model"
        )
    return LabelEncoder(num_classes, file)


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


def _load_backbone(folder: Path, manifest: Mapping[str, Any]) -> Backbone:
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
        if missing := [f.name for f in fields(BackboneConfig) if f.name not in values]:
            raise LuminaError(f"backbone.{missing[0]} is missing")
        shape = BackboneConfig(**values)
        with torch.device("meta"), built_within([folder / BACKBONE]):
            backbone = Backbone(shape)
        stored = open_weights(folder / BACKBONE)
        fill(backbone, ((name, partial(stored.read, name)) for name in stored.tensors))
    except (LuminaError, OSError, SafetensorError, *WRONG_SHAPES) as error:
        raise LuminaError(
            f"{folder / BACKBONE} does not fit its manifest: {reason_of(error)}"
        ) from error
    return backbone.eval().requires_grad_(False)
