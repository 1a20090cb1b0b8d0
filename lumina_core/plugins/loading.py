"""Imports the modules of one plugin under watch and asks its hook.

The host imports this module when a plugin is loaded: listing needs neither pluggy nor the watch.
"""

import dataclasses
import importlib
import os
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from types import TracebackType

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import lumina_core
from lumina_core import __version__
from lumina_core.errors import LuminaError, nearest, printable, reason_of
from lumina_core.modality import ModalitySpec
from lumina_core.plugins import hookspecs
from lumina_core.plugins import import_watch as watch
from lumina_core.plugins.entry_points import Plugin
from lumina_core.plugins.spec_check import IncompatibleError, checked_spec

_CORE = "lumina-core"
_MAX_DEPRECATION, _MAX_SHOWN = 300, 60  # characters of texts that others wrote


def import_spec(plugin: Plugin, notes: list[str], deprecations: list[str]) -> ModalitySpec:
    """What the hook of a plugin returns, its entry module imported under watch.

    Args:
        plugin: whose.
        notes: where sentences are appended about what the import should not do.
        deprecations: the same, about what a coming plugin API will not have.

    Raises:
        LuminaError: its hook, or what that returns, is not what the contract says.
        IncompatibleError: it was written for a plugin API that this core does not have.
        BaseException: whatever the plugin raises.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    with _watched(plugin.module, notes):
        module = import_module(plugin.module)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager.register(module, plugin.name)
        hook = manager.hook.lumina_modality
        if hook.get_hookimpls():  # its version says the most, also of hooks that are unknown here
            spec = checked_spec(hook(), plugin)
        _refuse_unknown_hooks(manager, plugin.module)
        if not hook.get_hookimpls():
            raise LuminaError(
                f"{plugin.module} has no lumina_modality function marked with @hookimpl"
            )
    deprecations += [
        f"{plugin.title} is outdated: {printable(str(warning.message), _MAX_DEPRECATION)}. Upgrade "
        f"{plugin.package}, or tell its author"
        for warning in caught
    ]
    return spec


def _refuse_unknown_hooks(manager: pluggy.PluginManager, module: str) -> None:
    """Refuse what pluggy would silently ignore: hooks that the core does not have."""
    callers = vars(manager.hook)
    known = [name for name, caller in callers.items() if caller.has_spec()]
    for name in callers.keys() - set(known):
        if not all(implementation.optionalhook for implementation in callers[name].get_hookimpls()):
            raise LuminaError(f"{module} has an unknown hook {name!r}.{nearest(name, known)}")


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
