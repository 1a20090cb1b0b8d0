"""The texts of `plugins`, `doctor` and `info`: what is installed, wrong, or in a file."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from itertools import islice
from pathlib import Path
from typing import Any

from lumina_core import __version__
from lumina_core.checkpoints.manifest import MANIFEST, read_manifest
from lumina_core.checkpoints.source import Source
from lumina_core.data.caches.manifest import KINDS
from lumina_core.errors import LuminaError, printable
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import (
    EXTENSION,
    MAX_NAME,
    MODALITY,
    Plugin,
    unreadable_packages,
)
from lumina_core.plugins.yaml_files import LABELS, MODELS
from lumina_core.records import as_text, flat
from lumina_core.sampling.output_paths import OUTPUTS

FAULTS = ("broken", "incompatible", "duplicate")
FIELDS = ("name", "package", "version", "status", "summary", "error", "kind")
CHECK_FIELDS = ("notes", "deprecations")
_MAX_IDLE_FILES = 20  # that doctor names
_EXTENSIONS = "extensions:"
_MAX_LINE = 500  # characters of a line of a traceback
_PACKAGES = (
    *("torch", "numpy", "einops", "pluggy", "hydra-core", "omegaconf", "safetensors"),
    *("transformers", "tokenizers", "diffusers", "torchdiffeq", "pillow"),
)


def all_plugins() -> list[Plugin]:
    """Every modality, then every extension, with its state so far; imports none of them."""
    return [*host.discover(), *host.extensions()]


def check_plugins(only: str | None = None) -> list[Plugin]:
    """Every plugin, after an attempt to import it with its parts and to read its YAML.

    Args:
        only: import this modality or extension and no other.
    """
    faults = {}
    for plugin in all_plugins():
        if plugin.error is None and only in (None, plugin.name):
            try:
                _check(plugin)
            except LuminaError as error:
                faults[plugin.key] = str(error)
    return [
        dataclasses.replace(plugin, status="broken", error=faults[plugin.key])
        if plugin.error is None and plugin.key in faults
        else plugin
        for plugin in all_plugins()
    ]


def _check(plugin: Plugin) -> None:
    from lumina_core.checkpoints.manifest import verify
    from lumina_core.checkpoints.vae_folder import described_vae
    from lumina_core.sampling.model_file import check_model_file
    from lumina_core.training.compose import check_modality_file

    if plugin.kind == MODALITY:
        check_modality_file(plugin.name)
    answers = host.answers(plugin)
    import_module("torch")  # as a run does, so that it is not the plugin's doing
    if plugin.kind == MODALITY:
        host.modality_class(plugin.name)
    from lumina_core.autoencoder.networks import autoencoder_class
    from lumina_core.checkpoints.packaged import checked_class

    for kinds in answers.autoencoders.values():
        for path in kinds.values():
            autoencoder_class(plugin, path)
    for path in answers.networks.values():
        checked_class(plugin, path)
    for folder in _demos(plugin):
        verify(folder, read_manifest(folder))
    for file in _vae_files(plugin):
        described_vae(file)
    for file in _model_files(plugin):
        check_model_file(file)


def has_faults(plugins: list[Plugin]) -> bool:
    """Whether one of them is installed but cannot work; a blocked one is no fault."""
    return any(plugin.status in FAULTS for plugin in plugins)


def plugin_table(plugins: list[Plugin]) -> list[str]:
    """One line per plugin, and one for each thing that its import should not do."""
    lines = []
    if all(plugin.kind == EXTENSION for plugin in plugins):
        lines = [f"No modality is installed. Install one: {host.install_command(host.SHIPPED[0])}"]
    for p in plugins:
        if p.kind == EXTENSION and _EXTENSIONS not in lines:
            lines += ["", _EXTENSIONS]
        row = f"{p.name:<12}{p.package:<20}{p.version:<10}{p.status:<14}{p.error or p.summary}"
        lines += [row.rstrip(), *_remarks(p)]
    return lines


def _remarks(plugin: Plugin) -> list[str]:
    return [f"  note: {line}" for line in (*plugin.deprecations, *plugin.notes)]


def plugin_records(plugins: list[Plugin], *, is_check: bool) -> list[dict[str, Any]]:
    """The same for machines; after a check with what the import of each should not do."""
    fields = (*FIELDS, *CHECK_FIELDS) if is_check else FIELDS
    return [{field: getattr(plugin, field) for field in fields} for plugin in plugins]


def environment(plugins: list[Plugin]) -> list[str]:
    """Versions from package metadata, the output folder, and the plugins."""
    versions = [f"lumina-core {__version__}", f"python {sys.version.split()[0]} {sys.executable}"]
    versions += [f"{package} {_version(package)}" for package in _PACKAGES]
    unreadable = [
        f"{name}: the entry points of this package cannot be read; reinstall it"
        for name in unreadable_packages()
    ]
    return [*versions, _folder_state(OUTPUTS), *unreadable, "", *plugin_table(plugins)]


def diagnosis(name: str, plugins: list[Plugin]) -> list[str]:
    """Everything known about one modality or extension, the traceback of its import included.

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
        trace = (_indented(line) for line in (plugin.trace or "").splitlines())
        lines += [f"  {line}" for line in (plugin.error, *trace) if line]
        lines += _remarks(plugin)
        if plugin.status == "loaded":
            lines += [f"  demo of {', '.join(names)}" for names in _demos(plugin).values()]
            lines += _autoencoder_lines(plugin)
            networks = ", ".join(host.answers(plugin).networks)
            lines += ["  " + printable(f"networks: {networks}", _MAX_LINE)] * bool(networks)
            lines += [f"  note: nothing reads {path}" for path in _idle_files(plugin)]
    return lines


