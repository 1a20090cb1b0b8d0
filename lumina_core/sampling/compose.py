"""From the words of `run` and `infer` to a request.

The layers of a checkpoint and of a file that is made again stand between what a modality
recommends and what is written.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.formats import find_source
from lumina_core.checkpoints.manifest import MANIFEST, recommended
from lumina_core.checkpoints.source import Source, fixed_options, own_source
from lumina_core.config.compose import composed
from lumina_core.config.keys import Command
from lumina_core.config.layers import Layers, advised, build_record
from lumina_core.config.modality_file import build_condition
from lumina_core.config.words import Overrides
from lumina_core.errors import LuminaError, unknown_key, why
from lumina_core.plugins import demos, host
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.program import program
from lumina_core.records import as_text, build, fixed_names, untold
from lumina_core.sampling.adapters import ADAPTERS, given_again
from lumina_core.sampling.file_request import read_request
from lumina_core.sampling.settings import SAMPLING_SETTINGS, RunConfig, Sampling

DEMO = "demo checkpoint"
LABEL = "label"  # of the condition: a class in place of a prompt
_REPEATED = (
    "prompt",
    "negative_prompt",
    "regions",
    "seed",
    "dtype",
    "quantise",
    *SAMPLING_SETTINGS,
)


def modalities_named(values: Mapping[str, str], *, described: bool = False) -> list[str]:
    """The modalities of the checkpoint that values name; empty where they name none."""
    source = _source_named(values, described=described)
    return [] if source is None else list(source.manifest["modalities"])


def _source_named(values: Mapping[str, str], *, described: bool) -> Source | None:
    """The checkpoint that the words of a command line name, fetched where they say so."""
    named = values.get("checkpoint")
    if named in (None, "", "null"):
        return None
    download = values.get("download") == "true"
    return find_source(str(named), download=download, described=described)


def compose_run(overrides: list[str]) -> RunConfig:
    """A request.

    Args:
        overrides: `key=value` each, among them `modality=NAME` and `prompt=...`; texts and paths
            are taken letter by letter. With `repeat=FILE` that file gives the rest.

    Raises:
        LuminaError: an unknown, refused or wrong key or value, or an unusable modality.
    """
    return composed_request(RUN, overrides)


def compose_infer(overrides: list[str]) -> RunConfig:
    """The request of `infer`: that of `run`, and where nothing says the modality the usual one."""
    return composed_request(INFER, overrides)


def composed_request(command: Command, overrides: list[str]) -> Any:
    """The record of a command that asks for what `run` does; see `compose_run`."""
    layers = composed(command, overrides)
    values = layers.values
    if values["prompt_file"] is not None:
        _refuse_second_prompt(values)
    elif (label := values[CONDITION][LABEL]) is not None:
        if values["prompt"] is not None:
            raise LuminaError(
                f"condition.label={as_text(label)} and a prompt both say what to show; "
                "leave one of them out"
            )
    elif values["prompt"] is None:
        raise LuminaError(_lack_of_prompt(layers))
    for key, sha256 in _files_of(layers.known).items():
        _check_given_again(key, values[CONDITION][key], sha256)
    if told := layers.known.get(ADAPTERS):
        again = given_again(values[ADAPTERS] or (), told)
        layers.put({ADAPTERS: again}, layers.origins[ADAPTERS])
    return layers.built(lambda found: _request_of(layers, found))


def _request_of(layers: Layers, values: dict[str, Any]) -> Any:
    """The record of a request; where files alone are looked at, any prompt and no file serves."""
    name = layers.name
    prompt = "" if values["prompt_file"] is not None else values["prompt"]
    given = dict(values[CONDITION])
    condition = {key: given.pop(key) for key in ("strength", LABEL)}
    wanted = None
    if any(value is not None for value in given.values()):
        wanted = build_condition(name, given)
    prompt = condition[LABEL] if prompt is None else prompt
    condition["wanted"] = wanted
    known = {"prompt": "a prompt" if prompt is None else prompt, CONDITION: condition}
    return build_record(layers.command.record, name, values | known)


def compose_sampling(name: str, recommended: Mapping[str, Any] | None = None) -> Sampling:
    """How a modality's samples are made where no user says otherwise.

    Args:
        name: the modality.
        recommended: by a checkpoint.
    """
    layers = advised(RUN, name)
    _recommend(layers, recommended or {}, "", "the recommendation of the checkpoint")
    used = [field.name for field in fields(Sampling)]
    return layers.built(lambda values: build(Sampling, {key: values[key] for key in used}))


def put_between(layers: Layers, *, described: bool = False) -> None:
    """Put the layers of a checkpoint and of a file that is made again.

    Args:
        layers: changed in place.
        described: as in `find_source`.
    """
    _put_checkpoint(layers, described=described)
    if layers.known:
        _put_request(layers, layers.known, layers.words.values["repeat"])


def _put_checkpoint(layers: Layers, *, described: bool) -> None:
    """Add the checkpoint's recommendation, and take from it what it fixes."""
    name, named = layers.name, layers.words.values.get("checkpoint")
    demo = demos.demo_folder(name)
    source = _source_named(layers.words.values, described=described) or (demo and own_source(demo))
    if not source:
        return
    manifest = source.manifest
    if name not in manifest["modalities"]:
        known = ", ".join(manifest["modalities"])
        raise LuminaError(f"the checkpoint {source.path} was trained on {known}, not on {name}.")
    is_of_classes = manifest["backbone"].get("num_classes") is not None
    if not is_of_classes and layers.words.values.get(f"{CONDITION}.{LABEL}") not in (None, "null"):
        raise LuminaError(
            f"condition.label names a class, and {source.path} reads texts; write a prompt instead"
        )
    origin = DEMO if named is None else named
    layers.put({"modality": fixed_options(name, manifest)}, f"fixed by {origin}")
    layers.put({"checkpoint": source.name}, origin)
    if source.is_ours:
        path = source.path / MANIFEST
        where = f"{path}, sampling"
    else:
        path, where = source.path, f"the description of {source.model}, sampling"
        origin = f"model {source.model}"
        layers.open_options = source.open_options
        layers.put({"dtype": source.dtype}, origin)
    layers.put({"modality": source.usual}, origin)
    _recommend(layers, recommended(manifest, name), origin, where)
    layers.close(path)


