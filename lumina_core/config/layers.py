"""Merges the layers of a configuration.

Layers are merged as plain dictionaries, later ones win: core YAML < the modality's YAML < the
checkpoint's recommendation < a request that is repeated < a group chosen by name < a value. A
group brings every key of its file and resets what was recommended for these: all of `time`,
`guidance` and `optimizer`. The files of `solver` hold only its name and number of steps, so a
recommended `solver.shift` survives `solver=midpoint`. A choice with keys that the default lacks,
such as `data=folder`, takes the place of the whole block.

Prompts and paths never meet Hydra's grammar nor OmegaConf: they are taken letter by letter.
"""

import os.path
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lumina_core.checkpoints.manifest import MANIFEST, read_manifest
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.config.keys import (
    CONFIG_NAMES,
    IDLE_KEYS,
    NAME_LIST_KEYS,
    RAW_KEYS,
    conf_root,
    group_choices,
    group_defaults,
    read_keys,
)
from lumina_core.config.modality_file import read_modality_file
from lumina_core.config.values import compose_core, parse_value
from lumina_core.config.words import Overrides
from lumina_core.errors import LuminaError, unknown_key
from lumina_core.files.reading import is_deeply_nested
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION, read_yaml
from lumina_core.program import command_line
from lumina_core.records import file_names, fixed_names, shown
from lumina_core.sampling.settings import SAMPLING_SETTINGS
from lumina_core.training.written_settings import SETTINGS, default_out

_REPEATED = ("prompt", "negative_prompt", "seed", "dtype", *SAMPLING_SETTINGS)
_BLOCKS = ("options", "solver", "guidance", "rope_scaling")
"""What must be a mapping in a request."""


