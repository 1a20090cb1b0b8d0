"""Reads lumina.json, the manifest of a checkpoint folder: format, seal, and the type of each entry.

The reader of that file; host.py looks in one for names alone. It needs no torch, because
configurations and `info` read it too.
`verify` compares the files that it names with their hashes.

Format 2 added the kind of network, the family of released models to which it belongs, and the
adapters that were merged into it. A modality may say in `usual` with which options it was trained,
and in `sampling` how it alone is sampled.
Format 1 is read for good: `_from_format_1` says what it means. The folder of an adapter has such a
manifest, too, whose `network` is `adapter`; it describes the model and says in `base` which one.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any

from lumina_core import __version__
from lumina_core.backbone.settings import SWITCHES, BackboneConfig
from lumina_core.errors import LuminaError, printable
from lumina_core.files.hashes import known_sha256, sha256_of
from lumina_core.files.reading import MAX_JSON_BYTES, parse_json, read_regular
from lumina_core.files.seals import entries_fault, is_sealed
from lumina_core.plugins.demos import MANIFEST
from lumina_core.plugins.entry_points import MAX_NAME, MODALITY_NAME
from lumina_core.records import shown

FORMAT_VERSION = 2
OLDEST_FORMAT = 1
KIND = "kind"  # of the network, in `backbone`; without it that of transformer.py
NETWORK, ADAPTER = "backbone", "adapter"  # kinds of network of this version
SYNTHETIC = "synthetic"  # data that a world draws
OLD_ATTENTION = "attention"  # older manifests name a backend, which is the machine's business
ENTRIES: dict[str, type] = {
    "format": int,
    "lumina_core": str,
    "modalities": dict,
    "network": str,
    "family": str,
    "backbone": dict,
    "adapters": list,
    "text_encoder": dict,
    "sampling": dict,
    "training": dict,
    "files": dict,
    "sha256": str,
}
"""Every entry of a manifest, and its type. `family` is empty where no release is like it."""

BASE = "base"
BASE_ENTRIES = ("checkpoint", "sha256")
"""What an adapter says of the model that it was trained on, both texts: where it was, its hash."""

SINCE_FORMAT_2: dict[str, Any] = {"network": NETWORK, "family": "", "adapters": []}
"""Entries that format 1 lacks, and what they are there."""

TEXT_ENCODER_ENTRIES: dict[str, type] = {
    "hidden_state": int,
    "add_eos": bool,
    "padded": bool,
    "keeps_pads": bool,
    "adds_embedding": bool,
    "empty_is_zero": bool,
    "dtype": str,
    "template": str,
    "template_for": str,
    "sha256": str,
    "labels": str,
}
"""What `text_encoder` may hold beside `max_tokens` and `hub_id`, which is a text or null."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, its format, seal and types checked.

    Raises:
        LuminaError: no checkpoint, a broken or edited one, or one of a newer version.
    """
    path = folder / MANIFEST
    raw, manifest = _read(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found not in range(OLDEST_FORMAT, FORMAT_VERSION + 1) or isinstance(found, bool):
        raise LuminaError(
            f"{path} is damaged or of another version: it has checkpoint format {shown(found)}, "
            f"this version reads {OLDEST_FORMAT} to {FORMAT_VERSION}; copy the checkpoint again or "
            "upgrade lumina-core"
        )
    if not is_sealed(raw, manifest.get("sha256")):
        raise LuminaError(f"{path} is damaged or was edited; copy the checkpoint again")
    if found == OLDEST_FORMAT:
        manifest = _from_format_1(manifest)
    fault = _fault(manifest)
    if fault is not None:
        raise LuminaError(f"{path} is damaged: {fault}; copy the checkpoint again")
    manifest["backbone"].pop(OLD_ATTENTION, None)
    return dict(manifest)


def _read(path: Path) -> tuple[bytes, Any]:
    try:
        raw = read_regular(path, MAX_JSON_BYTES)
        return raw, parse_json(raw)
    except OSError as error:
        what = f"{MANIFEST} cannot be read ({error.strerror})"
        if isinstance(error, FileNotFoundError):
            what = f"{MANIFEST} is missing" if path.parent.exists() else "it does not exist"
        raise LuminaError(
            f"no checkpoint in {path.parent}: {what}; name a folder that `train` wrote"
        ) from error
    except ValueError as error:
        raise LuminaError(
            f"{path} is damaged, it is no valid JSON ({error}); copy the checkpoint again"
        ) from error


def _from_format_1(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the words of format 2, in which the block has switches."""
    upgraded = {**SINCE_FORMAT_2, **manifest, "format": FORMAT_VERSION}
    backbone = upgraded.get("backbone")
    if isinstance(backbone, dict):
        switches = {field.name: field.default for field in fields(BackboneConfig)}
        upgraded["backbone"] = {name: switches[name] for name in SWITCHES} | backbone
    return upgraded


