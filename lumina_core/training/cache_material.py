"""What `cache` encodes: the items of a data set, or samples that a world draws, one by one."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lumina_core.data.caches.tables import KEY_BYTES
from lumina_core.data.data_paths import data_path, folder_of
from lumina_core.data.file_pool import list_data
from lumina_core.data.fresh_index import fresh_index
from lumina_core.data.reading import CHANGED, Decoded, MediaFiles, Place, decoded, scratch
from lumina_core.data.settings import FilesConfig, SyntheticConfig
from lumina_core.data.synthetic import (
    begin_sample,
    refuse_varied_options,
    training_variants,
    world_of,
)
from lumina_core.errors import LuminaError, why
from lumina_core.files.hashes import sha256_of
from lumina_core.modality import Media, Modality
from lumina_core.runtime import derived_seed
from lumina_core.training.pool import POOL_STREAM

if TYPE_CHECKING:
    from lumina_core.training.encoding_settings import CacheConfig


class Piece(NamedTuple):
    """A medium to encode, and its caption."""

    name: str
    caption: str
    """One line; in a stream one line for each caption that it has."""
    key: Callable[[], bytes]
    """Gives the hash of all that it is made of; raises a LuminaError where it cannot be read."""
    media: Callable[[], tuple[Media, Any]]
    """Reads or draws it at a legal size; gives the options that it has, too."""


class Material(NamedTuple):
    """All that a cache is to hold."""

    num_pieces: int
    pieces: Callable[[], Iterator[Piece]]
    """Gives them in a fixed order."""
    skipped: Mapping[str, str]
    """Name to reason, of what is left out before it is read."""
    num_skipped: int
    """Media among these."""
    summary: dict[str, Any]
    """What the manifest says of it; no path."""
    limits: dict[str, Any]
    """Of sizes, on which the media depend."""
    counts: list[int] | None = None
    """Pieces of each shard, where a training goes through them as a stream."""


def material_of(config: "CacheConfig", modality: Modality) -> Material:
    """What is to be encoded.

    Raises:
        LuminaError: there is nothing, or it has no end.
    """
    if isinstance(config.data, FilesConfig):
        return (_streamed if config.data.is_stream else _files)(config, config.data, modality)
    return _drawn(config, config.data, modality)


def _files(config: "CacheConfig", data: FilesConfig, modality: Modality) -> Material:
    listing, limits = list_data(data, modality.decoder), data.limits

    def pieces() -> Iterator[Piece]:
        for item in listing.items:
            media = partial(decoded, modality, item.path, config.options, limits)
            yield Piece(item.name, item.caption, partial(_content_key, item.path), media)

    skipped, count = listing.lone_texts | listing.skipped, len(listing.skipped)
    summary = {"name": data.name}
    return Material(len(listing.items), pieces, skipped, count, summary, asdict(limits))


def _streamed(config: "CacheConfig", data: FilesConfig, modality: Modality) -> Material:
    """The items of an index, in its order."""
    index = fresh_index(config.modality, modality, data)
    folder = folder_of(data.name, data_path(data.name, data))

    def media(files: MediaFiles, place: Place, content: bytes) -> Decoded:
        with files.located(place) as located:
            if located.content != content:
                raise LuminaError(CHANGED)
            return decoded(modality, located.path, config.options, data.limits)

    def pieces() -> Iterator[Piece]:
        with scratch() as memory:
            files = MediaFiles(data.name, folder, memory)
            for number in range(len(index)):
                item, shard = index.item(number), index.shard_of(number).name
                place, key = Place(shard, item.name, item.offset, item.size), item.content
                made = partial(media, files, place, key)
                captions = "\n".join(item.captions)
                yield Piece(
                    files.name_of(place), captions, partial(key.ljust, KEY_BYTES, b"\0"), made
                )

    counts = [shard.num_items for shard in index.about.shards]
    summary = {"name": data.name, "stream": True, "listing_sha256": index.about.sha256}
    return Material(len(index), pieces, {}, 0, summary, asdict(data.limits), counts)


def _content_key(path: Path) -> bytes:
    try:
        return bytes.fromhex(sha256_of(path))
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {why(error)}") from error


def _drawn(config: "CacheConfig", data: SyntheticConfig, modality: Modality) -> Material:
    count, name, world = config.num_samples, config.modality, world_of(modality)
    if count is None:
        raise LuminaError(
            "data=synthetic has no end; say how many samples to keep, num_samples=1000, or name "
            "files: data=folder data.path=FOLDER"
        )
    refuse_varied_options(name, config.options, world)
    variants = training_variants(modality, data.max_tokens)
    seed = derived_seed(config.seed, POOL_STREAM)
    about = {"world": world.version, "seed": config.seed, "max_tokens": data.max_tokens}

    def media(number: int) -> tuple[Media, Any]:
        caption, options, generator = begin_sample(modality, variants, seed, number)
        return world.draw(caption, options, generator), options

    def key(number: int) -> bytes:
        return sha256(json.dumps([name, about, number]).encode()).digest()

    def pieces() -> Iterator[Piece]:
        for number in range(count):
            caption, _, _ = begin_sample(modality, variants, seed, number)
            yield Piece(str(number), caption, partial(key, number), partial(media, number))

    return Material(count, pieces, {}, 0, {"name": data.name, **about}, {})
