"""Several modalities in one command: each has options and some blocks of its own, the rest is one.

Each is composed as if it were alone, so what is checked for one is checked for all. Only the
names differ: `modality.image.height` is the `modality.height` of image, `data.image.path` its
`data.path`, and `data.path` that of all which have no own. `mixing.image` is what part it takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, TypeVar

from lumina_core.config.keys import Command, Key, modality_keys, record_keys
from lumina_core.errors import LuminaError
from lumina_core.records import as_text

MIXING = "mixing"
OPTIONS = "modality"
T = TypeVar("T")


class One(NamedTuple):
    """One of several modalities."""

    name: str
    names: tuple[str, ...]


def of_one(pairs: Iterable[tuple[str, T]], one: One, command: Command) -> list[tuple[str, T]]:
    """Keys and values as those of one modality alone; what is only its own comes last and wins.

    Raises:
        LuminaError: an option that does not say whose it is.
    """
    general, own = [], []
    for key, value in pairs:
        block, _, rest = key.partition(".")
        whose, _, last = rest.partition(".")
        if block == MIXING:
            continue
        if block in (OPTIONS, *command.own) and whose in one.names:
            if whose == one.name:
                own.append((f"{block}.{last}" if last else block, value))
        elif block == OPTIONS and rest:
            raise LuminaError(
                f"{key} names no modality of this run; write {OPTIONS}.{one.names[0]}.{rest}"
            )
        else:
            general.append((key, value))
    return general + own


def known_of_one(known: Mapping[str, Any], one: One, command: Command) -> dict[str, Any]:
    """The settings in the folder of a training, as those of one modality alone; none of none."""
    if not known:
        return {}
    blocks = ("options", *command.own)
    own = {block: _part_of(known[block], one.name) for block in blocks if block in known}
    rest = {key: value for key, value in known.items() if key not in blocks}
    return rest | own | {"modality": one.name}


def _part_of(value: Any, name: str) -> Any:
    """What one modality has of a block; an older version may have had it for all alike."""
    return value[name] if isinstance(value, Mapping) and name in value else value


def keys_of(command: Command, names: Sequence[str]) -> list[Key]:
    """The keys that a command has for the modalities that are chosen."""
    names = list(dict.fromkeys(names))
    if len(names) == 1 or not command.own:
        return [key for name in names for key in modality_keys(name, command)]
    found: list[Key] = []
    for name in names:
        whose = One(name, tuple(names))
        blocks = [key for key in command.keys if key.name.partition(".")[0] in command.own]
        keys = [*modality_keys(name, command), *blocks]
        found += [key._replace(name=_named(key.name, whose.name)) for key in keys]
    return [*found, *record_keys(command.mixing(tuple(names)), f"{MIXING}.")]


def shared_advice(
    advice: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], command: Command
) -> dict[str, Any]:
    """What the YAMLs of several modalities recommend together for what all share.

    What all recommend holds. Of what they do not agree on, the command says what all can live with;
    else nobody's recommendation holds.

    Args:
        advice: flat, by modality.
        defaults: of the core, flat.
        command: that is advised.

    Returns:
        Dotted keys and values.
    """
    found: dict[str, Any] = {}
    keys = dict.fromkeys(key for each in advice.values() for key in each)
    for key in keys:
        if key.partition(".")[0] in command.own:
            continue
        values = [each.get(key, defaults[key]) for each in advice.values()]
        is_one = all(_same(value, values[0]) for value in values)
        value = values[0] if is_one else command.together(key, values)
        if value is not None:
            found[key] = value
    return found


def disputed(
    advice: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], untouched: Iterable[str]
) -> str | None:
    """One line on recommendations that differ, and on what is used instead; None: all agree.

    Args:
        advice: flat, by modality.
        values: in use, flat.
        untouched: keys that nobody has set.
    """
    used = []
    for key in untouched:
        recommended = [each[key] for each in advice.values() if key in each]
        if recommended and not all(_same(value, values[key]) for value in recommended):
            used.append(f"{key}={as_text(values[key])}")
    if not used:
        return None
    return f"note: {', '.join(advice)} recommend different values; used are {' '.join(used)}"


def _same(first: Any, second: Any) -> bool:
    return as_text(first) == as_text(second)


def _named(key: str, name: str) -> str:
    block, dot, rest = key.partition(".")
    return f"{block}.{name}{dot}{rest}"


def merged(members: Mapping[str, Any], shares: Mapping[str, tuple[Any, str]]) -> Any:
    """The layers of several modalities as one, to be shown; `members` holds them.

    Args:
        members: Layers of each, by its name.
        shares: value and origin of each.
    """
    first = next(iter(members.values()))
    names, blocks = tuple(members), (OPTIONS, *first.command.own)

    def shared(key: str) -> bool:
        return key.partition(".")[0] not in blocks

    found = copy(first)
    found.name, found.members = ",".join(names), dict(members)
    found.values = dict(first.values)
    for block in blocks:
        found.values[block] = {name: each.values[block] for name, each in members.items()}
    found.values[MIXING] = {name: value for name, (value, _) in shares.items()}
    for attribute in ("keys", "origins", "choices"):
        mapping = {k: v for k, v in getattr(first, attribute).items() if shared(k)}
        for name, each in members.items():
            own = getattr(each, attribute).items()
            mapping |= {_named(k, name): v for k, v in own if not shared(k)}
        setattr(found, attribute, mapping)
    found.keys = {name: key._replace(name=name) for name, key in found.keys.items()}
    mixing = record_keys(first.command.mixing(tuple(names)), f"{MIXING}.")
    found.keys |= {key.name: key for key in mixing}
    found.origins |= {f"{MIXING}.{name}": origin for name, (_, origin) in shares.items()}
    return found
