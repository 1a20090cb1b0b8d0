"""The networks of a run: fresh, resumed, or started from other weights."""

import copy
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from lumina_core.backbone.attention import resolve_backend
from lumina_core.backbone.network import Network
from lumina_core.backbone.transformer import Backbone, own_network
from lumina_core.checkpoints import differences
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints.manifest import data_seen, recommended
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.packaged import read_network
from lumina_core.checkpoints.vae_folder import modality_with_vae
from lumina_core.data.mixture import Mixture
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.modality import feature_dims
from lumina_core.parallel import ranks
from lumina_core.parallel.sharded import whole
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.sampling.compose import compose_sampling
from lumina_core.text.encoder import TextEncoder
from lumina_core.training import state as training_state
from lumina_core.training.adapter import (
    averaged_copy,
    base_of,
    check_packaged,
    freeze,
    put_adapter,
    read_base,
    stored_base,
)
from lumina_core.training.cached import use_features
from lumina_core.training.compiling import compile_layers
from lumina_core.training.few_steps import Teacher, check_guidance, taught_sampling
from lumina_core.training.init_from import init_source, start_from
from lumina_core.training.meter import Meter
from lumina_core.training.networks import Networks
from lumina_core.training.optimizer import Optimizers, build_optimizer
from lumina_core.training.pool import build_mixture
from lumina_core.training.recipe import check_resumed, recipe
from lumina_core.training.resume import newest_checkpoint
from lumina_core.training.saving import new_group
from lumina_core.training.settings import BLOCKS, FEW_STEPS
from lumina_core.training.tally import Measured
from lumina_core.training.text_encoder import text_encoder_of, word_notes

if TYPE_CHECKING:
    from lumina_core.parallel.mesh import Mesh
    from lumina_core.training.settings import TrainConfig


KEPT: dict[str, Any] = {"step": 0, "num_skipped": 0, "data_before": []}
"""What a checkpoint keeps of a run beside its weights; older ones say the step alone."""
BEFORE_THE_FIRST_STEP = "before the first step; nothing is lost, give the same command again"