def merge_layers(
    command: str, name: str, words: Overrides, request: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The core's values and the modality's options, all layers merged, not yet typed.

    Args:
        command: whose YAML and which recommendations.
        name: the modality.
        words: the overrides, which win.
        request: of a file that is made again, or the settings of a training that goes on.

    Raises:
        LuminaError: an unknown or refused key, an unreadable value or file.
    """
    path, options, condition, advice = read_modality_file(name)
    values = compose_core(CONFIG_NAMES[command])
    if CONDITION in values:
        values[CONDITION] |= condition
    if command in ("run", "evaluate"):
        values = _overlay(values, advice["sampling"], f"{path}, sampling")
        values, options = _with_checkpoint(values, options, name, words)
    elif command == "train":
        values = _overlay(values, advice["training"], f"{path}, training")
    if request and command == "train":
        source = f"{words.values.get('out') or default_out(name)}/{SETTINGS}"
        values, options = _with_settings(values, options, request, source)
    elif request:
        told = {key: request[key] for key in _REPEATED if key in request}
        source = words.values.get("repeat", "")
        values = _overlay(values, told, source)
        options |= _repeated_options(name, request)
        values = _with_repeated_condition(values, request, source)
    for group, choice in words.choices.items():
        chosen = read_yaml(conf_root() / group / f"{choice}.yaml")
        values = _with_choice(values, group, chosen)
    files = {f"{CONDITION}.{field}" for field in _file_fields(name)}
    for key, text in words.values.items():
        if key == "checkpoint":  # _with_checkpoint took it
            continue
        if key.partition(".")[0] == CONDITION:
            _check_condition_key(key, values[CONDITION])
        value = _value(key, text, is_file=key in files)
        _refuse_key_of_another_choice(values, key)
        values = _overlay(values, _nested(key, value))
    _refuse_idle_keys(words, values)
    return values, _with_options(name, options, words, command)


def _with_choice(values: dict[str, Any], group: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """Values with a choice of a group, which takes the whole place of one that lacks its keys."""
    has_own_keys = not chosen.keys() <= values[group].keys()
    return values | {group: chosen} if has_own_keys else _overlay(values, {group: chosen})


def _with_settings(
    values: dict[str, Any], options: dict[str, Any], settings: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values and options as a training in whose folder they were kept had them."""
    groups = group_defaults("train").keys()
    for key, value in settings.items():
        if key in groups and isinstance(value, Mapping):
            values = _with_choice(values, key, dict(value))
        elif key not in ("modality", "options"):
            values = _overlay(values, {key: value}, source)
    return values, options | settings.get("options", {})


def _check_condition_key(key: str, known: Mapping[str, Any]) -> None:
    names = [f"{CONDITION}.{name}" for name in known]
    if key == CONDITION:
        raise LuminaError(f"{key!r} is a block of keys. Set one of them: {', '.join(names)}")
    if key not in names:
        raise unknown_key(key, names)


def _value(key: str, text: str, *, is_file: bool) -> Any:
    """The value that was written for a key of the core or of a condition."""
    if is_file:
        if not text:
            raise LuminaError(f"{key} is empty. Give a path, or leave it out: {key}=null")
        return None if text == "null" else os.path.expanduser(text)
    value = text if key in RAW_KEYS else parse_value(key, text)
    return [value] if key in NAME_LIST_KEYS and isinstance(value, str) else value


def _refuse_idle_keys(words: Overrides, values: Mapping[str, Any]) -> None:
    """Refuse a value that was written down but that another key switches off."""
    for key in words.values.keys() & IDLE_KEYS.keys():
        switch, idle_values = IDLE_KEYS[key]
        chosen: Any = values
        for part in switch.split("."):
            chosen = chosen[part]
        if chosen in idle_values:
            raise LuminaError(
                f"{key}={words.values[key]} has no effect with "
                f"{switch}={'null' if chosen is None else chosen}; leave it out or choose another "
                f"{switch}"
            )


def modality_options(name: str) -> dict[str, Any]:
    """A modality's own options, as its YAML has them."""
    return read_modality_file(name).options


def recommended_sampling(name: str, recommended: Mapping[str, Any]) -> dict[str, Any]:
    """The core's values for `run` with what the modality and then a checkpoint recommend."""
    file = read_modality_file(name)
    core = compose_core(CONFIG_NAMES["run"])
    values = _overlay(core, file.advice["sampling"], f"{file.path}, sampling")
    return _recommended(values, recommended, "the recommendation of the checkpoint")


def _recommended(
    values: dict[str, Any], recommended: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Values with what a checkpoint recommends for sampling, and nothing else."""
    for key in recommended:
        if key not in SAMPLING_SETTINGS:
            raise unknown_key(key, list(SAMPLING_SETTINGS), f" in {source}")
    return _overlay(values, recommended, source)


def recommended_training(name: str) -> dict[str, Any]:
    """The core's values for `train` with the modality's recommendation."""
    return merge_layers("train", name, Overrides([name], {}, {}, {}))[0]


def check_modality_file(name: str) -> None:
    """Refuse a modality's YAML that does not fit the plugin's dataclasses or the core's keys.

    The types of what it recommends are checked where they are used: their records bring torch.
    """
    recommended_sampling(name, {})
    recommended_training(name)


def _with_checkpoint(
    values: dict[str, Any], options: dict[str, Any], name: str, words: Overrides
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add the checkpoint's recommendation, and take from it what it fixes."""
    named = words.values.get("checkpoint")
    folder = host.demo_folder(name) if named is None else checkpoint_folder(Path(named))
    if folder is None:
        return values, options
    manifest = read_manifest(folder)
    if name not in manifest["modalities"]:
        known = ", ".join(manifest["modalities"])
        raise LuminaError(f"the checkpoint {folder} was trained on {known}, not on {name}.")
    values = _recommended(values, manifest["sampling"], f"{folder}/{MANIFEST}, sampling")
    return values | {"checkpoint": str(folder)}, options | fixed_options(name, manifest)


def fixed_options(name: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a modality that a checkpoint fixes: its architecture and nothing else."""
    stored = manifest["modalities"].get(name, {}).get("options", {})
    return {key: stored[key] for key in _architecture(name) if key in stored}


def check_request(path: Path, request: Any) -> dict[str, Any]:
    """A request that a file carries, refused unless it is the kind of thing that `run` wrote.

    Raises:
        LuminaError: it is no mapping, names no modality, or has a block that is no mapping.
    """
    is_request = isinstance(request, dict) and isinstance(request.get("modality"), str)
    if not is_request or is_deeply_nested(request) or not _has_blocks(request):
        raise LuminaError(
            f"{path} carries a broken request; a modality, and its options and settings as blocks "
            "are wanted. Make the file again from its prompt."
        )
    return dict(request)


def _has_blocks(request: Mapping[str, Any]) -> bool:
    """Whether everything that is read as a block is one; a condition may also be null."""
    condition = request.get(CONDITION)
    blocks = [request.get(key, {}) for key in _BLOCKS]
    blocks.append({} if condition is None else condition)
    if not all(isinstance(block, dict) for block in blocks):
        return False
    files = (condition or {}).get("files", {})
    return isinstance(files, dict) and all(isinstance(value, str) for value in files.values())


def _with_repeated_condition(
    values: dict[str, Any], request: Mapping[str, Any], source: str | None
) -> dict[str, Any]:
    """The numbers of a repeated condition; its files must be given again."""
    condition = dict(request.get(CONDITION) or {})
    files = condition.pop("files", {})
    return _overlay(values, {CONDITION: condition | dict.fromkeys(files)}, source)


def _repeated_options(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a repeated file, none of which may change the architecture."""
    options = dict(request.get("options", {}))
    fixed = options.keys() & _architecture(name)
    if fixed:
        raise LuminaError(
            f"the repeated file sets {', '.join(f'modality.{key}' for key in sorted(fixed))}, "
            "which the checkpoint fixes, so it was not made by `run`. Give its prompt and settings "
            "instead of repeat=FILE."
        )
    return options


def _with_options(
    name: str, options: dict[str, Any], words: Overrides, command: str
) -> dict[str, Any]:
    fixed = _architecture(name) if command in ("run", "evaluate") else set()
    hints = get_type_hints(host.options_class(name))
    for written, text in words.options.items():
        key = written.removeprefix(f"{name}.")  # with one modality this says the same
        _refuse_other_modality(name, key, hints)
        _refuse_unknown_option(key, hints)
        if key.partition(".")[0] in fixed:
            raise LuminaError(
                f"modality.{key} belongs to the architecture, which the checkpoint fixes. It is "
                "set in training: "
                + command_line("train", f"+modality={name}", f"modality.{key}={text}")
            )
        is_text = hints.get(key) is str or (str in get_args(hints.get(key)) and text != "null")
        value = text if is_text else parse_value(f"modality.{key}", text)
        options = _merged(options, _nested(key, value))
    return options


def _refuse_key_of_another_choice(values: Mapping[str, Any], key: str) -> None:
    """Refuse a key that only a choice has which was not made: data.path without data=folder."""
    group, _, name = key.partition(".")
    if not isinstance(values.get(group), Mapping) or name.partition(".")[0] in values[group]:
        return
    files = {choice: conf_root() / group / f"{choice}.yaml" for choice in group_choices(group)}
    owners = [
        f"{group}={choice}"
        for choice, path in files.items()
        if name in [known.name for known in read_keys(path)]
    ]
    if owners:
        raise LuminaError(f"{key} has no effect here; it belongs to {' or '.join(owners)}")


def _refuse_other_modality(name: str, key: str, options: Mapping[str, Any]) -> None:
    other = key.partition(".")[0]
    if other not in (*options, name) and other in (*host.SHIPPED, *host.installed()):
        raise LuminaError(
            f"modality.{key} is an option of {other!r}; the modality in use is {name!r}. Leave it "
            f"out, or choose +modality={other}"
        )


def _refuse_unknown_option(key: str, hints: Mapping[str, Any]) -> None:
    first, dot, _ = key.partition(".")
    if first not in hints or (dot and not is_dataclass(hints[first])):
        full = f"modality.{key}"
        raise unknown_key(full, [f"modality.{option}" for option in hints])


def _file_fields(name: str) -> list[str]:
    """The conditions that name a file; taken letter by letter, like every path."""
    record = host.condition_class(name)
    return file_names(record) if record else []


def _architecture(name: str) -> set[str]:
    return set(fixed_names(host.options_class(name)))


def _overlay(
    values: dict[str, Any], layer: Mapping[str, Any], source: str | None = None, prefix: str = ""
) -> dict[str, Any]:
    """Values with a layer on top; a key of the layer that is not there is refused."""
    merged = dict(values)
    where = f" in {source}" if source else ""
    for key, value in layer.items():
        if key not in values:
            raise unknown_key(prefix + key, [prefix + name for name in values], where)
        if isinstance(values[key], Mapping):
            if not isinstance(value, Mapping):
                raise LuminaError(
                    f"{prefix}{key} must be a block of keys{where}, got {shown(value)}."
                )
            value = _overlay(values[key], value, source, f"{prefix}{key}.")
        merged[key] = value
    return merged


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = _merged(merged[key], value)
        merged[key] = value
    return merged


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
