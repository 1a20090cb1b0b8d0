"""Adapters of others on a model: whose layers they change, found by the names of its family.

A layer is known by its name in any layout of the family, and by our own. Of a fused q, k and v each
of ours has its rows, and patches are turned as in the weights. Reading the files is in
adapter_files.py, the mathematics in backbone/low_rank.py.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lumina_core.backbone.families.layouts import Piece, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.low_rank import LowRank, Weighted, keep_apart, merged_weight
from lumina_core.backbone.network import Network
from lumina_core.backbone.transformer import own_network
from lumina_core.checkpoints.adapter_files import (
    AdapterFile,
    adapter_sha256,
    open_adapter,
    shown_names,
)
from lumina_core.checkpoints.formats import TRANSFORMER, adapter_manifest
from lumina_core.checkpoints.stored import MAX_NAME
from lumina_core.errors import LuminaError, printable

WEIGHT = ".weight"


@dataclass(frozen=True)
class Adapters:
    """Adapters that a model is to have."""

    files: tuple[tuple[Path, float], ...] = ()
    """Each with its strength: 1 is as it was trained, 0 changes nothing."""
    merge: bool = True
    """Add them to the weights; else they are computed beside these."""

    @property
    def key(self) -> tuple[Any, ...]:
        """By which a model that has them is told from others.

        Raises:
            LuminaError: a file cannot be read.
        """
        return (self.merge, *((adapter_sha256(path), weight) for path, weight in self.files))


NO_ADAPTERS = Adapters()


@dataclass(frozen=True)
class UsedAdapter:
    """An adapter that a model has, as media carry it."""

    name: str
    """Of its file or folder."""
    strength: float
    sha256: str

    @property
    def told(self) -> dict[str, Any]:
        """As it stands in a request."""
        return asdict(self)


@dataclass(frozen=True)
class Layers:
    """The linear layers of a model, by every name that an adapter may have for them."""

    pieces: Mapping[str, tuple[Piece, ...]]
    """Where ours lie in the layer of that name; three where it is q, k and v in one."""
    tied: Mapping[str, tuple[str, ...]]
    """Names of layers that are one here."""
    modality: str


def layers_of(backbone: Network, modality: str, family: str, channels: int) -> Layers:
    """The layers of a model that adapters may change.

    Args:
        backbone: of any modalities.
        modality: whose projections an adapter of the family means.
        family: to which it belongs; empty: none, and only our own names are known.
        channels: of the latent.
    """
    linears = _linear_layers(backbone)
    shapes = {name + WEIGHT: tuple(linear.weight.shape) for name, linear in linears.items()}
    own: dict[str, tuple[Piece, ...]] = {
        name.removesuffix(WEIGHT): (Piece(name, name, shape, None, shape, None, {}),)
        for name, shape in shapes.items()
    }
    tied: dict[str, tuple[str, ...]] = {}
    for layout in FAMILIES[family].layouts.values() if family in FAMILIES else ():
        config = own_network(backbone).config
        dims = {modality: config.token_dims[modality]}
        config = replace(config, token_dims=dims, feature_dims={})
        found: dict[str, tuple[Piece, ...]] = {}
        for piece in pieces(config, layout, channels):
            if piece.name not in shapes:
                continue
            stored = piece.stored.removesuffix(WEIGHT)
            twins = [twin.removesuffix(WEIGHT) for twin in layout.twins(piece.stored)]
            for name in (stored, *twins):
                found[name] = (*found.get(name, ()), piece)
                if twins:
                    tied[name] = (stored, *twins)
        own = found | own
    start = f"{TRANSFORMER}."  # of the networks of packages; adapters leave it out
    own |= {k.removeprefix(start): v for k, v in own.items() if k.startswith(start)}
    own |= {_flat(name): places for name, places in own.items()}
    tied |= {_flat(name): tuple(map(_flat, twins)) for name, twins in tied.items()}
    return Layers(own, tied, modality)


def _flat(name: str) -> str:
    """As kohya writes it."""
    return name.replace(".", "_")


def _linear_layers(backbone: Network) -> dict[str, nn.Linear]:
    return {name: m for name, m in backbone.named_modules() if isinstance(m, nn.Linear)}


@dataclass(frozen=True)
class Adaptation:
    """What adapters do to a model."""

    changes: Mapping[str, Sequence[Weighted]]
    """By the name of our layer."""
    merge: bool
    used: tuple[UsedAdapter, ...]


NO_ADAPTATION = Adaptation({}, True, ())


def read_adapters(adapters: Adapters, layers: Layers) -> Adaptation:
    """What adapters do to each of our layers, and which adapters these are.

    Args:
        adapters: with their strengths.
        layers: of the model.

    Raises:
        LuminaError: one cannot be read, does not fit the model, or is of another modality.
    """
    changes: dict[str, list[Weighted]] = {}
    used = []
    for path, strength in adapters.files:
        adapter = open_adapter(path)
        _check_modality(path, layers.modality)
        used.append(UsedAdapter(path.absolute().name, strength, adapter.sha256))
        for name, change in _fitted(adapter, layers).items():
            changes.setdefault(name, []).append((strength, change))
    return Adaptation(changes, adapters.merge, tuple(used))


def _check_modality(path: Path, modality: str) -> None:
    """Refuse an adapter that `train` made for another modality: its layers may have this shape."""
    manifest = adapter_manifest(path)
    if manifest is not None and modality not in manifest["modalities"]:
        raise LuminaError(
            f"{path} is an adapter for {', '.join(manifest['modalities'])}, and the model makes "
            f"{modality}; leave it out"
        )


@torch.no_grad()
def adapt(
    backbone: Network,
    changes: MutableMapping[str, Sequence[Weighted]],
    *,
    merge: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Change a model, layer by layer; what no adapter changes stays where it is.

    Args:
        backbone: changed in place.
        changes: of its layers; each leaves once it is done, so one that fails half way can go on.
        merge: add them to the weights; else they are computed beside these.
        device: on which weights are computed, and where they stay.
        dtype: of merged weights.
    """
    linears = _linear_layers(backbone)
    for name, weighted in list(changes.items()):
        linear = linears[name]
        if merge:
            merged = merged_weight(linear.weight.to(device), weighted).to(dtype)
            linear.weight = nn.Parameter(merged, requires_grad=False)
        else:
            keep_apart(linear, weighted)
        del changes[name]


