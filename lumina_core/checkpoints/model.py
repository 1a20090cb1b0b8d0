"""A checkpoint in memory: loaded strictly onto a device, and described for its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lumina_core import __version__
from lumina_core.backbone.network import Network, PackagedNetwork
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.adapters import (
    NO_ADAPTATION,
    NO_ADAPTERS,
    Adaptation,
    Adapters,
    UsedAdapter,
    layers_of,
    read_adapters,
)
from lumina_core.checkpoints.formats import source_of
from lumina_core.checkpoints.manifest import (
    FORMAT_VERSION,
    KIND,
    MANIFEST,
    NETWORK,
    SYNTHETIC,
    TEXT_ENCODER,
    VAE,
    data_seen,
    network_of_package,
)
from lumina_core.checkpoints.named import known_model
from lumina_core.checkpoints.obtaining import obtain_part
from lumina_core.checkpoints.packaged import read_network
from lumina_core.checkpoints.placement import Placed, Placement
from lumina_core.checkpoints.released import read_backbone
from lumina_core.checkpoints.source import Source
from lumina_core.checkpoints.stored import open_weights
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.checkpoints.weights import fill
from lumina_core.errors import LuminaError, printable, reason_of
from lumina_core.files.reading import read_json
from lumina_core.files.weights import built_within
from lumina_core.hub import local_folder
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins.entry_points import MAX_NAME
from lumina_core.plugins.parts import make_modality
from lumina_core.plugins.yaml_files import label_file
from lumina_core.records import EXACT, fixed_names, told
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
    backbone: Network
    text_encoder: TextEncoder | FrozenTextEncoder | LabelEncoder
    checkpoint_sha256: str
    """Of the manifest, which names the hash of every other file."""
    attention: str = "auto"
    """Backend with which it computes; no part of the checkpoint, which runs on any machine."""
    is_of_world: bool = False
    """Whether all that it was trained on are captions of its modality's world."""
    family: str = ""
    """Of the released models that it is like; empty: none."""
    adapters: tuple[UsedAdapter, ...] = ()
    """That change the weights of the checkpoint."""
    text_cache: Path | None = None
    """Folder that keeps features of texts while it samples; None: memory only."""
    notes: tuple[str, ...] = ()
    """What the user should know about how it is used."""
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

    @property
    def config(self) -> BackboneConfig | None:
        """The architecture of its network; None: that is one of another package."""
        return self.backbone.config if isinstance(self.backbone, Backbone) else None

    def ready_backbone(self) -> Network:
        """The backbone where it computes; to be asked for after the features of texts."""
        return self.backbone if self.placed is None else self.placed.backbone()

    @property
    def text_reader(self) -> TextEncoder | FrozenTextEncoder:
        """The text encoder, of a model that reads texts: all that are trained do."""
        assert not isinstance(self.text_encoder, LabelEncoder)
        return self.text_encoder

    def read_as(self, text: Text) -> Text:
        """What the text encoder is asked for a text.

        A world reads words and wordings that stand in none of its captions. A text encoder that is
        trained on the captions knows none of these, so it gets the plainest caption of the same
        meaning.
        """
        world = self.modality.world if self.is_of_world else None
        if world is None or not isinstance(text, str):
            return text
        if world.writes(text) and not self.text_encoder.unknown_words(text):
            return text
        return world.plainest(text) or text

    def text_features(self, texts: Sequence[Text]) -> Features:
        """Features of prompts and negative prompts, without gradients."""
        texts = [self.read_as(text) for text in texts]
        if isinstance(self.text_encoder, FrozenTextEncoder):
            return self.text_encoder(texts, cache=self.text_cache)
        return self.text_encoder.encode(texts)


def describe(models: Sequence[Model]) -> dict[str, Any]:
    """The part of the manifest that follows from the architecture.

    Args:
        models: of each modality that shares a backbone and a text encoder.
    """
    first = models[0]
    return {
        "format": FORMAT_VERSION,
        "lumina_core": __version__,
        "modalities": {each.name: _entry(each) for each in models},
        "network": NETWORK,
        "family": first.family,
        "backbone": first.backbone.described,
        "adapters": [],
        "text_encoder": _describe_text_encoder(first.text_encoder),
    }


