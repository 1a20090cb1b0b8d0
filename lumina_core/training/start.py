"""The networks of a run: fresh, resumed, or started from other weights."""

import copy
from dataclasses import dataclass, field, replace
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
from lumina_core.data.pool import LatentPool
from lumina_core.errors import when_interrupted
from lumina_core.modality import Modality, feature_dims, has_weights
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.text.encoder import TextEncoder
from lumina_core.training import state as training_state
from lumina_core.training.init_from import init_source, start_from
from lumina_core.training.optimizer import Optimizers, build_optimizer
from lumina_core.training.pool import build_pool
from lumina_core.training.recipe import check_resumed, recipe
from lumina_core.training.resume import newest_checkpoint
from lumina_core.training.text_encoder import text_encoder_of

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig


KEPT: dict[str, Any] = {"step": 0, "num_skipped": 0, "carried": None, "data_before": []}
"""What a checkpoint keeps of a run beside its weights; older ones say the step alone."""
BEFORE_THE_FIRST_STEP = "before the first step; nothing is lost, give the same command again"


@dataclass
class Run:
    """What changes while a run goes on."""

    model: Model
    networks: nn.ModuleDict
    average: nn.ModuleDict
    optimizer: Optimizers
    pool: LatentPool
    step: int
    sampling: dict[str, Any] = field(default_factory=dict)
    """How its checkpoints recommend to sample: as the one that it began with."""
    num_skipped: int = 0
    """Steps that updated nothing, because their loss or gradient was not finite."""
    num_skipped_in_a_row: int = 0
    carried: int | None = None
    """Number of the sample that did not fit the last batch and begins the next one."""
    data_before: list[str] = field(default_factory=list)
    """Kinds of data of the checkpoint that it began with, and of those before that."""


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
def start(config: "TrainConfig") -> Run:
    """Fresh networks, or those of the newest checkpoint where `resume` says so."""
    device = resolve_device(config.device)
    resolve_backend(config.attention, device.type, resolve_dtype(config.dtype))  # or refuses it
    modality = _modality(config)
    pool = build_pool(config, modality)
    modality.vae.to(device)
    encoder = text_encoder_of(config, pool, device)
    shape = replace(
        config.backbone,
        token_dims={config.modality: modality.tokenizer.token_dim},
        feature_dims=feature_dims(config.modality, modality),
        text_dim=encoder.text_dim,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone = Backbone(shape).to(device)
    model = Model(config.modality, modality, backbone, encoder, "", config.attention)
    data_before: list[str] = []
    newest = newest_checkpoint(config)
    sampling: dict[str, Any] = {}
    if config.init_from is not None and newest is None:
        first = init_source(config.init_from, config.modality, download=config.download)
        model = replace(model, family=first.manifest["family"])
        sampling = start_from(first, model)
        data_before = data_seen(first.manifest)
    networks = nn.ModuleDict({"backbone": backbone})
    if isinstance(encoder, TextEncoder):  # a frozen one is neither averaged nor kept in the state
        networks["text_encoder"] = encoder
    average = copy.deepcopy(networks).requires_grad_(False).eval()
    optimizer = build_optimizer(networks, config.optimizer)
    run = Run(model, networks, average, optimizer, pool, 0, sampling, data_before=data_before)
    if newest is not None:
        path = newest / checkpoints_manifest.TRAINING
        manifest = checkpoints_manifest.read_manifest(newest)
        run.model = model = replace(model, family=manifest["family"])
        differences.check_architecture(newest, model)
        check_resumed(newest, manifest["training"], recipe(config, pool))
        pool.restore(manifest["training"]["data"])
        training_state.restore_training_state(path, networks, average, optimizer)
        run.sampling = manifest["sampling"]
        for key, value in (KEPT | manifest["training"]).items():
            if key in KEPT:
                setattr(run, key, value)
    return run


def _modality(config: "TrainConfig") -> Modality:
    name = config.modality
    folder = None
    if has_weights(config.options):
        folder = find_vae(name, config.options.vae, download=config.download)
    return make_modality(name, config.options, folder)


def averaged(run: Run) -> Model:
    """The model with its averaged weights, for samples and checkpoints."""
    model = replace(run.model, backbone=cast(Backbone, run.average["backbone"]))
    if "text_encoder" not in run.average:  # frozen
        return model
    return replace(model, text_encoder=cast(TextEncoder, run.average["text_encoder"]))
