"""Opens the index of a data set, and refuses one that is of other data or made with other options.

A shard counts as unchanged while its size and its time of change are the same, and a folder while
it has as many entries. One that was copied has another time; then what its first and last item hold
decides, but for a manifest. Every medium is checked again when it is read.
"""

import os.path
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lumina_core.data.data_paths import data_path, files_of, folder_of, index_path, state_of
from lumina_core.data.index import Index, Shard
from lumina_core.data.indexing import measured_by
from lumina_core.data.reading import MediaFiles, Place, scratch
from lumina_core.data.settings import FOLDER, MANIFEST, FilesConfig
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality
from lumina_core.program import command_line
from lumina_core.records import as_text, flat

_MAX_NAMED = 3  # shards in a message


def fresh_index(name: str, modality: Modality, data: FilesConfig) -> Index:
    """The index of the data that a run trains on.

    Args:
        name: of the modality.
        modality: with the options of the run.
        data: which data, and which limits of sizes.

    Raises:
        LuminaError: there is none, or it does not fit.
    """
    path = data_path(data.name, data)
    where = index_path(data.name, data, name)
    words = [f"data={data.name}", f"data.path={data.path}"]
    given = ("index", "min_tokens", "max_tokens", "max_aspect")
    words += [
        f"data.{field.name}={getattr(data, field.name)}"
        for field in fields(data)
        if field.name in given and getattr(data, field.name) != field.default
    ]
    if not where.exists():
        made = command_line("index", f"+modality={name}", *words)
        raise LuminaError(
            f"data={data.name} needs an index, and there is no {where}; make it: {made}"
        )
    index = Index(where)
    again = command_line("index", f"+modality={name}", *words, "overwrite=true")
    if (index.about.kind, index.about.modality) != (data.name, name):
        raise LuminaError(
            f"{where} is an index of data={index.about.kind} for modality "
            f"{index.about.modality!r}; make one of this data: {again}"
        )
    _check_measured(where, index, measured_by(modality, data, data.name), again)
    if changed := _changed(index, path, folder_of(data.name, path), data.name):
        named = ", ".join(changed[:_MAX_NAMED])
        raise LuminaError(
            f"data.path={path} changed since {where} was made: {named}"
            f"{', and others' * (len(changed) > _MAX_NAMED)}; make it again: {again}"
        )
    return index


def _check_measured(where: Path, index: Index, measured: dict[str, Any], again: str) -> None:
    before, now = flat(index.about.measured), flat(measured)
    # what latents become follows from the options, and is told where no option differs
    for key in sorted(before.keys() | now.keys(), key=lambda key: (key == "latents", key)):
        if before.get(key) != now.get(key):
            values = [as_text(values.get(key)) for values in (before, now)]
            raise LuminaError(
                f"{where} was made with {key}={values[0]}, this run has {key}={values[1]}, on "
                f"which lengths depend; set what it was made with, or make it again: {again}"
            )


def _changed(index: Index, path: Path, folder: Path, kind: str) -> list[str]:
    """What is no longer as the index has it, each in some words."""
    known = {shard.name: shard for shard in index.about.shards}
    there = {os.path.relpath(each, folder): each for each in files_of(kind, path)}
    if kind == FOLDER:  # of which each sub-folder is a shard
        there = {name: folder / name for name in known}
    found = [f"{name} is new" for name in sorted(there.keys() - known.keys())]
    found += [f"{name} is gone" for name in sorted(known.keys() - there.keys())]
    first = 0
    with scratch() as memory:
        media = MediaFiles(kind, folder, memory)
        for name, shard in known.items():
            if name in there:
                try:
                    if not _is_as_known(shard, there[name], index, first, kind, media):
                        found.append(f"{name} has changed")
                except LuminaError:
                    found.append(f"{name} cannot be read")
            first += shard.num_items
    return found


def _is_as_known(
    shard: Shard, path: Path, index: Index, first: int, kind: str, media: MediaFiles
) -> bool:
    now = replace(state_of(path, path.parent, shard.num_items), name=shard.name)
    if now == shard:
        return True
    if now.size != shard.size or not shard.num_items or kind == MANIFEST:
        return False
    for item in (first, first + shard.num_items - 1):
        about = index.item(item)
        with media.located(Place(shard.name, about.name, about.offset, about.size)) as located:
            if located.content != about.content:
                return False
    return True
