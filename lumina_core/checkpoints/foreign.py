"""The manifest that weights of others lack: from their settings, shapes and names.

How texts are read and samples made stands in no file of weights. It comes from the description of
the named model of the same family that is most alike: that draws noise at its steps as the
scheduler does, whose name stands in the path, whose size and shift are most alike, else the first.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any

from lumina_core.backbone.families.layouts import (
    Family,
    check_names,
    config_of,
    pieces,
    recognised,
    values_of_shapes,
)
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.checkpoints.consolidated import open_parts
from lumina_core.checkpoints.manifest import VAE, made_manifest
from lumina_core.checkpoints.named import NamedModel, read_model
from lumina_core.checkpoints.newest import DEMO
from lumina_core.checkpoints.packaged import WRONG_CONFIGS, network_class, packaged_source, size_of
from lumina_core.checkpoints.source import Parts, Source
from lumina_core.checkpoints.stored import Stored, open_weights, without_prefix
from lumina_core.errors import MAX_NAME, LuminaError, printable, reason_of
from lumina_core.files.weights import built_within
from lumina_core.flow.scheduler import solver_of_scheduler
from lumina_core.flow.settings import PING_PONG
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import model_files


def foreign_source(
    path: Path, files: Sequence[Path], parts: Parts, config: Mapping[str, Any] | None
) -> Source:
    """Weights of others with a manifest like ours.

    Args:
        path: the folder or file, for messages.
        files: of the backbone: one, an index, or all parallel parts.
        parts: what stands beside them.
        config: of diffusers, for the weights; None: there is none.

    Raises:
        LuminaError: it is of no known family, or damaged; names the key or tensor.
    """
    stored = open_backbone(files)
    shapes = {key: tensor.shape for key, tensor in stored.tensors.items()}
    found = recognised(FAMILIES.values(), shapes) or _of_class(config)
    if found is None:
        kind = "" if config is None else str(config.get("_class_name"))
        network = network_class(kind, _known(kind))
        if network is None or config is None:
            raise _unknown(path, config, shapes)
        described = _described(path, kind, parts, size_of(stored))
        source = packaged_source(path, network, config, stored, parts, described[1])
        usual, dtype = _usual(described[1], parts), _usual_dtype(stored)
        return replace(source, usual=usual, model=described[0], dtype=dtype)
    family, layout_name = found
    layout = family.layouts[layout_name]
    try:
        settings, patch_size = _settings(family, layout_name, config, shapes)
        with built_within(stored.files):
            backbone = resolved(config_of(settings, family.modality))
            channels = backbone.token_dims[family.modality] // patch_size**2
            wanted = pieces(backbone, layout, channels)
    except (LuminaError, *WRONG_CONFIGS) as error:
        raise LuminaError(f"{path} describes no network: {reason_of(error)}") from error
    check_names(wanted, layout, shapes, str(path))
    model_name, model = _described(path, family.name, parts)
    usual = _usual(model, parts)
    return Source(
        name=parts.name or str(path),
        path=path,
        layout=layout_name,
        manifest=_manifest(path, family, backbone, patch_size, model, parts.scheduler),
        weights=tuple(files),
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        usual=usual,
        model=model_name,
        channels=channels,
        dtype=_usual_dtype(stored),
    )


def _usual_dtype(stored: Stored) -> str:
    """The type of most weights, as `dtype` calls it."""
    counts: Counter[str] = Counter()
    for tensor in stored.tensors.values():
        counts[tensor.dtype] += prod(tensor.shape)
    usual = counts.most_common(1)[0][0]
    return {"BF16": "bfloat16", "F16": "float16"}.get(usual, "float32")


def resolved(config: BackboneConfig) -> BackboneConfig:
    """The same architecture with every size that follows from others written out."""
    return replace(
        config,
        num_kv_heads=config.kv_heads,
        conditioning_size=config.condition_dim,
        multiple_of=1,
        ffn_dim_multiplier=None,
        ffn_size=config.ffn_dim,
        time_size=config.time_dim,
        qk_norm_eps=config.qk_eps if config.qk_norm else None,
    )


def _usual(model: NamedModel, parts: Parts) -> dict[str, Any]:
    """Options with which a model was trained: what its training says of itself comes first."""
    usual = dict(model.trained[0])
    size, vae = parts.arguments.get("image_size"), parts.arguments.get(VAE)
    if type(size) is int:
        usual |= {key: size for key in ("height", "width") if key in usual}
    if parts.vae is None:
        is_known = vae in host.vae_files(model.modality)
        described = model.vae and (model.vae.hub_id or model.hub_id)
        usual[VAE] = str(vae) if is_known else described or DEMO
    return usual


def open_backbone(files: Sequence[Path]) -> Stored:
    """The tensors of a backbone, without the names of what was around it.

    Raises:
        LuminaError: a file is damaged, or they do not belong together.
    """
    stored = open_weights(files[0]) if len(files) == 1 else open_parts(files)
    return without_prefix(stored)


def _of_class(config: Mapping[str, Any] | None) -> tuple[Family, str] | None:
    """The family that a config.json names, where the tensors that tell it are damaged."""
    name = None if config is None else config.get("_class_name")
    known = (family for family in FAMILIES.values() if family.diffusers_class == name)
    family = next(known, None) if name is not None else None
    return None if family is None else (family, "diffusers")


def _unknown(
    path: Path, config: Mapping[str, Any] | None, shapes: Mapping[str, Any]
) -> LuminaError:
    known = ", ".join([*FAMILIES, *host.networks()])
    if config is not None:
        what = f"a {printable(str(config.get('_class_name')), MAX_NAME)} of diffusers"
    else:
        first = printable(next(iter(shapes), "nothing"), MAX_NAME)
        what = f"weights of no known family (the first is {first})"
    return LuminaError(f"{path} holds {what}; families that are read: {known}")


def _settings(
    family: Family,
    layout_name: str,
    config: Mapping[str, Any] | None,
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, Any], int]:
    """The settings of a backbone, and its patch size.

    Raises:
        LuminaError, WRONG_CONFIGS: the config or the shapes give none.
    """
    if config is None or family.values_of_config is None:
        return values_of_shapes(family, family.layouts[layout_name], shapes), family.patch_size
    class_name = config.get("_class_name")
    if class_name != family.diffusers_class:
        raise LuminaError(
            f"its config.json says {printable(str(class_name), MAX_NAME)}, and the weights are "
            f"those of a {family.diffusers_class}; copy it again"
        )
    try:
        values = family.values_of_config(config)
    except KeyError as error:
        raise LuminaError(f"its config.json lacks {error.args[0]}; copy it again") from error
    return values, int(values["patch_size"])


def _known(family: str) -> dict[str, NamedModel]:
    """The models of a family that have a name."""
    known: dict[str, NamedModel] = {}
    for name, file in model_files().items():
        with suppress(LuminaError):  # a broken description of a stranger; `lumina models` says it
            known[name] = read_model(file)
    return {name: model for name, model in known.items() if model.family == family}


def _described(path: Path, family: str, parts: Parts, size: int = 0) -> tuple[str, NamedModel]:
    """The named model of a family whose description holds for a path, and its name.

    Args:
        path: of the weights.
        family: to which they belong.
        parts: what stands beside them.
        size: how many weights there are, where that tells one model from another; else 0.
    """
    if parts.description is not None:
        return str(parts.name), parts.description
    known, scheduler = _known(family), parts.scheduler
    if not known:
        raise LuminaError(
            f"{path} holds weights of the family {family}, and no installed package describes "
            "such a model; install one that does, such as lumina-image"
        )
    place = _letters(str(path.absolute()))

    def likeness(name: str) -> tuple[bool, int, int, int, bool]:
        model = known[name]
        words = {_letters(each) for each in (name, model.hub_id.rpartition("/")[2])}
        named = max((len(word) for word in words if word in place), default=0)
        solver = model.sampling.get("solver", {})
        distance = abs(model.backbone.num_parameters - size) if size else 0
        beside = {part.folder for part in model.beside}
        fitting = len(beside) if beside <= parts.beside.keys() else -1
        is_random = solver.get("name") == PING_PONG
        is_shift = scheduler is not None and scheduler.get("shift") == solver.get("shift")
        is_alike = scheduler is None or is_random == scheduler.get("stochastic_sampling", False)
        return is_alike, named, fitting, -distance, is_shift

    best = max(known, key=likeness)  # the first of those that are alike
    return best, known[best]


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _manifest(
    path: Path,
    family: Family,
    config: BackboneConfig,
    patch_size: int,
    model: NamedModel,
    scheduler: Mapping[str, Any] | None,
) -> dict[str, Any]:
    backbone = asdict(config)
    (token_dim,) = backbone.pop("token_dims").values()
    del backbone["feature_dims"]
    tower = model.text_encoder
    if tower is None:
        about: dict[str, Any] = {"max_tokens": 1, "hub_id": None}
        about |= {} if model.labels is None else {"labels": model.labels}
    else:
        about = tower.reading | {"hub_id": tower.hub_id or model.hub_id}
    sampling = dict(model.sampling)
    if scheduler is not None:
        try:
            sampling["solver"] = {**sampling.get("solver", {}), **solver_of_scheduler(scheduler)}
        except LuminaError as error:
            raise LuminaError(f"{path}: {error}") from error
    options = dict(model.options)
    if "patch_size" in options:
        options["patch_size"] = patch_size
    modalities = {model.modality: {"options": options, "token_dim": token_dim}}
    return made_manifest(family.name, modalities, backbone, about, sampling)
