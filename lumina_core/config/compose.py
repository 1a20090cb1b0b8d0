"""From the words of a command to its record.

layers.py composes plain values; here they become the records of command_records.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lumina_core.checkpoints.manifest import MANIFEST
from lumina_core.checkpoints.newest import DEMO, modalities_of
from lumina_core.config.keys import CHECKPOINT_KEYS, RAW_KEYS
from lumina_core.config.layers import (
    merge_layers,
    modality_options,
    recommended_sampling,
    recommended_training,
)
from lumina_core.config.modality_file import build_condition, build_options
from lumina_core.config.values import parse_value
from lumina_core.config.words import CONDITIONED_COMMANDS, Overrides, sort_overrides
from lumina_core.errors import LuminaError, reason_of
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import modality_yaml
from lumina_core.program import program
from lumina_core.records import build
from lumina_core.sampling.file_request import read_request
from lumina_core.sampling.settings import RunConfig, Sampling
from lumina_core.training.settings import TrainConfig, TrainVAEConfig
from lumina_core.training.written_settings import SETTINGS, default_out, placed, read_settings

if TYPE_CHECKING:
    pass


_DATA_RECORDS = {
    "synthetic": "SyntheticConfig",
    "folder": "FilesConfig",
    "manifest": "FilesConfig",
}
"""By `data.name`."""

T = TypeVar("T")


def compose_run(overrides: list[str]) -> RunConfig:
    """The request of `run`.

    Args:
        overrides: `key=value` each, among them `modality=NAME` and `prompt=...`; the prompt and
            paths are taken letter by letter. With `repeat=FILE` that file gives the rest.

    Raises:
        LuminaError: an unknown, refused or wrong key or value, or an unusable modality.
    """
    return _compose_request("run", overrides)


def compose_infer(overrides: list[str]) -> RunConfig:
    """The request of `infer`: that of `run`, and where nothing says the modality the usual one."""
    return _compose_request("infer", overrides)


def _compose_request(command: str, overrides: list[str]) -> RunConfig:
    words = sort_overrides(overrides, command)
    request = _repeated_request(words)
    name = _one_modality(command, words, request.get("modality"))
    values, options = merge_layers("run", name, words, request)
    if values["prompt_file"] is not None:
        _refuse_second_prompt(values)
        values["prompt"] = ""
    if values["prompt"] is None:
        raise LuminaError(_lack_of_prompt(command, words))
    with _blaming_files("run", name, words, request):
        values["condition"] = _condition(name, values["condition"], request)
        return _build(RunConfig, name, values, options)


def compose_evaluate(overrides: list[str]) -> EvaluateConfig:
    """What `evaluate` is asked for; see `compose_run`."""
    words = sort_overrides(overrides, "evaluate")
    name = _one_modality("evaluate", words)
    values, options = merge_layers("evaluate", name, words)
    with _blaming_files("evaluate", name, words):
        return _build(EvaluateConfig, name, values, options)


def compose_train(overrides: list[str]) -> TrainConfig:
    """What `train` is asked for; see `compose_run`. With `resume=true` the folder `out` gives the
    rest.
    """
    words = sort_overrides(overrides, "train")
    settings = _resumed_settings(words)
    name = _one_modality("train", words, settings.get("modality"))
    with _blaming_files("train", name, words, settings):
        return _composed_train(name, words, settings)


def _composed_train(name: str, words: Overrides, settings: Mapping[str, Any]) -> TrainConfig:
    values, options = merge_layers("train", name, words, settings)
    return _build(TrainConfig, name, _train_values(name, values), options)


def compose_train_vae(overrides: list[str]) -> TrainVAEConfig:
    """What `train-vae` is asked for; see `compose_run`."""
    words = sort_overrides(overrides, "train-vae")
    name = _one_modality("train-vae", words)
    values, options = merge_layers("train-vae", name, words)
    values["out"] = values["out"] or f"outputs/{name}-vae"
    return _build(TrainVAEConfig, name, values, options)


def compose_sampling(name: str, recommended: Mapping[str, Any] | None = None) -> Sampling:
    """How a modality's samples are made where no user says otherwise.

    Args:
        name: the modality.
        recommended: by a checkpoint.
    """
    values = recommended_sampling(name, recommended or {})
    used = {field.name: values[field.name] for field in fields(Sampling)}
    return build(Sampling, used, namespace=_namespace(Sampling))


def compose_options(name: str, stored: Mapping[str, Any] | None = None) -> Any:
    """A modality's options as its YAML has them, with those that a checkpoint fixes."""
    return build_options(name, modality_options(name) | dict(stored or {}))


