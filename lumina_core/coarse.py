"""Begin large samples small: what a network was never trained on, it need only finish.

A sample longer than those of training is first made with fewer tokens. Its medium, enlarged and
partly noised, is where the large sample starts, so that layout and shapes come from sizes that the
network knows and only the fine parts from those it does not (docs/use/resolution.md).
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch

from lumina_core.checkpoint import Model
from lumina_core.conditioning import MIN_STRENGTH, GivenTokens
from lumina_core.decoder import Media
from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting


@dataclass(frozen=True)
class CoarseConfig(Settings, block="coarse"):
    """Which samples begin small, and how small; lengths count separators, too."""

    above: int | None = setting(
        None,
        "tokens above which a sample is begun small, then enlarged and finished; null: off",
        at_least=1,
    )
    tokens: int = setting(
        80, "about how many the small one has", at_least=1, idle={"above": (None,)}
    )
    strength: float = setting(
        0.7,
        "share of the way that starts from noise after enlarging",
        at_least=MIN_STRENGTH,
        below=1,
        idle={"above": (None,)},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.above is not None and self.tokens > self.above:
            raise LuminaError(
                f"coarse.tokens={self.tokens} and coarse.above={self.above}: use no more tokens "
                "than above"
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
