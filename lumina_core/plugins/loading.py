"""Imports the modules of one plugin under watch, registers its hooks, and asks them.

The host imports this module when a plugin is loaded: listing needs neither pluggy nor the watch.
There is one pluggy manager. A plugin is registered when it is first asked for, and taken out where
something of it is wrong; a hook is called on one plugin at a time, so that no wrapper and no fault
of one reaches another.
"""

import dataclasses
import importlib
import os
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import FunctionType, ModuleType, TracebackType
from typing import Any

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import lumina_core
from lumina_core import __version__
from lumina_core.errors import LuminaError, nearest, printable, reason_of
from lumina_core.modality import PLUGIN_API, ModalitySpec
from lumina_core.plugins import hookspecs
from lumina_core.plugins import import_watch as watch
from lumina_core.plugins.entry_points import MODALITY, Plugin
from lumina_core.plugins.spec_check import (
    IncompatibleError,
    checked_autoencoders,
    checked_networks,
    checked_spec,
    way_to_this_api,
)

_CORE = "lumina-core"
_HOOKS = ("lumina_modality", "lumina_autoencoders", "lumina_networks")
_MAX_DEPRECATION, _MAX_SHOWN, _MAX_TRACED = 300, 60, 500  # characters of texts that others wrote


@dataclass(frozen=True)
class Answers:
    """What the hooks of one plugin say."""

    spec: ModalitySpec | None
    """None for an extension."""

    autoencoders: Mapping[str, Mapping[str, str]]
    """By medium and `_class_name`, each as `module:class`."""

    networks: Mapping[str, str]
    """By `_class_name`, each as `module:class`."""


@cache
def manager() -> pluggy.PluginManager:
    """The one manager, without plugins at first; `manager.cache_clear` forgets them."""
    made = pluggy.PluginManager(hookspecs.PROJECT)
    made.add_hookspecs(hookspecs)
    return made


def load(plugin: Plugin, notes: list[str], deprecations: list[str]) -> Answers:
    """Import the entry module of a plugin under watch, register its hooks and ask them.

    Args:
        plugin: which.
        notes: where sentences are appended about what the import should not do.
        deprecations: the same, about what a coming plugin API will not have.

    Raises:
        LuminaError: one of its hooks, or what that returns, is not what the contract says.
        IncompatibleError: it was written for a plugin API that this core does not have.
        BaseException: whatever the plugin raises.
    """
    name = _registered_name(plugin)
    with _watched(plugin.module, notes):
        module = import_module(plugin.module)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                manager().unblock(name)
                manager().register(_functions_of(module, plugin.module), name)
            answers = _answers(plugin)
        except BaseException:
            manager().unregister(name=name)
            raise
    deprecations += [
        f"{plugin.title} is outdated: {printable(str(warning.message), _MAX_DEPRECATION)}. Upgrade "
        f"{plugin.package}, or tell its author"
        for warning in caught
    ]
    return answers


def block(plugin: Plugin) -> None:
    """Keep a plugin out of the manager, and take it out if it is in."""
    manager().set_blocked(_registered_name(plugin))


@contextmanager
def traced(lines: list[str]) -> Iterator[None]:
    """Append a line for each call of a hook within the block: whose it was, and what it gave."""
    started: list[float] = []

    def before(hook: str, implementations: Sequence[Any], arguments: Mapping[str, Any]) -> None:
        started.append(time.perf_counter())

    def after(
        outcome: Any, hook: str, implementations: Sequence[Any], arguments: Mapping[str, Any]
    ) -> None:
        seconds = time.perf_counter() - started.pop()
        names = ", ".join(each.plugin_name for each in implementations) or "nobody"
        gave = (
            f"raised {one_line(outcome.exception)}" if outcome.exception else outcome.get_result()
        )
        line = f"{hook}() of {names}: {gave} in {seconds * 1000:.1f} ms"
        lines.append(printable(line, _MAX_TRACED))

    undo = manager().add_hookcall_monitoring(before, after)
    try:
        yield
    finally:
        undo()


def _registered_name(plugin: Plugin) -> str:
    return f"{plugin.kind} {plugin.name} ({plugin.package}, {plugin.module})"


def _functions_of(module: Any, name: str) -> ModuleType:
    """The functions of an entry module, without what else it may do when pluggy looks at it.

    One module may stand for two entry points, and pluggy registers an object once.
    """
    found = ModuleType(name)
    functions = {k: x for k, x in vars(module).items() if isinstance(x, FunctionType)}
    vars(found).update(functions)
    return found


def _answers(plugin: Plugin) -> Answers:
    modality, autoencoders, networks = (_caller(plugin, name) for name in _HOOKS)
    spec = None
    if plugin.kind == MODALITY and modality.get_hookimpls():
        # before unknown hooks are refused, for its version says the most of them, too
        spec = checked_spec(modality(), plugin)
    _refuse_unknown_hooks(plugin.module)
    if plugin.kind == MODALITY and spec is None:
        raise LuminaError(f"{plugin.module} has no lumina_modality function marked with @hookimpl")
    return Answers(
        spec,
        checked_autoencoders(autoencoders(), plugin),
        checked_networks(networks() if networks.get_hookimpls() else [], plugin),
    )


