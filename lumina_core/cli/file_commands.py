"""`info`, which says what a file or folder holds, and `convert`, which writes it anew."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from lumina_core import terminal
from lumina_core.cli import help, reports
from lumina_core.cli.options import parted, wants_help
from lumina_core.errors import MAX_REASON, LuminaError, nearest, printable
from lumina_core.records import DTYPE_NAMES

SHEET = "--sheet"  # of info


def info(words: list[str]) -> int:
    """Say what a file, a checkpoint or a cache holds."""
    words = [part for word in words for part in parted(word, SHEET)]
    sheets = [word for before, word in pairwise(words) if before == SHEET]
    others = [word for before, word in pairwise(["", *words]) if before != SHEET]
    paths = [Path(word) for word in others if not word.startswith("--") and word != "-h"]
    if wants_help("info", [w for w in others if Path(w) not in paths], ("--json", SHEET)):
        return 0
    if len(paths) != 1 or len(sheets) != others.count(SHEET):
        raise LuminaError(f"info takes {help.USAGES['info']}, got {' '.join(words) or 'nothing'}")
    for sheet in sheets:
        _write_sheet(paths[0], Path(sheet).expanduser())
    found, state = _contents(paths[0])
    if "--json" in words:
        terminal.show_json(found)
    else:
        terminal.show(*reports.as_lines(found))
    from lumina_core.media import seal

    if state == seal.DAMAGED:  # its request is whole, and shown
        raise seal.damaged(paths[0])
    if state is not None:
        terminal.tell(f"note: {paths[0]} {state}")
    return 0


def _contents(path: Path) -> tuple[dict[str, Any], str | None]:
    """What a file or checkpoint holds, and what is wrong with it."""
    if not path.exists():
        raise LuminaError(
            f"{path} does not exist; name a file that `run` made, a checkpoint or a cache"
        )
    from lumina_core.checkpoints.formats import adapter_manifest, is_weights, source_of
    from lumina_core.data.caches.manifest import is_cache, read_manifest

    if is_cache(path):
        return reports.cache_summary(path, read_manifest(path)), None
    if is_weights(path) or (path.is_dir() and not _is_media_folder(path)):
        adapter = adapter_manifest(path)
        if adapter is not None:
            return reports.manifest_summary(adapter), None
        return reports.checkpoint_summary(source_of(path)), None
    from lumina_core.media.seal import state_of
    from lumina_core.sampling.file_request import read_request

    return read_request(path), state_of(path)


def _write_sheet(folder: Path, path: Path) -> None:
    from lumina_core.data.caches.manifest import is_cache

    if not is_cache(folder):
        raise LuminaError(f"{SHEET} decodes samples of a cache, and {folder} is none; leave it out")
    from lumina_core.training.cache_sheet import write_sheet

    write_sheet(folder, path)


def _is_media_folder(path: Path) -> bool:
    from lumina_core.sampling.file_request import decoders, is_media_folder

    return is_media_folder(path, decoders())


def convert(words: list[str]) -> int:
    """Write a model or an adapter in another layout."""
    names, values, others = [], {"--to": "lumina", "--dtype": "", "--merge": ""}, []
    expanded = words
    for option in values:
        expanded = [part for word in expanded for part in parted(word, option)]
    parts = iter(expanded)
    for part in parts:
        if part in values:
            values[part] = next(parts, "")
        elif part.startswith("-"):
            others.append(part)
        else:
            names.append(part)
    if wants_help("convert", others, tuple(values)):
        return 0
    if len(names) != 2 or "" in names:
        usage = help.USAGES["convert"]
        raise LuminaError(f"convert takes {usage}, got {' '.join(words) or 'nothing'}")
    _check_layout(values["--to"], values["--dtype"])
    merged = [values["--merge"]] if "--merge" in expanded else []
    _write_converted(names[0], names[1], values["--to"], values["--dtype"] or None, merged)
    terminal.show(names[1])
    return 0


def _check_layout(layout: str, dtype: str) -> None:
    from lumina_core.checkpoints.adapter_files import STYLES
    from lumina_core.checkpoints.named import LAYOUTS
    from lumina_core.checkpoints.source import OURS

    layouts = tuple(dict.fromkeys((OURS, *LAYOUTS, *STYLES)))
    for option, value, known in (
        ("--to", layout, layouts),
        ("--dtype", dtype, ("", *DTYPE_NAMES)),
    ):
        if value not in known:
            text = printable(value, MAX_REASON)
            listed = ", ".join(filter(None, known))
            raise LuminaError(f"{option} is {text!r}; use {listed}.{nearest(text, known)}")


def _write_converted(
    source: str, target: str, layout: str, dtype: str | None, merged: list[str]
) -> None:
    """Convert a model, or a trained adapter."""
    from lumina_core.checkpoints.adapter_writing import convert_adapter
    from lumina_core.checkpoints.adapters import Adapters
    from lumina_core.checkpoints.convert import convert as convert_model
    from lumina_core.checkpoints.formats import adapter_manifest, find_source
    from lumina_core.sampling.adapters import named_adapters

    folder, place = Path(source).expanduser(), Path(target).expanduser()
    adapters = Adapters(tuple(each.weighted for each in named_adapters(merged)))
    if adapter_manifest(folder) is None:
        convert_model(find_source(source, download=False), place, layout, dtype, adapters)
    elif merged:
        raise LuminaError(
            f"{source} holds an adapter, and --merge adds one to a model; name the model first"
        )
    else:
        convert_adapter(folder, place, layout, dtype)
