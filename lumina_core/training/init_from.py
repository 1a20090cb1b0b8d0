"""Start a training run with the weights of a checkpoint: `init_from=FOLDER`, or of the demo.

The averaged weights of the backbone and the text encoder are taken; step, optimizer and data begin
anew. The settings are those of the run, and must give weights of the same shapes; a text encoder
that was frozen stays so, with its settings. A checkpoint of another modality gives what modalities
share; the projections in and out begin anew, unless the latents are the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lumina_core.checkpoints.differences import differences, has_same_latents
from lumina_core.checkpoints.manifest import BACKBONE, read_manifest, verify
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.newest import DEMO, checkpoint_folder
from lumina_core.errors import LuminaError, reason_of
from lumina_core.plugins import host
from lumina_core.records import flat
from lumina_core.terminal import tell

PROJECTIONS = ("inputs", "outputs", "features")  # of each modality; all other weights are shared


def init_folder(name: str, modality: str) -> Path:
    """The checkpoint that `init_from` names.

    Raises:
        LuminaError: the modality ships no demo, or a training has finished no checkpoint.
    """
    if name != DEMO:
        return checkpoint_folder(Path(name))
    demo = host.demo_folder(modality)
    if demo is None:
        raise LuminaError(f"modality {modality!r} ships no demo checkpoint; give init_from=FOLDER")
    return demo


def start_from(folder: Path, model: Model) -> dict[str, Any]:
    """Put the backbone's weights of a checkpoint into a model that has the same shapes.

    Settings that differ without changing a shape are named on stderr, one line each, and so is a
    modality that the checkpoint does not know.

    Args:
        folder: the checkpoint.
        model: changed in place; its text encoder stays as it is.

    Returns:
        How the checkpoint recommends to sample, where that is true of the model, too: numbers of
        tokens and positions mean the same with the same latents and architecture alone.

    Raises:
        LuminaError: the checkpoint is missing or damaged, or of other shapes.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest)
    found = differences(folder, model)
    is_known = model.name in manifest["modalities"]
    try:
        weights = load_file(folder / BACKBONE)
        if not is_known:
            weights, note = _of_another_modality(weights, folder, manifest, model)
            tell(f"note: {note}")
        model.backbone.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        why = (
            f"was trained with {'; '.join(found)}" if found else f"does not fit: {reason_of(error)}"
        )
        raise LuminaError(f"{folder} {why}; start from it with the same shapes") from error
    if is_known and not has_same_latents(folder, model, model.name):
        found.append("another autoencoder, so its latents mean something else")
    for difference in found:
        tell(f"warning: {folder} was trained with {difference}")
    return _recommendation(folder, manifest, is_kept=is_known and all(map(_is_of_text, found)))


def _is_of_text(difference: str) -> bool:
    """Whether a difference concerns the text encoder alone, which knows no positions."""
    return difference.startswith("text_encoder.")


def _recommendation(folder: Path, manifest: Mapping[str, Any], *, is_kept: bool) -> dict[str, Any]:
    """How a checkpoint recommends to sample, if it is kept; says what becomes of it."""
    sampling = manifest["sampling"]
    if sampling:
        values = ", ".join(f"{key}={value}" for key, value in flat(sampling).items())
        fate = "checkpoints of this run recommend it, too" if is_kept else "this run drops it"
        tell(f"note: {folder} recommends {values} for sampling; {fate}")
    return dict(sampling) if is_kept else {}


def _of_another_modality(
    weights: Mapping[str, Tensor], folder: Path, manifest: Mapping[str, Any], model: Model
) -> tuple[dict[str, Tensor], str]:
    """What a checkpoint has for a modality it does not know, and what becomes of its projections.

    Returns:
        Weights under the names that the model's backbone expects, and a line for people.
    """
    others = manifest["modalities"]
    own = f"projections of {model.name}"
    source = next(
        (name for name in others if _has_same_latents(folder, manifest, name, model)), None
    )
    found = {}
    for key, value in weights.items():
        kind, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if kind not in PROJECTIONS:
            found[key] = value
        elif name == source:
            found[f"{kind}.{model.name}.{rest.removeprefix(name + '.')}"] = value
    for key, value in model.backbone.state_dict().items():
        if key.partition(".")[0] in PROJECTIONS:
            found.setdefault(key, value)
    known = f"{folder} was trained on {', '.join(others)}"
    if source is not None:
        return found, f"{known}; the {own} begin as those of {source}, whose latents are the same"
    return found, f"{known}; the {own} begin anew"


def _has_same_latents(folder: Path, manifest: Mapping[str, Any], name: str, model: Model) -> bool:
    token_dim = model.backbone.config.token_dims[model.name]
    if manifest["modalities"][name]["token_dim"] != token_dim:
        return False
    try:
        return has_same_latents(folder, model, name)
    except LuminaError:  # an autoencoder of another kind
        return False
