"""Models whose network another package brings: a folder of diffusers, or one of ours that names it.

`backbone.kind` of a manifest is the `_class_name` of diffusers; without it the network is ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from math import prod
from pathlib import Path
from re import search
from typing import Any, cast

from safetensors import SafetensorError

from lumina_core.backbone.network import PackagedNetwork
from lumina_core.checkpoints.manifest import KIND, VAE, made_manifest
from lumina_core.checkpoints.named import NamedModel, TextTower, lack_of_package
from lumina_core.checkpoints.source import Parts, Source, parts_of
from lumina_core.checkpoints.stored import Stored, open_weights
from lumina_core.checkpoints.weights import fill
from lumina_core.errors import MAX_NAME, MAX_REASON, LuminaError, printable, reason_of
from lumina_core.files.weights import built_within
from lumina_core.modality import Tokenizer
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import Plugin

TRANSFORMER = "transformer"
PIPELINE = "pipeline"  # beside the folders of networks: plain values of model_index.json
WRONG_CONFIGS = (
    *(LookupError, TypeError, ValueError, ArithmeticError),
    *(RuntimeError, AttributeError, AssertionError, NameError),
)
"""What is raised where configs of others describe no network."""


def network_class(kind: str, described: Mapping[str, NamedModel]) -> type[PackagedNetwork] | None:
    """The class of a kind of network; None where nobody has heard of it.

    Args:
        kind: of the network.
        described: models that have a name, by it.

    Raises:
        LuminaError: a model of this kind is described, and the package with its network is missing;
            or the class is none.
    """
    if (found := host.networks().get(kind)) is not None:
        return checked_class(*found)
    for name, model in described.items():
        if model.family == kind and model.package is not None:
            upgrade = f"the package {model.package} lacks the network of {name}; upgrade it"
            raise LuminaError(lack_of_package(name, model) or upgrade)
    return None


def checked_class(plugin: Plugin, path: str) -> type[PackagedNetwork]:
    """The class of a kind of network at `module:class`.

    Raises:
        LuminaError: it cannot be imported, or is no PackagedNetwork.
    """
    made = host.class_at(plugin, path)
    if not issubclass(made, PackagedNetwork):
        raise LuminaError(f"{plugin.title} is broken: {path} is no PackagedNetwork.")
    return made


def check_trained(named: str, kind: str) -> None:
    """Refuse to train a model whose network learns nothing here.

    Args:
        named: how the user names it.
        kind: of its network.

    Raises:
        LuminaError: it learns nothing; or as `network_class`.
    """
    network = network_class(kind, {})
    if network is not None and network.untrained is not None:
        raise LuminaError(
            f"init_from={printable(named, MAX_REASON)} has the network {network.__name__}, which "
            f"is not trained: {network.untrained}. Begin with another model; `lumina models` lists "
            "them"
        )


def packaged_source(
    path: Path,
    network: type[PackagedNetwork],
    config: Mapping[str, Any],
    stored: Stored,
    parts: Parts,
    model: NamedModel,
) -> Source:
    """A model in a folder of diffusers, with a manifest like ours.

    Args:
        path: the folder of the network, for messages.
        network: its class.
        config: of `transformer`.
        stored: the weights of `transformer`.
        parts: what stands beside it.
        model: whose description says how texts are read and samples made.

    Raises:
        LuminaError: the configs describe no network, or one that is not read.
    """
    beside = {name: place for name, place in parts.beside.items() if name in network.folders}
    configs = {TRANSFORMER: config} | {name: found for name, (found, _) in beside.items()}
    about: dict[str, Any] = {
        KIND: config["_class_name"],
        "configs": {name: _without_history(found) for name, found in configs.items()},
        "pipeline": dict(parts.pipeline),
    }
    try:
        manifest, notes = _manifest(network, about, model, parts.scheduler)
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error
    except WRONG_CONFIGS as error:
        raise LuminaError(f"{path} describes no network: {reason_of(error)}") from error
    return Source(
        name=parts.name or str(path),
        path=path,
        layout="diffusers",
        manifest=manifest,
        weights=(stored.path,),
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        beside={name: file for name, (_, file) in beside.items()},
        notes=tuple(notes),
    )


def described_source(name: str, model: NamedModel) -> Source:
    """A model that is not on this disk, as its description has it: for plans, without a file.

    Args:
        name: of the model.
        model: its description, which has `configs`.

    Raises:
        LuminaError: its package is missing, or the configs describe no network.
    """
    network = cast(type[PackagedNetwork], network_class(model.family, {name: model}))
    told = dict(model.configs or {})
    about: dict[str, Any] = {KIND: model.family, PIPELINE: told.pop(PIPELINE, {})}
    about["configs"] = {key: value for key, value in told.items() if key != VAE}
    try:
        manifest, _ = _manifest(network, about, model, None)
    except WRONG_CONFIGS as error:
        raise LuminaError(f"the configs of {name} describe no network: {reason_of(error)}") from (
            error
        )
    usual = dict(model.trained[0])
    return Source(name, Path(name), "diffusers", manifest, (), usual=usual, model=name)


def _manifest(
    network: type[PackagedNetwork],
    about: Mapping[str, Any],
    model: NamedModel,
    scheduler: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a network of a package, and notes for the user."""
    sampling, notes = dict(model.sampling), list[str]()
    options = {**model.options, **network.options(about)}
    entry = {"token_dim": network.token_dim(about), "options": options}
    if scheduler is not None:
        solver, notes = network.solver(about, scheduler)
        sampling["solver"] = {**sampling.get("solver", {}), **solver}
    reading = cast(TextTower, model.text_encoder).reading | {"hub_id": None}
    return made_manifest(about[KIND], {model.modality: entry}, about, reading, sampling), notes


