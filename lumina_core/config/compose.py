"""From the words of any command to its record: which modality, and its values in layers."""

from collections.abc import Mapping
from typing import Any

from lumina_core.config.keys import Command
from lumina_core.config.layers import Layers, advised
from lumina_core.config.modality_file import build_options
from lumina_core.config.words import Overrides, sort_overrides
from lumina_core.errors import LuminaError
from lumina_core.plugins import host
from lumina_core.records import plain


def compose_options(name: str, stored: Mapping[str, Any] | None = None) -> Any:
    """A modality's options as they are by default, with those that a checkpoint fixes."""
    return build_options(name, plain(host.options_class(name)) | dict(stored or {}))


def composed(command: Command, overrides: list[str]) -> Layers:
    """The values of a command, all layers put on top of each other, not yet typed.

    Args:
        command: which.
        overrides: `key=value` each, among them `modality=NAME`; the last one of a key wins.

    Raises:
        LuminaError: an unknown or refused key, an unreadable value or file, no usable modality.
    """
    words = sort_overrides(overrides, command)
    known = command.read(words)
    layers = advised(command, _one_modality(command, words, known.get("modality")))
    layers.words, layers.known = words, known
    command.between(layers)
    layers.write()
    return layers


def _one_modality(command: Command, words: Overrides, known: str | None = None) -> str:
    """The modality that is chosen, or `known` from the file or folder that a command goes on with.

    Raises:
        LuminaError: none, several, one that is not there, or another than `known`.
    """
    names = words.modalities or ([] if known is None else [known])
    if not names:
        names = command.modalities(words.values)
        if len(names) > 1:
            raise LuminaError(
                f"{command.checkpoint}={words.values[str(command.checkpoint)]} was trained on "
                f"{', '.join(names)}; choose one: +modality={names[0]}"
            )
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
        key = "repeat" if command.is_conditioned else "out"
        raise LuminaError(
            f"{key}={words.values.get(key)} is of modality {known!r}, not {names[0]!r}. Leave out "
            f"+modality={names[0]}."
        )
    return names[0]
