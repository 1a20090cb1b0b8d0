"""Prompts for the parts of a medium: a grid whose cells read one part of the prompt each.

The whole caption, its parts joined by spaces, is pooled for the sample and also for the velocity
without prompt, as released. The released demo gave its third cell of 2 x 2 the second prompt; here
each cell has its own.

Source: lumina_next_compositional_generation (Alpha-VLLM/Lumina-T2X).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lumina_core.backbone.network import Network
from lumina_core.backbone.regions import Regions
from lumina_core.backbone.settings import CROSS
from lumina_core.checkpoints.model import Model
from lumina_core.errors import LuminaError
from lumina_core.sampling.request import Request, latent_shape
from lumina_core.sequence import Grid, TokenBatch
from lumina_core.text.settings import Negative, Text

if TYPE_CHECKING:
    from lumina_core.sampling.settings import RunConfig

PARTING = "|"
_WHOLE = (1, 1)


class Asked(NamedTuple):
    """The texts that one evaluation of a sample needs."""

    texts: list[Text]
    """Of each cell, row by row."""
    grid: tuple[int, int]
    """Rows and columns of cells."""
    pooled: Text

    @property
    def is_plain(self) -> bool:
        """Whether one text is all there is."""
        return self.texts == [self.pooled]

    @property
    def needed(self) -> list[Text]:
        """All texts of which features are needed."""
        return self.texts if self.is_plain else [*self.texts, self.pooled]


def parts_of(prompt: str, regions: tuple[int, int] | None) -> list[str]:
    """The parts of a prompt: one without regions."""
    return [prompt] if regions is None else [part.strip() for part in prompt.split(PARTING)]


def asked_of(request: Request, network: Network) -> Asked:
    """What the velocity with the prompt needs."""
    parts = parts_of(request.prompt, request.regions)
    parts = [network.worded(part, request.options) for part in parts]
    return Asked([*parts], request.regions or _WHOLE, " ".join(parts))


def asked_without(request: Request, network: Network) -> Asked:
    """What the velocity without the prompt needs."""
    text = Negative(request.negative_prompt, request.prompt)
    text = network.worded(text, request.options)
    is_whole = request.regions is None
    return Asked([text], _WHOLE, text if is_whole else asked_of(request, network).pooled)


def check_regions(model: Model, config: "RunConfig") -> None:
    """Refuse regions that the model or the prompt does not have.

    Raises:
        LuminaError: it says what does not fit.
    """
    if config.regions is None:
        return
    key = f"regions={list(config.regions)}"
    if model.config is None or model.config.text != CROSS:
        raise LuminaError(
            f"{key} needs a model that reads its prompt by cross-attention, as Flag-DiT and "
            "Next-DiT do, and this one does not; leave regions out"
        )
    rows, columns = config.regions
    num_parts = len(parts_of(config.prompt, config.regions))
    if num_parts != rows * columns:
        cells = f"{rows * columns} cell{'s' * (rows * columns != 1)}"
        parts = f"{num_parts} part{'s' * (num_parts != 1)}"
        raise LuminaError(
            f"{key} has {cells}, and the prompt has {parts}; part it by {PARTING}, row by row, "
            "such as 'a | b | c | d' for [2,2]"
        )
    _check_cells(config.regions, model.modality.tokenizer.grid(latent_shape(model, config.options)))


def _check_cells(cells: tuple[int, int], grid: Grid) -> None:
    if cells[0] > grid.rows or cells[1] > grid.columns:
        raise LuminaError(
            f"regions={list(cells)} has cells without a patch: a sample has {grid.rows} rows and "
            f"{grid.columns} columns of patches; use fewer cells or a larger size"
        )


def regions_of(model: Model, batch: TokenBatch, asked: Sequence[Asked]) -> Regions:
    """What the positions of a batch read.

    Args:
        model: reads the captions that are pooled.
        batch: of the samples.
        asked: of each sample.
    """
    features, lengths = model.text_features([each.pooled for each in asked])
    cells, first = [], 0
    index = batch.index.split(list(batch.lengths))
    for each, grid, places in zip(asked, batch.grids, index, strict=True):
        _check_cells(each.grid, grid)  # a sample that begins small has fewer patches at first
        cells.append(first + _cell_of(places, (grid.rows, grid.columns), each.grid))
        first += len(each.texts)
    return Regions(torch.cat(cells), features, tuple(lengths))


def _cell_of(
    places: Int[Tensor, "position 3"], sizes: tuple[int, int], cells: tuple[int, int]
) -> Int[Tensor, "position"]:
    """The cell in which each position stands, counted row by row; separators end the last one."""
    row, column = (
        places[:, axis].clamp(max=size - 1) * number // size
        for axis, size, number in zip((1, 2), sizes, cells, strict=True)
    )
    return row * cells[1] + column
