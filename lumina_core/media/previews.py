"""Pictures that show media at a glance, in files beside them, where the decoder asks for it.

The command line writes them; `Generated.save` writes the one file that it is told to.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.files.reading import parse_json
from lumina_core.files.writing import atomic_write, new_output
from lumina_core.media.names import preview_path
from lumina_core.modality import Decoder, Media


@contextmanager
def new_preview(
    path: Path, media: Media, options: Any, decoder: Decoder, *, overwrite: bool
) -> Iterator[Path | None]:
    """Write the preview of a file, as a PNG beside it that gets its name when the block ends well.

    So what the block writes, the file itself, is only there if there was room for both.

    Args:
        path: of the file.
        media: what is in it.
        options: of the media.
        decoder: that writes it.
        overwrite: replace a preview that is there.

    Yields:
        The PNG that will be there; None where the decoder wants none.

    Raises:
        LuminaError: as `new_output`.
    """
    preview = preview_path(path, decoder)
    if preview is None:
        yield None
        return
    with new_output(preview, overwrite=overwrite) as temporary:
        from lumina_core.media.pictures import as_image

        as_image(decoder.preview(media, options)).save(temporary)
        yield preview


GAP = 6  # pixels between pictures
LINE_HEIGHT = 12  # pixels, of the built-in font
MAX_LINES = 3  # of a label
MIN_CHARACTERS = 4  # of a line, however narrow the picture
CHARACTER_WIDTH = 6  # pixels, of the built-in font
MIN_SIDE = 128  # smaller previews are enlarged by a whole factor, so that labels fit
BACKGROUND = (32, 32, 32)
FOREGROUND = (230, 230, 230)
CELLS_KEY = "lumina-sheet"  # of an iTXt chunk


class Cell(NamedTuple):
    """One picture of a contact sheet; its place in pixels."""

    left: int
    top: int
    width: int
    height: int
    label: str


class Sheet(NamedTuple):
    """A contact sheet, without its pixels."""

    width: int
    height: int
    cells: tuple[Cell, ...]
    """Where its pictures are; none, if the file does not say it, as older ones do not."""


def save_contact_sheet(
    path: Path,
    previews: Sequence[UInt8[Tensor, "3 _ _"]],
    labels: Sequence[str],
) -> None:
    """Write previews of any sizes with a label each, row by row; the file says where each is.

    Args:
        path: the PNG to write, atomically.
        previews: RGB pictures, at least one.
        labels: one per picture, wrapped to its width and cut after a few lines.

    Raises:
        LuminaError: as `atomic_write`.
    """
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    from lumina_core.media.pictures import as_image

    images = [as_image(preview) for preview in previews]
    factor = max(1, MIN_SIDE // max(max(image.size) for image in images))
    images = [
        image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        for image in images
    ]
    columns = max(1, round(len(images) ** 0.5))
    rows = -(-len(images) // columns)
    width = max(image.width for image in images) + GAP
    texts = [_lines(label, width // CHARACTER_WIDTH) for label in labels]
    label_height = LINE_HEIGHT * max(len(lines) for lines in texts)
    height = max(image.height for image in images) + label_height + GAP
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    cells = []
    for number, (image, lines) in enumerate(zip(images, texts, strict=True)):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        sheet.paste(image, (left, top))
        cells.append(Cell(left, top, *image.size, labels[number]))
        for line, text in enumerate(lines):
            draw.text((left, top + image.height + line * LINE_HEIGHT), text, FOREGROUND)
    info = PngInfo()
    info.add_itxt(CELLS_KEY, json.dumps(cells))
    with atomic_write(path) as file:
        sheet.save(file, format="PNG", pnginfo=info)


def read_sheet(path: Path) -> Sheet:
    """The size of a contact sheet, and where its pictures are.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no PNG, or damaged.
    """
    from lumina_core.media.pictures import opened

    with opened(path, ("PNG",), "no PNG") as image:
        text = str(getattr(image, "text", {}).get(CELLS_KEY, "[]"))
        sheet = Sheet(*image.size, ())
    try:
        found = parse_json(text)
    except ValueError:  # of others
        return sheet
    values = found if isinstance(found, list) else []
    cells = (Cell(*value) for value in values if isinstance(value, list) and len(value) == 5)
    return sheet._replace(cells=tuple(cell for cell in cells if _is_inside(cell, sheet)))


def _is_inside(cell: Cell, sheet: Sheet) -> bool:
    *place, label = cell
    if not isinstance(label, str) or not all(type(value) is int for value in place):
        return False
    is_across = 0 <= cell.left < cell.left + cell.width <= sheet.width
    return is_across and 0 <= cell.top < cell.top + cell.height <= sheet.height


def _lines(label: str, num_characters: int) -> list[str]:
    """The label in lines that fit under a picture."""
    return wrap(label, max(num_characters, MIN_CHARACTERS), max_lines=MAX_LINES, placeholder="…")
