"""Finds, isolates and loads plugins: modalities, and extensions that add to those of others.

Listing reads package metadata only (entry_points.py). Loading imports one plugin, the one asked
for, under watch (import_watch.py): a broken plugin is a record with a reason, never a broken
program. An extension is imported where an autoencoder is opened; its YAML and its demo are found
without.

Switches: LUMINA_BLOCK=a,b (never import these), LUMINA_ONLY=a (only these; empty: none), both by
the name of the modality or extension or by that of the package, and LUMINA_STRICT=1 (let a plugin's
exception through). What no program survives, such as os._exit at import, only the switches keep
away.
"""

import dataclasses
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lumina_core.errors import LuminaError, similar
from lumina_core.plugins.entry_points import (
    EXTENSION,
    MODALITY,
    Plugin,
    forget_plugins,
    installed_plugins,
    with_switches,
    without_copies,
)
from lumina_core.program import command_line

if TYPE_CHECKING:
    from lumina_core.modality import ModalitySpec
    from lumina_core.plugins.loading import Answers


SHIPPED = ("image", "video", "multiview", "audio")
"""Names that people will try, for hints in messages; the first is what `infer` means."""

OWN = "lumina-"
"""How the names of the project's own packages begin."""

_Key = tuple[str, str, str, str]
_LOCK = threading.RLock()  # re-entrant: a plugin may itself ask for another modality
_LOADED: "dict[_Key, Answers]" = {}
_FAILURES: dict[_Key, Plugin] = {}
_NOTES: dict[_Key, list[str]] = {}
_DEPRECATIONS: dict[_Key, list[str]] = {}


def discover() -> list[Plugin]:
    """Every modality with its state so far, by name. Imports none of them."""
    return _found(MODALITY)


def extensions() -> list[Plugin]:
    """Every extension with its state so far, by name. Imports none of them."""
    return _found(EXTENSION)


def _found(kind: str) -> list[Plugin]:
    plugins = [with_switches(plugin) for plugin in installed_plugins() if plugin.kind == kind]
    plugins.sort(key=lambda plugin: plugin.key)
    return [_with_state(plugin) for plugin in without_copies(plugins)]


def installed() -> list[str]:
    """Names of the modalities that can be asked for."""
    return [plugin.name for plugin in discover() if plugin.error is None]


def present() -> str:
    """What can be asked for, or how that is mended, as the end of a message."""
    if names := installed():
        return f"installed: {', '.join(names)}"
    if discover():
        return f"none of the installed ones can be used; see: {command_line('plugins')}"
    return f"no modality is installed. Install one: {install_command(SHIPPED[0])}"


def usual() -> str:
    """The modality that `infer` takes when none is named: the only one, else the first shipped."""
    names = installed()
    return names[0] if len(names) == 1 else SHIPPED[0]


def find(name: str) -> Plugin:
    """The one usable plugin of this name.

    Raises:
        LuminaError: no such modality, or it is blocked, duplicate, incompatible or broken.
    """
    named = [plugin for plugin in discover() if plugin.name == name]
    if not named:
        forget_plugins()  # it may have been installed since we looked
        named = [plugin for plugin in discover() if plugin.name == name]
    usable = [plugin for plugin in named if plugin.error is None]
    if usable:
        return usable[0]
    if named:
        # A blocked copy beside a broken one is not the reason: the broken one is.
        raise LuminaError(refusal(min(named, key=lambda plugin: plugin.status == "blocked")))
    raise LuminaError(_absence(name))


def load(name: str) -> "ModalitySpec":
    """Import one plugin, and no other, and return what its hook says. Safe to call from threads.

    Raises:
        LuminaError: it cannot be used; the text says why and what to do.
        Exception: whatever the plugin raised, when LUMINA_STRICT is set.
    """
    return _loaded(name)[1]


def _loaded(name: str) -> "tuple[Plugin, ModalitySpec]":
    plugin = find(name)
    return plugin, cast("ModalitySpec", answers(plugin).spec)


