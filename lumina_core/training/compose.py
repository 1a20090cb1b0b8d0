"""From the words of `train`, `train-vae` and `cache` to their records."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.formats import find_source
from lumina_core.checkpoints.manifest import KIND
from lumina_core.checkpoints.named import named_model
from lumina_core.checkpoints.newest import DEMO
from lumina_core.checkpoints.source import demo_source, fixed_options
from lumina_core.config.compose import composed, each_of
from lumina_core.config.keys import Command
from lumina_core.config.layers import Layers, advised, build_record
from lumina_core.config.modality_file import read_modality_file
from lumina_core.config.several import MIXING
from lumina_core.config.values import parse_value
from lumina_core.config.words import Overrides
from lumina_core.data.caches.manifest import caches_at, read_manifest
from lumina_core.data.settings import IndexConfig, PoolConfig
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.modality import has_weights
from lumina_core.plugins import host
from lumina_core.records import build, plain
from lumina_core.sampling.compose import compose_sampling
from lumina_core.text.settings import Reading
from lumina_core.training.encoding_settings import CacheConfig, TrainVAEConfig
from lumina_core.training.settings import (
    NO_ADAPTER,
    OWN,
    TRAINING_SETTINGS,
    TrainConfig,
    mixing_of,
    shares_of,
)
from lumina_core.training.written_settings import SETTINGS, default_out, placed, read_settings

ADAPTER_RATE = 1e-4  # as trainers of such models have it
OF_ORDER = ("shuffle_window", "num_workers")
"""Keys of a stream that are of no use where everything is encoded once."""


def modalities_named(values: Mapping[str, str]) -> list[str]:
    """The modalities of the training that goes on, or of what a new one begins with."""
    if values.get("resume") == "true" and values.get("out"):
        found = read_settings(Path(values["out"]).expanduser()).get("modality")
        return [found] if isinstance(found, str) else list(found or ())
    named = values.get("init_from")
    if named in (None, "", "null", DEMO):
        return []
    _check_trained(str(named))
    source = find_source(str(named), download=values.get("download") == "true")
    return list(source.manifest["modalities"])


def _check_trained(named: str, kind: str | None = None) -> None:
    """Refuse a model of a package that learns nothing, by its name before it is fetched.

    Args:
        named: by `init_from`.
        kind: of its network; None: its name says it, if anything does.

    Raises:
        LuminaError: it learns nothing, or its description cannot be used.
    """
    if kind is None and not Path(named).expanduser().exists():
        model = named_model(named)
        kind = model.family if model is not None and model.package is not None else None
    if kind is not None:
        from lumina_core.checkpoints.packaged import check_trained  # brings torch

        check_trained(named, kind)


def compose_train(overrides: list[str]) -> TrainConfig:
    """What `train` is asked for; see `compose_run`. With `resume=true` the folder `out` gives the
    rest.
    """
    return composed_training(TRAIN, overrides)


def composed_training(command: Command, overrides: list[str]) -> Any:
    """The record of a command that asks for what `train` does."""
    layers = composed(command, overrides)
    record, names = command.record, list(layers.members) or [layers.name]

    def config_of(name: str) -> Any:
        own = layers.members.get(name, layers)
        return own.built(lambda values: _training_of(record, name, values, names))

    configs = each_of(names, config_of)
    first = configs[names[0]]
    if len(names) == 1:
        return first
    for key, is_used in (("adapter", first.adapter.is_used), ("start_data", first.start_data)):
        if is_used:
            raise LuminaError(
                f"{key} is for one modality, not for {', '.join(names)}. Choose one: "
                f"+modality={names[0]}"
            )
    parts: Any = build(mixing_of(tuple(names)), layers.values[MIXING], f"{MIXING}.")
    shares = shares_of({name: getattr(parts, name) for name in names})
    joint = {name: each.as_member(shares[name]) for name, each in configs.items()}
    return replace(first, joint=joint, note=layers.note)


def compose_train_vae(overrides: list[str]) -> TrainVAEConfig:
    """What `train-vae` is asked for; see `compose_run`."""
    layers = composed(TRAIN_VAE, overrides)
    return layers.built(lambda values: _vae_training_of(layers.name, values))


def compose_cache(overrides: list[str]) -> CacheConfig:
    """What `cache` is asked for; see `compose_run`."""
    layers = composed(CACHE, overrides)
    name = layers.name

    def made(values: dict[str, Any]) -> CacheConfig:
        return build_record(
            CacheConfig, name, {**values, "out": values["out"] or f"outputs/{name}-cache"}
        )

    return layers.built(made)


def _put_advised_data(layers: Layers) -> None:
    """Put what a modality recommends for training, as far as it says what is encoded.

    Raises:
        LuminaError: a key of the pool or of an order is written, which a training has.
    """
    for key in (*(field.name for field in fields(PoolConfig)), *OF_ORDER):
        if f"data.{key}" in layers.words.values:
            raise LuminaError(
                f"data.{key} has no effect in cache, which encodes all; it is a key of train"
            )
    file = read_modality_file(layers.name)
    if file is not None and TRAIN.advice is not None:
        advice = file.advice[TRAIN.advice]
        own = {key: value for key, value in advice.items() if key in layers.command.blocks}
        layers.put(own, host.find(layers.name).package, f"{file.path}, {TRAIN.advice}")
        layers.close(file.path)


def compose_index(overrides: list[str]) -> IndexConfig:
    """What `index` is asked for; see `compose_run`."""
    layers = composed(INDEX, overrides)
    return layers.built(lambda values: build_record(IndexConfig, layers.name, values))


def check_modality_file(name: str) -> None:
    """Refuse a modality's YAML that does not fit the keys of the core.

    Raises:
        LuminaError: it cannot be read, or recommends what is no key, wrong, or acts for the user.
    """
    compose_sampling(name)
    advised(TRAIN, name).built(lambda values: _training_of(TrainConfig, name, values))


def _training_of(
    record: type, name: str, values: Mapping[str, Any], names: Sequence[str] = ()
) -> Any:
    out = values["out"] or default_out(names or [name])
    return build_record(record, name, {**values, "out": out})


ROPE = "backbone.rope_dims"


def _together(key: str, values: Sequence[Any]) -> Any:
    """What modalities with different recommendations can all live with.

    The longest training, and batches that hold the longest samples; positions on every axis that
    one of them has.
    """
    if key in ("max_steps", "token_budget"):
        return max(values)
    if key == ROPE:
        axes = [{axis for axis, dim in enumerate(dims or ()) if dim} for dims in values]
        every = set.union(*axes)
        return next((dims for dims, own in zip(values, axes, strict=True) if own == every), None)
    return None


def _vae_training_of(name: str, values: Mapping[str, Any]) -> TrainVAEConfig:
    out = values["out"] or f"outputs/{name}-vae"
    return build_record(TrainVAEConfig, name, {**values, "out": out})


def _put_settings(layers: Layers) -> None:
    """Put the settings of a training that goes on, or those of a released model it begins with."""
    if not layers.known:
        _put_released(layers)
        _put_cached(layers)
        return
    path = _out_of(layers.words) / SETTINGS
    for key, value in layers.known.items():
        if key in layers.command.groups and isinstance(value, Mapping):
            layers.replace(key, value, SETTINGS)
        elif key == "options":
            layers.put({"modality": value}, SETTINGS, str(path))
        elif key not in ("modality", MIXING):
            layers.put({key: value}, SETTINGS, str(path))
    layers.close(path)


def _put_released(layers: Layers) -> None:
    """Put what the weights of a released model or of the demo fix, and of any model of which an
    adapter is trained: the backbone, and what its latents are.
    """
    words, name = layers.words, layers.name
    choices = (words.file.choices if words.file else {}) | words.choices
    is_adapted = choices.get("adapter", NO_ADAPTER) != NO_ADAPTER
    named, trained = words.values.get("init_from"), words.modalities or [name]
    if named in (None, "", "null"):
        return
    _check_trained(str(named))
    try:
        if named == DEMO:
            source = demo_source(trained, "give init_from=FOLDER")
        else:
            source = find_source(str(named), download=words.values.get("download") == "true")
    except LuminaError:  # the start of the training says it
        return
    manifest = source.manifest
    is_packaged = KIND in manifest["backbone"]
    if is_packaged:
        _check_trained(str(named), manifest["backbone"][KIND])
    if is_packaged and not is_adapted:
        shown = printable(str(named), MAX_REASON)
        raise LuminaError(
            f"init_from={shown} has a network of another package, of which an adapter is trained "
            "and not the weights; give adapter=lora"
        )
    is_fixed = manifest["family"] or is_adapted or named == DEMO
    if not is_fixed or not set(trained) & manifest["modalities"].keys():
        return
    if is_packaged:
        if asked := [key for key in words.values if key.partition(".")[0] == "backbone"]:
            raise LuminaError(f"{asked[0]} is fixed by init_from={named}; leave it out")
        layers.put(_of_packaged(manifest), str(named))
    else:
        layers.replace("backbone", manifest["backbone"], str(named))
    if name not in manifest["modalities"]:
        return
    options = fixed_options(name, manifest)
    vae = source.vae_folder(name) or source.usual.get("vae")
    if vae is not None and has_weights(host.options_class(name)):
        options |= {"vae": DEMO if named == DEMO else str(vae)}
    layers.put({"modality": options}, str(named))


def _of_packaged(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What is recommended for an adapter of the network of a package, and where no separators are.

    Times are drawn as the model steps, if it shifts by one number.
    """
    shift = (manifest["sampling"].get("solver") or {}).get("shift")
    time = {"distribution": "uniform"} | ({"shift": shift} if isinstance(shift, float) else {})
    return {
        "backbone": {"separators": False},
        "time": time,
        "optimizer": {"name": "adamw", "learning_rate": ADAPTER_RATE},
        "condition_share": 0.0,
        "position_jitter": 0.0,
    }


