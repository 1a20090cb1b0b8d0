"""Signals: the parts that the mymodality modality registers.

A signal is a float32 tensor (sample,), its values within [-1, 1]. It is one frame of one row, so
its tokens stand in one line along the columns, which are time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from lumina_core import VAE, Decoder, Modality, PatchTokenizer, SizeLimits, atomic_write
from lumina_core.media.containers import comment_with, metadata_in, reading
from lumina_mymodality.options import LONGEST, MymodalityOptions
from lumina_mymodality.world import MymodalityWorld

STD = 0.5  # of the values of the world's signals; latents have about unit variance
UNIT = 1.0  # between neighbouring tokens: the same for signals of any length
COMMENT, COUNTED = "# ", "values, one a line"
PREVIEW_HEIGHT, MAX_PREVIEW_WIDTH = 48, 512  # pixels


class MymodalityVAE(VAE):
    """Signal <-> latent (1, 1, 1, sample): a formula, so it has no weights."""

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Shape of the latent of a signal."""
        return 1, 1, 1, media_shape[0]

    def encode(self, media: Tensor) -> Tensor:
        """Zero mean and unit variance, as the flow wants."""
        return rearrange(media.float() / STD, "sample -> 1 1 1 sample")

    def decode(self, latent: Tensor) -> Tensor:
        """The signal of a latent, held within [-1, 1]."""
        return rearrange(latent.float() * STD, "1 1 1 sample -> sample").clamp(-1, 1).cpu()


class MymodalityDecoder(Decoder):
    """Signal <-> CSV: the request and the number of values as comments, then one value a line."""

    suffixes = (".csv",)
    noun = "signals"

    def write(self, media: Tensor, path: Path, metadata: Mapping[str, Any], options: Any) -> None:
        """Write the file, whole or not at all.

        Raises:
            LuminaError: the suffix is another one.
        """
        self.check_suffix(path)
        lines = [COMMENT + comment_with(metadata), f"{COMMENT}{len(media)} {COUNTED}"]
        lines += [f"{value:.9g}" for value in media.tolist()]
        with atomic_write(path) as file:
            file.write(("\n".join(lines) + "\n").encode())

    def read(self, path: Path) -> Tensor:
        """The signal of a file.

        Raises:
            LuminaError: there is no such file, or it is cut off, or holds no values of [-1, 1].
        """
        with reading(path, "a signal"):
            lines = path.read_text(encoding="utf-8").splitlines()
            values = np.array([line for line in lines if line[:1] != COMMENT[0]], dtype=np.float32)
            told = [line.split()[1] for line in lines if line.endswith(COUNTED)]
            if not 1 <= len(values) <= LONGEST or told not in ([], [str(len(values))]):
                raise ValueError(f"{len(values)} values are not the {told or '1 or more'} wanted")
            if not (np.abs(values) <= 1).all():
                raise ValueError("its values are not all within -1 and 1")
            return torch.from_numpy(values)

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The request inside a file; None where there is none.

        Raises:
            LuminaError: there is no such file, or its request is broken.
        """
        with reading(path, "a signal"), path.open(encoding="utf-8") as file:
            return metadata_in(file.readline().removeprefix(COMMENT).rstrip("\n"), path)

    def preview(self, media: Tensor, options: Any) -> Tensor:
        """An RGB picture: the signal as a white line on black."""
        picture = torch.zeros(3, PREVIEW_HEIGHT, min(len(media), MAX_PREVIEW_WIDTH))
        columns = torch.arange(picture.shape[2])
        values = media[columns * len(media) // len(columns)]
        picture[:, ((1 - values) / 2 * (PREVIEW_HEIGHT - 1)).round().long(), columns] = 255
        return picture.to(torch.uint8)


class MymodalityModality(Modality):
    """The mymodality modality: its options and its parts."""

    def __init__(self, options: MymodalityOptions, vae_folder: Path | None = None) -> None:
        super().__init__(options)
        self.tokenizer = PatchTokenizer(1, (1, 1, options.patch), _step)
        self.vae = MymodalityVAE()
        self.decoder = MymodalityDecoder()
        self.world = MymodalityWorld()

    def media_shape(self, options: MymodalityOptions) -> tuple[int, ...]:
        """Shape of the signal that `options` ask for.

        Raises:
            LuminaError: no whole number of tokens fits it; names the nearest legal ones.
        """
        self.tokenizer.grid(self.vae.latent_shape((options.samples,)))
        return (options.samples,)

    def fit(self, media: Tensor, limits: SizeLimits) -> Tensor:
        """The beginning of a signal from a file: whole tokens, within the limits of a run.

        Raises:
            LuminaError: it is too short.
        """
        num_tokens = min(len(media) // self.options.patch, limits.max_tokens)
        return super().fit(media[: num_tokens * self.options.patch], limits)


def _step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring tokens along each axis."""
    return 0.0, 0.0, UNIT
