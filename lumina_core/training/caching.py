"""The command `cache`: encodes a data set ahead, for trainings that then need no encoder.

Media become tokens by the autoencoder and, where the text encoder is frozen, captions become
features. What is there already is known by the hash of its file and stays, so the same command goes
on after a kill, and takes up what was added or changed.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lumina_core import __version__, terminal
from lumina_core.checkpoints.vae_folder import modality_with_vae
from lumina_core.data.caches.manifest import INDEX, LATENTS, LOOKUP, MANIFEST, TEXTS, write_manifest
from lumina_core.data.caches.names import NAME, tables_in
from lumina_core.data.caches.reading import FEATURES, latents_row, text_key
from lumina_core.data.caches.store import Store
from lumina_core.data.caches.writing import IndexRow, write_index, write_lookup
from lumina_core.data.file_pool import QUARANTINE, too_many
from lumina_core.data.pool import encode_sample
from lumina_core.data.reading import NoRoomError
from lumina_core.data.settings import SyntheticConfig
from lumina_core.errors import MAX_REASON, LuminaError, printable, when_interrupted
from lumina_core.files.locks import sole_process
from lumina_core.files.unfinished import UNFINISHED, remove_unfinished
from lumina_core.files.writing import atomic_write
from lumina_core.modality import Modality, has_weights
from lumina_core.parallel.ranks import (
    agreed,
    from_rank_0,
    gathered,
    joined,
    local_device,
    num_ranks,
    rank,
)
from lumina_core.plugins import host
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.sequence import TokenSample
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.training.cache_material import Material, Piece, material_of
from lumina_core.training.cached import autoencoder_entry, text_encoder_entry
from lumina_core.training.loss import text_of
from lumina_core.training.text_encoder import NUM_PROBE_CAPTIONS, encoder_in, likeness_notes
from lumina_core.training.written_settings import placed

if TYPE_CHECKING:
    from lumina_core.training.encoding_settings import CacheConfig

LOCK = ".lumina-lock"
LIBRARIES = ("torch", "diffusers", "transformers")


class Parts(NamedTuple):
    """What encodes, and what is encoded."""

    modality: Modality
    material: Material
    encoder: FrozenTextEncoder | None


class Stores(NamedTuple):
    """The tables that a cache is made of."""

    latents: Store
    texts: Store


def cache_command(config: "CacheConfig") -> int:
    """Run `cache` and print what the cache holds as JSON."""
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    out = Path(config.out)
    with ExitStack() as stack:
        stack.enter_context(joined())
        with agreed():
            if out.exists() and not out.is_dir():
                raise LuminaError(f"out={out} is a file; choose a folder")
            if config.out.encode(errors="replace").decode() != config.out:
                raise LuminaError(
                    f"out={printable(config.out, MAX_REASON)} is no UTF-8, and tables are read by "
                    "names that are; choose another folder"
                )
            if rank() == 0:
                stack.enter_context(sole_process(out / LOCK, f"out={out}"))
        made = make_cache(config)
        if rank() == 0:
            terminal.show_json({"out": str(out), **made}, indent=None)
    return 0


@when_interrupted(lambda: "before its end; whole files are kept, go on with the same command")
def make_cache(config: "CacheConfig") -> dict[str, int]:
    """Encode what is not there, then write the manifest.

    Returns:
        How many samples, texts and bytes there are, and how many samples were encoded now.

    Raises:
        LuminaError: something cannot be used as the configuration says, or cannot be written.
    """
    out = Path(config.out)
    with agreed():
        parts = _prepared(config)
        stores = _stores(config, parts)
        _refuse_others(out, stores, parts.encoder, overwrite=config.overwrite)
    with agreed():
        mine = _encode(config, parts, stores.latents)
    rows = _in_turn(gathered(mine), parts.material.num_pieces)
    usable = [row for row in rows if not row.reason]
    captions = [line for row in usable for line in row.caption.split("\n")]
    texts: list[bytes] = []
    if parts.encoder is not None:
        with agreed():
            texts = _encode_texts(parts.encoder, captions, stores.texts)
    num_encoded = sum(gathered(stores.latents.num_added))
    from_rank_0(lambda: _publish(config, parts, rows, texts))
    sizes = [path.stat().st_size for path in out.glob("[!.]*")]
    return {
        "num_samples": len(usable),
        "num_unusable": len(rows) - len(usable),
        "num_texts": len(texts),
        "num_encoded": num_encoded,
        "num_bytes": sum(sizes),
    }


def _prepared(config: "CacheConfig") -> Parts:
    _check_out(Path(config.out))
    device = resolve_device(local_device(config.device))
    modality = modality_with_vae(config.modality, config.options, download=config.download)
    modality.vae.to(device)
    return Parts(modality, material_of(config, modality), frozen_encoder(config, device))


def _stores(config: "CacheConfig", parts: Parts) -> Stores:
    """What is there, and takes more."""
    out, max_bytes = Path(config.out), config.shard_megabytes * 10**6
    remove_unfinished(out)
    about = {"modality": config.modality, **encoding_of(config, parts)}
    return Stores(
        Store(out, LATENTS, about, max_bytes=max_bytes),
        Store(out, TEXTS, text_encoder_entry(parts.encoder), max_bytes=max_bytes),
    )


def _in_turn(rows: Sequence[Sequence[IndexRow]], count: int) -> list[IndexRow]:
    """The rows of all ranks, each of which has every so manyth, in the order of the data set."""
    return [rows[number % len(rows)][number // len(rows)] for number in range(count)]


def _check_out(out: Path) -> None:
    """Refuse a folder that holds something else than a cache."""
    for path in sorted(out.iterdir()):
        is_ours = path.name in (MANIFEST, QUARANTINE) or path.name.startswith(UNFINISHED)
        if not is_ours and not NAME.fullmatch(path.name):
            raise LuminaError(
                f"out={out} holds {path.name!r}, which is no part of a cache; choose another folder"
            )


def frozen_encoder(config: "CacheConfig", device: torch.device) -> FrozenTextEncoder | None:
    """The text encoder whose features are kept; None where it learns along in a training."""
    settings = config.text_encoder
    if settings.path is None or settings.trainable:
        return None
    found = encoder_in(settings, settings.path, device, download=config.download)
    assert isinstance(found, FrozenTextEncoder)
    return found


def _named(config: "CacheConfig", encoder: FrozenTextEncoder | None) -> dict[str, str]:
    found = {"vae": config.options.vae} if has_weights(config.options) else {}
    if encoder is not None:
        found["text_encoder"] = str(config.text_encoder.path)
    return {key: placed(name) for key, name in found.items()}


def encoding_of(config: "CacheConfig", parts: Parts) -> dict[str, Any]:
    """All on which the tokens depend, as JSON has it."""
    options = {key: value for key, value in asdict(config.options).items() if key != "vae"}
    about = {
        "options": options,
        "limits": parts.material.limits,
        "autoencoder": autoencoder_entry(parts.modality),
        "dtype": config.store_dtype,
    }
    found: dict[str, Any] = json.loads(json.dumps(about))
    return found


def _refuse_others(
    out: Path, stores: Stores, encoder: FrozenTextEncoder | None, *, overwrite: bool
) -> None:
    """Refuse to lose what was encoded with other settings."""
    if overwrite:
        return
    for other in (stores.latents.other, stores.texts.other if encoder else None):
        if other is not None:
            path, differing = other
            raise LuminaError(
                f"out={out} holds what was encoded otherwise: of {path.name}, {differing}; choose "
                "another folder, or encode it anew with overwrite=true"
            )
    if encoder is None and stores.texts.other is not None:
        raise LuminaError(
            f"out={out} holds features of texts, and text_encoder names no frozen encoder; name "
            "theirs, choose another folder, or drop them with overwrite=true"
        )


def _encode(config: "CacheConfig", parts: Parts, store: Store) -> list[IndexRow]:
    """Encode what is not there of the share of this rank; each item of it as a row of the index."""
    dtype, material = resolve_dtype(config.store_dtype), parts.material
    left_out: dict[str, str] = {}
    _check_share(config, material, left_out)
    rows: list[IndexRow] = []
    note = f"encoding {material.num_pieces:,} samples, but for those that are there"
    numbers = terminal.announced(range(material.num_pieces), "encoding", note)
    for number, piece in zip(numbers, material.pieces(), strict=True):
        if number % num_ranks() != rank():
            continue
        try:
            key = piece.key()
            sample = None if key in store else _encoded(config.modality, parts.modality, piece)
        except NoRoomError:
            raise
        except LuminaError as error:
            left_out[piece.name] = str(error)
            _check_share(config, material, left_out)
            rows.append(IndexRow(piece.name, piece.caption, b"", str(error)))
            continue
        rows.append(IndexRow(piece.name, piece.caption, key, ""))
        if sample is not None:
            store.add(key, latents_row(sample, dtype))
    store.flush()
    return rows


def _encoded(name: str, modality: Modality, piece: Piece) -> TokenSample:
    media, options = piece.media()
    return encode_sample(name, modality, media, options, piece.caption).tokens


def _check_share(config: "CacheConfig", material: Material, left_out: Mapping[str, str]) -> None:
    """Stop where too much is left out, and name all of it.

    Args:
        config: says how much is too much.
        material: all that is to be encoded.
        left_out: name to reason, of what could not be encoded.

    Raises:
        LuminaError: it is too much.
    """
    data, skipped = config.data, list(material.skipped.items())
    num_left_out = material.num_skipped + len(left_out)
    if not num_left_out:
        return
    name, reason = [*skipped, *left_out.items()][-1]
    if isinstance(data, SyntheticConfig):
        raise LuminaError(f"sample {name} of the world cannot be encoded: {reason}")
    share = num_left_out / (material.num_pieces + material.num_skipped)
    if share > data.max_quarantined or len(left_out) == material.num_pieces:
        path = _write_quarantine(Path(config.out), material, left_out)
        raise too_many(share, data, (name, reason), path, "Replace them")


def _write_quarantine(out: Path, material: Material, left_out: Mapping[str, str]) -> Path:
    """Name what is left out in a file; none is there where nothing is."""
    path, told = out / QUARANTINE, {**material.skipped, **left_out}
    if not told:
        path.unlink(missing_ok=True)
        return path
    lines = [json.dumps({"path": name, "reason": reason}) for name, reason in told.items()]
    with atomic_write(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    return path


def _encode_texts(encoder: FrozenTextEncoder, captions: Sequence[str], store: Store) -> list[bytes]:
    """Encode each caption of the share of this rank that is not there, and the one that is left
    out; gives the keys of all.
    """
    texts = [text_of(caption) for caption in ("", *dict.fromkeys(captions))]
    keys = {text_key(encoder.reading.written_out(text)): text for text in texts}
    new = [key for key in list(keys)[rank() :: num_ranks()] if key not in store]
    for key in terminal.announced(new, "text features", f"encoding {len(new):,} texts"):
        store.add(key, {FEATURES: encoder.features(keys[key])})
    store.flush()
    if new:
        terminal.tell(*likeness_notes(encoder, captions[:NUM_PROBE_CAPTIONS]))
    encoder.release()
    return list(keys)


def _publish(
    config: "CacheConfig", parts: Parts, rows: Sequence[IndexRow], texts: Sequence[bytes]
) -> None:
    """Write the indices and the manifest, then delete the tables that it does not name."""
    out, usable = Path(config.out), [row for row in rows if not row.reason]
    left_out = {row.name: row.reason for row in rows if row.reason}
    _check_share(config, parts.material, left_out)
    _write_quarantine(out, parts.material, left_out)
    stores = _stores(config, parts)  # as all ranks have left them
    stores.latents.keep(row.key for row in usable)
    stores.texts.keep(texts)
    files = {
        kind: dict(sorted(store.files.items()))
        for kind, store in zip((LATENTS, TEXTS), stores, strict=True)
    }
    counts = parts.material.counts
    index = write_index(out, rows, stores.latents.places, list(files[LATENTS]), counts)
    files |= {INDEX: {index.name: index.sha256}, LOOKUP: {}}
    if files[TEXTS]:
        lookup = write_lookup(out, stores.texts.places, list(files[TEXTS]))
        files[LOOKUP] = {lookup.name: lookup.sha256}
    about = {
        "versions": _versions(config.modality),
        "modality": config.modality,
        "encoding": encoding_of(config, parts),
        "token_dim": parts.modality.tokenizer.token_dim,
        "feature_dim": parts.modality.feature_dim,
        "named": _named(config, parts.encoder),
        "text_encoder": text_encoder_entry(parts.encoder),
        "data": parts.material.summary,
        "num_samples": len(usable),
        "num_unusable": len(rows) - len(usable),
        "num_texts": len(texts),
    }
    write_manifest(out, about | files)
    for kind, named in files.items():
        for path in tables_in(out, kind):
            if path.name not in named:
                path.unlink(missing_ok=True)
    if parts.encoder is None:
        terminal.tell(
            "note: captions are kept as text, for the text encoder learns along in a training; of "
            "a frozen one, say text_encoder=gemma2_2b, the features are kept, too"
        )


def _versions(name: str) -> dict[str, str]:
    """Of what encoded."""
    plugin = host.find(name)
    versions = {"lumina-core": __version__, plugin.package: plugin.version}
    return versions | {library: metadata.version(library) for library in LIBRARIES}
