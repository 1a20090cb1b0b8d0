"""What an edit paints: masks of OpenAI's clients as the image modality takes them.

Their mask is clear where something new is wanted, ours is white there; both are taken. A mask that
is clear anywhere is read by its clear pixels alone, for its others may show the picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ImageOps

from lumina_core.media.clips.extent import PICTURES
from lumina_core.media.containers import reading
from lumina_core.media.pictures import opened
from lumina_core.media.pixels import MAX_LEVEL
from lumina_core.server.bodies import Said

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE, MASK = "image", "mask"
SIZES = {"width", "height", "modality.width", "modality.height"}  # as requests may call them
CLEAR = 128  # of 255: below it a pixel is clear
PAINTED = "painted.png"


def as_edit(body: Mapping[str, Any], given: Mapping[str, str], folder: Path) -> Said:
    """An edit as a request of the image modality.

    Args:
        body: of the request. Unless it says a size, the picture keeps its own.
        given: the files that were sent, the image among them.
        folder: of the job; takes the mask.

    Returns:
        The body with the size, and the files with the mask.

    Raises:
        LuminaError: a file is no picture.
    """
    image, clear = _seen(given[IMAGE])
    body, given = dict(body), dict(given)
    if body.get("size") in (None, "auto") and not SIZES & body.keys():
        body["size"] = f"{image.width}x{image.height}"
    if MASK in given:
        _, clear = _seen(given[MASK])
    if clear is not None:
        path = folder / PAINTED
        clear.save(path)
        given[MASK] = str(path)
    return body, given


def _seen(name: str) -> "tuple[Image, Image | None]":
    """A picture as it is shown, and white where it is clear; None where it is so nowhere."""
    path = Path(name)
    with reading(path, "a picture"), opened(path, PICTURES, "broken, or no picture") as image:
        upright = ImageOps.exif_transpose(image)
        if not upright.has_transparency_data:
            return upright, None
        opacity = upright.convert("RGBA").getchannel("A")
        clear = opacity.point(lambda level: MAX_LEVEL if level < CLEAR else 0)
        return upright, clear if clear.getextrema()[1] else None
