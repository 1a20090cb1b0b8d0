"""Start a training run with the weights of a checkpoint: `init_from=FOLDER`, or of the demo.

The averaged weights of the backbone and the text encoder are taken; step, optimizer and data begin
anew. The settings are those of the run, and must give weights of the same shapes; a text encoder
that was frozen stays so, with its settings. A checkpoint of another modality gives what modalities
share; the projections in and out begin anew, unless the latents are the same. Released models of
others give the backbone's settings and the autoencoder, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lumina_core.backbone.transformer import own_network
from lumina_core.checkpoints.differences import differences, has_same_latents
from lumina_core.checkpoints.formats import find_source
from lumina_core.checkpoints.manifest import recommended
from lumina_core.checkpoints.model import Model, backbone_config
from lumina_core.checkpoints.newest import DEMO
from lumina_core.checkpoints.released import read_backbone
from lumina_core.checkpoints.source import Source, demo_source
from lumina_core.errors import LuminaError, reason_of
from lumina_core.records import flat
from lumina_core.terminal import tell

PROJECTIONS = ("inputs", "outputs", "features")  # of each modality; all other weights are shared


def init_source(name: str, modalities: Sequence[str], *, download: bool) -> Source:
    """The checkpoint that `init_from` names.

    Args:
        name: demo, or what `checkpoint=` takes.
        modalities: of the training.
        download: fetch what is named and is not there yet.

    Raises:
        LuminaError: there is no demo or more than one, a training has finished no checkpoint, or
            there is no such model.
    """
    if name == DEMO:
        return demo_source(modalities, "give init_from=FOLDER")
    return find_source(name, download=download)


def start_from(source: Source, models: Sequence[Model]) -> dict[str, dict[str, Any]]:
    """Put the backbone's weights of a checkpoint into models that have the same shapes.

    Settings that differ without changing a shape are named on stderr, one line each, and so are
    modalities that the checkpoint does not know.

    Args:
        source: the checkpoint.
        models: of each modality; their backbone is changed in place, their text encoder stays.

    Returns:
        How the checkpoint recommends to sample modalities, where that is true of the models, too:
        numbers of tokens and positions mean the same with the same latents and architecture alone.

    Raises:
        LuminaError: the checkpoint is missing or damaged, or of other shapes.
    """
    manifest, path = source.manifest, source.path
    source.verify()
    found = differences(manifest, models)
    known = [model for model in models if model.name in manifest["modalities"]]
    try:
        weights, notes = _of_modalities(read_weights(source), source, models)
        for note in notes:
            tell(f"note: {note}")
        models[0].backbone.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        why = (
            f"was trained with {'; '.join(found)}" if found else f"does not fit: {reason_of(error)}"
        )
        raise LuminaError(f"{path} {why}; start from it with the same shapes") from error
    for model in known:
        if not has_same_latents(source, model, model.name):
            which = "" if len(models) == 1 else f" of {model.name}"
            found.append(f"another autoencoder{which}, so its latents mean something else")
    for difference in found:
        tell(f"warning: {path} was trained with {difference}")
    return _recommendation(source, known, is_kept=all(map(_is_of_text, found)))


def read_weights(source: Source) -> dict[str, Tensor]:
    """The weights of the backbone of a checkpoint, by our names, in the types stored there."""
    if source.is_ours:
        (file,) = source.weights
        return load_file(file)
    return read_backbone(source, backbone_config(source.manifest)).state_dict()


def without_others(weights: Mapping[str, Tensor], modality: str) -> dict[str, Tensor]:
    """The weights of a backbone without the projections of other modalities."""

    def is_own(key: str) -> bool:
        kind, _, rest = key.partition(".")
        return kind not in PROJECTIONS or rest.partition(".")[0] == modality

    return {key: value for key, value in weights.items() if is_own(key)}


def _is_of_text(difference: str) -> bool:
    """Whether a difference concerns the text encoder alone, which knows no positions."""
    return difference.startswith("text_encoder.")


def _recommendation(
    source: Source, models: Sequence[Model], *, is_kept: bool
) -> dict[str, dict[str, Any]]:
    """How a checkpoint recommends to sample, if it is kept; says what becomes of it."""
    found = {model.name: recommended(source.manifest, model.name) for model in models}
    for name, sampling in found.items():
        if sampling:
            values = ", ".join(f"{key}={value}" for key, value in flat(sampling).items())
            fate = "checkpoints of this run recommend it, too" if is_kept else "this run drops it"
            tell(f"note: {source.path} recommends {values} for sampling {name}; {fate}")
    return found if is_kept else {}


def _of_modalities(
    weights: Mapping[str, Tensor], source: Source, models: Sequence[Model]
) -> tuple[dict[str, Tensor], list[str]]:
    """What a checkpoint has for modalities, and what becomes of the projections of unknown ones.

    Returns:
        Weights under the names that the backbone expects, and lines for people.
    """
    others = source.manifest["modalities"]
    from_whom: dict[str, list[str]] = {}
    notes = []
    for model in models:
        like: str | None = model.name
        if model.name not in others:
            like = next((name for name in others if _has_same_latents(source, name, model)), None)
            fate = f"as those of {like}, whose latents are the same" if like else "anew"
            notes.append(
                f"{source.path} was trained on {', '.join(others)}; the projections of "
                f"{model.name} begin {fate}"
            )
        if like is not None:
            from_whom.setdefault(like, []).append(model.name)
    found = {}
    for key, value in weights.items():
        kind, _, rest = key.partition(".")
        whose, _, last = rest.partition(".")
        if kind not in PROJECTIONS:
            found[key] = value
            continue
        for name in from_whom.get(whose, []):
            found[f"{kind}.{name}.{last}"] = value
    own = models[0].backbone.state_dict()
    unknown = [model.name for model in models if model.name not in others]
    for key, value in own.items():
        kind, _, rest = key.partition(".")
        if kind in PROJECTIONS and rest.partition(".")[0] in unknown:
            found.setdefault(key, value)
    return found, notes


def _has_same_latents(source: Source, name: str, model: Model) -> bool:
    token_dim = own_network(model.backbone).config.token_dims[model.name]
    if source.manifest["modalities"][name]["token_dim"] != token_dim:
        return False
    try:
        return has_same_latents(source, model, name)
    except LuminaError:  # an autoencoder of another kind
        return False
