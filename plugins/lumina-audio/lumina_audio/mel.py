"""Log-mel spectrograms by torch.stft: differentiable, batched, a row per hop.

Departure from the front ends of HiFi-GAN's family: the ends of a sound are padded with silence, not
with its mirror image, so that a sound of any length has a spectrogram.
"""

from functools import lru_cache

import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import pad

from lumina_audio.options import FrontEnd

MIN_AMPLITUDE = 1e-5  # of a mel band; its logarithm is what silence has


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
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=front_end.n_fft // 2 + 1,
        num_mel_filters=front_end.num_mels,
        min_frequency=front_end.fmin,
        max_frequency=front_end.fmax,
        sampling_rate=front_end.sample_rate,
        norm="slaney",
        mel_scale=front_end.mel_scale,
    )
    return torch.from_numpy(filters).float()