def _one_modality(command: str, words: Overrides, known: str | None = None) -> str:
    """The modality that is chosen, or `known` from the file or folder that a command goes on with.

    Raises:
        LuminaError: none, several, one that is not there, or another than `known`.
    """
    names = words.modalities or [name for name in (known,) if name is not None]
    names = names or _names_of_checkpoint(command, words)
    if not names and command == "infer":
        names = [host.usual()]
    if not names:
        raise LuminaError(f"no modality chosen. Add +modality=NAME; {host.present()}")
    for name in names:
        host.find(name)
    if len(names) > 1:
        raise LuminaError(
            f"+modality=[{','.join(names)}] names {len(names)} modalities; this version works on "
            f"one at a time. Choose one: +modality={names[0]}"
        )
    if known not in (None, names[0]):
        key = "repeat" if command in CONDITIONED_COMMANDS else "out"
        raise LuminaError(
            f"{key}={words.values.get(key)} is of modality {known!r}, not {names[0]!r}. Leave out "
            f"+modality={names[0]}."
        )
    return names[0]


def _names_of_checkpoint(command: str, words: Overrides) -> list[str]:
    """The modality of the checkpoint that is named; empty where none is.

    Raises:
        LuminaError: it has several, or there is no checkpoint.
    """
    key = CHECKPOINT_KEYS.get(command, "")
    folder = words.values.get(key)
    if folder in (None, DEMO):
        return []
    names = modalities_of(Path(folder))
    if len(names) > 1:
        raise LuminaError(
            f"{key}={folder} was trained on {', '.join(names)}; choose one: +modality={names[0]}"
        )
    return names


