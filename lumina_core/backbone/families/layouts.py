"""How released weights are stored, and how they become ours and back, tensor by tensor.

A `Layout` is one set of names in which a family is found: that of diffusers, of single files, of
the first release. `pieces` says for each of our tensors where it is stored. It is the only road
between both: loading, saving, converting and adapters go along it, and it refuses what is missing,
left over or of another shape. It opens no file.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from lumina_core.backbone.settings import CROSS, JOINT, LABEL, BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError, printable

MAX_SHOWN_KEYS = 3  # in a message; it stays one line
MAX_KEY = 120  # characters of a key in a message
_QKV = re.compile(r"attention\.w([qkv])\.weight$")


@dataclass(frozen=True)
class Layout:
    """One set of names for the weights of a family."""

    renames: tuple[tuple[str, str], ...]
    """Regular expressions from our names to the stored ones, applied one after the other."""
    signature: tuple[str, ...]
    """Stored names that only this layout has together."""
    is_fused: bool = False
    """Whether q, k and v of an attention are one tensor, `attention.qkv`, one below the other."""
    unused: tuple[str, ...] = ()
    """Stored names that the network never reads; a file may lack them."""
    tied: tuple[tuple[str, str], ...] = ()
    """Regular expressions from a stored name to a second one, which must hold the same."""
    copies: tuple[str, ...] = ()
    """Our names that have no place of their own; they are read from where another is stored."""
    input_patch: str = "(ph pw c)"
    """Order of the elements of a patch in the input projection; ours is (ph pw c)."""
    output_patch: str = "(half ph pw c)"
    """Likewise of the output projection, whose second half is sigma; ours is (half ph pw c)."""

    def stored(self, name: str) -> str:
        """The stored name of one of our tensors."""
        if self.is_fused:
            name = _QKV.sub("attention.qkv.weight", name)
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def twins(self, stored: str) -> list[str]:
        """Other stored names that hold the same tensor."""
        found = (re.sub(pattern, other, stored) for pattern, other in self.tied)
        return [name for name in found if name != stored]


@dataclass(frozen=True)
class Family:
    """Released models that share their switches."""

    name: str
    switches: Mapping[str, Any]
    """Settings of `BackboneConfig` that all its models have."""
    layouts: Mapping[str, Layout]
    """By name: diffusers, comfyui (single files with fused q, k and v), released."""
    channels: int
    """Of the latent of its released models."""
    patch_size: int = 2
    modality: str = "image"
    diffusers_class: str | None = None
    """`_class_name` in the config.json of a transformer of diffusers."""
    values_of_config: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    """From such a config.json to settings, among them `channels` and `patch_size`."""
    config_of_values: Callable[[BackboneConfig, int, int], dict[str, Any]] | None = None
    """And back, from a backbone, the channels of its latent and its patch size."""
    rope_dims: Callable[[int], tuple[int, ...]] | None = None
    """Channels per axis that a head of this width has; no weight tells them."""
    num_heads: int | None = None
    """Where no weight tells them."""


@dataclass(frozen=True)
class Piece:
    """Where one of our tensors is stored."""

    name: str
    stored: str
    shape: tuple[int, ...]
    """Of ours."""
    rows: tuple[int, int] | None
    """First and last row but one in the stored tensor; None: all of it."""
    stored_shape: tuple[int, ...]
    pattern: tuple[str, str] | None
    """Orders of elements, stored and ours, in the words of einops."""
    sizes: Mapping[str, int]
    """Of the axes in the pattern."""

    def ours(self, stored: Tensor) -> Tensor:
        """Our tensor from its rows of the stored one; a view where it can be."""
        if self.pattern is None:
            return stored
        return rearrange(stored, " -> ".join(self.pattern), **self.sizes)

    def back(self, ours: Tensor) -> Tensor:
        """The rows of the stored tensor."""
        if self.pattern is None:
            return ours
        return rearrange(ours, " -> ".join(reversed(self.pattern)), **self.sizes)


def pieces(config: BackboneConfig, layout: Layout, channels: int) -> list[Piece]:
    """Where each tensor of a backbone of one modality is stored.

    Args:
        config: of the backbone.
        layout: of its family.
        channels: of the latent; a token holds a square patch of it.
    """
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in Backbone(config).state_dict().items()}
    (token_dim,) = config.token_dims.values()
    side = round((token_dim / channels) ** 0.5)
    if side * side * channels != token_dim:
        raise LuminaError(
            f"tokens of {token_dim} elements are no square patches of {channels} channels; "
            "set the channels and the patch of the trained model"
        )
    width, total = config.hidden_size, config.hidden_size + 2 * config.kv_dim
    half = (width + total) // 2
    starts = {"q": (0, width), "k": (width, half), "v": (half, total)}
    found = []
    for name, shape in shapes.items():
        fused = _QKV.search(name) if layout.is_fused else None
        rows = starts[fused[1]] if fused else None
        stored_shape = (total, *shape[1:]) if fused else shape
        pattern, sizes = _patch_orders(name, layout), {"ph": side, "pw": side}
        if name.startswith("outputs."):
            sizes["half"] = 1 + config.learn_sigma
        found.append(Piece(name, layout.stored(name), shape, rows, stored_shape, pattern, sizes))
    return found


def _patch_orders(name: str, layout: Layout) -> tuple[str, str] | None:
    if name.startswith("inputs.") and name.endswith("weight"):
        ends = layout.input_patch, "(ph pw c)"
        return None if ends[0] == ends[1] else (f"hidden {ends[0]}", f"hidden {ends[1]}")
    if name.startswith("outputs."):
        ends = layout.output_patch, "(half ph pw c)"
        return None if ends[0] == ends[1] else (f"{ends[0]} ...", f"{ends[1]} ...")
    return None


def check_names(
    found: Iterable[Piece], layout: Layout, stored: Mapping[str, tuple[int, ...]], what: str
) -> None:
    """Refuse weights that are not those of a backbone.

    Args:
        found: of the backbone.
        layout: of its family.
        stored: the shape of each stored tensor.
        what: they are, for people: the file or folder.

    Raises:
        LuminaError: a tensor is missing, left over or of another shape; names it.
    """
    wanted = {name: p.stored_shape for p in found for name in (p.stored, *layout.twins(p.stored))}
    missing = [name for name in wanted if name not in stored]
    unexpected = [name for name in stored if name not in wanted and name not in layout.unused]
    if missing or unexpected:
        raise LuminaError(f"{what} {_names(missing, unexpected)}")
    for name, shape in wanted.items():
        if stored[name] != shape:
            raise LuminaError(
                f"{what}: {name} has shape {list(stored[name])}, expected {list(shape)} from the "
                "settings and the other weights"
            )


def _names(missing: list[str], unexpected: list[str]) -> str:
    parts = []
    for label, keys in (("lacks", missing), ("has unknown", unexpected)):
        more = f" and {len(keys) - MAX_SHOWN_KEYS} more" if len(keys) > MAX_SHOWN_KEYS else ""
        names = ", ".join(printable(key, MAX_KEY) for key in keys[:MAX_SHOWN_KEYS])
        parts += [f"{label} tensors: {names}{more}"] * bool(keys)
    return "; ".join(parts)


def recognised(
    families: Iterable[Family], stored: Mapping[str, tuple[int, ...]]
) -> tuple[Family, str] | None:
    """The family and the name of the layout of stored tensors; None: none of them.

    Args:
        families: that there are.
        stored: the shape of each tensor.
    """
    for family in families:
        for name, layout in family.layouts.items():
            if all(key in stored for key in layout.signature) and _has_modulation(
                family, layout, stored
            ):
                return family, name
    return None


def _has_modulation(family: Family, layout: Layout, stored: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether blocks are modulated as the family's: some layouts differ in nothing else."""
    shape = stored.get(layout.stored("blocks.0.modulation.bias"))
    width = stored.get(layout.stored("inputs.image.bias"))
    chunks = 4 if family.switches.get("sandwich") else 6
    return bool(shape and width) and prod(shape or ()) == chunks * prod(width or ())


