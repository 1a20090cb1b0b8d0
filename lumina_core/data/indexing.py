"""Makes the index of a data set: every medium is read and decoded once, and its length measured.

The work is cut into units: a shard, or some items of a folder or a manifest. What a unit gives is
kept in a file beside the index until all are there, so that a killed run goes on where it was. The
name of that file is the hash of all that it follows from, so what belongs to other data or other
options is never taken.
"""

import json
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lumina_core.data.data_paths import data_path, folder_of, shards_at, state_of
from lumina_core.data.file_pool import QUARANTINE
from lumina_core.data.index import (
    VERSION,
    About,
    Indexed,
    Shard,
    columns_of,
    digest_of,
    write_index,
)
from lumina_core.data.listing import kinds_of, list_media
from lumina_core.data.manifests import Told, manifests_at, told_by
from lumina_core.data.reading import MediaFiles, NoRoomError, Place, decoded, scratch
from lumina_core.data.settings import FOLDER, MANIFEST, SHARDS, FileLimits, IndexedConfig
from lumina_core.data.tar_shards import CUT, Entry, scan
from lumina_core.data.workers import AHEAD, Workers
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.files.writing import atomic_write
from lumina_core.modality import Decoder, Modality
from lumina_core.terminal import is_terminal, progress, tell

UNIT_ITEMS = 512  # of a folder or a manifest
PARTS = ".parts"  # behind the name of an index: what it is made of, until it is there
TOLD_EVERY = 60  # seconds, where no bar can be shown
COUNTED = "counted"  # in the metadata of a part


class Unit(NamedTuple):
    """What is looked at in one go."""

    shard: Shard
    """Whence its items are; their number is not known yet."""
    key: str
    """Hash of all that its part follows from."""
    entries: tuple[Entry, ...] | None = None
    """Its items; None: the shard tells them."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Names and reasons of what is known to be unusable."""


class Counted(NamedTuple):
    """What became of a unit."""

    num_items: int
    sha256: str
    left_out: list[list[str]]
    """Names and reasons."""
    lone: list[list[str]]
    """Likewise, of captions without a medium: no item is left out."""


class Made(NamedTuple):
    """What became of a data set."""

    num_items: int
    num_left_out: int
    quarantine: Path
    """Names what was left out, if anything was."""
    cut: tuple[str, ...] = ()
    """Shards that end within a member: nobody knows what is missing."""


def measured_by(modality: Modality, config: FileLimits, kind: str) -> dict[str, Any]:
    """All that items and their lengths depend on beside the files themselves, as plain values.

    Of an autoencoder that is what it makes of one size, not where it lies.

    Args:
        modality: with its options.
        config: of the data.
        kind: of the data.

    Raises:
        LuminaError: a list of manifests cannot be read.
    """
    options = {key: value for key, value in asdict(modality.options).items() if key != "vae"}
    latent = modality.vae.latent_shape(modality.media_shape(modality.options))
    grid = modality.tokenizer.grid(latent)
    sizes = [*latent, grid.frames, grid.rows, grid.columns]
    told = {"modality": options, "data": asdict(config.limits), "latents": sizes}
    if kind == MANIFEST:
        manifests = manifests_at(data_path(kind, config))
        told["manifests"] = [[str(each.root), each.ratio] for each in manifests]
    return dict(json.loads(json.dumps(told)))  # lists, as they are read again


def quarantine_of(index: Path) -> Path:
    """The file that names what an index leaves out."""
    return index.with_name(f"{index.name}.{QUARANTINE}")


def make_index(path: Path, name: str, modality: Modality, config: IndexedConfig) -> Made:
    """Look at a whole data set and write its index.

    Args:
        path: of the index, replaced if it exists.
        name: of the modality.
        modality: reads the media.
        config: which data.

    Raises:
        LuminaError: nothing or too little can be used, or something cannot be read or written.
    """
    measured = measured_by(modality, config, config.name)
    data = data_path(config.name, config)
    parts = path.with_name(path.name + PARTS)
    with scratch() as memory:
        media = MediaFiles(config.name, folder_of(config.name, data), memory)
        look = partial(_looked_at, modality, config, media, parts)
        workers = Workers[Unit, None](look, config.num_workers, lambda unit: unit.shard.name)
        told = json.dumps([VERSION, name, measured])
        units = _units(config, data, modality.decoder, told)
        try:
            done = list(_results(workers, units, parts, AHEAD * config.num_workers))
        finally:
            workers.close()
    made = _written(path, name, measured, config, done, parts)
    shutil.rmtree(parts, ignore_errors=True)
    return made


