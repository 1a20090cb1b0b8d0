"""PNG files with the request inside (an iTXt chunk named `lumina`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from lumina_core import LuminaError, atomic_write

KEY = "lumina"

Picture = UInt8[Tensor, "3 height width"]


class PNGDecoder:
    """Picture <-> PNG file."""

    suffixes = (".png",)

    def write(self, media: Picture, path: Path, metadata: dict[str, Any]) -> None:
        """Write a PNG atomically, the metadata inside.

        Raises:
            LuminaError: the suffix is not .png.
        """
        if path.suffix.lower() not in self.suffixes:
            raise LuminaError(f"out={path} ends in {path.suffix!r}; pictures are written as .png")
        info = PngInfo()
        info.add_itxt(KEY, json.dumps(metadata, ensure_ascii=False))
        image = Image.fromarray(media.permute(1, 2, 0).contiguous().numpy())
        with atomic_write(path) as file:
            image.save(file, format="PNG", pnginfo=info)

    def read(self, path: Path) -> Picture:
        """Read a PNG as RGB.

        Raises:
            LuminaError: there is no such file, or it is broken.
        """
        array = np.asarray(_open(path).convert("RGB"))
        return torch.from_numpy(array.copy()).permute(2, 0, 1)

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The metadata inside a PNG, or None where there is none."""
        text = getattr(_open(path), "text", {}).get(KEY)
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LuminaError(f"{path} carries a broken request: {error}") from error

    def preview(self, media: Picture) -> Picture:
        """The picture itself."""
        return media


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LuminaError(f"{path} cannot be read as a picture: {error}") from error
    return image
