"""Pictures of single views: read from PNG, JPEG, WebP and AVIF, told by their first bytes."""

import warnings
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from lumina_core import LuminaError, open_regular
from lumina_core.media.containers import reading
from lumina_core.media.pictures import as_rgb, readable
from lumina_core.media.png_checksums import check_png

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
MAX_PICTURE_PIXELS = 1 << 27  # of one file; Pillow itself opens no more than 179 million


def read_picture(
    path: Path, max_pixels: int = MAX_PICTURE_PIXELS, *, size: tuple[int, int] | None = None
) -> UInt8[Tensor, "3 height width"]:
    """Read a picture as RGB.

    Args:
        path: of the file.
        max_pixels: beyond which it is refused unread.
        size: width and height that it must have, or is refused unread.

    Raises:
        LuminaError: no such file, no picture, cut off or damaged, or of more pixels or another
            size.
    """
    # what Pillow warns of, we refuse or accept; a filter per call, for tests and hosts reset them
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with reading(path, "a picture"), open_regular(path) as file:
        check_png(path)
        try:
            image = Image.open(file, formats=readable(FORMATS))
        except UnidentifiedImageError as error:
            fault = f"broken, or none of {', '.join(FORMATS)}" if file.seek(0, 2) else "empty"
            raise LuminaError(f"it is {fault}") from error
        except Image.DecompressionBombError as error:
            raise LuminaError(f"it has more than {max_pixels} pixels; scale it down") from error
        with image:
            _check_size(image, max_pixels, size)
            return as_rgb(image)


def _check_size(image: Image.Image, max_pixels: int, size: tuple[int, int] | None) -> None:
    if image.width * image.height > max_pixels:
        raise LuminaError(f"it has more than {max_pixels} pixels; scale it down")
    if size is not None and image.size != size:
        raise LuminaError(
            f"it is {image.width} x {image.height} pixels, not {size[0]} x {size[1]} as its "
            "request says; give the file as `run` wrote it, or a .views folder"
        )
