"""Views of an object: the parts that the multi-view modality registers.

An object is a uint8 tensor (view, 3, height, width), its views the frames of one sequence. The
network knows each view's camera by features of its frame; no axis of positions counts views, so
that any number of them in any order has a meaning (docs/inside/decisions.md).
"""

from dataclasses import replace
from math import pi
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lumina_core import (
    FramewiseVAE,
    Given,
    Grid,
    Modality,
    PatchTokenizer,
    SizeLimits,
    fit_together,
)
from lumina_core.media.fitting import square_unit
from lumina_core.media.pixels import NUM_COLOURS, check_multiple
from lumina_multiview.given_view import place
from lumina_multiview.options import TURN, MultiviewCondition, MultiviewOptions
from lumina_multiview.picture_reading import Pictures
from lumina_multiview.views_files import MultiviewDecoder, cameras_in
from lumina_multiview.world import MultiviewWorld

EXTENT = 8.0  # a view spans [-4, 4] on each axis
NUM_HARMONICS = 4  # of the azimuth: neighbouring views 45 degrees apart differ clearly
USUAL_ELEVATION = 20.0  # where the feature of the elevation is 0
ELEVATION_UNIT = 20.0  # degrees

Fitted = UInt8[Tensor, "view 3 fitted_height fitted_width"]


class MultiviewModality(Modality):
    """The multi-view modality: its options and its parts."""

    feature_dim = 2 * NUM_HARMONICS + 1

    def __init__(self, options: MultiviewOptions, vae_folder: Path) -> None:
        super().__init__(options)
        self.vae = FramewiseVAE(vae_folder)
        self.decoder = MultiviewDecoder()
        self.world = MultiviewWorld()

    @property
    def tokenizer(self) -> PatchTokenizer:
        """Patches of one view; views share their positions."""
        return PatchTokenizer(self.vae.autoencoder.channels, (1, *self.options.patch), _step)

    def media_shape(self, options: MultiviewOptions) -> tuple[int, ...]:
        """As in Modality."""
        stride = self.vae.autoencoder.stride
        patch_height, patch_width = self.options.patch
        check_multiple(options.height, options.width, stride * patch_height, stride * patch_width)
        return options.num_views, NUM_COLOURS, options.height, options.width

    def features(self, options: MultiviewOptions, grid: Grid) -> Float[Tensor, "frame feature"]:
        """The camera of each view: waves of its azimuth, and its elevation."""
        turns = torch.tensor(options.angles) / TURN
        waves = 2 * pi * turns[:, None] * torch.arange(1, NUM_HARMONICS + 1)
        height = (torch.tensor(options.elevations) - USUAL_ELEVATION) / ELEVATION_UNIT
        return torch.cat([waves.cos(), waves.sin(), height[:, None]], dim=1)

    def described(self, path: Path, media: Pictures, options: MultiviewOptions) -> MultiviewOptions:
        """The options of views from a file: its cameras and its size.

        Raises:
            LuminaError: the file says not where they were taken.
        """
        azimuths, elevations = cameras_in(path)
        height, width = media.shape[2:]
        return replace(
            options,
            height=height,
            width=width,
            views=None,
            azimuths=azimuths,
            elevation=elevations,
        )

    def condition(self, wanted: MultiviewCondition, options: MultiviewOptions) -> Given:
        """The given views among those to make, and which cells of the latent they fix.

        Raises:
            LuminaError: a file that holds no views, of another size, or from elsewhere.
        """
        canvas, known = place(wanted, options, self.media_shape)
        shape = self.vae.latent_shape(tuple(canvas.shape))
        return Given(canvas, known[:, None, None].expand(shape[1:]).clone())

    def fit(self, media: Pictures, limits: SizeLimits) -> Fitted:
        """As in Modality; views share the limits."""
        unit = square_unit(self.vae.autoencoder.stride, *self.options.patch)
        return fit_together(media, unit, limits, num_layers=len(media), noun="views")


def _step(frames: int, rows: int, columns: int) -> tuple[float, float, float]:
    """Distance between neighbouring patches: every view spans EXTENT on both axes."""
    return 0.0, EXTENT / rows, EXTENT / columns