@dataclass
class Run:
    """What changes while a run goes on."""

    models: dict[str, Model]
    """By modality; all have the same backbone and the same text encoder."""
    networks: Networks
    average: nn.ModuleDict
    """Of the weights, moving; cut over the ranks as they are."""
    optimizer: Optimizers
    mixture: Mixture
    step: int
    measured: Measured
    """Of the steps since the last line of the log."""
    meter: Meter
    """What these steps took."""
    sampling: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How its checkpoints recommend to sample each modality: as the one that it began with."""
    saved: int | None = None
    """The last step whose checkpoint is there, or on its way."""
    num_skipped: int = 0
    """Steps that updated nothing: no sample was usable, or loss or gradient was not finite."""
    num_skipped_in_a_row: int = 0
    data_before: list[str] = field(default_factory=list)
    """Kinds of data of the checkpoint that it began with, and of those before that."""
    base: dict[str, str] | None = None
    """The model of which it trains an adapter, as a manifest says it; None: it trains a model."""
    notes: list[str] = field(default_factory=list)
    """What the user should know about the words of the data."""
    mesh: "Mesh | None" = None
    """Of the ranks; None where one process has all and computes in float32."""
    teacher: Teacher | None = None
    """Of `objective=few_steps`."""
    plain: nn.ModuleDict | None = None
    """Networks without the weights of the backbone, for the whole average where that is cut."""

    @property
    def model(self) -> Model:
        """That of the first modality, for what all models share."""
        return next(iter(self.models.values()))


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
def start(config: "TrainConfig") -> Run:
    """Fresh networks, or those of the newest checkpoint where `resume` says so.

    Cut over the ranks, where there are several; so they are, too, where one process computes in
    half precision, for that casts weights where it gathers them; those of the model of an adapter
    are cast already.
    """
    with ranks.agreed():
        run = _fresh(config)
        if config.objective.name == FEW_STEPS:
            _put_teacher(run, config)
    if ranks.num_ranks() > 1 or (config.dtype != "float32" and not config.adapter.is_used):
        _cut(run, config)
    dtype = resolve_dtype(config.dtype)
    run.optimizer = build_optimizer(run.networks, config.optimizer, dtype)
    newest = newest_checkpoint(config)
    if newest is not None:
        with ranks.agreed():
            _restore(run, config, newest)
        parts = run.networks, run.average, run.optimizer
        training_state.restore_training_state(newest, *parts, new_group())
    return run


def _fresh(config: "TrainConfig") -> Run:
    """Whole networks as a run begins with them; nothing is there yet to update them."""
    device, dtype = resolve_device(ranks.local_device(config.device)), resolve_dtype(config.dtype)
    resolve_backend(config.attention, device.type, dtype)  # or refuses it
    is_adapted, newest = config.adapter.is_used, newest_checkpoint(config)
    first = base_of(config, newest) if is_adapted else None
    is_packaged = first is not None and checkpoints_manifest.KIND in first.manifest["backbone"]
    if is_packaged:
        check_packaged(config, ranks.num_ranks())
    modalities = {
        name: modality_with_vae(name, member.options, download=config.download)
        for name, member in config.members.items()
    }
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
    backbone: Network
    if first is not None and is_packaged:
        backbone = read_network(first, modalities[config.modality].tokenizer)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            with torch.device("meta") if is_adapted else nullcontext():
                backbone = Backbone(shape)
    data_before: list[str] = []
    sampling: dict[str, dict[str, Any]] = {}
    family = ""
    if first is not None:
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
            base = stored_base(first)
            sampling = {model.name: recommended(first.manifest, model.name)}
            read_base(first, model, config.dtype)
            put_adapter(backbone, config.adapter, config.seed)
        else:
            sampling = start_from(first, list(models.values()))
    backbone.to(device)
    axes = config.parallel.axes(ranks.num_ranks(), ranks.num_nodes())
    if ranks.num_ranks() > 1:
        from lumina_core.backbone.parallel_plan import check_fit

        check_fit(shape, axes)
        if is_adapted and axes.tensor > 1:
            raise LuminaError(
                f"parallel.tensor={axes.tensor} cuts the matrices that adapter="
                f"{config.adapter.name} changes; use parallel=fsdp"
            )
    notes = list(word_notes(config, encoder, mixture))  # while the encoder is whole
    # a frozen encoder is neither averaged nor kept in the state
    networks = Networks(
        backbone, encoder if isinstance(encoder, TextEncoder) else None, config.attention
    )
    if config.freeze:
        freeze(networks, config.freeze)
    average = averaged_copy(networks)
    if config.activation_checkpointing == BLOCKS:
        backbone.recompute()
    if config.compile:
        compile_layers(own_network(backbone), config.dtype)
    meter = Meter(next(iter(models.values())), dtype)
    return Run(
        *(models, networks, average, Optimizers([]), mixture, 0, Measured(list(models)), meter),
        sampling=sampling,
        data_before=data_before,
        base=base,
        notes=notes,
    )


def _put_teacher(run: Run, config: "TrainConfig") -> None:
    """Let the networks that the run began with teach it, while all are whole."""
    networks, before = copy.deepcopy(run.networks), run.sampling
    if newest_checkpoint(config) is not None:
        begun = replace(config, resume=False)
        encoder = text_encoder_of(begun, run.mixture, run.model.device)
        backbone = cast(Network, networks["backbone"])
        models = [replace(model, backbone=backbone) for model in run.models.values()]
        source = init_source(str(config.init_from), list(run.models), download=config.download)
        before = start_from(source, models)
        trained = encoder if isinstance(encoder, TextEncoder) else None
        networks = Networks(backbone, trained, config.attention)
    guidance = {name: compose_sampling(name, before.get(name)).guidance for name in run.models}
    check_guidance(guidance, config.objective)
    networks.requires_grad_(False).eval()
    run.teacher = Teacher(networks, guidance, config.objective, config.dtype)
    run.sampling = {
        name: taught_sampling(config.objective, guidance[name], before.get(name, {}))
        for name in run.models
    }


def _cut(run: Run, config: "TrainConfig") -> None:
    """Cut the networks of a run and their average over the ranks."""
    from lumina_core.backbone.parallel_plan import distribute
    from lumina_core.parallel.mesh import mesh_of

    run.mesh = mesh_of(config.parallel, run.model.device.type)
    run.plain = copy.deepcopy(run.average)
    run.plain["backbone"].to("meta")
    is_adapted = run.base is not None
    distribute(run.networks, run.mesh, None if is_adapted else resolve_dtype(config.dtype))
    distribute(run.average, run.mesh, torch.float32)
    run.networks.sequence_group = run.mesh.sequence


def _restore(run: Run, config: "TrainConfig", newest: Path) -> None:
    """Go on with a run where a checkpoint stands, but for weights and moments."""
    manifest = checkpoints_manifest.read_manifest(newest)
    training = manifest["training"]
    if run.base is None:  # else its model was checked
        differences.check_architecture(newest, list(run.models.values()))
    check_resumed(newest, training, recipe(config, run.mixture))
    for name, source in run.mixture.sources.items():
        source.restore(training["data"][name] if len(run.models) > 1 else training["data"])
    run.mixture.restore(training)
    run.sampling = {name: recommended(manifest, name) for name in run.models}
    run.saved = training["step"]
    for key, value in (KEPT | training).items():
        if key in KEPT:
            setattr(run, key, value)


def averaged(run: Run) -> dict[str, Model]:
    """The models with their averaged weights, for samples and checkpoints.

    All ranks call it together; where weights are cut, those of rank 0 alone are there then.
    """
    average = run.average if run.plain is None else _gathered(run.average, run.plain)
    backbone = cast(Network, average["backbone"])
    models = {name: replace(model, backbone=backbone) for name, model in run.models.items()}
    if "text_encoder" not in average:  # frozen
        return models
    encoder = cast(TextEncoder, average["text_encoder"])
    return {name: replace(model, text_encoder=encoder) for name, model in models.items()}


def _gathered(average: nn.ModuleDict, plain: nn.ModuleDict) -> nn.ModuleDict:
    filled, weights = copy.deepcopy(plain), {}
    for name, value in average.state_dict().items():
        complete = whole(value)
        if ranks.rank() == 0:
            weights[name] = complete
    if weights:
        filled.load_state_dict(weights, assign=True)
    return filled