def _without_history(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what says who wrote it, and where."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def size_of(stored: Stored) -> int:
    """Weights in files."""
    return sum(prod(tensor.shape) for tensor in stored.tensors.values())


def read_network(source: Source, tokenizer: Tokenizer) -> PackagedNetwork:
    """A network whose every weight comes from files, in the types stored there.

    Args:
        source: of the model.
        tokenizer: of its modality.

    Raises:
        LuminaError: its package is not there, or weights and configs do not belong together.
    """
    about, made_by = source.manifest["backbone"], _class_of(source)
    places = {TRANSFORMER: source.weights[0]} | dict(source.beside)
    files = {"": source.weights[0]} if source.is_ours else {f"{k}.": v for k, v in places.items()}
    try:
        stored = {start: open_weights(path) for start, path in files.items()}
        with built_within(file for each in stored.values() for file in each.files):
            network = made_by.made(about, tokenizer)
        fill(network, _tensors(stored, made_by.ignored))
    except (LuminaError, OSError, SafetensorError, *WRONG_CONFIGS) as error:
        raise LuminaError(
            f"{source.path} and its settings do not belong together: {reason_of(error)}"
        ) from error
    return network.eval().requires_grad_(False)


def empty_network(source: Source, tokenizer: Tokenizer) -> PackagedNetwork:
    """The network of a model on the meta device.

    Args:
        source: of the model, on this disk or described.
        tokenizer: of its modality.

    Raises:
        LuminaError: its package is not there, or the configs describe none.
    """
    files = [path for file in (*source.weights, *source.beside.values()) for path in parts_of(file)]
    about, made_by = source.manifest["backbone"], _class_of(source)
    try:
        with built_within(files) if files else nullcontext():
            return made_by.made(about, tokenizer)
    except (LuminaError, OSError, *WRONG_CONFIGS) as error:
        raise LuminaError(f"{source.path} describes no network: {reason_of(error)}") from error


def _class_of(source: Source) -> type[PackagedNetwork]:
    kind = str(source.manifest["backbone"][KIND])
    if (made_by := network_class(kind, {})) is None:
        name = printable(kind, MAX_NAME)
        raise LuminaError(f"{source.path} has a network {name}, which no installed package brings")
    return made_by


def _tensors(stored: Mapping[str, Stored], ignored: tuple[str, ...]) -> Iterator[Any]:
    """The name of each weight in the network, and what reads it."""
    for start, each in stored.items():
        for name in each.tensors:
            if not any(search(pattern, name) for pattern in ignored):
                yield start + name, partial(each.read, name)
