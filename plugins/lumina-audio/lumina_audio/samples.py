"""A sound as media: (sample,) where it is mono, (2, sample) with left and right where it is stereo.

Samples are int16, as files of 16 bits keep them, or float32 in [-1, 1]. Both are told apart by
their dtype alone.
"""

import logging

import torch
from jaxtyping import Float, Int16, Shaped
from torch import Tensor

from lumina_audio.options import FLOAT

FULL_SCALE = 32_767  # of a sample in a file of 16 bits

Sound = Shaped[Tensor, "*channel sample"]
Samples = Float[Tensor, "*channel sample"]

_log = logging.getLogger(__name__)


def floats(media: Sound) -> Samples:
    """Samples of media as numbers in [-1, 1]."""
    return media if media.is_floating_point() else media.float() / FULL_SCALE


def sound_of(samples: Samples, sample_format: str) -> Sound:
    """Media of samples; as a whole softer, and a warning logged, where they would be cut off.

    Args:
        samples: on any device; those within [-1, 1] are as loud as they are.
        sample_format: int16 or float32.
    """
    samples = samples.float().cpu()
    peak = float(samples.abs().max())
    if peak > 1:
        _log.warning("the sound is made %.3g times softer, so that nothing is cut off", peak)
        samples = samples / peak
    if sample_format == FLOAT:
        return samples.contiguous()
    return (samples * FULL_SCALE).round().to(torch.int16).contiguous()


def mono(media: Sound) -> Int16[Tensor, "sample"]:
    """The mean of the channels, of 16 bits."""
    if media.ndim == 1 and not media.is_floating_point():
        return media
    together = floats(media).reshape(-1, media.shape[-1]).mean(0)
    return (together * FULL_SCALE).round().to(torch.int16)
