"""Writes adapters: beside their manifest as `train` does it, and in the keys of other programs.

    peft        a folder: base_model.model.layers.0.attention.to_q.lora_A.weight, and its settings
    diffusers   a file: transformer.layers.0.attention.to_q.lora_A.weight, settings in its header
    comfyui     a file: diffusion_model.layers.0.attention.qkv.lora_down.weight, each with its alpha

What a family stores as one layer becomes one: the changes of q, k and v then stand side by side in
one of three times the rank. adapter_files.py reads all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save, save_file
from torch import Tensor

from lumina_core.backbone.families.layouts import Layout, Piece, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.low_rank import LowRank
from lumina_core.checkpoints.adapter_files import CONFIG, FILES, HEADER, PEFT, STYLES, open_adapter
from lumina_core.checkpoints.adapters import WEIGHT
from lumina_core.checkpoints.manifest import KIND, read_manifest, verify
from lumina_core.checkpoints.model import backbone_config
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.errors import MAX_NAME, LuminaError, printable
from lumina_core.files.writing import atomic_folder, atomic_write, check_free

TRAINED_NAME = "default"  # of an adapter in training, as peft calls it where nobody names it
_DOWN, _UP = f".lora_A.{TRAINED_NAME}.weight", f".lora_B.{TRAINED_NAME}.weight"
MAGNITUDE = f".lora_magnitude_vector.{TRAINED_NAME}.weight"
TRAINED = (_DOWN, _UP, MAGNITUDE)
"""What the names of weights of an adapter in training end in, behind that of a layer."""
Changes = Mapping[str, LowRank]
"""By the name of a layer."""


def trained_changes(weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> dict[str, LowRank]:
    """What an adapter in training does to each layer.

    Args:
        weights: by their names in the backbone; others are passed over.
        about: its settings, `rank` and `alpha`.
    """
    scale = (about["alpha"] or about["rank"]) / about["rank"]
    layers = [name.removesuffix(_DOWN) for name in weights if name.endswith(_DOWN)]
    return {
        layer: LowRank(
            weights[layer + _DOWN], weights[layer + _UP], scale, weights.get(layer + MAGNITUDE)
        )
        for layer in layers
    }


def write_peft(folder: Path, changes: Changes, dtype: torch.dtype) -> None:
    """Write the two files of a folder as peft has it.

    Args:
        folder: that is there.
        changes: all of one rank and scale.
        dtype: of the stored weights.
    """
    tensors = {
        f"{PEFT}{layer}.{name}": tensor
        for layer, change in changes.items()
        for name, tensor in _tensors(change).items()
    }
    save_file({key: _stored(tensor, dtype) for key, tensor in tensors.items()}, folder / FILES[0])
    text = json.dumps(_settings(changes), indent=2)
    (folder / CONFIG).write_text(f"{text}\n", encoding="utf-8")


def convert_adapter(folder: Path, target: Path, style: str, dtype: str | None = None) -> None:
    """Write a trained adapter in the keys of another program, whole or not at all.

    Args:
        folder: of an adapter, or of the training that made it.
        target: a folder for peft, else a file, that is not there yet.
        style: one of STYLES.
        dtype: name of the type of its weights; None: as they are.

    Raises:
        LuminaError: the adapter is damaged, its model has no such names, or the target cannot be
            written.
    """
    folder = checkpoint_folder(folder)
    manifest = read_manifest(folder)
    verify(folder, manifest)
    if style not in STYLES:
        raise LuminaError(f"{folder} holds an adapter; --to takes {', '.join(STYLES)}")
    check_free(target)
    is_file = style != "peft"
    if (target.suffix == ".safetensors") != is_file:
        what = "a file; let its name end in" if is_file else "a folder; name one without"
        raise LuminaError(f"--to {style} writes {what} .safetensors, not {target}")
    changes = dict(open_adapter(folder).changes)
    kind = next(iter(changes.values())).down.dtype if dtype is None else getattr(torch, dtype)
    is_packaged = KIND in manifest["backbone"]
    if is_packaged:
        _check_packaged(manifest, changes, style)
    layout = None if is_packaged else _layout(manifest, style)
    if layout is not None:
        changes = _stored_changes(changes, manifest, layout)
    if style == "peft":
        with atomic_folder(target) as place:
            write_peft(place, changes, kind)
        return
    tensors, about = _comfyui(changes) if style == "comfyui" else _diffusers(changes)
    with atomic_write(target) as file:
        file.write(save({key: _stored(tensor, kind) for key, tensor in tensors.items()}, about))


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # alpha is no weight, and is written whole; a tied layer stands twice, and each has its own
    return tensor if tensor.ndim == 0 else tensor.to(dtype, copy=True).contiguous()


def _tensors(change: LowRank) -> dict[str, Tensor]:
    """As peft and diffusers call them."""
    found = {"lora_A.weight": change.down, "lora_B.weight": change.up}
    if change.magnitude is not None:
        found["lora_magnitude_vector"] = change.magnitude
    return found


def _settings(changes: Changes) -> dict[str, Any]:
    """What peft wants to know of an adapter."""
    first = next(iter(changes.values()))
    return {
        "peft_type": "LORA",
        "r": len(first.down),
        "lora_alpha": first.scale * len(first.down),
        "target_modules": sorted(changes),
        "use_dora": first.magnitude is not None,
        "inference_mode": True,
    }


def _diffusers(changes: Changes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """With a scale of 1: `load_lora_adapter` does not read the header unless it is asked to."""
    changes = {
        layer: replace(change, up=change.scale * change.up, scale=1.0)
        for layer, change in changes.items()
    }
    tensors = {
        f"transformer.{layer}.{name}": tensor
        for layer, change in changes.items()
        for name, tensor in _tensors(change).items()
    }
    settings = {f"transformer.{key}": value for key, value in _settings(changes).items()}
    return tensors, {"format": "pt", HEADER: json.dumps(settings, sort_keys=True)}


def _comfyui(changes: Changes) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors = {}
    for layer, change in changes.items():
        key = f"diffusion_model.{layer}"
        tensors[f"{key}.lora_down.weight"] = change.down
        tensors[f"{key}.lora_up.weight"] = change.up
        tensors[f"{key}.alpha"] = torch.tensor(change.scale * len(change.down))
        if change.magnitude is not None:
            tensors[f"{key}.dora_scale"] = change.magnitude[:, None]
    return tensors, {"format": "pt"}


def _check_packaged(manifest: Mapping[str, Any], changes: Changes, style: str) -> None:
    """Refuse a style that has no names for the network of a package, whose own are those of
    diffusers.
    """
    name = printable(str(manifest["backbone"][KIND]), MAX_NAME)
    if style == "comfyui":
        raise LuminaError(
            f"the adapter is of a {name}, for which {style} has no names; --to takes peft, "
            "diffusers"
        )
    for folder in manifest["backbone"]["configs"]:
        if any(layer.startswith(f"{folder}.") for layer in changes):
            raise LuminaError(
                f"the adapter changes {folder}, too, and other programs have one file for each "
                "network; use it here: adapters=FOLDER"
            )


def _layout(manifest: Mapping[str, Any], style: str) -> Layout | None:
    """Whose names a style takes; None: peft's, of a network that no other program has."""
    family = FAMILIES.get(manifest["family"])
    layouts = {} if family is None else family.layouts
    if style == "peft":
        return layouts.get("diffusers")
    if style not in layouts:
        name = manifest["family"] or "no released family"
        raise LuminaError(
            f"the adapter is of {printable(name, MAX_NAME)}, for which {style} has no names; --to "
            "takes peft" + ", diffusers" * ("diffusers" in layouts)
        )
    return layouts[style]


