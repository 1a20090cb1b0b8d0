"""Picture files: written as PNG, WebP and JPEG with the request inside; read from more formats.

The request stands where each format keeps text: an iTXt chunk named `lumina` in PNG, the EXIF
UserComment in WebP, comment segments in JPEG. PNG and WebP are lossless; JPEG is not. Reading takes
what the file shows, not what it is called, and the first frame of an animation.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lumina_core import Decoder, LuminaError, atomic_write
from lumina_core.media.containers import COMMENT_MARK, comment_with, metadata_in, reading
from lumina_core.media.pictures import (
    as_image,
    as_rgb,
    comment_in,
    exif_with,
    opened,
    readable,
    text_chunk,
)
from lumina_image.options import MAX_PIXELS

FORMATS = ("PNG", "WEBP", "JPEG", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""Those that are read; the last two where Pillow has them."""

JPEG_QUALITY = 95  # Pillow's advice: above it files grow and pictures hardly improve
JPEG_MARK = COMMENT_MARK.encode()  # begins each of our comment segments
JPEG_COMMENT = b"\xff\xfe"  # the COM marker
MAX_SEGMENT = 65_533  # bytes in a segment of a JPEG, whose length is 16 bits and counts itself

MAX_WEBP_SIDE = 16_383  # 14 bits

Picture = UInt8[Tensor, "3 height width"]


class PictureDecoder(Decoder):
    """Picture <-> file."""

    suffixes = (".png", ".webp", ".jpg", ".jpeg")
    noun = "pictures"
    read_suffixes = (*suffixes, ".jfif", ".jpe", ".gif", ".apng", ".bmp", ".tif", ".tiff",
                     ".avif", ".heic", ".heif")  # fmt: skip

    def write(self, media: Picture, path: Path, metadata: dict[str, Any], options: object) -> None:
        """Write a PNG, WebP or JPEG atomically, by the suffix, the metadata inside.

        Raises:
            LuminaError: the suffix is another one, or a WebP would be too large for its format.
        """
        self.check_suffix(path)
        save = _SAVERS[path.suffix.lower()]
        if save is _save_webp and max(media.shape) > MAX_WEBP_SIDE:
            raise LuminaError(
                f"out={path}: a side of {max(media.shape)} pixels is more than the "
                f"{MAX_WEBP_SIDE} of WebP; write a .png"
            )
        encoded = BytesIO()  # Pillow's own writing takes a cut write for a whole one
        save(as_image(media), encoded, metadata)
        with atomic_write(path) as file:
            file.write(encoded.getbuffer())

    def read(self, path: Path) -> Picture:
        """Read a picture as RGB.

        Raises:
            LuminaError: no such file, no picture, cut off or damaged, more than MAX_PIXELS, or
                values whose range the format leaves open.
        """
        with _reading(path):
            return as_rgb(_open(path))

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """As in Decoder; a request that is no JSON is refused."""
        with _reading(path):
            comment = _comment_of(_open(path))
        return metadata_in(comment, path)

    def preview(self, media: Picture, options: object) -> Picture:
        """The picture itself."""
        return media

    def array(self, media: Picture) -> UInt8[np.ndarray, "height width 3"]:
        """The picture, its colours last."""
        return rearrange(media, "rgb height width -> height width rgb").contiguous().numpy()


def _save_png(image: Image.Image, file: BytesIO, metadata: dict[str, Any]) -> None:
    info = text_chunk(json.dumps(metadata, ensure_ascii=False))
    image.save(file, format="PNG", pnginfo=info)


def _save_webp(image: Image.Image, file: BytesIO, metadata: dict[str, Any]) -> None:
    exif = exif_with(comment_with(metadata))
    image.save(file, format="WEBP", lossless=True, exif=exif)


def _save_jpeg(image: Image.Image, file: BytesIO, metadata: dict[str, Any]) -> None:
    text = json.dumps(metadata, ensure_ascii=False).encode()
    size = MAX_SEGMENT - len(JPEG_MARK)
    comments = b""
    for start in range(0, len(text), size):
        comment = JPEG_MARK + text[start : start + size]
        comments += JPEG_COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment
    image.save(file, format="JPEG", quality=JPEG_QUALITY, subsampling=0, extra=comments)


_SAVERS: dict[str, Callable[[Image.Image, BytesIO, dict[str, Any]], None]] = {
    ".png": _save_png,
    ".webp": _save_webp,
    ".jpg": _save_jpeg,
    ".jpeg": _save_jpeg,
}


def _comment_of(image: Image.Image) -> str:
    """What `write` put into a file, still as JSON behind our mark."""
    if image.format in ("PNG", "WEBP"):
        return comment_in(image)
    segments = [data for name, data in getattr(image, "applist", ()) if name == "COM"]
    ours = [data[len(JPEG_MARK) :] for data in segments if data.startswith(JPEG_MARK)]
    return COMMENT_MARK + b"".join(ours).decode() if ours else ""


def _open(path: Path) -> Image.Image:
    """The first frame, decoded; refused before that if it is damaged or too large."""
    with opened(path, FORMATS, f"none of {', '.join(readable(FORMATS))}") as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
        image.load()
    return image


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say what Pillow meets in a file as one line with the file's name."""
    with reading(path, "a picture"):
        try:
            yield
        except Image.DecompressionBombError as error:  # ours, or Pillow's, whose limit is higher
            size = re.findall(r"\d+", str(error))[0]
            raise LuminaError(
                f"{path} is a picture of {size} pixels; at most {MAX_PIXELS} are read. "
                "Scale it down"
            ) from error