def _fitted(adapter: AdapterFile, layers: Layers) -> dict[str, LowRank]:
    """What an adapter does to each of our layers."""
    if unknown := [name for name in adapter.changes if name not in layers.pieces]:
        raise LuminaError(
            f"{adapter.path} adapts layers that this model lacks: {shown_names(unknown)}; use an "
            "adapter that was made for it"
        )
    found: dict[str, tuple[str, LowRank]] = {}
    for name, change in adapter.changes.items():
        missing = [twin for twin in layers.tied.get(name, ()) if twin not in adapter.changes]
        if missing:
            raise LuminaError(
                f"{adapter.path} adapts {name} and not {missing[0]}, and this network has one "
                "layer for both; use an adapter of the released network"
            )
        _check_shape(adapter, name, change, layers.pieces[name])
        for piece in layers.pieces[name]:
            own, part = piece.name.removesuffix(WEIGHT), _part(change, piece)
            before = found.setdefault(own, (name, part))
            if not _is_same(before[1], part):
                raise LuminaError(
                    f"{adapter.path} adapts {shown_names([before[0], name])} differently, and this "
                    "network has one layer for both; use an adapter that changes them alike"
                )
    return {own: part for own, (_, part) in found.items()}


def _check_shape(adapter: AdapterFile, name: str, change: LowRank, places: Sequence[Piece]) -> None:
    found = [len(change.up), change.down.shape[1]]
    wanted = list(places[0].stored_shape)
    if found != wanted:
        raise LuminaError(
            f"{adapter.path}: {printable(name, MAX_NAME)} is for a layer of {found}, and that of "
            f"this model is {wanted} (outputs, inputs); use an adapter that was made for it"
        )


def _part(change: LowRank, piece: Piece) -> LowRank:
    """What a change of a stored layer does to one of ours."""
    rows = slice(None) if piece.rows is None else slice(*piece.rows)
    down, up, magnitude = change.down, change.up[rows], change.magnitude
    if magnitude is not None:
        magnitude = magnitude[rows]
    if piece.name.startswith("inputs."):
        down = piece.ours(down)
    else:
        up = piece.ours(up)
        magnitude = None if magnitude is None else piece.ours(magnitude)
    return LowRank(down, up, change.scale, magnitude)


def _is_same(one: LowRank, other: LowRank) -> bool:
    """Whether two changes are equal, for a tied layer stands twice in an adapter."""
    if one.scale != other.scale or (one.magnitude is None) != (other.magnitude is None):
        return False
    pairs = [(one.down, other.down), (one.up, other.up)]
    if one.magnitude is not None and other.magnitude is not None:
        pairs.append((one.magnitude, other.magnitude))
    return all(torch.equal(*pair) for pair in pairs)