def answers(plugin: Plugin) -> "Answers":
    """Import one usable plugin, and no other, and return what its hooks say. Safe from threads.

    Raises:
        LuminaError: it cannot be used; the text says why and what to do.
        Exception: whatever the plugin raised, when LUMINA_STRICT is set.
    """
    from lumina_core.plugins import loading  # here and not above: listing plugins does not need it

    with _LOCK:
        if plugin.key in _FAILURES:
            raise LuminaError(refusal(_FAILURES[plugin.key]))
        if plugin.key not in _LOADED:
            for each in [*discover(), *extensions()]:
                if each.status == "blocked":
                    loading.block(each)
                    _LOADED.pop(each.key, None)
            try:
                with loading.named_when_interrupted(plugin):
                    deprecations = _DEPRECATIONS.setdefault(plugin.key, [])
                    _LOADED[plugin.key] = loading.load(plugin, _notes_of(plugin), deprecations)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may raise SystemExit, or a kind of its own
                if is_strict():
                    raise
                _FAILURES[plugin.key] = loading.failure(plugin, error)
                raise LuminaError(refusal(_FAILURES[plugin.key])) from error
        return _LOADED[plugin.key]


def forget() -> None:
    """Forget what was loaded and what failed, as when packages were installed meanwhile.

    Modules that were imported stay as they are: an upgraded plugin needs a new process.
    """
    from lumina_core.plugins import loading

    with _LOCK:
        for records in (_LOADED, _FAILURES, _NOTES, _DEPRECATIONS):
            records.clear()
        loading.manager.cache_clear()
        forget_plugins()
        importlib.invalidate_caches()


def options_class(name: str) -> type:
    """The dataclass of a modality's options.

    Raises:
        LuminaError: the modality cannot be used, or the path in its spec leads to no frozen
            dataclass.
    """
    plugin, spec = _loaded(name)
    return _dataclass_at(plugin, spec.options)


def condition_class(name: str) -> type | None:
    """The dataclass of what may be given beside a prompt; None if nothing may.

    Raises:
        LuminaError: as `options_class`.
    """
    plugin, spec = _loaded(name)
    return None if spec.condition is None else _dataclass_at(plugin, spec.condition)


def modality_class(name: str) -> Any:
    """The class called as `Modality(options, vae_folder)`. Imports what the modality needs.

    Raises:
        LuminaError: the modality cannot be used, or the path in its spec leads to no class.
    """
    plugin, spec = _loaded(name)
    return class_at(plugin, spec.modality)


def autoencoders(medium: str, modality: str | None) -> dict[str, tuple[Plugin, str]]:
    """The kinds of autoencoder that are there for a medium, each with whose it is and its path.

    Args:
        medium: as the hooks name it.
        modality: whose own kinds come first; no extension takes the place of one. None: extensions
            only.

    Raises:
        LuminaError: the modality cannot be used. An extension that cannot be used is left out.
    """
    found: dict[str, tuple[Plugin, str]] = {}
    owners = [] if modality is None else [find(modality)]
    for plugin in [*owners, *extensions()]:
        try:
            kinds = {} if plugin.error else answers(plugin).autoencoders.get(medium, {})
        except LuminaError:
            if plugin.kind == MODALITY:
                raise
            continue
        for kind, path in kinds.items():
            found.setdefault(kind, (plugin, path))
    return found


def networks() -> dict[str, tuple[Plugin, str]]:
    """The kinds of network of usable packages, each with whose it is and its path."""
    found: dict[str, tuple[Plugin, str]] = {}
    for plugin in [*discover(), *extensions()]:
        with suppress(LuminaError):  # one that cannot be used has none
            kinds = {} if plugin.error else answers(plugin).networks
            for kind, path in kinds.items():
                found.setdefault(kind, (plugin, path))
    return found


def way_to_install(package: str) -> str | None:
    """How a package with a modality or an extension is installed; None where it can be used."""
    plugins = [each for each in [*discover(), *extensions()] if each.package == package]
    if any(each.error is None for each in plugins):
        return None
    if plugins:
        return refusal(plugins[0])
    if package.startswith(OWN):
        return f"Install it: {install_command(package.removeprefix(OWN))}"
    return f"Install it: python -m pip install {package}"


def class_at(plugin: Plugin, path: str) -> type:
    """The class at `module:class`, imported as a part of a plugin.

    Raises:
        LuminaError: it cannot be imported, or is none.
    """
    found = _resolve(plugin, path)
    if not isinstance(found, type):
        kind = type(found).__name__
        raise LuminaError(f"{plugin.title} is broken: {path} is of type {kind}, no class.")
    return found


def conf_folder(name: str) -> Path:
    """The `conf` folder beside a plugin's modules, there or not; imports no plugin.

    Raises:
        LuminaError: the modality cannot be used.
    """
    plugin = find(name)
    found, package = data_folder(plugin, "conf"), data_folder(plugin, "")
    if package is None:
        raise LuminaError(f"{plugin.title} is no package, a folder with modules: make it one.")
    return found or package / "conf"


