"""The tokenizer that most plugins need: non-overlapping patches of a latent.

A token is one patch, its elements in the order (frame, row, column, channel) within the patch, for
input and output alike. (The released models use another order at each end; the rename table of
`released.py` permutes, never the tokenizer.)
"""

from collections.abc import Callable

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.modality import Tokenizer
from lumina_core.sequence import Grid

Step = Callable[[int, int, int], tuple[float, float, float]]

_PATTERN = "c (f pf) (h ph) (w pw) -> (f h w) (pf ph pw c)"


class PatchTokenizer(Tokenizer):
    """Latent <-> patches row by row; exactly invertible at every legal size."""

    def __init__(
        self,
        channels: int,
        patch: tuple[int, int, int],
        step: Step,
        *,
        origin: tuple[float, float, float] = (0.5, 0.5, 0.5),
    ) -> None:
        """Fix the patch.

        Args:
            channels: channels of the latent.
            patch: latent cells of a patch along frames, rows and columns.
            step: distance between neighbours on each axis, from the numbers of patches per axis.
            origin: where zero is on each axis, as a share of its length; see `Grid.origin`.
        """
        self.channels = channels
        self.patch = patch
        self._step = step
        self._origin = origin

    @property
    def token_dim(self) -> int:  # type: ignore[override]
        """Elements of a token."""
        frames, height, width = self.patch
        return self.channels * frames * height * width

    def grid(self, latent_shape: tuple[int, ...]) -> Grid:
        """The grid of a latent, known before anything is allocated.

        Args:
            latent_shape: (channels, frames, height, width).

        Raises:
            LuminaError: a size is not a multiple of the patch; names the nearest legal sizes.
        """
        channels, *sizes = latent_shape
        if channels != self.channels or len(sizes) != len(self.patch):
            raise ValueError(
                f"latent is {latent_shape}, expected {self.channels} channels and 3 axes"
            )
        for axis, size, patch in zip(("frames", "height", "width"), sizes, self.patch, strict=True):
            if size < 1 or size % patch:
                below = max(size // patch, 1) * patch
                raise LuminaError(
                    f"a latent {axis} of {size} is not divisible by the patch of {patch}; "
                    f"use {below} or {below + patch}"
                )
        frames, rows, columns = (
            size // patch for size, patch in zip(sizes, self.patch, strict=True)
        )
        return Grid(frames, rows, columns, self._step(frames, rows, columns), self._origin)

    def tokenize(
        self, latent: Float[Tensor, "channel frame height width"]
    ) -> Float[Tensor, "patch token_dim"]:
        """Cut a latent into patches, row by row."""
        self.grid(tuple(latent.shape))
        frames, height, width = self.patch
        return rearrange(latent, _PATTERN, pf=frames, ph=height, pw=width)

    def detokenize(
        self, tokens: Float[Tensor, "patch token_dim"], grid: Grid
    ) -> Float[Tensor, "channel frame height width"]:
        """Put patches back; inverse of `tokenize`."""
        if tokens.shape != (grid.num_patches, self.token_dim):
            raise ValueError(
                f"tokens are {tuple(tokens.shape)}, expected {(grid.num_patches, self.token_dim)}"
            )
        pattern = " -> ".join(reversed(_PATTERN.split(" -> ")))
        frames, height, width = self.patch
        return rearrange(
            tokens,
            pattern,
            pf=frames,
            ph=height,
            pw=width,
            f=grid.frames,
            h=grid.rows,
            w=grid.columns,
        )