def _results(
    workers: Workers[Unit, None], units: Iterable[Unit], parts: Path, num_ahead: int
) -> Iterator[tuple[Shard, str]]:
    """Shard and key of each unit, once its part is there."""
    told = time.monotonic()
    for number, unit in enumerate(progress(_begun(workers, units, parts, num_ahead), "indexing")):
        if _part(parts, unit.key) is None:
            workers.result(unit)
        if not is_terminal(sys.stderr) and time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            tell(f"note: {number + 1:,} parts of the index are done, the last of {unit.shard.name}")
        yield unit.shard, unit.key


def _begun(
    workers: Workers[Unit, None], units: Iterable[Unit], parts: Path, num_ahead: int
) -> Iterable[Unit]:
    """Units that the workers have begun with, or will; a few before they are asked for."""
    if isinstance(units, list):  # so that a bar knows how many there are
        workers.expect([unit for unit in units if _part(parts, unit.key) is None])
        return units
    return _begun_in_turn(workers, units, parts, num_ahead)


def _begun_in_turn(
    workers: Workers[Unit, None], units: Iterable[Unit], parts: Path, num_ahead: int
) -> Iterator[Unit]:
    ahead: deque[Unit] = deque()
    for unit in units:
        ahead.append(unit)
        if _part(parts, unit.key) is None:
            workers.expect([unit])
        if len(ahead) > num_ahead:
            yield ahead.popleft()
    yield from ahead


def _units(config: IndexedConfig, data: Path, decoder: Decoder, told: str) -> Iterable[Unit]:
    folder = folder_of(config.name, data)
    if config.name == SHARDS:
        shards = [state_of(path, folder, 0) for path in shards_at(data)]
        return [Unit(shard, _key(told, shard)) for shard in shards]
    tellers = _folders(data, decoder) if config.name == FOLDER else _manifests(data)
    return _units_told(tellers, folder, told)


Tellers = Iterable[tuple[Path, Iterable[Told | tuple[str, str]]]]
"""Files or folders, and what they hold or tell of."""


def _folders(folder: Path, decoder: Decoder) -> Tellers:
    """The folders of a data set that hold media, and these."""
    listing = list_media(folder, decoder)
    by_name: dict[str, Told] = {}
    for item in listing.items:
        known = by_name.get(item.name)
        captions = (*known.captions, item.caption) if known else (item.caption,)
        by_name[item.name] = Told(item.name, item.path, captions)
    by_folder: dict[Path, list[Told | tuple[str, str]]] = {}
    for told in by_name.values():
        by_folder.setdefault(folder / PurePath(told.name).parent, []).append(told)
    for name in [each.relative_to(folder) for each in by_folder]:
        for outer in name.parents:  # also those that hold folders alone
            by_folder.setdefault(folder / outer, [])
    by_folder.setdefault(folder, []).extend(listing.skipped.items())
    return sorted(by_folder.items())


def _manifests(path: Path) -> Tellers:
    for manifest in manifests_at(path):
        yield manifest.path, told_by(manifest, path.parent)


def _units_told(tellers: Tellers, folder: Path, about: str) -> Iterator[Unit]:
    for path, told in tellers:
        shard = state_of(path, folder, 0)
        rest = iter(told)
        batch = list(islice(rest, UNIT_ITEMS))
        is_first = True  # one that holds nothing is known, too
        while batch or is_first:
            found = [(each, _file_state(each.path)) for each in batch if isinstance(each, Told)]
            entries = tuple(
                Entry(os.path.relpath(each.path, folder), each.captions, 0, size)
                for each, (size, _) in found
            )
            skipped = tuple(each for each in batch if not isinstance(each, Told))
            states = [state for _, state in found]
            yield Unit(shard, _key(about, (shard.name, entries, skipped, states)), entries, skipped)
            batch, is_first = list(islice(rest, UNIT_ITEMS)), False


