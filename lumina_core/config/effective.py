"""The values that a command would use and where each comes from, as --help and the docs show them.

Read from the text of YAML files and from manifests, so that help needs neither Hydra nor torch;
layers.py composes what a command does use, in the same order: the core, the modality, the
checkpoint or the folder of a training, the command line.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.checkpoints.manifest import read_manifest
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.config.keys import (
    CHECKPOINT_KEYS,
    Key,
    command_keys,
    conf_root,
    group_choices,
    group_defaults,
    modality_keys,
    read_keys,
)
from lumina_core.config.words import CHECKPOINT_COMMANDS, CONDITIONED_COMMANDS, is_override
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import flat

CORE, DEMO, TYPED = "core", "demo checkpoint", "command line"
ADVICE = {"run": "sampling", "infer": "sampling", "evaluate": "sampling", "train": "training"}
"""Which block of a modality's YAML recommends values for a command."""


class Effective(NamedTuple):
    """A key with the value that would be used."""

    key: Key
    """Its default is that value."""
    origin: str


def effective_keys(command: str, words: list[str], name: str, yaml: Path) -> list[Effective]:
    """Every key of a command and of a modality, with the values that would be used.

    Args:
        command: `run`, `infer`, `evaluate`, `train` or `train-vae`.
        words: after it; what is no setting of it is left out.
        name: the modality.
        yaml: its file.

    Raises:
        LuminaError: the modality, a checkpoint or the folder of a training cannot be used.
    """
    own = modality_keys(yaml)
    blocks = ("modality", CONDITION) if command in CONDITIONED_COMMANDS else ("modality",)
    keys = command_keys(command)
    keys += [key for key in own if key.name.partition(".")[0] in blocks]
    package = host.find(name).package
    is_core = {key.name for key in command_keys(command)}
    found = {
        key.name: Effective(key, CORE if key.name in is_core else package)
        for key in keys
        if key.default or key.name in group_defaults(command)
    }
    typed = dict(_typed(words, list(found)))
    for origin, values in _layers(command, name, own, package, typed):
        for key, text in values.items():
            if key in found:
                found[key] = Effective(found[key].key._replace(default=text), origin)
    for group, choice in group_defaults(command).items():  # the name of a choice is the choice
        named = found.get(f"{group}.name", found[group])
        chosen = found[group].key._replace(default=named.key.default or choice)
        found[group] = Effective(chosen, named.origin)
    return list(found.values())


def recommended(command: str, keys: list[Key]) -> dict[str, str]:
    """What a modality recommends for a command in its YAML, as written there.

    Args:
        command: whose values.
        keys: of the YAML.
    """
    block = f"{ADVICE.get(command)}."
    return {
        name: text
        for key in keys
        if key.name.startswith(block) and key.default
        for name, text in _parted(key.name.removeprefix(block), key.default)
    }


def of_checkpoint(command: str, name: str, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What a checkpoint recommends for a command, and the options of the modality that it fixes."""
    if command not in CHECKPOINT_COMMANDS:
        return {}, {}
    manifest = read_manifest(folder)
    fixed = manifest["modalities"].get(name, {}).get("options", {})
    return _as_texts(manifest["sampling"]), _as_texts({"modality": fixed})


def _as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: as_text(value) for key, value in flat(values).items() if value != {}}


def as_text(value: Any) -> str:
    """A value as one writes it on a command line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _layers(
    command: str, name: str, keys: list[Key], package: str, typed: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Where values come from, and which these are; later ones win."""
    yield package, recommended(command, keys)
    folder = typed.get(CHECKPOINT_KEYS.get(command, ""), "null")
    demo = host.demo_folder(name)
    found = demo if folder == "null" else checkpoint_folder(Path(folder).expanduser())
    if found is not None:
        origin = DEMO if folder == "null" else folder
        advised, fixed = of_checkpoint(command, name, found)
        yield origin, advised
        yield f"fixed by {origin}", fixed
    if command == "train" and typed.get("resume") == "true" and "out" in typed:
        from lumina_core.training.written_settings import SETTINGS, read_settings

        settings = read_settings(Path(typed["out"]).expanduser())
        yield SETTINGS, _as_texts(settings | {"modality": settings.get("options", {})})
    groups = group_defaults(command)
    for group in groups.keys() & typed.keys():
        if typed[group] in group_choices(group):
            chosen = read_keys(conf_root() / group / f"{typed[group]}.yaml", f"{group}.")
            yield f"{group}={typed[group]}", {key.name: key.default for key in chosen}
    yield TYPED, typed


def _typed(words: list[str], names: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if is_override(word, names):
            key, _, value = word.lstrip("+").partition("=")
            yield key, value


def _parted(name: str, text: str) -> Iterator[tuple[str, str]]:
    """A key and its value; a block that is written on one line as its members."""
    if not (text.startswith("{") and text.endswith("}")):
        yield name, text
        return
    for member in text[1:-1].split(","):
        key, _, value = member.partition(":")
        yield f"{name}.{key.strip()}", value.strip()