def _recommend(layers: Layers, values: Mapping[str, Any], origin: str, where: str) -> None:
    """Put what a checkpoint recommends for sampling, and nothing else."""
    for key in values:
        if key not in SAMPLING_SETTINGS:
            raise unknown_key(key, list(SAMPLING_SETTINGS), f" in {where}")
    layers.put(values, origin, where)


def _put_request(layers: Layers, request: Mapping[str, Any], path: str) -> None:
    """Add what a file that is made again carries; the files it was given must be given again."""
    options = dict(request.get("options") or {})
    fixed = options.keys() & set(fixed_names(host.options_class(layers.name)))
    if fixed:
        raise LuminaError(
            f"the repeated file sets {', '.join(f'modality.{key}' for key in sorted(fixed))}, "
            "which the checkpoint fixes, so it was not made by `run`. Give its prompt and settings "
            "instead of repeat=FILE."
        )
    told = {key: request[key] for key in _REPEATED if key in request}
    given = {key: value for key, value in (request.get(CONDITION) or {}).items() if key != "files"}
    layer = told | {"modality": options, CONDITION: given | dict.fromkeys(_files_of(request))}
    layers.put(untold(Sampling), path)  # not what the checkpoint recommends now
    layers.put(layer, path, path)
    layers.close(Path(path))


def _files_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The files that a request was given, with their hashes."""
    return dict((request.get(CONDITION) or {}).get("files") or {})


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
        raise LuminaError(f"condition.{key}={path} cannot be read: {why(error)}") from error
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


def _lack_of_prompt(layers: Layers) -> str:
    words = layers.words
    for key, text in words.values.items():
        if " " in text and not (key in layers.keys and layers.keys[key].is_text):
            return (
                f"no prompt: '{key}={text}' was read as the setting {key}. "
                "Put -- before a prompt like this."
            )
    chosen = "".join(f"+modality={name} " for name in words.modalities)
    command = f"{program()} {layers.command.name}"
    return f'no prompt. Write what to show, in quotes: {command} {chosen}"..."'


def _repeated_request(words: Overrides) -> dict[str, Any]:
    path = words.values.get("repeat")
    return {} if path is None else read_request(Path(path))


RUN = Command(
    "run",
    RunConfig,
    modalities_named,
    "sampling",
    SAMPLING_SETTINGS,
    "checkpoint",
    _repeated_request,
    put_between,
)
INFER = RUN._replace(
    name="infer", modalities=lambda values: modalities_named(values) or [host.usual()]
)
"""`run`, and where nothing says the modality the usual one."""