def _caller(plugin: Plugin, hook: str) -> pluggy.HookCaller:
    """A hook as this plugin alone has it."""
    own = manager().get_plugin(_registered_name(plugin))
    others = [each for _, each in manager().list_name_plugin() if each not in (None, own)]
    return manager().subset_hook_caller(hook, others)


def _refuse_unknown_hooks(module: str) -> None:
    """Refuse what pluggy would silently ignore: hooks that the core does not have."""
    try:
        manager().check_pending()
    except pluggy.PluginValidationError as error:
        name = str(error).split("'")[1]  # it says: unknown hook 'NAME' in plugin ...
        known = [each for each, caller in vars(manager().hook).items() if caller.has_spec()]
        raise LuminaError(
            f"{module} has an unknown hook {name!r}.{nearest(name, known)}"
        ) from error


@contextmanager
def _watched(module: str, notes: list[str]) -> Iterator[None]:
    """What an entry module does when it is imported, which should be next to nothing, is noted."""
    place = module, notes
    with (
        watch.stdout_kept_clean(*place),
        watch.core_kept(*place),
        watch.process_compared(*place, tuple(watch.PROCESS_STATE)),
        watch.warnings_kept(*place),
        watch.timed(*place),
    ):
        yield


@contextmanager
def named_when_interrupted(plugin: Plugin) -> Iterator[None]:
    """Say which plugin an interrupt met: it may be one that never ends, or that raises it."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(
            f"while {plugin.title} was imported; to leave it out, set LUMINA_BLOCK={plugin.name}"
        )
        raise


def import_part(module: str, notes: list[str]) -> None:
    """Import a module that may bring libraries, which do many things when they are imported."""
    place = module, notes
    with (
        watch.stdout_kept_clean(*place),
        watch.core_kept(*place),
        watch.process_compared(*place, watch.LASTING_STATE),
    ):
        import_module(module)


def failure(plugin: Plugin, error: BaseException) -> Plugin:
    """The record of a plugin whose import raised this."""
    if isinstance(error, IncompatibleError):
        return dataclasses.replace(plugin, status="incompatible", error=str(error))
    if isinstance(error, LuminaError):
        return dataclasses.replace(plugin, status="broken", error=str(error).rstrip("."))
    trace = "".join(traceback.format_exception(error.with_traceback(_own_frames(error))))
    if reason := _unmet_requirement(plugin):  # what it lacks here is in another lumina-core
        reason = f"{one_line(error)}; {reason}"
        return dataclasses.replace(plugin, status="incompatible", error=reason, trace=trace)
    if isinstance(error, TypeError) and "ModalitySpec" in str(error):  # of another plugin API
        has = ".".join(map(str, PLUGIN_API))
        reason = f"it was written for another plugin API than {has} ({reason_of(error)})"
        reason += f". {way_to_this_api(plugin.package)}"
        return dataclasses.replace(plugin, status="incompatible", error=reason, trace=trace)
    return dataclasses.replace(plugin, status="broken", error=one_line(error), trace=trace)


def _own_frames(error: BaseException) -> TracebackType | None:
    """A traceback without its beginning in the core and the system of imports; None: all of it."""
    folders = [
        Path(file).parent for file in (lumina_core.__file__, pluggy.__file__, importlib.__file__)
    ]
    left_out = ("<frozen ", *(f"{folder}{os.sep}" for folder in folders))
    found = error.__traceback__
    while found and found.tb_frame.f_code.co_filename.startswith(left_out):
        found = found.tb_next
    return found


def _unmet_requirement(plugin: Plugin) -> str | None:
    """Which package to upgrade, where this lumina-core is not one that the plugin's asks for."""
    try:
        lines = metadata.requires(plugin.package) or []
        wanted = [Requirement(line) for line in lines]
    except Exception:  # of a file that anybody wrote
        return None
    version = Version(__version__)
    for each in wanted:
        if canonicalize_name(each.name) != _CORE or each.specifier.contains(version, True):
            continue
        is_newer = any(
            one.operator in (">", ">=", "~=", "==") and Version(one.version) > version
            for one in each.specifier
            if not one.version.endswith("*")
        )
        older = _CORE if is_newer else plugin.package
        return f"it requires {_CORE}{each.specifier}, this is {__version__}. Upgrade {older}"
    return None


def one_line(error: BaseException) -> str:
    """An exception as the reason in a message."""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int | str | None) else type(error.code).__name__
        return f"it calls sys.exit({printable(repr(code), _MAX_SHOWN)})"
    text = reason_of(error)
    if isinstance(error, SyntaxError):  # its text does not say where
        text = f"{text} [{error.filename}]"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