def _stored_changes(
    changes: Changes, manifest: Mapping[str, Any], layout: Layout
) -> dict[str, LowRank]:
    """Changes of the layers that a layout stores, from those of ours."""
    config, family = backbone_config(manifest), FAMILIES[manifest["family"]]
    token_dim, *others = config.token_dims.values()
    if others:
        names = ", ".join(config.token_dims)
        raise LuminaError(f"the adapter is of {names}; other programs know models of one alone")
    found = [
        piece
        for piece in pieces(config, layout, token_dim // family.patch_size**2)
        if piece.name.removesuffix(WEIGHT) in changes and piece.name.endswith(WEIGHT)
    ]
    result: dict[str, LowRank] = {}
    ordered = sorted(found, key=lambda piece: (piece.stored, piece.rows or (0, 0)))
    for stored, group in groupby(ordered, key=lambda piece: piece.stored):
        every = list(group)
        parts = [_back(piece, changes[piece.name.removesuffix(WEIGHT)]) for piece in every]
        if sum(len(part.up) for part in parts) != every[0].stored_shape[0]:
            raise LuminaError(
                f"the adapter changes a part of {printable(stored, MAX_NAME)} alone, which is one "
                "layer for this program; choose another one with --to"
            )
        for name in (stored, *layout.twins(stored)):
            result[name.removesuffix(WEIGHT)] = _side_by_side(parts)
    return result


def _back(piece: Piece, change: LowRank) -> LowRank:
    """The change of the rows of a stored layer."""
    if piece.name.startswith("inputs."):
        return replace(change, down=piece.back(change.down))
    magnitude = None if change.magnitude is None else piece.back(change.magnitude)
    return replace(change, up=piece.back(change.up), magnitude=magnitude)


def _side_by_side(parts: list[LowRank]) -> LowRank:
    """One change of layers that are one, below each other."""
    if len(parts) == 1:
        return parts[0]
    magnitudes = [part.magnitude for part in parts if part.magnitude is not None]
    return LowRank(
        torch.cat([part.down for part in parts]),
        torch.block_diag(*(part.up for part in parts)),
        parts[0].scale,
        torch.cat(magnitudes) if magnitudes else None,
    )