def _file_state(path: Path) -> tuple[int, int]:
    """Size and time of a file; whoever reads it says that it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return (0 if path.is_dir() else status.st_size), status.st_mtime_ns


def _key(told: str, about: object) -> str:
    return sha256(f"{told}{about!r}".encode("utf-8", "surrogateescape")).hexdigest()


def _looked_at(
    modality: Modality, config: IndexedConfig, media: MediaFiles, parts: Path, unit: Unit
) -> None:
    """Read and measure the items of a unit, and write its part."""
    left_out, lone = [list(each) for each in unit.skipped], []
    entries = unit.entries
    if entries is None:
        try:
            found = scan(media.path_of(unit.shard.name), kinds_of(modality.decoder))
            entries = tuple(found.entries)
            left_out += [list(each) for each in found.skipped.items()]
            lone = [list(each) for each in found.lone.items()]
        except LuminaError as error:
            entries, left_out = (), [["", str(error)]]
    items = []
    for entry in entries:
        try:
            items.append(_measured(modality, config, media, unit.shard.name, entry))
        except NoRoomError:
            raise
        except LuminaError as error:
            left_out.append([entry.name, str(error)])
    columns = columns_of(items)
    if unit.entries is None:
        left_out, lone = (
            [[str(PurePath(unit.shard.name, name)), reason] for name, reason in each]
            for each in (left_out, lone)
        )
    counted = Counted(len(items), digest_of(columns), left_out, lone)
    with atomic_write(parts / f"{unit.key}.safetensors") as file:
        file.write(save(columns, {COUNTED: json.dumps(counted)}))


def _measured(
    modality: Modality, config: IndexedConfig, media: MediaFiles, shard: str, entry: Entry
) -> Indexed:
    with media.located(Place(shard, entry.name, entry.offset, entry.size)) as located:
        shape = decoded(modality, located.path, modality.options, config.limits).media.shape
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(shape)))
    sizes = (grid.frames, grid.rows, grid.columns)
    return Indexed(entry.name, entry.captions, entry.offset, entry.size, sizes, located.content)


def _part(parts: Path, key: str) -> Counted | None:
    """What a part says; None where it is not there or not whole."""
    try:
        with safe_open(parts / f"{key}.safetensors", framework="np") as file:
            return Counted(*json.loads(file.metadata()[COUNTED]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _column(parts: Path, key: str, name: str) -> np.ndarray:
    with safe_open(parts / f"{key}.safetensors", framework="np") as file:
        column: np.ndarray = file.get_tensor(name)
    return column


def _written(
    path: Path,
    name: str,
    measured: dict[str, Any],
    config: IndexedConfig,
    done: Sequence[tuple[Shard, str]],
    parts: Path,
) -> Made:
    """Put the parts together."""
    digest, num_left_out = sha256(), 0
    counts: dict[Shard, int] = {}
    quarantine, first = quarantine_of(path), ""
    cut: list[str] = []
    with atomic_write(quarantine) as file:
        for shard, key in done:
            counted = _part(parts, key)
            if counted is None:
                raise LuminaError(f"{parts} changed meanwhile; give the same command again")
            counts[shard] = counts.get(shard, 0) + counted.num_items
            digest.update(f"{shard.name} {counted.sha256}\n".encode("utf-8", "surrogateescape"))
            num_left_out += len(counted.left_out)
            cut += [item for item, reason in counted.lone if reason == CUT]
            for item, reason in (*counted.left_out, *counted.lone):
                first = first or f"{item}: {reason}"
                file.write(json.dumps({"path": item, "reason": reason}).encode() + b"\n")
    num_items = sum(counts.values())
    if not first:
        quarantine.unlink()
    share = num_left_out / max(1, num_left_out + num_items)
    if share > config.max_quarantined or not num_items:
        raise LuminaError(
            f"{num_left_out} of {num_left_out + num_items} items of data.path={config.path} cannot "
            f"be used, more than data.max_quarantined={config.max_quarantined}; the first is "
            f"{printable(first, MAX_REASON)}; {quarantine} names all. Mend them, or "
            "allow more; what was measured is kept"
        )
    shards = tuple(replace(shard, num_items=count) for shard, count in counts.items())
    about = About(VERSION, config.name, name, measured, num_left_out, digest.hexdigest(), shards)
    write_index(path, about, [partial(_column, parts, key) for _, key in done])
    return Made(num_items, num_left_out, quarantine, tuple(cut))
