"""Checks what a plugin's hook returns, and the dataclasses that it names. Imports no plugin.

The rules are those of `lumina_core.modality.ModalitySpec`; docs/authors/plugin_api.md has the
policy of its version.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from lumina_core.errors import LuminaError, printable, reason_of
from lumina_core.modality import PLUGIN_API, ModalitySpec
from lumina_core.plugins.entry_points import Plugin
from lumina_core.records import check_types

_PATH = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
_MAX_SHOWN = 60  # characters of a wrong value


class IncompatibleError(Exception):
    """The plugin was written for another version of the contract."""


def checked_spec(returned: list[Any], plugin: Plugin) -> ModalitySpec:
    """The one spec that a hook returned.

    Args:
        returned: what pluggy collected: one value per function, without None.
        plugin: whose hook it was, for messages.

    Raises:
        LuminaError: it is no ModalitySpec, or a field of it is not what the contract says.
        IncompatibleError: it was written for a plugin API that this core does not have.
    """
    if len(returned) != 1 or type(returned[0]) is not ModalitySpec:
        got = type(returned[0]).__name__ if returned else "None"
        text = f"lumina_modality() in {plugin.module} returned {printable(got, _MAX_SHOWN)}"
        if returned and isinstance(returned[0], ModalitySpec):
            raise LuminaError(f"{text}, a subclass; return a ModalitySpec itself")
        raise LuminaError(f"{text}, not a ModalitySpec")
    spec: ModalitySpec = returned[0]
    _check_api(spec.api, plugin.package)
    for field in ("options", "modality", "condition"):
        path = getattr(spec, field)
        if path is None and field == "condition":
            continue
        if not (isinstance(path, str) and _PATH.fullmatch(path)):
            raise LuminaError(f"ModalitySpec.{field} is {_shown(path)}, not 'module:attribute'")
    return spec


def checked_autoencoders(returned: list[Any], plugin: Plugin) -> Mapping[str, Mapping[str, str]]:
    """The kinds of autoencoder that a hook returned; none where the plugin has no such hook.

    Args:
        returned: what pluggy collected: one value per function, without None.
        plugin: whose hook it was, for messages.

    Raises:
        LuminaError: it is not what the contract says.
    """
    kinds: dict[str, Mapping[str, str]] = {}
    for media in returned:
        if not (isinstance(media, dict) and all(map(_are_paths, media.values()))):
            raise LuminaError(
                f"lumina_autoencoders() in {plugin.module} returned {_shown(media)}, not "
                "{medium: {class name: 'module:class'}}"
            )
        kinds |= media
    return kinds


def checked_networks(returned: list[Any], plugin: Plugin) -> Mapping[str, str]:
    """The kinds of network that a hook returned; none where the plugin has no such hook.

    Args:
        returned: what pluggy collected: one value per function, without None.
        plugin: whose hook it was, for messages.

    Raises:
        LuminaError: it is not what the contract says.
    """
    kinds: dict[str, str] = {}
    for found in returned:
        if not _are_paths(found):
            raise LuminaError(
                f"lumina_networks() in {plugin.module} returned {_shown(found)}, not "
                "{class name: 'module:class'}"
            )
        kinds |= found
    return kinds


def _are_paths(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(x, str) and _PATH.fullmatch(x) for x in value.values()
    )


def dataclass_fault(found: Any) -> str | None:
    """Why something cannot be the options or the condition of a modality; None if it can."""
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        is_class = isinstance(found, type)
        kind = f"the class {found.__name__}" if is_class else f"of type {type(found).__name__}"
        return f"is {kind}, no dataclass"
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "is a dataclass that is not frozen; write @dataclass(frozen=True)"
    try:
        check_types(found)
    except LuminaError as error:
        return f"cannot be used: {error}"
    except Exception as error:  # of an annotation that somebody wrote
        return f"has annotations that cannot be read: {type(error).__name__}: {reason_of(error)}"
    return None


def _check_api(api: Any, package: str) -> None:
    is_pair = type(api) is tuple and len(api) == 2 and all(type(number) is int for number in api)
    if not is_pair:
        raise LuminaError(f"ModalitySpec.api is {_shown(api)}, not two integers like {PLUGIN_API}")
    if api[0] != PLUGIN_API[0] or api[1] > PLUGIN_API[1]:
        way = "Upgrade lumina-core" if api > PLUGIN_API else way_to_this_api(package)
        raise IncompatibleError(
            f"it was written for plugin API {api[0]}.{api[1]}, this lumina-core has "
            f"{PLUGIN_API[0]}.{PLUGIN_API[1]}. {way}"
        )


def way_to_this_api(package: str) -> str:
    """What to do about a package that was written for an earlier plugin API."""
    return (
        f"Upgrade {package}, or change what docs/authors/plugin_api.md lists for {PLUGIN_API[0]}.0"
    )


def _shown(value: Any) -> str:
    return printable(repr(value), _MAX_SHOWN)