def values_of_shapes(
    family: Family, layout: Layout, stored: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Settings of a backbone, as far as the shapes of its stored tensors tell them.

    Returns:
        As BackboneConfig takes them, and `token_dim`, the elements of a token.

    Raises:
        LuminaError: a tensor that is needed for it is missing.
    """

    def shape(name: str) -> tuple[int, ...]:
        key = layout.stored(name)
        if key not in stored:
            raise LuminaError(_names([key], []))
        return stored[key]

    def count(blocks: str) -> int:
        begin = layout.stored(f"{blocks}.0.feed_forward.w1.weight").partition(".0.")[0]
        # a block counts by any tensor of it, so that one that is missing is named as missing
        found = (re.match(rf"{re.escape(begin)}\.(\d+)\.", key) for key in stored)
        return len({match[1] for match in found if match})

    switches = family.switches
    text = switches.get("text", CROSS)
    hidden_size, token_dim = shape("inputs.image.weight")
    values: dict[str, Any] = {
        **switches,
        "token_dim": token_dim,
        "hidden_size": hidden_size,
        "depth": count("blocks"),
        "ffn_size": shape("blocks.0.feed_forward.w1.weight")[0],
        "time_size": shape("time_embedding.hidden.weight")[0],
        "conditioning_size": shape("time_embedding.out.weight")[0],
        "learn_sigma": shape("outputs.image.bias")[0] == 2 * token_dim,
    }
    has_qk_norm = layout.stored("blocks.0.attention.q_norm.weight") in stored
    if not has_qk_norm:
        values |= {"qk_norm": False, "head_norm": False, "qk_norm_eps": None}
    if text == JOINT:
        values["refiners"] = count("token_refiners")
        values["text_dim"] = shape("text_norm.weight")[0]
        num_heads = hidden_size // shape("blocks.0.attention.q_norm.weight")[0]
    elif text == LABEL:
        values["num_classes"] = shape("labels.weight")[0] - 1
        num_heads = family.num_heads or 1
    else:
        values["text_dim"] = shape("pooled_norm.weight")[0]
        num_heads = shape("blocks.0.attention.gate")[0]
    rows = shape("blocks.0.attention.wk.weight")[0]
    kv_width = (rows - hidden_size) // 2 if layout.is_fused else rows
    head_dim = hidden_size // max(num_heads, 1)
    values |= {"num_heads": num_heads, "num_kv_heads": max(1, kv_width // max(head_dim, 1))}
    if family.rope_dims is not None:
        values["rope_dims"] = family.rope_dims(head_dim)
    return values


def config_of(values: Mapping[str, Any], modality: str) -> BackboneConfig:
    """The configuration of a backbone of one modality.

    Args:
        values: from `values_of_shapes`, or from `Family.values_of_config`.
        modality: to which the projections belong.

    Raises:
        LuminaError: they describe no backbone.
    """
    known = dict(values)
    channels, side = known.pop("channels", None), known.pop("patch_size", None)
    token_dim = known.pop("token_dim", None) or channels * side * side
    return BackboneConfig(token_dims={modality: token_dim}, **known)


def backbone_of(
    stored: Mapping[str, Tensor], config: BackboneConfig, layout: Layout, channels: int, what: str
) -> Backbone:
    """A backbone with stored weights, in their dtype; it may share their memory.

    Raises:
        LuminaError: as `check_names`, or tied tensors differ.
    """
    found = pieces(config, layout, channels)
    check_names(found, layout, {name: tuple(x.shape) for name, x in stored.items()}, what)
    with torch.device("meta"):
        model = Backbone(config)
    weights = {}
    for piece in found:
        tensor = stored[piece.stored]
        for twin in layout.twins(piece.stored):
            if not torch.equal(stored[twin], tensor):
                raise LuminaError(
                    f"{what}: {twin} differs from {piece.stored}, and this network has one tensor "
                    "for both"
                )
        weights[piece.name] = piece.ours(
            tensor if piece.rows is None else tensor[slice(*piece.rows)]
        )
    weights |= {name: weights[name].clone() for name in layout.copies if name in weights}
    model.load_state_dict(weights, strict=True, assign=True)
    return model
