"""For plugins: a picture of Pillow as RGB, as viewers show it.

Turned as its EXIF says, transparency over white, deep greys scaled to 8 bits. Colour profiles are
not applied. It opens no file.
"""

from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from lumina_core.media.pixels import MAX_LEVEL

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
