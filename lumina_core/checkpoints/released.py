"""A backbone from weights of others: strictly, tensor by tensor, as views of their files."""

from functools import partial

import torch
from torch import Tensor

from lumina_core.backbone.families.layouts import Layout, Piece, check_names, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.foreign import open_backbone
from lumina_core.checkpoints.source import Source
from lumina_core.checkpoints.stored import Stored
from lumina_core.checkpoints.weights import fill
from lumina_core.errors import MAX_NAME, LuminaError, printable
from lumina_core.files.weights import built_within


def read_backbone(source: Source, config: BackboneConfig) -> Backbone:
    """A backbone whose every weight comes from the files of others, in the types stored there.

    Args:
        source: of weights in the layout of a family.
        config: of the backbone.

    Raises:
        LuminaError: a tensor is missing, left over, of another shape or type, or tied to one that
            differs.
    """
    stored = open_backbone(source.weights)
    layout = FAMILIES[source.manifest["family"]].layouts[source.layout]
    found = checked_pieces(source, config, stored)
    with torch.device("meta"):
        backbone = Backbone(config)
    fill(backbone, ((piece.name, partial(our_tensor, stored, layout, piece)) for piece in found))
    return backbone.eval().requires_grad_(False)


def checked_pieces(source: Source, config: BackboneConfig, stored: Stored) -> list[Piece]:
    """Where each of our tensors is stored, once all that is stored is known to fit.

    Args:
        source: of weights in the layout of a family.
        config: of the backbone.
        stored: its tensors.

    Raises:
        LuminaError: a tensor is missing, left over, or of another shape or type.
    """
    layout = FAMILIES[source.manifest["family"]].layouts[source.layout]
    with built_within(stored.files):
        found = pieces(config, layout, source.channels)
    shapes = {name: tensor.shape for name, tensor in stored.tensors.items()}
    check_names(found, layout, shapes, str(source.path))
    for piece in found:
        stored.check_dtype(piece.stored)
    return found


def our_tensor(stored: Stored, layout: Layout, piece: Piece) -> Tensor:
    """One of our tensors, in the type in which it is stored; a view of its file where it can be.

    Raises:
        LuminaError: it is tied to one that differs.
    """
    _check_twins(stored, layout, piece)
    tensor = piece.ours(stored.read(piece.stored, piece.rows))
    is_copy = piece.name in layout.copies  # it learns apart from what it begins as
    return tensor.clone() if is_copy else tensor.contiguous()


def _check_twins(stored: Stored, layout: Layout, piece: Piece) -> None:
    """Refuse a tensor that is stored twice with two values: the network has one for both.

    Raises:
        LuminaError: the values differ.
    """
    for twin in layout.twins(piece.stored):
        if not torch.equal(stored.read(twin), stored.read(piece.stored)):
            names = [printable(name, MAX_NAME) for name in (twin, piece.stored)]
            raise LuminaError(
                f"{stored.path}: {names[0]} differs from {names[1]}, and this network has one "
                "tensor for both; use the weights of a release"
            )
