"""The networks of a run: fresh, resumed, or started from other weights."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from lumina_core.backbone.attention import resolve_backend
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints import differences
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints.manifest import data_seen
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.data.mixture import Mixture
from lumina_core.errors import when_interrupted
from lumina_core.modality import Modality, feature_dims, has_weights
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.text.encoder import TextEncoder
from lumina_core.training import state as training_state
from lumina_core.training.adapter import (
    averaged_copy,
    base_of,
    freeze,
    put_adapter,
    read_base,
    stored_base,
)
from lumina_core.training.cached import use_features
from lumina_core.training.compiling import compile_layers
from lumina_core.training.init_from import init_source, start_from
from lumina_core.training.meter import Meter
from lumina_core.training.optimizer import Optimizers, build_optimizer
from lumina_core.training.pool import build_mixture
from lumina_core.training.recipe import check_resumed, recipe
from lumina_core.training.resume import newest_checkpoint
from lumina_core.training.settings import BLOCKS
from lumina_core.training.tally import Measured
from lumina_core.training.text_encoder import text_encoder_of

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig


KEPT: dict[str, Any] = {"step": 0, "num_skipped": 0, "data_before": []}
"""What a checkpoint keeps of a run beside its weights; older ones say the step alone."""
BEFORE_THE_FIRST_STEP = "before the first step; nothing is lost, give the same command again"


@dataclass
class Run:
    """What changes while a run goes on."""

    models: dict[str, Model]
    """By modality; all have the same backbone and the same text encoder."""
    networks: nn.ModuleDict
    average: nn.ModuleDict
    optimizer: Optimizers
    mixture: Mixture
    step: int
    measured: Measured
    """Of the steps since the last line of the log."""
    meter: Meter
    """What these steps took."""
    sampling: dict[str, Any] = field(default_factory=dict)
    """How its checkpoints recommend to sample: as the one that it began with."""
    num_skipped: int = 0
    """Steps that updated nothing, because their loss or gradient was not finite."""
    num_skipped_in_a_row: int = 0
    data_before: list[str] = field(default_factory=list)
    """Kinds of data of the checkpoint that it began with, and of those before that."""
    base: dict[str, str] | None = None
    """The model of which it trains an adapter, as a manifest says it; None: it trains a model."""

    @property
    def model(self) -> Model:
        """That of the first modality, for what all models share."""
        return next(iter(self.models.values()))


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
def start(config: "TrainConfig") -> Run:
    """Fresh networks, or those of the newest checkpoint where `resume` says so."""
    device = resolve_device(config.device)
    resolve_backend(config.attention, device.type, resolve_dtype(config.dtype))  # or refuses it
    modalities = {name: _modality(config, name) for name in config.members}
    mixture = build_mixture(config, modalities)
    for modality in modalities.values():
        modality.vae.to(device)
    encoder = text_encoder_of(config, mixture, device)
    use_features(encoder, mixture)
    dims: dict[str, int] = {}
    for name, modality in modalities.items():
        dims |= feature_dims(name, modality)
    shape = replace(
        config.backbone,
        token_dims={name: each.tokenizer.token_dim for name, each in modalities.items()},
        feature_dims=dims,
        text_dim=encoder.text_dim,
    )
    is_adapted = config.adapter.is_used
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        with torch.device("meta") if is_adapted else nullcontext():
            backbone = Backbone(shape)
    newest, first = newest_checkpoint(config), None
    data_before: list[str] = []
    sampling: dict[str, Any] = {}
    family = ""
    if is_adapted:
        first = base_of(config, newest)
        family, data_before = first.manifest["family"], data_seen(first.manifest)
    elif newest is not None:
        family = checkpoints_manifest.read_manifest(newest)["family"]
    elif config.init_from is not None:
        first = init_source(config.init_from, list(modalities), download=config.download)
        family, data_before = first.manifest["family"], data_seen(first.manifest)
    models = {
        name: Model(name, each, backbone, encoder, "", config.attention, family=family)
        for name, each in modalities.items()
    }
    base = None
    if first is not None:
        if is_adapted:
            (model,) = models.values()
            base, sampling = stored_base(first), dict(first.manifest["sampling"])
            read_base(first, model, config.dtype)
            put_adapter(backbone, config.adapter, config.seed)
        else:
            sampling = start_from(first, list(models.values()))
    backbone.to(device)
    networks = nn.ModuleDict({"backbone": backbone})
    if isinstance(encoder, TextEncoder):  # a frozen one is neither averaged nor kept in the state
        networks["text_encoder"] = encoder
    if config.freeze:
        freeze(networks, config.freeze)
    average = averaged_copy(networks)
    backbone.recomputes = config.activation_checkpointing == BLOCKS
    if config.compile:
        compile_layers(backbone, config.dtype)
    optimizer = build_optimizer(networks, config.optimizer)
    meter = Meter(next(iter(models.values())), resolve_dtype(config.dtype))
    run = Run(
        *(models, networks, average, optimizer, mixture, 0, Measured(list(models)), meter),
        sampling=sampling,
        data_before=data_before,
        base=base,
    )
    if newest is not None:
        _restore(run, config, newest)
    return run


def _restore(run: Run, config: "TrainConfig", newest: Path) -> None:
    """Go on with a run where a checkpoint stands."""
    manifest = checkpoints_manifest.read_manifest(newest)
    training = manifest["training"]
    if run.base is None:  # else its model was checked
        differences.check_architecture(newest, list(run.models.values()))
    check_resumed(newest, training, recipe(config, run.mixture))
    for name, source in run.mixture.sources.items():
        source.restore(training["data"][name] if len(run.models) > 1 else training["data"])
    run.mixture.restore(training)
    path = newest / checkpoints_manifest.TRAINING
    training_state.restore_training_state(path, run.networks, run.average, run.optimizer)
    run.sampling = manifest["sampling"]
    for key, value in (KEPT | training).items():
        if key in KEPT:
            setattr(run, key, value)


def _modality(config: "TrainConfig", name: str) -> Modality:
    options = config.members[name].options
    folder = None
    if has_weights(options):
        folder = find_vae(name, options.vae, download=config.download)
    return make_modality(name, options, folder)


def averaged(run: Run) -> dict[str, Model]:
    """The models with their averaged weights, for samples and checkpoints."""
    backbone = cast(Backbone, run.average["backbone"])
    models = {name: replace(model, backbone=backbone) for name, model in run.models.items()}
    if "text_encoder" not in run.average:  # frozen
        return models
    encoder = cast(TextEncoder, run.average["text_encoder"])
    return {name: replace(model, text_encoder=encoder) for name, model in models.items()}