def _demos(plugin: Plugin) -> dict[Path, list[str]]:
    """The checkpoints that a plugin ships, each with its modalities.

    Raises:
        LuminaError: one of them is damaged.
    """
    folder = host.data_folder(plugin, "demo")
    found = sorted(folder.glob(f"*/{MANIFEST}")) if folder else []
    if folder and (folder / MANIFEST).is_file():
        found = [folder / MANIFEST]
    return {path.parent: list(read_manifest(path.parent)["modalities"]) for path in found}


def _autoencoder_lines(plugin: Plugin) -> list[str]:
    media = host.answers(plugin).autoencoders.items()
    return [
        "  " + printable(f"autoencoders of {medium}: {', '.join(kinds)}", _MAX_LINE)
        for medium, kinds in media
    ]


def _indented(line: str) -> str:
    """A line of a traceback, which may quote what its author wrote, made harmless."""
    words = line.lstrip()
    return " " * min(len(line) - len(words), _MAX_LINE) + printable(words, _MAX_LINE)


def _vae_files(plugin: Plugin) -> set[Path]:
    """The YAML files of a plugin that describe autoencoders."""
    folder = host.data_folder(plugin, "conf/vae")
    return set(folder.glob("*.yaml" if plugin.kind == MODALITY else "*/*.yaml") if folder else ())


def _model_files(plugin: Plugin) -> list[Path]:
    """The YAML files of a plugin that describe models."""
    folder = host.data_folder(plugin, MODELS)
    return sorted(folder.glob("*.yaml")) if folder else []


def _idle_files(plugin: Plugin) -> list[str]:
    """Files in a plugin's conf folder that nothing reads, such as one of the core's groups."""
    folder = host.data_folder(plugin, "conf")
    if folder is None:
        return []
    top = plugin.module.partition(".")[0]
    siblings = [each for each in all_plugins() if each.module.partition(".")[0] == top]
    read = {folder / "modality" / f"{sibling.name}.yaml" for sibling in siblings}
    for sibling in siblings:
        read = read.union(_vae_files(sibling), _model_files(sibling))
    read = read.union((folder.parent / LABELS).glob("*.txt"))
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path not in read)
    return [
        printable(f"conf/{path.relative_to(folder)}", MAX_NAME)
        for path in islice(paths, _MAX_IDLE_FILES)
        if path.suffix not in (".py", ".pyc")  # a conf folder may be a package
    ]


def manifest_summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without the hashes of its files."""
    return {k: v for k, v in manifest.items() if k not in ("files", "sha256")}


def checkpoint_summary(source: Source) -> dict[str, Any]:
    """A checkpoint's manifest without the hashes of its files; of others also their layout."""
    kept = manifest_summary(source.manifest)
    return kept if source.is_ours else {"layout": source.layout, "model": source.model, **kept}


def cache_summary(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A cache's manifest with the sizes of its files in place of their hashes."""
    kept = {key: value for key, value in manifest.items() if key not in (*KINDS, "sha256")}
    for kind in KINDS:
        found = [folder / name for name in manifest[kind]]
        num_bytes = sum(path.stat().st_size for path in found if path.exists())
        kept[kind] = {"files": len(found), "bytes": num_bytes}
    return kept


def as_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """`key: value` lines, nested keys dotted, values as one writes them on a command line."""
    yield from (f"{key}: {as_text(value)}" for key, value in flat(values).items())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _folder_state(folder: Path) -> str:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    is_writable = existing.is_dir() and os.access(existing, os.W_OK)
    return f"{folder}/ {'can' if is_writable else 'CANNOT'} be written in {Path.cwd()}"
