"""How two checkpoints differ: architecture, autoencoder, latents."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lumina_core.autoencoder.networks import FramewiseAutoencoder, read_config
from lumina_core.checkpoints.manifest import VAE, read_manifest
from lumina_core.checkpoints.model import Model, describe
from lumina_core.checkpoints.source import Source
from lumina_core.checkpoints.vae_folder import has_same_weights
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.records import flat

DECODER = ("decoder.", "post_quant_conv.")  # weights that say nothing of what latents mean


def check_architecture(folder: Path, models: Sequence[Model]) -> None:
    """Refuse to go on with models that are not those of a checkpoint, naming what differs.

    Raises:
        LuminaError: another backbone, text encoder, patch size or autoencoder.
    """
    for difference in differences(read_manifest(folder), models):
        raise LuminaError(
            f"{folder} was trained with {difference}; resume with the settings of its start"
        )
    for model in models:
        if not has_same_autoencoder(folder, model):
            key = "modality.vae" if len(models) == 1 else f"modality.{model.name}.vae"
            raise LuminaError(
                f"{folder} was trained with another autoencoder; resume with "
                f"{key}={folder / VAE / model.name}"
            )


def differences(manifest: Mapping[str, Any], models: Sequence[Model]) -> list[str]:
    """How models differ from those that a manifest describes, their autoencoders aside."""
    stored, wanted = (flat(x) for x in (manifest, describe(models)))
    return [
        f"{key}={_shown(stored[key])}, this run has {_shown(wanted[key])}"
        for key in sorted(wanted.keys() & stored.keys() - {"lumina_core", "adapters"})
        if wanted[key] != stored[key]
    ]


def _shown(value: object) -> str:
    return printable(str(value), MAX_REASON)


def has_same_autoencoder(folder: Path, model: Model) -> bool:
    """Whether a checkpoint's autoencoder is that of the model: its config and its weights."""
    return _compare_autoencoders(folder / VAE / model.name, model, model.name, skip=())


def has_same_latents(source: Source, model: Model, name: str) -> bool:
    """Whether latents of a modality of a checkpoint mean what those of the model do.

    Decoders may differ. An autoencoder without weights is the same for the same modality alone. One
    that stands elsewhere is that which the model was given.
    """
    folder = source.vae_folder(name)
    return folder is None or _compare_autoencoders(folder, model, name, skip=DECODER)


def _compare_autoencoders(folder: Path, model: Model, name: str, *, skip: tuple[str, ...]) -> bool:
    own = model.modality.vae.folder
    if own is None:
        return name == model.name
    places = (folder, Path(own))
    stored, wanted = ({**FramewiseAutoencoder.defaults, **read_config(x)} for x in places)
    keys = {key for key in stored | wanted if not key.startswith("_")}  # these say who wrote it
    has_same_config = all(stored.get(key) == wanted.get(key) for key in keys)
    return has_same_config and has_same_weights(*places, skip=skip)