def _entry(model: Model) -> dict[str, Any]:
    """What a manifest says of a modality."""
    options = model.modality.options
    architecture = {
        name: getattr(options, name)
        for name in fixed_names(options)
        if name != VAE  # the checkpoint holds it
    }
    entry = {"options": architecture, "token_dim": model.modality.tokenizer.token_dim}
    if model.name in model.backbone.feature_dims:
        entry["feature_dim"] = model.backbone.feature_dims[model.name]
    return entry


def _describe_text_encoder(
    encoder: TextEncoder | FrozenTextEncoder | LabelEncoder,
) -> dict[str, Any]:
    """How it reads texts; of a frozen one also which it is."""
    if isinstance(encoder, LabelEncoder):
        return {"max_tokens": encoder.max_tokens, "labels": encoder.labels}
    about = told(encoder.reading)
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
    placement = Placement(device, dtype)
    model = opened(source_of(folder), name, options, placement, download=download)
    model.ready_backbone()
    return model


def opened(
    source: Source,
    name: str,
    options: Any,
    placement: Placement,
    *,
    download: bool = False,
    adapters: Adapters = NO_ADAPTERS,
) -> Model:
    """Open a model for one modality; weights are read when they are needed.

    Args:
        source: where its parts are.
        name: a modality that it knows.
        options: of the modality; architecture fields as in the source.
        placement: where the backbone computes, and how its weights are kept there.
        download: fetch a text encoder or autoencoder that is named by its id on the hub.
        adapters: that change the weights when these are put in their place.

    Raises:
        LuminaError: the model is missing, damaged, or does not know the modality, its text encoder
            or autoencoder is not there, or an adapter does not fit.
    """
    known = list(source.manifest["modalities"])
    if name not in known:
        raise LuminaError(
            f"checkpoint {source.path} knows {', '.join(known)}, not {name!r}; "
            f"use +modality={known[0]} or another checkpoint"
        )
    source.verify()
    about = source.manifest["backbone"]
    own = None if KIND in about else _load_backbone(source)
    encoder: FrozenTextEncoder | LabelEncoder
    if about.get("num_classes") is not None:
        encoder = label_encoder(about["num_classes"], source.manifest["text_encoder"])
    else:
        encoder = load_frozen_encoder(
            source,
            placement.text_device or placement.device,
            dtype=placement.dtype,
            download=download,
        )
        encoder.features_on = placement.device
    modality = make_modality(name, options, _vae_folder(source, name, options, download=download))
    _check_latents(source, name, modality)
    backbone: Network = read_network(source, modality.tokenizer) if own is None else own
    _check_features(source, encoder, backbone)
    if isinstance(backbone, PackagedNetwork):
        placement.check_packaged(backbone)
    adaptation = _adaptation(backbone, modality, name, source.manifest["family"], adapters)
    modality.vae.to(placement.device)
    is_of_world = all(kind == SYNTHETIC for kind in data_seen(source.manifest))
    return Model(
        name,
        modality,
        backbone,
        encoder,
        source.sha256,
        is_of_world=is_of_world,
        family=source.manifest["family"],
        adapters=adaptation.used,
        notes=source.notes,
        placed=Placed(backbone, placement, adaptation),
    )


def _adaptation(
    backbone: Network, modality: Modality, name: str, family: str, adapters: Adapters
) -> Adaptation:
    """What adapters do to a backbone, on which nothing is changed yet."""
    if not adapters.files:
        return NO_ADAPTATION
    channels = 0  # which the layouts of our families read
    if isinstance(backbone, Backbone):
        channels, *_ = modality.vae.latent_shape(modality.media_shape(modality.options))
    return read_adapters(adapters, layers_of(backbone, name, family, channels))


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


def _check_features(
    source: Source, encoder: FrozenTextEncoder | LabelEncoder, backbone: Network
) -> None:
    """Refuse a text encoder whose features are wider or narrower than those that are read."""
    if isinstance(encoder, FrozenTextEncoder) and backbone.text_dim not in (None, encoder.text_dim):
        raise LuminaError(
            f"{source.path} reads features of {backbone.text_dim} elements, and this text encoder "
            f"gives {encoder.text_dim}; name the one of its training: text_encoder=FOLDER"
        )


