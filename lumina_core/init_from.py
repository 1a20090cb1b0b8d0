"""Start a training run with the weights of a checkpoint: `init_from=FOLDER`, or of the demo.

The averaged weights of the backbone and the text encoder are taken; step, optimizer and data begin
anew. The settings are those of the run, and must give weights of the same shapes; a text encoder
that was frozen stays so, with its settings.
"""

import sys
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from lumina_core import host
from lumina_core.checkpoint import (
    BACKBONE,
    Model,
    differences,
    has_same_autoencoder,
    verify,
)
from lumina_core.errors import LuminaError, reason_of
from lumina_core.manifest import read_manifest


def init_folder(name: str, modality: str) -> Path:
    """The checkpoint that `init_from` names.

    Raises:
        LuminaError: the modality ships no demo.
    """
    if name != "demo":
        return Path(name)
    demo = host.demo_folder(modality)
    if demo is None:
        raise LuminaError(f"modality {modality!r} ships no demo checkpoint; give init_from=FOLDER")
    return demo


def start_from(folder: Path, model: Model) -> None:
    """Put the backbone's weights of a checkpoint into a model that has the same shapes.

    Settings that differ without changing a shape are named on stderr, one line each.

    Args:
        folder: the checkpoint.
        model: changed in place; its text encoder stays as it is.

    Raises:
        LuminaError: the checkpoint is missing or damaged, of another modality or other shapes.
    """
    manifest = read_manifest(folder)
    if model.name not in manifest["modalities"]:
        known = ", ".join(manifest["modalities"])
        raise LuminaError(f"{folder} was trained on {known}, not on {model.name}")
    verify(folder, manifest)
    found = differences(folder, model)
    try:
        model.backbone.load_state_dict(load_file(folder / BACKBONE), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        why = (
            f"was trained with {'; '.join(found)}" if found else f"does not fit: {reason_of(error)}"
        )
        raise LuminaError(f"{folder} {why}; start from it with the same shapes") from error
    if not has_same_autoencoder(folder, model):
        found.append("another autoencoder, so its latents mean something else")
    for difference in found:
        print(f"warning: {folder} was trained with {difference}", file=sys.stderr)
