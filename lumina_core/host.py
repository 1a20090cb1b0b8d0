"""Finds, isolates and loads the modality plugins.

Listing reads package metadata only. Loading imports one plugin, the one asked for: a broken plugin
is a record with a reason, never a broken program. Every plugin has its own pluggy manager, so that
nothing one plugin does reaches another.

Switches: LUMINA_BLOCK=a,b (never import these), LUMINA_ONLY=a (only these; empty: none), both by
modality or by package name, and LUMINA_STRICT=1 (let a plugin's exception through).
"""

import dataclasses
import os
import re
import threading
import traceback
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError, nearest, reason_of
from lumina_core.modality import PLUGIN_API, ModalitySpec

GROUP = "lumina_core.modalities"
SHIPPED = ("image", "video", "multiview", "audio")
"""Names that people will try, for hints in messages; the first is what `infer` means."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PATH = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
_LOCK = threading.RLock()  # re-entrant: a plugin may itself ask for another modality
_SPECS: "dict[tuple[str, str, str], ModalitySpec]" = {}
_FAILURES: "dict[tuple[str, str, str], Plugin]" = {}


@dataclass(frozen=True)
class Plugin:
    """One entry point of the group, and what became of it."""

    name: str
    """The modality."""

    package: str
    version: str

    status: str
    """found, loaded, blocked, duplicate, incompatible or broken."""

    summary: str
    """From the metadata of the package, so that it costs no import."""

    error: str | None
    """Why the modality cannot be used, in one line; None for found and loaded."""

    value: str
    """The module that implements the hook."""

    trace: str | None = None
    """The traceback of a failed import."""

    @property
    def title(self) -> str:
        """How messages call it: the modality with its package and version."""
        return f"Modality {self.name!r} ({self.package} {self.version})"


class _IncompatibleError(Exception):
    """The plugin was written for another version of the contract."""


def installed_entry_points() -> list[metadata.EntryPoint]:
    """Every entry point of the group in this environment, without importing any."""
    return list(metadata.entry_points(group=GROUP))


def discover(entry_points: list[metadata.EntryPoint] | None = None) -> list[Plugin]:
    """Every plugin with its state so far, by name. Imports none of them.

    Args:
        entry_points: look at these instead of the environment's.
    """
    points = installed_entry_points() if entry_points is None else entry_points
    plugins = sorted((_describe(point) for point in points), key=lambda p: (p.name, p.package))
    owners: dict[str, list[str]] = {}
    for plugin in plugins:
        if plugin.status != "blocked":
            owners.setdefault(plugin.name, []).append(plugin.package)
    return [_with_state(plugin, owners.get(plugin.name, [])) for plugin in plugins]


def installed(entry_points: list[metadata.EntryPoint] | None = None) -> list[str]:
    """Names of the modalities that can be asked for."""
    return [p.name for p in discover(entry_points) if p.status in ("found", "loaded")]


def usual() -> str:
    """The modality that `infer` takes when none is named: the only one, else the first shipped."""
    names = installed()
    return names[0] if len(names) == 1 else SHIPPED[0]


def find(name: str, entry_points: list[metadata.EntryPoint] | None = None) -> Plugin:
    """The one usable plugin of this name.

    Raises:
        LuminaError: no such modality, or it is blocked, duplicate, incompatible or broken.
    """
    plugins = discover(entry_points)
    named = [plugin for plugin in plugins if plugin.name == name]
    usable = [plugin for plugin in named if plugin.error is None]
    if usable:
        return usable[0]
    if named:
        # A blocked copy beside a broken one is not the reason: the broken one is.
        raise LuminaError(_refusal(min(named, key=lambda plugin: plugin.status == "blocked")))
    raise LuminaError(_absence(name, installed(entry_points)))


def load(name: str, entry_points: list[metadata.EntryPoint] | None = None) -> ModalitySpec:
    """Import one plugin, and no other, and return what its hook says. Safe to call from threads.

    Raises:
        LuminaError: it cannot be used; the text says why and what to do.
        Exception: whatever the plugin raised, when LUMINA_STRICT is set.
    """
    with _LOCK:
        plugin = find(name, entry_points)
        key = _key(plugin)
        if key not in _SPECS:
            try:
                _SPECS[key] = _import_spec(plugin)
            except (Exception, SystemExit) as error:
                if _is_strict():
                    raise
                _FAILURES[key] = _failure(plugin, error)
                raise LuminaError(_refusal(_FAILURES[key])) from error
        return _SPECS[key]


def forget() -> None:
    """Forget what was loaded and what failed, as when packages were installed meanwhile."""
    with _LOCK:
        _SPECS.clear()
        _FAILURES.clear()


def options_class(name: str) -> type:
    """The dataclass of a modality's options.

    Raises:
        LuminaError: the modality cannot be used, or the path in its spec leads to no dataclass.
    """
    return _dataclass_at(name, load(name).options)


def condition_class(name: str) -> type | None:
    """The dataclass of what may be given beside a prompt; None if nothing may.

    Raises:
        LuminaError: the modality cannot be used, or the path in its spec leads to no dataclass.
    """
    path = load(name).condition
    return None if path is None else _dataclass_at(name, path)


def modality_class(name: str) -> Any:
    """The class called as `Modality(options, vae_folder)`. Imports what the modality needs."""
    return _resolve(name, load(name).modality)


def conf_folder(name: str) -> Path:
    """The `conf` folder beside a plugin's modules, found without importing the plugin.

    Raises:
        LuminaError: the modality cannot be used, or its package ships no such folder.
    """
    folder = _data_folder(name, "conf")
    if folder is None:
        raise LuminaError(
            f"{find(name).title} ships no conf folder. Its wheel lacks package data: reinstall it."
        )
    return folder


def demo_folder(name: str) -> Path | None:
    """The demo checkpoint that a plugin ships, or None."""
    return _data_folder(name, "demo")


def _describe(point: metadata.EntryPoint) -> Plugin:
    package, version, summary, error = "unknown package", "?", "", None
    try:
        about: Any = point.dist.metadata if point.dist else {}
        package, version = about.get("Name", package), about.get("Version", version)
        summary = " ".join(about.get("Summary", "").split())
    except Exception as fault:  # whatever a parser says of a file that anybody wrote
        error = f"the metadata of its package cannot be read ({_one_line(fault)})"
    plugin = Plugin(
        name=point.name,
        package=package,
        version=version,
        status="broken" if error else "found",
        summary=summary,
        error=error,
        value=point.value,
    )
    return _with_switches(plugin)


def _with_switches(plugin: Plugin) -> Plugin:
    names = {plugin.name, plugin.package}
    if names & _listed("LUMINA_BLOCK"):
        error = "it stands in LUMINA_BLOCK; to use it, unset LUMINA_BLOCK"
        return dataclasses.replace(plugin, status="blocked", error=error)
    if "LUMINA_ONLY" in os.environ and not names & _listed("LUMINA_ONLY"):
        error = "LUMINA_ONLY is set and does not name it; to use it, unset LUMINA_ONLY"
        return dataclasses.replace(plugin, status="blocked", error=error)
    return plugin


def _with_state(plugin: Plugin, owners: list[str]) -> Plugin:
    if plugin.status == "blocked":
        return plugin
    if len(owners) > 1:
        others = " and ".join(owners)
        error = (
            f"{others} both provide it. Remove one: pip uninstall {owners[-1]}, "
            f"or set LUMINA_BLOCK={owners[-1]}"
        )
        return dataclasses.replace(plugin, status="duplicate", error=error)
    if not _NAME.fullmatch(plugin.name):
        error = "the name of a modality is made of lower-case letters, digits and underscores"
        return dataclasses.replace(plugin, status="broken", error=error)
    if plugin.error is not None:
        return plugin
    if _key(plugin) in _FAILURES:
        return _FAILURES[_key(plugin)]
    if _key(plugin) in _SPECS:
        return dataclasses.replace(plugin, status="loaded")
    return plugin


def _import_spec(plugin: Plugin) -> ModalitySpec:
    import pluggy  # here and not above: listing plugins does not need it

    from lumina_core import hookspecs

    point = metadata.EntryPoint(plugin.name, plugin.value, GROUP)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(point.load(), plugin.name)
    manager.check_pending()  # else a misspelt hook name is silently ignored
    hook = manager.hook.lumina_modality
    if not hook.get_hookimpls():
        raise TypeError(f"{plugin.value} has no lumina_modality function marked with @hookimpl")
    specs = hook()
    if len(specs) != 1 or not isinstance(specs[0], ModalitySpec):
        got = type(specs[0]).__name__ if specs else "None"
        raise TypeError(f"lumina_modality() in {plugin.value} returned {got}, not a ModalitySpec")
    _check_spec(specs[0])
    return specs[0]


def _check_spec(spec: ModalitySpec) -> None:
    api = spec.api
    is_pair = isinstance(api, tuple) and len(api) == 2 and all(type(n) is int for n in api)
    if not is_pair:
        raise TypeError(f"ModalitySpec.api is {api!r}, not two integers like {PLUGIN_API}")
    if api[0] != PLUGIN_API[0] or api[1] > PLUGIN_API[1]:
        newer = "lumina-core" if api > PLUGIN_API else "the plugin"
        raise _IncompatibleError(
            f"it was written for plugin API {api[0]}.{api[1]}, this lumina-core has "
            f"{PLUGIN_API[0]}.{PLUGIN_API[1]}. Upgrade {newer}"
        )
    for field in ("options", "modality", "condition"):
        path = getattr(spec, field)
        if path is None and field == "condition":
            continue
        if not (isinstance(path, str) and _PATH.fullmatch(path)):
            raise TypeError(f"ModalitySpec.{field} is {path!r}, not 'module:attribute'")


def _failure(plugin: Plugin, error: BaseException) -> Plugin:
    if isinstance(error, _IncompatibleError):
        return dataclasses.replace(plugin, status="incompatible", error=str(error))
    trace = "".join(traceback.format_exception(error))
    return dataclasses.replace(plugin, status="broken", error=_one_line(error), trace=trace)


def _one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({error.code!r}) when it is imported"
    text = reason_of(error)
    if isinstance(error, SyntaxError):  # its text does not say where
        text = f"{text} [{error.filename}]"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _dataclass_at(name: str, path: str) -> type:
    found = _resolve(name, path)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise LuminaError(f"{find(name).title} is broken: {found!r} is not a dataclass.")
    return found


def _resolve(name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        if _is_strict():
            raise
        plugin = find(name)
        raise LuminaError(f"{plugin.title} cannot load {path}: {_one_line(error)}.") from error
    return found


def _data_folder(name: str, folder: str) -> Path | None:
    top_package = find(name).value.partition(":")[0].partition(".")[0]
    try:
        spec = find_spec(top_package)  # of a top-level name: imports nothing
    except (ImportError, ValueError) as error:
        raise LuminaError(f"{find(name).title} has no package {top_package!r}.") from error
    locations = (spec.submodule_search_locations if spec else None) or []
    return next((path for at in locations if (path := Path(at, folder)).is_dir()), None)


def _refusal(plugin: Plugin) -> str:
    reason = f"{plugin.title} is {plugin.status}: {plugin.error}."
    if plugin.status == "broken":
        return f"{reason} See: python -m lumina_core doctor {plugin.name}"
    return reason


def _absence(name: str, names: list[str]) -> str:
    present = f"installed: {', '.join(names)}" if names else "no modality is"
    text = f"Modality {name!r} is not installed ({present})."
    if name in SHIPPED:
        return f"{text} Install it: {install_command(name)}"
    if hint := nearest(name, [*names, *SHIPPED]):
        missing = [one for one in SHIPPED if f"'{one}'" in hint and one not in names]
        return text + hint + "".join(f" Install it: {install_command(one)}" for one in missing)
    return text if names else f"{text} Install one: {install_command(SHIPPED[0])}"


def install_command(name: str) -> str:
    """How one of the SHIPPED modalities is installed."""
    return f"python -m pip install ./plugins/lumina-{name} (in a checkout of the project)"


def _key(plugin: Plugin) -> tuple[str, str, str]:
    return plugin.name, plugin.package, plugin.value


def _listed(variable: str) -> set[str]:
    return {word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()}


def _is_strict() -> bool:
    return os.environ.get("LUMINA_STRICT", "") not in ("", "0")