def vae_files(name: str) -> dict[str, Path]:
    """The autoencoders that a modality's plugin and the extensions describe, by their names."""
    folders = [conf_folder(name) / "vae", *extension_folders(f"conf/vae/{name}")]
    return {path.stem: path for folder in reversed(folders) for path in folder.glob("*.yaml")}


def extension_folders(folder: str) -> Iterator[Path]:
    """A folder beside the modules of each usable extension that has it; imports none of them."""
    yield from (found for plugin, found in plugin_folders(folder) if plugin.kind == EXTENSION)


def plugin_folders(folder: str) -> Iterator[tuple[Plugin, Path]]:
    """A folder beside the modules of each usable plugin that has it; imports none of them.

    Modalities come first, so that no extension takes a name from one.
    """
    for plugin in [*discover(), *extensions()]:
        with suppress(LuminaError):  # it has no such package; an import says so
            if plugin.error is None and (found := data_folder(plugin, folder)):
                yield plugin, found


def _with_state(plugin: Plugin) -> Plugin:
    if plugin.status != "found":
        return plugin
    if plugin.key in _FAILURES:
        plugin = _FAILURES[plugin.key]
    elif plugin.key in _LOADED:
        plugin = dataclasses.replace(plugin, status="loaded")
    return dataclasses.replace(
        plugin,
        notes=tuple(_NOTES.get(plugin.key, ())),
        deprecations=tuple(_DEPRECATIONS.get(plugin.key, ())),
    )


def _notes_of(plugin: Plugin) -> list[str]:
    return _NOTES.setdefault(plugin.key, [])


def _dataclass_at(plugin: Plugin, path: str) -> type:
    from lumina_core.plugins.import_watch import timed
    from lumina_core.plugins.spec_check import dataclass_fault

    with timed(path, _notes_of(plugin)):
        found = _resolve(plugin, path)
    if fault := dataclass_fault(found):
        raise LuminaError(f"{plugin.title} is broken: {path} {fault}.")
    return cast(type, found)


def _resolve(plugin: Plugin, path: str) -> Any:
    from lumina_core.plugins import loading

    module, _, attribute = path.partition(":")
    try:
        with _LOCK, loading.named_when_interrupted(plugin):
            if module not in sys.modules:
                loading.import_part(module, _notes_of(plugin))
            found = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if is_strict():
            raise
        raise LuminaError(
            f"{plugin.title} cannot load {path}: {loading.one_line(error)}."
        ) from error
    return found


def data_folder(plugin: Plugin, folder: str) -> Path | None:
    """A folder beside the modules of a plugin, or None; imports nothing.

    Raises:
        LuminaError: it has no such package.
    """
    top_package = plugin.module.partition(".")[0]
    try:
        spec = find_spec(top_package)  # of a top-level name: imports nothing
    except (ImportError, ValueError) as error:
        raise LuminaError(f"{plugin.title} has no package {top_package!r}.") from error
    locations = (spec.submodule_search_locations if spec else None) or []
    return next((path for at in locations if (path := Path(at, folder)).is_dir()), None)


def refusal(plugin: Plugin) -> str:
    """Why a plugin cannot be used, as a sentence."""
    reason = f"{plugin.title} is {plugin.status}: {plugin.error}."
    if plugin.status == "broken":
        return f"{reason} See: {command_line('doctor', plugin.name)}"
    return reason


def _absence(name: str) -> str:
    names = installed()
    there = f"installed: {', '.join(names)}" if names else "no modality is"
    text = f"Modality {name!r} is not installed ({there})."
    if extension := next((each for each in extensions() if each.name == name), None):
        return f"{extension.title} is no modality ({there})."
    meant = name if name in SHIPPED else similar(name, [*names, *SHIPPED])
    if meant is None:
        return text if names else f"{text} Install one: {install_command(SHIPPED[0])}"
    if meant != name:
        text += f" Did you mean {meant!r}?"
    return text if meant in names else f"{text} Install it: {install_command(meant)}"


def install_command(name: str) -> str:
    """How one of the SHIPPED modalities is installed, or an extension of the project."""
    return f"python -m pip install ./plugins/{OWN}{name} (in a checkout of the project)"


def is_strict() -> bool:
    """Whether LUMINA_STRICT lets a plugin's exception through, for its author to see."""
    return os.environ.get("LUMINA_STRICT", "") not in ("", "0")
