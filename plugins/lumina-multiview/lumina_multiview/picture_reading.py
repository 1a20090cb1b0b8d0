"""Pictures of single views: read from PNG, JPEG, WebP and AVIF, told by their first bytes."""

from functools import partial
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lumina_core import LuminaError
from lumina_core.media.containers import reading
from lumina_core.media.pictures import as_rgb, opened

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
MAX_PICTURE_PIXELS = 1 << 27  # of one file; Pillow itself opens no more than 179 million

reading_views = partial(reading, kind="views", folders=True)
"""As `reading`, of a file or folder of views."""

Pictures = UInt8[Tensor, "view 3 height width"]
"""Views of one object."""


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
    with reading(path, "a picture"):
        try:
            with opened(path, FORMATS, f"broken, or none of {', '.join(FORMATS)}") as image:
                _check_size(image, max_pixels, size)
                return as_rgb(image)
        except Image.DecompressionBombError as error:
            raise LuminaError(f"it has more than {max_pixels} pixels; scale it down") from error


def _check_size(image: Image.Image, max_pixels: int, size: tuple[int, int] | None) -> None:
    if image.width * image.height > max_pixels:
        raise LuminaError(f"it has more than {max_pixels} pixels; scale it down")
    if size is not None and image.size != size:
        raise LuminaError(
            f"it is {image.width} x {image.height} pixels, not {size[0]} x {size[1]} as its "
            "request says; give the file as `run` wrote it, or a .views folder"
        )
