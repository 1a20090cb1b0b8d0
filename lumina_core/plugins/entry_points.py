"""The plugins in this environment as the metadata of their packages has them; imports none.

Whatever stands in the metadata was written by others: a file that cannot be read hides its own
package only, and every text is made harmless before it is kept.
"""

import dataclasses
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from lumina_core.errors import printable, reason_of

MODALITY, EXTENSION = "modality", "extension"
GROUPS = {"lumina_core.modalities": MODALITY, "lumina_core.extensions": EXTENSION}
MAX_NAME, MAX_SUMMARY = 80, 160  # characters; longer texts of others are cut where they are kept

MODALITY_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VALUE = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*)\s*(\[.*\])?")  # extras change nothing


@dataclass(frozen=True)
class Plugin:
    """One entry point of a group, and what became of it."""

    kind: str
    """MODALITY, or EXTENSION: a package that brings something for the modalities of others."""

    name: str
    """Of the modality or extension."""

    package: str
    version: str

    status: str
    """found, loaded, blocked, duplicate, incompatible or broken."""

    summary: str
    """From the metadata of the package, so that it costs no import."""

    error: str | None
    """Why it cannot be used, in one line; None for found and loaded."""

    value: str
    """The module that implements the hook."""

    trace: str | None = None
    """The traceback of a failed import."""

    notes: tuple[str, ...] = ()
    """What its import did that it should not, one line each; empty before it was imported."""

    deprecations: tuple[str, ...] = ()
    """What it uses that a coming plugin API will not have, one line each."""

    @property
    def title(self) -> str:
        """How messages call it: by its name, package and version."""
        return f"{self.kind.capitalize()} {self.name!r} ({self.package} {self.version})"

    @property
    def module(self) -> str:
        """The entry module; its value without extras, which change nothing."""
        match = _VALUE.fullmatch(self.value)
        return match["module"] if match else self.value

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from every other plugin."""
        return self.kind, self.name, self.package, self.value


def installed_plugins() -> tuple[Plugin, ...]:
    """What stands in the metadata of this environment, without importing any.

    A distribution that is found twice, as an editable install beside a wheel, counts once: the
    first on sys.path, which is the one that an import finds. It is read once, until
    `forget_plugins` or a change of sys.path.
    """
    return plugins_on(tuple(sys.path))


@cache
def plugins_on(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """The same, of the packages in these folders."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for distribution in metadata.distributions(path=list(path)):
        points = _points(distribution) or []
        if points:
            found.setdefault(_normalized_name(distribution), points)
    return tuple(_described(point) for points in found.values() for point in points)


forget_plugins = plugins_on.cache_clear


def unreadable_packages() -> list[str]:
    """Packages whose entry points cannot be read; a plugin among them is not found."""
    return sorted(
        _normalized_name(each) for each in metadata.distributions() if _points(each) is None
    )


def _points(distribution: metadata.Distribution) -> list[metadata.EntryPoint] | None:
    """A distribution's entry points of our groups; None where they cannot be read."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
        if not any(group in text for group in GROUPS):  # as in nearly all: saves half of the time
            return []
        return [point for point in distribution.entry_points if point.group in GROUPS]
    except Exception:  # whatever a parser says of a file that anybody wrote
        return None


def _normalized_name(distribution: metadata.Distribution) -> str:
    try:
        name = distribution.metadata["Name"]
    except Exception:  # described as broken later
        name = None
    return _normalized(name) if name else f"without a name: {distribution!r}"


def _normalized(name: str) -> str:
    """The one spelling of a package's name: https://packaging.python.org/specifications/name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _described(point: metadata.EntryPoint) -> Plugin:
    """What the metadata says of an entry point; a switch may change it."""
    package, version, summary, error = "unknown package", "?", "", None
    try:
        about: Any = point.dist.metadata if point.dist else {}
        package, version = about.get("Name") or package, about.get("Version") or version
        summary = about.get("Summary") or ""
    except Exception as fault:  # whatever a parser says of a file that anybody wrote
        error = f"the metadata of its package cannot be read ({type(fault).__name__}: " + (
            f"{reason_of(fault)})"
        )
    plugin = Plugin(
        kind=GROUPS[point.group],
        name=printable(point.name, MAX_NAME),
        package=printable(package, MAX_NAME),
        version=printable(version, MAX_NAME),
        status="found",
        summary=printable(summary, MAX_SUMMARY),
        error=None,
        value=printable(point.value, MAX_SUMMARY),
    )
    error = error or _form_fault(plugin)
    return dataclasses.replace(plugin, status="broken", error=error) if error else plugin


def _form_fault(plugin: Plugin) -> str | None:
    if not MODALITY_NAME.fullmatch(plugin.name):
        a_kind = "a modality" if plugin.kind == MODALITY else "an extension"
        return f"the name of {a_kind} is made of lower-case letters, digits and underscores"
    if not _VALUE.fullmatch(plugin.value):
        return (
            f"its entry point is {plugin.value!r}; a module is wanted that holds the hook, such "
            "as lumina_toy.plugin"
        )
    return None


def with_switches(plugin: Plugin) -> Plugin:
    """A plugin as it is, or as LUMINA_BLOCK and LUMINA_ONLY have it."""
    names = {plugin.name, _normalized(plugin.package)}
    if names & _listed("LUMINA_BLOCK"):
        error = "it stands in LUMINA_BLOCK; to use it, unset LUMINA_BLOCK"
        return dataclasses.replace(plugin, status="blocked", error=error)
    if "LUMINA_ONLY" in os.environ and not names & _listed("LUMINA_ONLY"):
        error = "LUMINA_ONLY is set and does not name it; to use it, unset LUMINA_ONLY"
        return dataclasses.replace(plugin, status="blocked", error=error)
    return plugin


def without_copies(plugins: list[Plugin]) -> list[Plugin]:
    """Plugins without those that are one and the same, each that shares its name marked."""
    distinct = list({plugin.key: plugin for plugin in plugins}.values())
    usable = [plugin for plugin in distinct if plugin.error is None]
    return [_as_duplicate(plugin, usable) for plugin in distinct]


def _as_duplicate(plugin: Plugin, usable: list[Plugin]) -> Plugin:
    rivals = [other for other in usable if (other.kind, other.name) == (plugin.kind, plugin.name)]
    if plugin.error is not None or len(rivals) < 2:
        return plugin
    usual = f"lumina-{plugin.name.replace('_', '-')}"  # kept, where it is one of them
    packages = sorted({other.package for other in rivals}, key=lambda name: (name != usual, name))
    last = packages[-1]
    if len(packages) > 1:
        error = (
            f"{' and '.join(packages)} both provide it. Remove one: pip uninstall {last}, "
            f"or set LUMINA_BLOCK={last}"
        )
    else:
        values = " and ".join(sorted(other.value for other in rivals))
        error = f"{last} states it twice, as {values}. Tell its author, or pip uninstall {last}"
    return dataclasses.replace(plugin, status="duplicate", error=error)


def _listed(variable: str) -> set[str]:
    words = (word.strip() for word in os.environ.get(variable, "").split(","))
    return {spelling for word in words if word for spelling in (word, _normalized(word))}
