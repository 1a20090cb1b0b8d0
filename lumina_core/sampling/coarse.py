"""Large samples begin small: made with few tokens, then enlarged and finished at full size.

A sample longer than those of training is first made with fewer tokens. Its medium, enlarged and
partly noised, is where the large sample starts, so that layout and shapes come from sizes that the
network knows and only the fine parts from those it does not (docs/use/resolution.md).
"""

from math import sqrt
from typing import Any

import torch

from lumina_core.checkpoints.model import Model
from lumina_core.errors import LuminaError
from lumina_core.modality import Media
from lumina_core.sampling.given import GivenTokens
from lumina_core.sampling.settings import CoarseConfig


def coarser_options(model: Model, options: Any, length: int, config: CoarseConfig) -> Any:
    """Options of the small sample.

    Args:
        model: the checkpoint.
        options: of the sample to make.
        length: its positions.
        config: how small.

    Raises:
        LuminaError: the modality has no smaller media.
    """
    small = model.modality.coarser(options, sqrt(config.tokens / length))
    if small is None:
        raise LuminaError(
            f"coarse.above={config.above}: modality {model.name!r} cannot begin small; leave it out"
        )
    return small


def enlarged_tokens(model: Model, media: Media, options: Any, config: CoarseConfig) -> GivenTokens:
    """The small medium as what the large sample starts from; none of it stays as it is."""
    large = model.modality.enlarged(media, options)
    tokens = model.modality.tokenizer.tokenize(model.modality.vae.encode(large)).cpu()
    known = torch.zeros(len(tokens), dtype=torch.bool)
    return GivenTokens(tokens, known, 1 - config.strength, {})
