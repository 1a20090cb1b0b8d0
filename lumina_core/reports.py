"""The texts of `plugins`, `doctor` and `info`: what is installed, wrong, or in a file."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lumina_core import __version__, host
from lumina_core.errors import LuminaError
from lumina_core.output_paths import OUTPUTS
from lumina_core.records import flat

FAULTS = ("broken", "incompatible", "duplicate")
FIELDS = ("name", "package", "version", "status", "summary", "error")
_PACKAGES = (
    *("torch", "numpy", "einops", "pluggy", "hydra-core", "omegaconf", "safetensors"),
    *("transformers", "tokenizers", "diffusers", "torchdiffeq", "pillow"),
)


def check_plugins() -> list[host.Plugin]:
    """Every plugin, after an attempt to import it with its options and to read its YAML."""
    from lumina_core.layers import check_modality_file  # brings Hydra where it is called

    faults = {}
    for name in host.installed():
        try:
            check_modality_file(name)
        except LuminaError as error:
            faults[name] = str(error)
    return [
        dataclasses.replace(plugin, status="broken", error=faults[plugin.name])
        if plugin.error is None and plugin.name in faults
        else plugin
        for plugin in host.discover()
    ]


def has_faults(plugins: list[host.Plugin]) -> bool:
    """Whether one of them is installed but cannot work; a blocked one is no fault."""
    return any(plugin.status in FAULTS for plugin in plugins)


def plugin_table(plugins: list[host.Plugin]) -> str:
    """One line per plugin."""
    if not plugins:
        return f"No modality is installed. Install one: {host.install_command(host.SHIPPED[0])}"
    return "\n".join(
        f"{p.name:<12}{p.package:<20}{p.version:<10}{p.status:<14}{p.error or p.summary}".rstrip()
        for p in plugins
    )


def plugin_records(plugins: list[host.Plugin]) -> list[dict[str, str | None]]:
    """The same for machines."""
    return [{field: getattr(plugin, field) for field in FIELDS} for plugin in plugins]


def environment(plugins: list[host.Plugin]) -> str:
    """Versions from package metadata, the output folder, and the plugins."""
    versions = [f"lumina-core {__version__}", f"python {sys.version.split()[0]} {sys.executable}"]
    versions += [f"{package} {_version(package)}" for package in _PACKAGES]
    return "\n".join([*versions, _folder_state(OUTPUTS), "", plugin_table(plugins)])


def diagnosis(name: str, plugins: list[host.Plugin]) -> str:
    """Everything known about one modality, the traceback of its import included.

    Raises:
        LuminaError: it is not installed.
    """
    named = [plugin for plugin in plugins if plugin.name == name]
    if not named:
        host.find(name)  # says what is missing and how to install it
    lines = []
    for plugin in named:
        lines += [f"{plugin.title} is {plugin.status}. {plugin.summary}".rstrip()]
        lines += [f"  entry point: {plugin.value}"]
        lines += [
            f"  {line}" for line in (plugin.error, *(plugin.trace or "").splitlines()) if line
        ]
    return "\n".join(lines)


def checkpoint_summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's manifest without the hashes of its files."""
    return {key: value for key, value in manifest.items() if key not in ("files", "sha256")}


def as_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """`key: value` lines, nested keys dotted."""
    yield from (f"{key}: {value}" for key, value in flat(values).items())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _folder_state(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    is_writable = existing.is_dir() and os.access(existing, os.W_OK)
    return f"{folder}/ {'can' if is_writable else 'CANNOT'} be written in {Path.cwd()}"
