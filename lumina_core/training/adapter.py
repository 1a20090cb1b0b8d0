"""Train little of a model: an adapter beside its weights (by peft), or all but some roles of them.

An adapter begins by changing nothing, so the first loss is that of the model. The matrices of the
blocks stay in the type in which autocast would multiply them anyway: in bfloat16 they take half the
memory and give the same numbers. What is frozen is in no optimizer, and its average is itself.
"""

import copy
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lumina_core.backbone.network import Network, PackagedNetwork
from lumina_core.backbone.roles import linear_layers, role_of
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone, block_matrices
from lumina_core.checkpoints.adapter_writing import MAGNITUDE, TRAINED, TRAINED_NAME
from lumina_core.checkpoints.differences import differences, has_same_latents
from lumina_core.checkpoints.formats import lasting_name
from lumina_core.checkpoints.manifest import BASE, TEXT_ENCODER, read_manifest
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.source import Source
from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.runtime import resolve_dtype
from lumina_core.training.init_from import init_source, read_weights, without_others
from lumina_core.training.settings import AdapterConfig, TrainConfig


def put_adapter(backbone: Network, config: AdapterConfig, seed: int) -> None:
    """Put an adapter on a backbone, whose own weights are frozen.

    Args:
        backbone: with the weights of its model; changed in place.
        config: of the adapter.
        seed: of its weights, which are float32.

    Raises:
        LuminaError: peft is not there, the backbone lacks a role, or no layer has such a rank.
    """
    names = linear_layers(backbone, config.targets)
    layers = [cast(nn.Linear, backbone.get_submodule(name)) for name in names]
    most = max(min(layer.weight.shape) for layer in layers)
    if config.rank > most:
        raise LuminaError(
            f"adapter.rank={config.rank} is above {most}, that of the largest layer that changes; "
            f"set 1 to {most}"
        )
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise LuminaError(
            f"adapter={config.name} needs another package; pip install 'lumina-core[adapters]' "
            f"({reason_of(error)})"
        ) from error
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.alpha or config.rank),  # of which peft takes the ratio
        target_modules=names,
        use_dora=config.name == "dora",
    )
    backbone.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(lora, backbone, TRAINED_NAME)
    for name, weight in backbone.named_parameters():
        if weight.requires_grad:
            assert name.endswith(TRAINED), name
            weight.data = weight.data.float()  # it begins in the type of the layer
            if name.endswith(MAGNITUDE):  # of a rounded norm, and would change something at once
                layer = backbone.get_submodule(name.removesuffix(MAGNITUDE))
                weight.data = torch.linalg.norm(cast(Tensor, layer.weight).float(), dim=1)


def freeze(networks: nn.ModuleDict, roles: tuple[str, ...]) -> None:
    """Freeze the weights of some roles.

    Args:
        networks: backbone and maybe text encoder.
        roles: of the backbone, and `text_encoder`.

    Raises:
        LuminaError: nothing has a role, or nothing is left to train.
    """
    frozen: dict[str, list[nn.Parameter]] = {role: [] for role in roles}
    for name, weight in networks["backbone"].named_parameters():
        if role_of(name) in frozen:
            frozen[role_of(name)].append(weight)
    if TEXT_ENCODER in roles and TEXT_ENCODER in networks:
        frozen[TEXT_ENCODER] = list(networks[TEXT_ENCODER].parameters())
    for role, weights in frozen.items():
        if not weights:
            raise LuminaError(
                f"freeze has {role}, and this run trains no weights of that role; leave it out"
            )
        for weight in weights:
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in networks.parameters()):
        raise LuminaError(f"freeze={list(roles)} leaves nothing to train; leave some role out")


def trained_share(shape: BackboneConfig, config: TrainConfig) -> float:
    """How many numbers a run trains for each weight of its backbone."""
    with torch.device("meta"):
        backbone = Backbone(shape)
    sizes = {name: weight.numel() for name, weight in backbone.named_parameters()}
    trained = sum(size for name, size in sizes.items() if role_of(name) not in config.freeze)
    if config.adapter.is_used:
        names = linear_layers(backbone, config.adapter.targets)
        shapes = [cast(nn.Linear, backbone.get_submodule(name)).weight.shape for name in names]
        trained = sum(config.adapter.rank * sum(shape) for shape in shapes)
        trained += sum(rows for rows, _ in shapes) if config.adapter.name == "dora" else 0
    return trained / sum(sizes.values())


