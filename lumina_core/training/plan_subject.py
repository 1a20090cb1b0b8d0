"""What is planned: the network that words ask for and the parts beside it, without weights."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from lumina_core.backbone.settings import LABEL, BackboneConfig
from lumina_core.checkpoints.formats import find_source
from lumina_core.checkpoints.manifest import KIND, VAE
from lumina_core.checkpoints.model import WRONG_SHAPES, backbone_config, load_frozen_encoder
from lumina_core.checkpoints.named import TextTower, known_model
from lumina_core.checkpoints.packaged import empty_network
from lumina_core.checkpoints.source import Source, parts_of
from lumina_core.errors import LuminaError, reason_of
from lumina_core.hub import local_folder
from lumina_core.modality import Modality, feature_dims, has_weights
from lumina_core.plugins import demos
from lumina_core.runtime import resolve_dtype
from lumina_core.text.settings import Reading, TextEncoderConfig
from lumina_core.training.init_from import init_source
from lumina_core.training.plan_network import Planned
from lumina_core.training.plan_parts import (
    Part,
    described_text,
    frozen_text_part,
    modality_of,
    new_text_part,
    text_part,
)
from lumina_core.training.plan_words import NewRunPlan, RunPlan, TrainPlan


@dataclass(frozen=True)
class Subject:
    """A network and what stands beside it."""

    name: str
    """Of the modality."""
    options: Any
    modality: Modality
    backbone: Planned
    text: Part
    text_length: int
    """Tokens of the longest text."""
    stored_bytes: int | None = None
    """Of the weights in their file; None: there is none."""
    packaged_text_dim: int = 0
    """Width of the features of texts that the network of a package reads."""

    @property
    def settings(self) -> BackboneConfig:
        """Of a network of ours."""
        assert isinstance(self.backbone, BackboneConfig)
        return self.backbone

    @property
    def text_dim(self) -> int:
        """Width of the features of texts."""
        if isinstance(self.backbone, BackboneConfig):
            return self.backbone.text_dim
        return self.packaged_text_dim


@contextmanager
def subject_of_run(config: RunPlan) -> Iterator[Subject]:
    """The network of a request.

    Raises:
        LuminaError: there is none, or a part of it cannot be read.
    """
    if isinstance(config, NewRunPlan):
        with _of_settings(config.modality, config.options, config.backbone, None) as subject:
            encoder = config.text_encoder
            text, width = Part(note="no text encoder is counted: text_encoder= names none"), None
            if encoder.path is not None:
                text, width = _named_text(encoder)
            yield _with_text(subject, text, width, encoder)
        return
    if config.checkpoint is None:
        instead = "give checkpoint=FOLDER, or backbone=NAME for a network that is not trained yet"
        raise demos.lack_of_demo(config.modality, instead)
    source = find_source(config.checkpoint, download=False, described=True)
    if KIND in source.manifest["backbone"]:
        with _of_package(source, config) as subject:
            yield subject
        return
    try:
        size = sum(path.stat().st_size for path in source.weights)
        backbone = backbone_config(source.manifest)
    except (LuminaError, OSError, *WRONG_SHAPES) as error:
        raise LuminaError(
            f"{source.path} cannot be planned: {reason_of(error)}; copy the checkpoint again"
        ) from error
    text, length = _text_of_source(source, backbone, config.dtype)
    vae = source.vae_folder(config.modality) if has_weights(config.options) else None
    with modality_of(config.modality, config.options, vae) as modality:
        yield Subject(config.modality, config.options, modality, backbone, text, length, size)


@contextmanager
def _of_package(source: Source, config: RunPlan) -> Iterator[Subject]:
    """A network that a package brings; of one that is not here what its description says."""
    name = config.modality
    vae, size, length = source.vae_folder(name), None, source.manifest["text_encoder"]["max_tokens"]
    with tempfile.TemporaryDirectory() as described:
        if source.weights:
            files = [
                part for f in (*source.weights, *source.beside.values()) for part in parts_of(f)
            ]
            size = sum(path.stat().st_size for path in files)
            text, length = _encoder_of_source(source, config.dtype)
        else:
            model = known_model(source.name)
            text = described_text(cast(TextTower, model.text_encoder))
            vae = Path(described)
            settings = json.dumps((model.configs or {})[VAE])
            (vae / "config.json").write_text(settings, encoding="utf-8")
        with modality_of(name, config.options, vae) as modality:
            network = empty_network(source, modality.tokenizer)
            width = network.text_dim or 1  # where any width is read
            yield Subject(name, config.options, modality, network, text, length, size, width)


def _text_of_source(source: Source, backbone: BackboneConfig, dtype: str) -> tuple[Part, int]:
    """The text encoder of a checkpoint, and the tokens of its longest text; a label is one."""
    return (Part(), 1) if backbone.text == LABEL else _encoder_of_source(source, dtype)


def _encoder_of_source(source: Source, dtype: str) -> tuple[Part, int]:
    """The text encoder of a checkpoint that reads texts, and the tokens of its longest text."""
    try:
        encoder = load_frozen_encoder(
            source, torch.device("cpu"), dtype=resolve_dtype(dtype), download=False
        )
    except LuminaError as error:
        about = source.manifest["text_encoder"]
        return Part(note=f"the text encoder is not counted: {error}"), about["max_tokens"]
    return frozen_text_part(encoder), encoder.max_tokens


@contextmanager
def subject_of_training(config: TrainPlan) -> Iterator[Subject]:
    """The network of a training.

    Raises:
        LuminaError: a part of it cannot be read.
    """
    encoder = config.text_encoder
    with _of_settings(config.modality, config.options, config.backbone, None) as subject:
        if encoder.path is not None:
            text, width = _named_text(encoder)
        elif config.init_from is not None:
            source = init_source(config.init_from, [config.modality], download=False)
            if KIND in source.manifest["backbone"]:
                raise LuminaError(
                    f"init_from={config.init_from} is of another package, and the training of its "
                    "network is not planned; plan a run of it: plan checkpoint=CHECKPOINT"
                )
            folder = source.text_encoder_folder
            hub_id = source.manifest["text_encoder"].get("hub_id") if folder is None else None
            text, width = _text_of(hub_id, folder or Path(), encoder.reading)
        else:
            text, width = new_text_part(encoder), encoder.hidden_size
        yield _with_text(subject, text, width, encoder)


@contextmanager
def _of_settings(
    name: str, options: Any, backbone: BackboneConfig, vae: Path | None
) -> Iterator[Subject]:
    with modality_of(name, options, vae) as modality:
        shape = replace(
            backbone,
            token_dims={name: modality.tokenizer.token_dim},
            feature_dims=feature_dims(name, modality),
        )
        yield Subject(name, options, modality, shape, Part(), 1)


def _with_text(
    subject: Subject, text: Part, width: int | None, encoder: TextEncoderConfig
) -> Subject:
    """With a text encoder; where its width is not known, that of the backbone's settings holds."""
    shape = subject.settings if width is None else replace(subject.settings, text_dim=width)
    return replace(subject, backbone=shape, text=text, text_length=encoder.max_tokens)


def _named_text(encoder: TextEncoderConfig) -> tuple[Part, int | None]:
    return _text_of(encoder.path, Path(), encoder.reading)


def _text_of(named: str | None, folder: Path, reading: Reading) -> tuple[Part, int | None]:
    """The text encoder that is named, or that of a folder; not counted where it is not here."""
    if named is not None:
        try:
            folder = local_folder(named, download=False)
        except LuminaError:
            return Part(note=f"the text encoder {named} is not here and not counted"), None
    return text_part(folder, reading)
