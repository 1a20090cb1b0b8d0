"""For plugins: pictures of Pillow, opened with care and shown as viewers show them.

Turned as its EXIF says, transparency over white, deep greys scaled to 8 bits. Colour profiles are
not applied.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from lumina_core.files.reading import open_regular
from lumina_core.media.containers import COMMENT_MARK
from lumina_core.media.pixels import MAX_LEVEL
from lumina_core.media.png_checksums import check_png

KEY = "lumina"  # of an iTXt chunk
EXIF_MARK = b"ASCII\0\0\0"  # EXIF 2.3: eight bytes that name the code, then the comment

BACKGROUND = "white"  # behind transparent pixels, as viewers and printers show them
DEEP_MODES = ("I", "F")  # 32 bits of grey; I;16 and its byte orders are the others
DEEP_BITS = 16

BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of a TIFF
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC, which Pillow heeds in 8 bits alone


@lru_cache
def readable(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some kinds of picture that this installation reads: not each Pillow has AVIF.

    Args:
        kinds: Pillow's names of formats.
    """
    Image.init()
    return tuple(kind for kind in kinds if kind in Image.OPEN)


@contextmanager
def opened(
    path: Path, kinds: tuple[str, ...], fault: str, name: str = "it"
) -> Iterator[Image.Image]:
    """A picture file, not decoded yet.

    Args:
        path: of the file.
        kinds: Pillow's names of the formats that it may have.
        fault: what a file of another format is: "broken, or none of PNG, JPEG".
        name: what the message calls it.

    Raises:
        ValueError: it is empty, of another format, or a PNG that is damaged.
        OSError: it cannot be read.
    """
    # what Pillow warns of, we refuse or accept; a filter per call, for tests and hosts reset them
    warnings.filterwarnings("ignore", module=r"PIL\.")
    check_png(path, name)
    with open_regular(path) as file:
        try:
            image = Image.open(file, formats=readable(kinds))
        except UnidentifiedImageError as error:
            raise ValueError(f"{name} is {fault if file.seek(0, 2) else 'empty'}") from error
        with image:
            yield image


def text_chunk(text: str) -> PngInfo:
    """A text as it stands in a PNG of ours."""
    info = PngInfo()
    info.add_itxt(KEY, text)
    return info


def exif_with(comment: str) -> Image.Exif:
    """A comment of ASCII as it stands in a WebP of ours."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.UserComment] = EXIF_MARK + comment.encode("ascii")
    return exif


def comment_in(image: Image.Image) -> str:
    """The comment in an EXIF block, or the text chunk of ours with its mark; else nothing."""
    if image.format == "PNG":
        text = getattr(image, "text", {}).get(KEY)
        return "" if text is None else COMMENT_MARK + text
    comment = image.getexif().get_ifd(IFD.Exif).get(Base.UserComment)
    if not isinstance(comment, bytes) or not comment.startswith(EXIF_MARK):
        return ""
    return comment.removeprefix(EXIF_MARK).decode("ascii", "replace")


def as_rgb(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """A picture as it is to be shown.

    Raises:
        ValueError: grey levels beyond 16 bits, or floats beyond [0, 1]: the format does not say
            what is white.
    """
    tags = getattr(image, "tag_v2", {})
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in DEEP_MODES:
        bits = min(tags.get(BITS_PER_SAMPLE, (DEEP_BITS,))[0], DEEP_BITS)
        array = _of_deep_grey(image, bits, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)
    else:
        if image.has_transparency_data:
            behind = Image.new("RGBA", image.size, BACKGROUND)
            image = Image.alpha_composite(behind, image.convert("RGBA"))
        array = np.array(image.convert("RGB"))
    return rearrange(torch.from_numpy(array), "height width rgb -> rgb height width").contiguous()


def as_image(picture: UInt8[Tensor, "3 height width"]) -> Image.Image:
    """A picture as Pillow has it; the inverse of `as_rgb`."""
    array = rearrange(picture.cpu(), "rgb height width -> height width rgb").contiguous().numpy()
    return Image.fromarray(array)


def _of_deep_grey(image: Image.Image, bits: int, is_inverted: bool) -> np.ndarray:
    values = np.asarray(image)
    white = 1 if values.dtype.kind == "f" else (1 << bits) - 1
    if not (values.min() >= 0 and values.max() <= white):  # also false for NaN
        raise ValueError(
            f"its grey levels run from {values.min()} to {values.max()}, not within 0 to {white}; "
            "save it with 8 or 16 bits"
        )
    shares = values.astype(np.float64) / white
    levels = np.round((1 - shares if is_inverted else shares) * MAX_LEVEL).astype(np.uint8)
    levels[values == image.info.get("transparency")] = MAX_LEVEL  # a PNG may make one level clear
    return np.repeat(levels[..., None], 3, axis=2)
