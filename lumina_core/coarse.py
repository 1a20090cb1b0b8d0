"""Begin large samples small: what a network was never trained on, it need only finish.

A sample longer than those of training is first made with fewer tokens. Its medium, enlarged and
partly noised, is where the large sample starts, so that layout and shapes come from sizes that the
network knows and only the fine parts from those it does not (docs/use/resolution.md).
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

import torch

from lumina_core.checkpoint import Model
from lumina_core.conditioning import GivenTokens
from lumina_core.decoder import Media
from lumina_core.errors import LuminaError
from lumina_core.modality import ResizableModality


@dataclass(frozen=True)
class CoarseConfig:
    """Which samples begin small, and how small."""

    above: int | None
    """Positions of a sample, separators included; None: none begins small."""
    tokens: int
    """Positions of the small one, about."""
    strength: float
    """Share of the way that starts from noise once it is enlarged."""

    def __post_init__(self) -> None:
        if self.above is not None and not 1 <= self.tokens <= self.above:
            raise LuminaError(
                f"coarse.tokens={self.tokens} and coarse.above={self.above}: use at least 1, and "
                "no more tokens than above"
            )
        if not 0 < 1 - self.strength < 1:
            raise LuminaError(
                f"coarse.strength is {self.strength}; set a share above 0 and below 1."
            )


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
    coarser = getattr(model.modality, "coarser", None)
    if coarser is None:
        raise LuminaError(
            f"coarse.above={config.above}: modality {model.name!r} cannot begin small; leave it out"
        )
    return coarser(options, sqrt(config.tokens / length))


def enlarged_tokens(model: Model, media: Media, options: Any, config: CoarseConfig) -> GivenTokens:
    """The small medium as what the large sample starts from; none of it stays as it is."""
    large = cast(ResizableModality, model.modality).enlarged(media, options)
    tokens = model.modality.tokenizer.tokenize(model.modality.vae.encode(large)).cpu()
    known = torch.zeros(len(tokens), dtype=torch.bool)
    return GivenTokens(tokens, known, 1 - config.strength, {})