def _condition(name: str, values: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """What is given beside the prompt, the plugin's part of it as its own record."""
    numbers = dict(values)
    strength = numbers.pop("strength")
    for key, sha256 in (request.get("condition") or {}).get("files", {}).items():
        _check_given_again(key, numbers.get(key), sha256)
    record = host.condition_class(name)
    wanted: Any = None
    if record and any(value is not None for value in numbers.values()):
        wanted = build_condition(name, numbers)
    return {"strength": strength, "wanted": wanted}


def _check_given_again(key: str, path: str | None, sha256: str) -> None:
    """Refuse another file than the one that a repeated request was made from."""
    if path is None:
        raise LuminaError(
            f"the repeated file was made from condition.{key}; give it again: condition.{key}=FILE"
        )
    from lumina_core.files.hashes import sha256_of

    try:
        found = sha256_of(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise LuminaError(f"condition.{key}={path} cannot be read: {reason}") from error
    if found != sha256:
        raise LuminaError(
            f"condition.{key}={path} differs from the file that the repeated one was made from; "
            "give the same file, or the prompt and settings instead of repeat=FILE"
        )


def _refuse_second_prompt(values: Mapping[str, Any]) -> None:
    for key in ("repeat", "prompt"):
        if values[key] is not None:
            raise LuminaError(
                f"{key} and prompt_file={values['prompt_file']} both say what to show. "
                "Leave one of them out."
            )


def _lack_of_prompt(command: str, words: Overrides) -> str:
    for key, text in words.values.items():
        if " " in text and key not in RAW_KEYS:
            return (
                f"no prompt: '{key}={text}' was read as the setting {key}. "
                "Put -- before a prompt like this."
            )
    modality = "".join(f"+modality={name} " for name in words.modalities)
    return f'no prompt. Write what to show, in quotes: {program()} {command} {modality}"..."'


def _resumed_settings(words: Overrides) -> dict[str, Any]:
    """The settings of the run that is to go on; empty for one that begins.

    Raises:
        LuminaError: there is none, or it began with other weights than `init_from` names now.
    """
    if parse_value("resume", words.values.get("resume", "false")) is not True:
        return {}
    if "out" not in words.values and not words.modalities:
        raise LuminaError("resume=true needs the folder of a training: out=FOLDER")
    out = _out_of(words)
    settings = read_settings(out)
    named = words.values.get("init_from")
    if named is not None and settings.get("init_from") not in (named, placed(named)):
        raise LuminaError(
            f"resume=true goes on with the weights in out={out}; leave out init_from={named}, "
            "with which a run only begins"
        )
    return settings


def _repeated_request(words: Overrides) -> dict[str, Any]:
    path = words.values.get("repeat")
    if path is None:
        return {}
    return read_request(Path(path))


@contextmanager
def _blaming_files(
    command: str, name: str, words: Overrides, request: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Where values are refused that stand in a file, name the file and not the user.

    It is the file's fault where the values up to its own are refused alike without the user's.
    """
    try:
        yield
    except LuminaError as error:
        for source, check in _layers_of_files(command, name, words, request or {}):
            try:
                check()
            except LuminaError as fault:
                if str(fault) == str(error):
                    raise LuminaError(f"{source}: {fault}") from fault
        raise


def _layers_of_files(
    command: str, name: str, words: Overrides, request: Mapping[str, Any]
) -> Iterator[tuple[Path, Callable[[], object]]]:
    """The files that set values, in their order, each with a check of the values up to its own."""
    keys = ("out",) if command == "train" else ("checkpoint", "repeat")
    bare = words._replace(
        choices={}, options={}, values={k: v for k, v in words.values.items() if k in keys}
    )
    if command == "train":
        yield modality_yaml(name), lambda: _check_training(name)
        if request:
            yield _out_of(words) / SETTINGS, lambda: _composed_train(name, bare, request)
        return
    yield modality_yaml(name), lambda: compose_sampling(name)
    folder = merge_layers("run", name, bare)[0]["checkpoint"]
    if folder is not None:
        yield Path(folder) / MANIFEST, lambda: _check_request(name, bare, {})
    if request:
        yield Path(words.values["repeat"]), lambda: _check_request(name, bare, request)


def _check_training(name: str) -> None:
    """Refuse what a modality's YAML recommends for training."""
    values = _train_values(name, recommended_training(name))
    named = values | {"modality": name, "options": None}
    build(TrainConfig, named, namespace=_namespace(TrainConfig))


def _check_request(name: str, words: Overrides, request: Mapping[str, Any]) -> None:
    """Refuse what a checkpoint recommends, or a file that is repeated holds; its files aside."""
    values, options = merge_layers("run", name, words, request)
    condition = {k: v for k, v in (request.get("condition") or {}).items() if k != "files"}
    values["condition"] = _condition(name, values["condition"], {"condition": condition})
    values["prompt"] = values["prompt"] or "a prompt"  # the user's
    _build(RunConfig, name, values, options)


def _out_of(words: Overrides) -> Path:
    """The folder of a training that is to go on, whose modality is named if the folder is not."""
    return Path(words.values.get("out") or default_out(words.modalities[0]))


def _train_values(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The merged values with what `train` decides itself."""
    return {
        **values,
        "out": values["out"] or default_out(name),
        "backbone": {**values["backbone"], "token_dims": {}, "feature_dims": {}},
        "data": _data_record(values["data"]),
    }


def _build(record: type[T], name: str, values: dict[str, Any], options: dict[str, Any]) -> T:
    """The record of a command; the options are built first, for they say the most."""
    filled = values | {"modality": name, "options": build_options(name, options)}
    return build(record, filled, namespace=_namespace(record))


def _namespace(record: Any) -> dict[str, Any]:
    """The records that stand in another, by name."""
    wanted = " ".join(str(field.type) for field in fields(record))
    return {
        type_name: getattr(import_module(module), type_name)
        for type_name, module in RECORD_HOMES.items()
        if type_name in wanted
    }


def _data_record(values: dict[str, Any]) -> Any:
    """The record of the chosen kind of data."""
    name = values["name"]
    if not isinstance(name, str) or name not in _DATA_RECORDS:
        raise LuminaError(f"data.name={name!r} is unknown; use {', '.join(_DATA_RECORDS)}")
    record = _DATA_RECORDS[name]
    return build(getattr(import_module(RECORD_HOMES[record]), record), values, "data.")


RECORD_HOMES = {
    "FlagDiTConfig": "lumina_core.backbone.settings",
    "RopeScaling": "lumina_core.backbone.settings",
    "CoarseConfig": "lumina_core.sampling.settings",
    "Condition": "lumina_core.sampling.settings",
    "SyntheticConfig": "lumina_core.data.settings",
    "FilesConfig": "lumina_core.data.settings",
    "GuidanceConfig": "lumina_core.flow.settings",
    "TimeConfig": "lumina_core.flow.settings",
    "SolverConfig": "lumina_core.flow.settings",
    "OptimizerConfig": "lumina_core.training.settings",
    "TextEncoderConfig": "lumina_core.text.settings",
}
"""Records beside their readers, imported once a composition is right: some of them bring torch."""
