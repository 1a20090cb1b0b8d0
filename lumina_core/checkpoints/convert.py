"""From one layout to another, tensor by tensor: `lumina convert SRC DST --to LAYOUT`.

No two tensors are in memory at a time. What a release stores and never uses is carried along: in
the file of a layout that has it, else in `unused.safetensors` beside the weights. So there and back
gives equal bytes of every tensor. Whatever the other layout cannot say is refused.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumina_core.backbone.families.layouts import (
    Family,
    Layout,
    Piece,
    config_of,
    pieces,
    values_of_shapes,
)
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.low_rank import Weighted, merged_weight
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.adapters import NO_ADAPTERS, WEIGHT, Adapters, layers_of, read_adapters
from lumina_core.checkpoints.folder import write_manifest
from lumina_core.checkpoints.foreign import open_backbone, resolved
from lumina_core.checkpoints.manifest import BACKBONE, TEXT_ENCODER, VAE, is_of_state
from lumina_core.checkpoints.model import backbone_config
from lumina_core.checkpoints.named import known_model
from lumina_core.checkpoints.obtaining import obtain_part
from lumina_core.checkpoints.pipeline import Parts, write_pipeline
from lumina_core.checkpoints.released import checked_pieces, our_tensor
from lumina_core.checkpoints.source import OURS, Source
from lumina_core.checkpoints.stored import Stored, open_weights
from lumina_core.checkpoints.vae_folder import copy_vae, find_vae
from lumina_core.errors import MAX_NAME, LuminaError, printable
from lumina_core.files.tensors import PlannedTensor, write_tensors
from lumina_core.files.writing import atomic_folder, atomic_write, check_free
from lumina_core.text.folder import encoder_files

UNUSED = "unused.safetensors"
RELEASED = "consolidated.00-of-01.safetensors"  # as the trainers of Lumina-T2X name one part
ABOUT = {"format": "pt"}
"""What the header of a file says: other programs want it."""
_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
Planned = dict[str, PlannedTensor]


def convert(
    source: Source,
    target: Path,
    layout: str,
    dtype: str | None = None,
    adapters: Adapters = NO_ADAPTERS,
) -> None:
    """Write a model in another layout, whole or not at all.

    Args:
        source: the model.
        target: a folder or file that is not there yet.
        layout: lumina, or a layout of its family.
        dtype: name of the type of all weights of the backbone; None: each keeps its own.
        adapters: to be added to the weights, in float32 and rounded once.

    Raises:
        LuminaError: the model is damaged or has no such layout, an adapter does not fit, or the
            target cannot be written.
    """
    config = resolved(backbone_config(source.manifest))
    check_target(source, target, layout)
    if source.is_ours and layout == OURS and adapters.files:
        _merge_into_copy(source, target, dtype, adapters)
        return
    family = _family_of(source, layout)
    source.verify()
    ours, unused = _opened(source, family, config)
    source = _merged(source, ours, config, adapters)
    ours = _in_type(ours, dtype)
    if layout == OURS:
        parts = _parts(source)
        if parts.vae is None or (parts.text_encoder is None and config.num_classes is None):
            raise _lack_of_parts(source)
        with atomic_folder(target) as folder:
            _write(folder / BACKBONE, ours)
            _write(folder / UNUSED, unused)
            _write_parts(folder, source, parts)
        return
    their, channels = family.layouts[layout], _channels(source, family, config)
    _check_said(source, family, layout, config)
    planned = _planned(ours, pieces(config, their, channels), their)
    inside = {name: each for name, each in unused.items() if name in their.unused}
    left = {name: each for name, each in unused.items() if name not in inside}
    planned |= inside
    if layout == "diffusers" and family.config_of_values is not None:
        values = family.config_of_values(config, channels, family.patch_size)
        with atomic_folder(target) as folder:
            transformer = write_pipeline(folder, family, source.manifest, values, _parts(source))
            _write(transformer / "diffusion_pytorch_model.safetensors", planned)
            _write(transformer / UNUSED, left)
    elif target.suffix == ".safetensors":
        if left:
            name = printable(next(iter(left)), MAX_NAME)
            raise LuminaError(
                f"{source.path} carries {name}, which one file of this layout has no place for; "
                "use --to diffusers or --to lumina"
            )
        with atomic_write(target) as file:
            write_tensors(file, planned, ABOUT)
    else:
        with atomic_folder(target) as folder:
            _write(folder / RELEASED, planned)
            _write(folder / UNUSED, left)


def _merge_into_copy(source: Source, target: Path, dtype: str | None, adapters: Adapters) -> None:
    """Copy a folder of ours with adapters in its weights, and without its training state."""
    source.verify()
    stored = open_backbone(source.weights)
    ours = {name: _as_stored(stored, name) for name in stored.tensors}
    changed = _merged(source, ours, backbone_config(source.manifest), adapters)
    with atomic_folder(target) as folder:
        names = changed.manifest["files"].keys() - {BACKBONE}
        for name in [name for name in names if not is_of_state(name)]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.path / name, folder / name)
        _write(folder / BACKBONE, _in_type(ours, dtype))
        write_manifest(folder, changed.manifest)


def _merged(source: Source, ours: Planned, config: BackboneConfig, adapters: Adapters) -> Source:
    """Plan changes of our tensors, and say in the manifest which ones."""
    if not adapters.files:
        return source
    with torch.device("meta"):
        backbone = Backbone(config)
    family, modality = FAMILIES.get(source.manifest["family"]), next(iter(config.token_dims))
    channels = 0 if family is None else _channels(source, family, config)
    layers = layers_of(backbone, modality, source.manifest["family"], channels)
    found = read_adapters(adapters, layers)
    for layer, changes in found.changes.items():
        name = layer + WEIGHT
        ours[name] = ours[name]._replace(make=partial(_sum, ours[name].make, changes))
    told = [*source.manifest["adapters"], *(each.told for each in found.used)]
    return replace(source, manifest={**source.manifest, "adapters": told})


def _sum(make: Callable[[], Tensor], changes: Sequence[Weighted]) -> Tensor:
    return merged_weight(make(), changes)


def _in_type(ours: Planned, dtype: str | None) -> Planned:
    if dtype is None:
        return ours
    return {name: each._replace(dtype=_DTYPES[dtype]) for name, each in ours.items()}


def check_target(source: Source, target: Path, layout: str) -> None:
    """Refuse a target before anything is read.

    Raises:
        LuminaError: it is there, lies inside the source, or has a wrong suffix.
    """
    check_free(target)
    place = source.path if source.path.is_dir() else source.path.parent
    is_inside = source.path.is_dir() and target.resolve().is_relative_to(place.resolve())
    if is_inside:
        raise LuminaError(f"{target} lies inside {place}, which is read; name another place")
    if layout == "comfyui" and target.suffix != ".safetensors":
        raise LuminaError(
            f"--to comfyui writes one file; let its name end in .safetensors, not {target}"
        )
    if layout in (OURS, "diffusers") and target.suffix == ".safetensors":
        raise LuminaError(
            f"--to {layout} writes a folder; name one without .safetensors, not {target}"
        )


def _family_of(source: Source, layout: str) -> Family:
    name = source.manifest["family"]
    if not name:
        raise LuminaError(
            f"{source.path} is of no released family, so no other program has a layout for it; "
            "only weights of a family are converted"
        )
    family = FAMILIES.get(name)
    if family is None:
        raise LuminaError(f"{source.path} is of the family {name!r}; known: {', '.join(FAMILIES)}")
    known = [OURS, *family.layouts]
    if layout not in known:
        raise LuminaError(
            f"the family {name} has no layout {layout!r}; --to takes {', '.join(known)}"
        )
    return family


def _opened(source: Source, family: Family, config: BackboneConfig) -> tuple[Planned, Planned]:
    """Our tensors as they are in the source, and those that nothing uses; none is read yet."""
    stored = open_backbone(source.weights)
    if source.is_ours:
        used, extra = dict(stored.tensors), _beside(source.path)
        return {name: _as_stored(stored, name) for name in used}, extra
    layout = family.layouts[source.layout]
    found = checked_pieces(source, config, stored)
    ours = {
        piece.name: PlannedTensor(
            piece.shape,
            stored.tensors[piece.stored].dtype,
            partial(our_tensor, stored, layout, piece),
        )
        for piece in found
    }
    inside = [name for name in layout.unused if name in stored.tensors]
    folder = source.path if source.path.is_dir() else source.path.parent
    return ours, _beside(folder) | {name: _as_stored(stored, name) for name in inside}


def _as_stored(stored: Stored, name: str) -> PlannedTensor:
    stored.check_dtype(name)
    tensor = stored.tensors[name]
    return PlannedTensor(tensor.shape, tensor.dtype, partial(stored.read, name))


def _beside(folder: Path) -> Planned:
    """What an earlier conversion carried along."""
    if not (folder / UNUSED).is_file():
        return {}
    stored = open_weights(folder / UNUSED)
    return {name: _as_stored(stored, name) for name in stored.tensors}


def _planned(ours: Planned, found: list[Piece], layout: Layout) -> Planned:
    """The stored tensors that ours become."""
    planned: Planned = {}
    ordered = sorted(found, key=lambda piece: piece.stored)
    for name, group in groupby(ordered, key=lambda piece: piece.stored):
        every = list(group)
        parts = [piece for piece in every if piece.name not in layout.copies]
        for copy in every:
            if copy not in parts and not torch.equal(ours[copy.name].make(), _back(ours, parts)):
                raise LuminaError(
                    f"{copy.name} is not {parts[0].name} any more, and this layout has one tensor, "
                    f"{printable(name, MAX_NAME)}, for both; choose another layout"
                )
        parts.sort(key=lambda piece: piece.rows or (0, 0))
        dtypes = {ours[piece.name].dtype for piece in parts}
        if len(dtypes) > 1:
            raise LuminaError(
                f"{printable(name, MAX_NAME)} would have parts of types {', '.join(dtypes)}; "
                "choose one with --dtype"
            )
        tensor = PlannedTensor(parts[0].stored_shape, dtypes.pop(), partial(_back, ours, parts))
        planned |= dict.fromkeys((name, *layout.twins(name)), tensor)
    return planned


def _back(ours: Planned, parts: list[Piece]) -> Tensor:
    made = [piece.back(ours[piece.name].make()) for piece in parts]
    return made[0] if len(made) == 1 else torch.cat(made)


def _write(path: Path, planned: Planned) -> None:
    """Write a file, unless it would be empty."""
    if planned:
        with path.open("wb") as file:
            write_tensors(file, planned, ABOUT)


def _channels(source: Source, family: Family, config: BackboneConfig) -> int:
    """Channels of the latent."""
    if len(config.token_dims) > 1:
        names = ", ".join(config.token_dims)
        raise LuminaError(f"{source.path} makes {names}; other programs know models of one alone")
    (token_dim,) = config.token_dims.values()
    return source.channels or token_dim // family.patch_size**2


def _check_said(source: Source, family: Family, layout: str, config: BackboneConfig) -> None:
    """Refuse an architecture that would be read back as another one.

    Raises:
        LuminaError: the layout cannot say it; names the first setting.
    """
    channels = _channels(source, family, config)
    if layout == "diffusers" and family.config_of_values and family.values_of_config:
        written = family.config_of_values(config, channels, family.patch_size)
        values = family.values_of_config(written)
    else:
        found = pieces(config, family.layouts[layout], channels)
        shapes = {piece.stored: piece.stored_shape for piece in found}
        values = values_of_shapes(family, family.layouts[layout], shapes)
    (modality,) = config.token_dims
    read = asdict(resolved(config_of(values, modality)))
    for key, value in asdict(config).items():
        if read[key] != value and key != "initial_gate":  # which a trained network has left
            raise LuminaError(
                f"--to {layout} cannot say backbone.{key}={value}, it would be read as "
                f"{read[key]}; choose another layout"
            )


def _parts(source: Source) -> Parts:
    """Autoencoder and text encoder, where both are on this disk."""
    (modality,) = source.manifest["modalities"]
    is_of_classes = source.manifest["backbone"].get("num_classes") is not None
    vae = source.vae_folder(modality)
    encoder = None if is_of_classes else source.text_encoder_folder
    try:
        if vae is None:
            vae = find_vae(modality, str(source.usual[VAE]), download=False)
        if encoder is None and not is_of_classes and source.model is not None:
            model = known_model(source.model)
            encoder = obtain_part(source.model, model, TEXT_ENCODER, download=False)
    except LuminaError:
        return Parts(None, None)
    return Parts(vae, encoder)


def _lack_of_parts(source: Source) -> LuminaError:
    return LuminaError(
        f"{source.path} has no autoencoder and text encoder beside it, which a checkpoint holds; "
        "put folders vae, text_encoder and tokenizer beside it"
    )


def _write_parts(folder: Path, source: Source, parts: Parts) -> None:
    """The rest of a folder of ours, its manifest last."""
    (modality,) = source.manifest["modalities"]
    if parts.vae is not None:
        copy_vae(parts.vae, folder / VAE / modality)
    about: dict[str, Any] = dict(source.manifest["text_encoder"])
    if parts.text_encoder is not None:
        (folder / TEXT_ENCODER).mkdir()
        for path in encoder_files(parts.text_encoder):
            shutil.copyfile(path, folder / TEXT_ENCODER / path.name)
        about["hub_id"] = None
    entry: Mapping[str, Any] = source.manifest["modalities"][modality]
    usual = {key: value for key, value in source.usual.items() if key != VAE}
    modalities = {modality: {**entry, **({"usual": usual} if usual else {})}}
    write_manifest(folder, {**source.manifest, "modalities": modalities, "text_encoder": about})
