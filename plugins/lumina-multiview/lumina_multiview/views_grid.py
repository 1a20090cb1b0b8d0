"""Grids: all views of an object in one PNG, row by row, with the request in an iTXt chunk.

Nothing stands between the views, so that any program can cut them apart; what the last row has
too many is white.
"""

import json
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumina_core import LuminaError, atomic_write
from lumina_core.media.pictures import as_image, text_chunk
from lumina_core.media.pixels import MAX_LEVEL
from lumina_multiview.options import MultiviewOptions
from lumina_multiview.picture_reading import MAX_PICTURE_PIXELS, Pictures


def arrangement(num_views: int) -> tuple[int, int]:
    """Rows and columns of a grid: about as many of both, and never more rows than columns."""
    rows = isqrt(num_views)
    return rows, -(-num_views // rows)


def grid_of(media: Pictures) -> UInt8[Tensor, "3 total_height total_width"]:
    """All views in one picture."""
    rows, columns = arrangement(len(media))
    cells = media.new_full((rows * columns, *media.shape[1:]), MAX_LEVEL)
    cells[: len(media)] = media
    return rearrange(
        cells, "(row column) rgb height width -> rgb (row height) (column width)", row=rows
    )


def check_grid(options: MultiviewOptions) -> None:
    """Refuse a grid that ordinary programs do not open.

    Raises:
        LuminaError: it has more than MAX_PICTURE_PIXELS.
    """
    width, height = grid_size(options)
    if width * height > MAX_PICTURE_PIXELS:
        raise LuminaError(
            f"a grid of {width} x {height} has more than {MAX_PICTURE_PIXELS} pixels; write a "
            ".views folder, or ask for fewer or smaller views"
        )


def write_grid(media: Pictures, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write a PNG of all views, the metadata inside.

    Args:
        media: the views.
        path: the PNG, which appears only once it is whole.
        metadata: the request.

    Raises:
        LuminaError: it cannot be written.
    """
    info = text_chunk(json.dumps(dict(metadata)))
    with atomic_write(path) as file:
        as_image(grid_of(media)).save(file, format="PNG", pnginfo=info)


def cut(grid: UInt8[Tensor, "3 total_height total_width"], options: MultiviewOptions) -> Pictures:
    """The views of a grid, which has the size that `grid_size` says."""
    cells = rearrange(
        grid,
        "rgb (row height) (column width) -> (row column) rgb height width",
        height=options.height,
        width=options.width,
    )
    return cells[: options.num_views].contiguous()


def grid_size(options: MultiviewOptions) -> tuple[int, int]:
    """Width and height of a grid in pixels."""
    rows, columns = arrangement(options.num_views)
    return columns * options.width, rows * options.height
