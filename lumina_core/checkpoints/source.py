"""What `checkpoint=` led to: where the parts of a model are, and what a manifest says of them.

The program reads the manifest and asks for parts; it never asks who wrote the files. Light: the
weights themselves are opened by model.py.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lumina_core.checkpoints.manifest import (
    ADAPTER,
    BACKBONE,
    BASE,
    KIND,
    TEXT_ENCODER,
    VAE,
    manifest_sha256,
    read_manifest,
    verify,
)
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.files.hashes import known_sha256
from lumina_core.hub import local_folder
from lumina_core.plugins import demos, host
from lumina_core.records import fixed_names

if TYPE_CHECKING:
    from lumina_core.checkpoints.named import NamedModel

OURS = "lumina"
"""The layout of our own folders."""


class Parts(NamedTuple):
    """What stands beside the weights of others."""

    vae: Path | None
    """Folder of the autoencoder."""
    text_encoder: Path | None
    """Folder of the text encoder."""
    scheduler: Mapping[str, Any] | None
    """Its config."""
    beside: Mapping[str, tuple[Mapping[str, Any], Path]] = {}
    """Config and weights, or the index of these, of the other networks of a pipeline."""
    pipeline: Mapping[str, Any] = {}
    """Plain values of its model_index.json."""
    arguments: Mapping[str, Any] = {}
    """Of the training, as the trainers of Lumina-T2X leave them beside the weights."""
    name: str | None = None
    """Of the model, by which it is found again; None: its path."""
    description: "NamedModel | None" = None
    """Of this model; None: that of the most similar one holds."""


@dataclass(frozen=True)
class Source:
    """A model on disk, in whatever layout."""

    name: str
    """By which it is found again: a path, or the name of a model."""
    path: Path
    """The folder or file of the backbone, for messages."""
    layout: str
    """OURS, or a layout of its family."""
    manifest: Mapping[str, Any]
    """As in our folders; made from what is there where it is not ours."""
    weights: tuple[Path, ...]
    """Files of the backbone: one, an index, or all tensor-parallel parts."""
    vae: Path | None = None
    """Folder of the autoencoder; None: ours, or there is none."""
    text_encoder: Path | None = None
    """Folder of the text encoder; None: ours, or the manifest names one of the hub. Where both are
    there, it holds what the manifest names."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Options of the modality with which it was trained; `vae`, too, where none stands here."""
    model: str | None = None
    """Whose description says how it reads texts and is sampled; None: its own manifest."""
    channels: int = 0
    """Of the latent, where the weights are not ours."""
    beside: Mapping[str, Path] = field(default_factory=dict)
    """Weights, or the index of these, of further networks that belong to the backbone, by name."""
    notes: tuple[str, ...] = ()
    """What the user should know about how it is used."""
    dtype: str = "float32"
    """In which it is computed where nobody says otherwise: that of its weights, if not ours."""

    @property
    def is_ours(self) -> bool:
        """Whether it is a folder that we wrote."""
        return self.layout == OURS

    def vae_folder(self, modality: str) -> Path | None:
        """Of the autoencoder of a modality; None: `modality.vae` says which."""
        return self.path / VAE / modality if self.is_ours else self.vae

    @property
    def open_options(self) -> frozenset[str]:
        """Options of the architecture that the files leave to the user."""
        return frozenset({VAE} & self.usual.keys())

    @property
    def text_encoder_folder(self) -> Path | None:
        """Of the text encoder; None: it is one of the hub."""
        is_inside = self.is_ours and self.manifest["text_encoder"].get("hub_id") is None
        return self.path / TEXT_ENCODER if is_inside else self.text_encoder

    def with_text_encoder(self, named: str, *, download: bool) -> "Source":
        """The same model with its text encoder from elsewhere.

        Args:
            named: its folder, that of a pipeline of diffusers, or its id on the hub.
            download: fetch it where it is missing.

        Raises:
            LuminaError: it is not there, or the model has its own, or takes classes.
        """
        has_own = self.is_ours and self.manifest["text_encoder"].get("hub_id") is None
        if has_own or self.manifest["backbone"].get("text") == "label":
            why = "has its own" if has_own else "is of classes"
            raise LuminaError(
                f"text_encoder={printable(named, MAX_REASON)} is for weights that bring no text "
                f"encoder, and {self.path} {why}; leave it out"
            )
        try:
            folder = local_folder(named, download=download).absolute()
        except LuminaError as error:
            raise LuminaError(f"text_encoder: {error}") from error
        inner = folder / TEXT_ENCODER
        return replace(self, text_encoder=inner if inner.is_dir() else folder)

    @property
    def key(self) -> tuple[Any, ...]:
        """By which a model in memory is found again."""
        return (self.path, self.text_encoder_folder, self.sha256)

    def verify(self) -> None:
        """Compare the files of our folders with their hashes; those of others have none.

        Raises:
            LuminaError: a file is damaged, missing or too many.
        """
        if self.is_ours:
            verify(self.path, self.manifest)

    @property
    def sha256(self) -> str:
        """Hash that names all weights of the model, its files in whatever folder.

        Raises:
            OSError: a file cannot be read.
        """
        if self.is_ours:
            return manifest_sha256(self.path)
        folders = [folder for folder in (self.vae, self.text_encoder) if folder is not None]
        found = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
        own = [*self.weights, *self.beside.values()]
        if KIND in self.manifest["backbone"]:  # the sums of the others are known to files made
            own += [path for file in own for path in parts_of(file) if path != file]
        hashes = [known_sha256(path) for path in (*own, *found)]
        text = json.dumps([hashes, self.manifest["backbone"]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def parts_of(file: Path) -> list[Path]:
    """The parts of weights whose index a file is, which says no hash of them; else the file."""
    return sorted(file.parent.glob("*.safetensors")) if file.suffix == ".json" else [file]


def own_source(folder: Path) -> Source:
    """A folder that we wrote.

    Raises:
        LuminaError: it is none, or its manifest is damaged, or it holds an adapter.
    """
    manifest = read_manifest(folder)
    if manifest["network"] == ADAPTER:
        base = printable(manifest[BASE]["checkpoint"], MAX_REASON)
        raise LuminaError(
            f"{folder} holds an adapter and no model; give the model that it changes: "
            f"checkpoint={base} adapters={folder}"
        )
    usual = next(iter(manifest["modalities"].values())).get("usual") or {}
    return Source(str(folder), folder, OURS, manifest, (folder / BACKBONE,), usual=usual)


def demo_source(modalities: Sequence[str], instead: str) -> Source:
    """The demo that knows modalities, or at least one of them.

    Args:
        modalities: names of them.
        instead: what to do without a demo, as the end of a message.

    Raises:
        LuminaError: there is none, it is damaged, or each of several has its own.
    """
    folders = {folder for name in modalities if (folder := demos.demo_folder(name))}
    if not folders:
        raise demos.lack_of_demo(modalities[0], instead)
    if len(folders) > 1:
        raise LuminaError(
            f"demo is one checkpoint here, and {', '.join(modalities)} have several; {instead}"
        )
    return own_source(folders.pop())


def fixed_options(name: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a modality that a checkpoint fixes: its architecture and nothing else."""
    entry = manifest["modalities"].get(name)
    stored = entry["options"] if entry else {}
    return {key: stored[key] for key in fixed_names(host.options_class(name)) if key in stored}