def averaged_copy(networks: nn.ModuleDict) -> nn.ModuleDict:
    """The networks whose weights will be averages; frozen ones are the same tensors in both."""
    kept: list[Any] = [weight for weight in networks.parameters() if not weight.requires_grad]
    if isinstance(backbone := networks["backbone"], PackagedNetwork):
        kept.append(backbone.tokenizer)  # a part of the modality
    shared = {id(each): each for each in kept}
    return copy.deepcopy(networks, shared).requires_grad_(False).eval()


def kept_names(networks: nn.Module) -> set[str]:
    """Names of the weights that a run goes on with: all, or those of the adapter alone."""
    names = set(networks.state_dict())
    return {name for name in names if name.endswith(TRAINED)} or names


def check_packaged(config: TrainConfig, num_ranks: int) -> None:
    """Refuse what a training cannot do with the network of a package.

    Raises:
        LuminaError: says which setting.
    """
    asked = {
        "compile": config.compile,
        "attention": config.attention != "auto",
        "parallel": num_ranks > 1,
    }
    for key in [key for key, is_asked in asked.items() if is_asked]:
        what = f"{num_ranks} ranks are" if key == "parallel" else f"{key} is"
        raise LuminaError(
            f"{what} for the networks of this project, and init_from={config.init_from} has that "
            f"of another package; {'train on one' if key == 'parallel' else f'leave {key} out'}"
        )


def base_of(config: TrainConfig, newest: Path | None) -> Source:
    """The model on which a run trains an adapter.

    Args:
        config: of the run.
        newest: the checkpoint to go on from, which names its model and the hash of that; the model
            may stand in another place by now, if `init_from` says so.

    Raises:
        LuminaError: it is not there, or another one by now.
    """
    if newest is None:
        return init_source(str(config.init_from), [config.modality], download=config.download)
    told = read_manifest(newest)[BASE]
    reasons = []
    for name in dict.fromkeys((told["checkpoint"], str(config.init_from))):
        try:
            source = init_source(name, [config.modality], download=config.download)
            if source.sha256 == told["sha256"]:
                return source
            reasons.append(f"{source.path} holds other weights now")
        except (LuminaError, OSError) as error:
            reasons.append(reason_of(error))
    raise LuminaError(
        f"{newest} is an adapter of the model {printable(told['checkpoint'], MAX_REASON)}, which "
        f"is not there as it was: {'; '.join(reasons)}. Put it back, or say where it is: "
        "init_from=CHECKPOINT"
    )


def stored_base(source: Source) -> dict[str, str]:
    """What the manifest of an adapter says of its model."""
    return {"checkpoint": lasting_name(source.name), "sha256": source.sha256}


def read_base(source: Source, model: Model, dtype: str) -> None:
    """Put the weights of a model into a backbone as they are; an adapter is of nothing else.

    Args:
        source: the model.
        model: of the run, its backbone without weights yet, unless a package brings it; changed
            in place.
        dtype: in which the matrices of the blocks stand; the other weights are float32. The network
            of a package says itself which of its weights are.

    Raises:
        LuminaError: the model is damaged, or the run would change it in another way.
    """
    manifest, backbone = source.manifest, model.backbone
    source.verify()
    if model.name not in manifest["modalities"]:
        known = ", ".join(manifest["modalities"])
        raise LuminaError(f"{source.path} knows {known}, and an adapter of it no {model.name}")
    found = [each for each in differences(manifest, [model]) if not each.startswith(TEXT_ENCODER)]
    if not found and not has_same_latents(source, model, model.name):
        found = ["another autoencoder"]
    if found:
        raise LuminaError(
            f"{source.path} was trained with {'; '.join(found)}; an adapter changes its model as "
            "it is, so leave such settings out"
        )
    if isinstance(backbone, PackagedNetwork):  # it was read with its weights
        backbone.to(dtype=resolve_dtype(dtype))
        return
    own = set(block_matrices(backbone))
    lowered = {name for name, weight in backbone.named_parameters() if weight in own}
    try:
        weights = {
            # a copy: kernels round differently at the addresses of a file
            name: value.to(resolve_dtype(dtype if name in lowered else "float32"), copy=True)
            for name, value in without_others(read_weights(source), model.name).items()
        }
        backbone.load_state_dict(weights, strict=True, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise LuminaError(f"{source.path} does not fit: {reason_of(error)}") from error