def _fault(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with the entries, or None."""
    own = {key: value for key, value in manifest.items() if key != BASE}
    if (fault := entries_fault(own, ENTRIES)) is not None:
        return fault
    if not manifest["modalities"]:
        return "modalities is empty"
    for name, entry in manifest["modalities"].items():
        if not MODALITY_NAME.fullmatch(name):
            return f"modalities names {printable(name, MAX_NAME)!r}, which cannot be a modality"
        is_entry = isinstance(entry, dict) and isinstance(entry.get("options"), dict)
        if not (is_entry and type(entry.get("token_dim")) is int):
            return f"modalities.{name} has no options or no token_dim"
        if not isinstance(entry.get("usual", {}), dict) or VAE in entry.get("usual", {}):
            return f"modalities.{name}.usual is no block of options"
        if not isinstance(entry.get("sampling", {}), dict):
            return f"modalities.{name}.sampling is no block of settings"
        if type(entry.get("feature_dim", 1)) is not int:
            return f"modalities.{name}.feature_dim is no whole number"
    encoder = manifest["text_encoder"]
    if type(encoder.get("max_tokens")) is not int:
        return "text_encoder.max_tokens is no whole number"
    for name, wanted in TEXT_ENCODER_ENTRIES.items():
        if not isinstance(encoder.get(name, wanted()), wanted):
            return f"text_encoder.{name} is {type(encoder[name]).__name__}, not {wanted.__name__}"
    if encoder.get("hub_id") is not None and "sha256" not in encoder:
        return "text_encoder.hub_id has no sha256 beside it"
    if manifest["network"] not in (NETWORK, ADAPTER):
        name = printable(manifest["network"], MAX_NAME)
        return f"its network is {name!r}, and this version knows {NETWORK!r} and {ADAPTER!r}"
    base = manifest.get(BASE)
    if (manifest["network"] == ADAPTER) != (base is not None):
        return f"an adapter names its {BASE}, and nothing else does"
    if base is not None and not _are_texts(base):
        return f"{BASE} has no {' and no '.join(BASE_ENTRIES)}"
    if not all(isinstance(value, str) for value in manifest["files"].values()):
        return "files holds something that is no hash"
    return None


def _are_texts(base: Any) -> bool:
    return isinstance(base, dict) and all(isinstance(base.get(key), str) for key in BASE_ENTRIES)


def recommended(manifest: Mapping[str, Any], modality: str) -> dict[str, Any]:
    """How a checkpoint recommends to sample a modality; what it says for it replaces the rest.

    Args:
        manifest: of the checkpoint.
        modality: which; nothing is said for one that the checkpoint does not know.
    """
    own = manifest["modalities"].get(modality)
    return {**manifest["sampling"], **((own and own.get("sampling")) or {})}


def made_manifest(
    family: str,
    modalities: Mapping[str, Any],
    backbone: Mapping[str, Any],
    text_encoder: Mapping[str, Any],
    sampling: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of weights of others, which have none; each argument is an entry of it."""
    return {
        "format": FORMAT_VERSION,
        "lumina_core": __version__,
        "network": NETWORK,
        "family": family,
        "adapters": [],
        "modalities": modalities,
        "backbone": backbone,
        "text_encoder": text_encoder,
        "sampling": sampling,
        "training": {},
        "files": {},
        "sha256": "",
    }


def network_of_package(manifest: Mapping[str, Any]) -> str:
    """Why a model cannot be converted whose `backbone` has a KIND."""
    return (
        f"its network is a {printable(str(manifest['backbone'][KIND]), MAX_NAME)} of another "
        "package, which `run`, `serve` and `train adapter=lora` use; take a model of this project"
    )


def data_seen(manifest: Mapping[str, Any]) -> list[Any]:
    """The kinds of data that a checkpoint was trained on, as `data=` names them.

    Those of the checkpoints that its training began with come first.
    """
    training = manifest["training"]
    data, before = training.get("data"), training.get("data_before", [])
    kinds = before if isinstance(before, list) else [before]
    of_each = [data]
    if isinstance(data, dict) and "name" not in data:  # of several modalities
        of_each = list(data.values())
    found = [each.get("name") if isinstance(each, dict) else None for each in of_each]
    names = [name if isinstance(name, str) else None for name in found]
    return [*kinds, *dict.fromkeys(names or [None])]


BACKBONE = "backbone.safetensors"
STATE = "state"  # folder of what a training goes on from
TRAINING = "training.safetensors"  # the same as one file, written before there were ranks
TEXT_ENCODER = "text_encoder"
VAE = "vae"


def manifest_sha256(folder: Path) -> str:
    """Hash of the manifest, and through it of the whole checkpoint."""
    return sha256_of(folder / MANIFEST)


def is_of_state(name: str) -> bool:
    """Whether a file of a checkpoint is there only for a training to go on from."""
    return name.partition("/")[0] in (STATE, TRAINING)


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare every file with its hash.

    Raises:
        LuminaError: a file is missing, was changed, or stands there without being listed.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in manifest["files"] and name not in (MANIFEST, TRAINING):
            raise LuminaError(f"{path} is no part of the checkpoint; move it to another place")
    for name, expected in manifest["files"].items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise LuminaError(f"{folder / MANIFEST} names {name!r}, which is outside its folder")
        path = folder / name
        if is_of_state(name) and not (folder / name.partition("/")[0]).exists():
            continue  # older checkpoints of a run have given it up
        if not path.is_file():
            raise LuminaError(f"{path} is missing: the checkpoint is incomplete; copy it again")
        if known_sha256(path) != expected:
            raise LuminaError(f"{path} is damaged (its sha256 differs); copy the checkpoint again")