def _check_latents(source: Source, name: str, modality: Modality) -> None:
    """Refuse an autoencoder whose latents are cut into other tokens than those of the model."""
    wanted, found = source.manifest["modalities"][name]["token_dim"], modality.tokenizer.token_dim
    if found != wanted:
        raise LuminaError(
            f"{source.path} has tokens of {wanted} elements, and the latents of this autoencoder "
            f"give {found}; name the one of its training: modality.vae=FOLDER"
        )


def _vae_folder(source: Source, name: str, options: Any, *, download: bool) -> Path | None:
    if not has_weights(options):
        return None
    return source.vae_folder(name) or find_vae(name, options.vae, download=download)


def load_frozen_encoder(
    source: Source, device: torch.device, *, dtype: torch.dtype, download: bool
) -> FrozenTextEncoder:
    """The text encoder of a model, which reads texts as in its training.

    Args:
        source: the model.
        device: where it computes.
        dtype: of the backbone; in float32 an encoder of others keeps that type, too, if it has it,
            for nothing was trained with what it gives in another one.
        download: fetch one that is named by its id on the hub.

    Raises:
        LuminaError: it is not there, or another one than in training.
    """
    about = source.manifest["text_encoder"]
    names = {field.name for field in fields(Reading)}
    try:
        reading = Reading(**{key: value for key, value in about.items() if key in names})
    except LuminaError as error:
        raise LuminaError(f"{source.path / MANIFEST}: {error}") from error
    folder = source.text_encoder_folder
    if folder is not None:
        is_trained = bool(source.manifest["training"])
        if not is_trained and dtype == torch.float32 and _is_stored_in_float32(folder):
            reading = replace(reading, dtype="float32")
        hub_id = about.get("hub_id") if source.is_ours else None
        encoder = FrozenTextEncoder(folder, reading, device, hub_id=hub_id)
        if hub_id is not None:
            check_sha256(encoder, about["sha256"])
        return encoder
    if not source.is_ours:
        name = str(source.model)
        folder = obtain_part(name, known_model(name), TEXT_ENCODER, download=download)
        return FrozenTextEncoder(folder, reading, device)
    hub_id = about["hub_id"]
    encoder = FrozenTextEncoder(
        local_folder(hub_id, download=download), reading, device, hub_id=hub_id
    )
    check_sha256(encoder, about["sha256"])
    return encoder


def _is_stored_in_float32(folder: Path) -> bool:
    """Whether transformers says so of the encoder in a folder; older versions call it torch_dtype.

    A config that cannot be read is refused by whoever reads it next.
    """
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError):
        return False
    is_config = isinstance(config, dict)
    return is_config and "float32" in (config.get("dtype"), config.get("torch_dtype"))


def backbone_config(manifest: Mapping[str, Any]) -> BackboneConfig:
    """The architecture that a manifest describes.

    Raises:
        LuminaError: a setting is missing or wrong, or the network is of another package.
    """
    if KIND in manifest["backbone"]:
        raise LuminaError(network_of_package(manifest))
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in manifest["backbone"].items()
    }
    modalities = manifest["modalities"].items()
    values["token_dims"] = {name: entry["token_dim"] for name, entry in modalities}
    values["feature_dims"] = {
        name: entry["feature_dim"] for name, entry in modalities if "feature_dim" in entry
    }
    if missing := [f.name for f in fields(BackboneConfig) if f.name not in values]:
        raise LuminaError(f"backbone.{missing[0]} is missing")
    return BackboneConfig(**values)


def _load_backbone(source: Source) -> Backbone:
    if not source.is_ours:
        return read_backbone(source, backbone_config(source.manifest))
    (path,) = source.weights
    try:
        shape = backbone_config(source.manifest)
        with torch.device("meta"), built_within([path]):
            backbone = Backbone(shape)
        stored = open_weights(path)
        fill(backbone, ((name, partial(stored.read, name)) for name in stored.tensors))
    except (LuminaError, OSError, SafetensorError, *WRONG_SHAPES) as error:
        raise LuminaError(f"{path} does not fit its manifest: {reason_of(error)}") from error
    return backbone.eval().requires_grad_(False)
