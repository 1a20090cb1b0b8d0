"""Log-mel spectrograms by torch.stft: differentiable, batched, a row per hop.

Departure from the front ends of HiFi-GAN's family: the ends of a sound are padded with silence, not
with its mirror image, so that a sound of any length has a spectrogram.
"""

from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import pad

from lumina_audio.options import FrontEnd

MIN_AMPLITUDE = 1e-5  # of a mel band; its logarithm is what silence has
LINEAR_HERTZ, LINEAR_MELS = 1000.0, 15.0  # up to here the scale of Slaney is linear
LOG_STEP = float(np.log(6.4)) / 27  # beyond: 27 mels for a factor of 6.4
HTK_FACTOR, HTK_HERTZ = 2595.0, 700.0


def log_mel(
    samples: Float[Tensor, "*batch sample"], front_end: FrontEnd
) -> Float[Tensor, "*batch time mel"]:
    """The natural logarithm of mel amplitudes, at least MIN_AMPLITUDE.

    Args:
        samples: in [-1, 1].
        front_end: windows and bands.

    Returns:
        One row per whole hop: sample / hop_length of them.

    Source: the mel spectrogram of HiFi-GAN (arXiv 2010.05646), but for the ends.
    """
    amplitudes = stft(pad_ends(samples, front_end), front_end).abs()
    mels = amplitudes @ mel_filters(front_end).to(samples.device)
    return mels.clamp(min=MIN_AMPLITUDE).log()


def pad_ends(
    samples: Float[Tensor, "*batch sample"], front_end: FrontEnd
) -> Float[Tensor, "*batch padded"]:
    """Silence before and behind, so that row k shows the samples around its hop."""
    missing = front_end.n_fft - front_end.hop_length
    return pad(samples, (missing // 2, missing - missing // 2))


def stft(
    padded: Float[Tensor, "*batch sample"], front_end: FrontEnd
) -> Complex[Tensor, "*batch time bin"]:
    """The Fourier transform of each Hann window, complex; a window begins at every hop."""
    flat = padded.reshape(-1, padded.shape[-1])
    found = torch.stft(
        flat,
        front_end.n_fft,
        front_end.hop_length,
        window=torch.hann_window(front_end.n_fft, device=padded.device),
        center=False,
        return_complex=True,
    )
    return rearrange(found, "b bin time -> b time bin").reshape(
        *padded.shape[:-1], -1, found.shape[-2]
    )


@lru_cache(maxsize=8)
def mel_filters(front_end: FrontEnd) -> Float[Tensor, "bin mel"]:
    """Triangles over the bins of the Fourier transform, of equal area (Slaney); do not write."""
    ends = [_mels(hertz, front_end.mel_scale) for hertz in (front_end.fmin, front_end.fmax)]
    corners = _hertz(np.linspace(*ends, front_end.num_mels + 2), front_end.mel_scale)
    bins = np.linspace(0, front_end.sample_rate // 2, front_end.n_fft // 2 + 1)
    slopes, widths = corners - bins[:, None], np.diff(corners)
    triangles = np.minimum(-slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:])
    filters = np.maximum(triangles, 0) * (2 / (corners[2:] - corners[:-2]))
    return torch.from_numpy(filters).float()


def _mels(hertz: float, scale: str) -> float:
    """A frequency on a mel scale, `slaney` or `htk`.

    Source: transformers, audio_utils.py. It is written again since its import takes a third of
    torch's.
    """
    if scale == "htk":
        return float(HTK_FACTOR * np.log10(1 + hertz / HTK_HERTZ))
    if hertz < LINEAR_HERTZ:
        return hertz / LINEAR_HERTZ * LINEAR_MELS
    return float(LINEAR_MELS + np.log(hertz / LINEAR_HERTZ) / LOG_STEP)


def _hertz(mels: "np.ndarray", scale: str) -> "np.ndarray":
    """Inverse of `_mels`."""
    if scale == "htk":
        return HTK_HERTZ * (10 ** (mels / HTK_FACTOR) - 1)
    above = LINEAR_HERTZ * np.exp(LOG_STEP * (mels - LINEAR_MELS))
    return np.where(mels < LINEAR_MELS, mels / LINEAR_MELS * LINEAR_HERTZ, above)