def _put_cached(layers: Layers) -> None:
    """Put what the latents and features of a cache fix: options, autoencoder and text encoder."""
    words, named = layers.words, layers.words.values.get("data.path")
    choices = (words.file.choices if words.file else {}) | words.choices
    if choices.get("data") != CACHE.name or named is None:
        return
    try:
        manifest = read_manifest(caches_at(Path(named))[0])
    except LuminaError:  # the start of the training says it
        return
    if manifest["modality"] != layers.name:
        return
    known = layers.values["modality"].keys()
    options = {k: v for k, v in manifest["encoding"]["options"].items() if k in known}
    if "vae" in manifest["named"]:
        options["vae"] = manifest["named"]["vae"]
    layers.put({"modality": options}, named)
    if made := manifest["text_encoder"]:
        reading = {key: made[key] for key in plain(Reading) if key in made}
        own = {"path": manifest["named"]["text_encoder"], "trainable": False}
        layers.put({"text_encoder": reading | own}, named)


def _resumed_settings(words: Overrides) -> dict[str, Any]:
    """The settings of the run that is to go on; empty for one that begins.

    Raises:
        LuminaError: there is none, or it began with other weights than `init_from` names now.
    """
    if "resume" not in words.values or parse_value("resume", words.values["resume"]) is not True:
        return {}
    if "out" not in words.values and not words.modalities:
        raise LuminaError("resume=true needs the folder of a training: out=FOLDER")
    out = _out_of(words)
    settings = read_settings(out)
    named = words.values.get("init_from")
    is_adapted = (settings.get("adapter") or {}).get("name") not in (None, NO_ADAPTER)
    # the model of an adapter may have moved; its hash says whether it is the same
    if (
        not is_adapted
        and named is not None
        and settings.get("init_from") not in (named, placed(named))
    ):
        raise LuminaError(
            f"resume=true goes on with the weights in out={out}; leave out init_from={named}, "
            "with which a run only begins"
        )
    return settings


def _out_of(words: Overrides) -> Path:
    """The folder of a training that is to go on, whose modality is named if the folder is not."""
    return Path(words.values.get("out") or default_out(words.modalities))


TRAIN = Command(
    "train",
    TrainConfig,
    modalities_named,
    "training",
    TRAINING_SETTINGS,
    "init_from",
    _resumed_settings,
    _put_settings,
    OWN,
    mixing_of,
    _together,
)
INDEX = Command("index", IndexConfig, lambda values: [])
TRAIN_VAE = Command("train-vae", TrainVAEConfig, lambda values: [])
CACHE = Command("cache", CacheConfig, lambda values: [], between=_put_advised_data)
