"""From the words of any command to its record: which modality, and its values in layers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lumina_core.config.keys import Command, record_keys
from lumina_core.config.layers import (
    CORE,
    RECOMMENDED,
    TYPED,
    Layers,
    advice_of,
    advised,
    nested,
    plain_value,
    value_of,
)
from lumina_core.config.modality_file import build_options
from lumina_core.config.several import (
    MIXING,
    OPTIONS,
    One,
    disputed,
    known_of_one,
    merged,
    shared_advice,
)
from lumina_core.config.words import Overrides, modalities_in_use, sort_overrides
from lumina_core.errors import LuminaError, unknown_key
from lumina_core.plugins import host
from lumina_core.records import as_text, flat, plain

OUT = "out"  # whose a value is that the folder of a training has
T = TypeVar("T")


def compose_options(name: str, stored: Mapping[str, Any] | None = None) -> Any:
    """A modality's options as they are by default, with those that a checkpoint fixes."""
    return build_options(name, plain(host.options_class(name)) | dict(stored or {}))


def composed(command: Command, overrides: list[str]) -> Layers:
    """The values of a command, all layers put on top of each other, not yet typed.

    Args:
        command: which.
        overrides: `key=value` each, among them `modality=NAME`; the last one of a key wins.

    Returns:
        Of several modalities the layers of all, merged to be shown, with those of each in them.

    Raises:
        LuminaError: an unknown or refused key, an unreadable value or file, no usable modality.
    """
    names = modalities_in_use(command, overrides) if command.own else []
    if len(names) > 1:
        return _together(command, overrides, names)
    words = sort_overrides(overrides, command)
    known = command.read(words)
    name = _one_modality(command, words, known.get("modality"))
    return _written(advised(command, name), words, known)


def _written(layers: Layers, words: Overrides, known: dict[str, Any]) -> Layers:
    layers.words, layers.known = words, known
    layers.command.between(layers)
    layers.write()
    return layers


def _together(command: Command, overrides: list[str], names: list[str]) -> Layers:
    """The layers of several modalities: each as if it were alone, with the same for what is shared.

    Raises:
        LuminaError: as `composed`; names the modality that it concerns, if it is one.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LuminaError(f"+modality names {twice[0]} twice; leave one out")
    for name in names:
        host.find(name)
    words_of = each_of(names, lambda n: sort_overrides(overrides, command, One(n, tuple(names))))
    known = command.read(words_of[names[0]])
    before = known.get("modality", names)
    if not isinstance(before, list) or set(before) != set(names):
        raise _of_another(command, words_of[names[0]], before, names)
    advice = {name: flat(advice_of(command, name)[1]) for name in before}  # in that order
    shared = shared_advice(advice, flat(plain(command.record)), command)

    def layers_of(name: str) -> Layers:
        own = known_of_one(known, One(name, tuple(names)), command)
        return _written(advised(command, name, shared), words_of[name], own)

    members = each_of(before, layers_of)
    _agree(members)
    layers = merged(members, _parts(command, members))
    untouched = [key for key, origin in layers.origins.items() if origin in (CORE, RECOMMENDED)]
    layers.note = disputed(advice, flat(layers.values), untouched)
    return layers


def _agree(members: Mapping[str, Layers]) -> None:
    """Give all what the data or the start of one fixes for all, such as the text encoder.

    Raises:
        LuminaError: two of them fix different things.
    """
    fixed: dict[str, tuple[str, Any]] = {}
    own = (OPTIONS, *next(iter(members.values())).command.own)
    every = {name: flat(each.values) for name, each in members.items()}
    for name, values in every.items():
        for key, value in values.items():
            is_free = members[name].origins.get(key, CORE) in (CORE, RECOMMENDED)
            if is_free or key.partition(".")[0] in own:
                continue
            whose, before = fixed.setdefault(key, (name, value))
            if before != value:
                raise LuminaError(
                    f"{key} must be {as_text(before)} for {whose} and {as_text(value)} for {name}; "
                    "train them one by one, or with data that agree"
                )
    for name, layers in members.items():
        for key, (whose, value) in fixed.items():
            if every[name].get(key) != value:
                layers.put(nested(key, value), members[whose].origins[key])


def each_of(names: Sequence[str], make: Callable[[str], T]) -> dict[str, T]:
    """What is made of each modality.

    Raises:
        LuminaError: one is refused; names it, unless all are refused for the same reason.
    """
    made: dict[str, T] = {}
    refused: dict[str, LuminaError] = {}
    for name in names:
        try:
            made[name] = make(name)
        except LuminaError as error:
            refused[name] = error
    if not refused:
        return made
    name, first = next(iter(refused.items()))
    if not made and len({str(each) for each in refused.values()}) == 1:
        raise first
    raise LuminaError(f"{name}: {first}") from first


def _parts(command: Command, members: Mapping[str, Layers]) -> dict[str, tuple[Any, str]]:
    """What part of the whole each modality takes as it was written, and who wrote that.

    Raises:
        LuminaError: a name that is none of them, or a value that cannot be read.
    """
    first = next(iter(members.values()))
    words, file = first.words, first.words.file
    keys = {key.name: key for key in record_keys(command.mixing(tuple(members)), f"{MIXING}.")}
    found: dict[str, tuple[Any, str]] = {key: (None, CORE) for key in keys}
    for name, value in first.known.get(MIXING, {}).items():
        found[f"{MIXING}.{name}"] = (value, OUT)
    for key, value in (file.mixing if file else {}).items():
        found[key] = (plain_value(keys.get(key), value), str(file.path if file else ""))
    for key, text in words.mixing.items():
        found[key] = (value_of(keys.get(key), key, text), TYPED)
    for key in found:
        if key not in keys:
            raise unknown_key(key, list(keys))
    return {key.partition(".")[2]: each for key, each in found.items()}


def _one_modality(command: Command, words: Overrides, known: Any = None) -> str:
    """The modality that is chosen, or `known` from the file or folder that a command goes on with.

    Raises:
        LuminaError: none, several, one that is not there, or another than `known`.
    """
    names = words.modalities or ([] if known is None else [known])
    if not names:
        known_to_it = command.modalities(words.values)
        names = [name for name in known_to_it if name in host.installed()] or known_to_it
        if len(names) > 1:
            raise LuminaError(
                f"{command.checkpoint}={words.values[str(command.checkpoint)]} was trained on "
                f"{', '.join(known_to_it)}; choose one: +modality={names[0]}"
            )
    if not names:
        raise LuminaError(f"no modality chosen. Add +modality=NAME; {host.present()}")
    for name in names:
        host.find(name)
    if len(names) > 1:
        raise LuminaError(
            f"{command.name} takes one modality, and +modality=[{','.join(names)}] names "
            f"{len(names)}. Choose one: +modality={names[0]}"
        )
    if known not in (None, names[0]):
        raise _of_another(command, words, known, names)
    return names[0]


def _of_another(
    command: Command, words: Overrides, known: str | list[str], names: list[str]
) -> LuminaError:
    key = "repeat" if command.is_conditioned else "out"
    there = known if isinstance(known, str) else ",".join(known)
    chosen = names[0] if len(names) == 1 else f"[{','.join(names)}]"
    return LuminaError(
        f"{key}={words.values.get(key)} is of modality {there!r}, not {','.join(names)!r}. Leave "
        f"out +modality={chosen}."
    )
