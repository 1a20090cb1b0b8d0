"""Griffin-Lim: samples whose spectrogram is the given one, by projecting in turns; no weights.

Of each row of a mel spectrogram first the amplitudes of the bins are estimated, then first phases
from their peaks; the iterations change phases alone. Nothing is drawn at random, and the memory
grows with the length of the sound alone.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor
from torch.nn.functional import fold, pad

from lumina_audio.mel import MIN_AMPLITUDE, mel_filters, pad_ends
from lumina_audio.neural_vocoder import Mel, Samples, Vocoder
from lumina_audio.options import FrontEnd

ITERATIONS = 32  # measured: twice as many change the log-mel error by less than a tenth
MOMENTUM = 0.99  # Perraudin et al. 2013
FITTING = 20  # multiplicative updates
TONE = 0.2  # of what two bands hold, the most that their neighbours may hold beside a tone
TONE_WIDTH = 0.85  # bins; the bell of a Hann window's main lobe
TINY = 1e-12  # keeps divisions finite

Amplitudes = Float[Tensor, "time bin"]


class GriffinLim(Vocoder):
    """Mel spectrogram to samples, without a trained model."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end

    @torch.no_grad()
    def __call__(self, mel: Mel) -> Samples:
        """As in Vocoder.

        Source: D. Griffin and J. Lim 1984; with momentum: Perraudin, Balazs and Sondergaard 2013,
        "A fast Griffin-Lim algorithm", algorithm 2.
        """
        amplitudes = bin_amplitudes(mel.to(self._device, torch.float32), self._front_end)
        spectra = torch.polar(amplitudes, first_phases(amplitudes, self._front_end))
        before = torch.zeros_like(spectra)
        for _ in range(ITERATIONS):
            samples = overlap_add(spectra, self._front_end)
            consistent = windows_of(samples, self._front_end)
            moved = consistent + MOMENTUM * (consistent - before)
            spectra = moved * (amplitudes / moved.abs().clamp(min=TINY))
            before = consistent
        return overlap_add(spectra, self._front_end)


def bin_amplitudes(mel: Mel, front_end: FrontEnd) -> Amplitudes:
    """Amplitudes of the bins of the Fourier transform whose mel bands are the given ones.

    More bins than bands: of all solutions one near the curve through the bands, but tones, which
    stand out of their neighbours, become peaks. Multiplicative updates
    a *= F (mel / (a F)) / sum F keep it positive (Lee and Seung 2001, for the divergence).

    Args:
        mel: natural logarithms; the floor means silence.
        front_end: of the bands.
    """
    filters = mel_filters(front_end).to(mel.device)  # (bin, mel)
    wanted = (mel.exp() - MIN_AMPLITUDE).clamp(min=0)
    weights = filters / filters.sum(1, keepdim=True).clamp(min=TINY)
    density = wanted / filters.sum(0).clamp(min=TINY)
    curve = density.clamp(min=TINY).log() @ _interpolation(front_end).to(mel.device)
    curve = curve - _beside_tones(density, _centres(front_end).to(mel.device), len(filters))
    amplitudes = (curve - curve.amax(1, keepdim=True)).exp()
    for _ in range(FITTING):
        amplitudes = amplitudes * (wanted / (amplitudes @ filters).clamp(min=TINY) @ weights.T)
    return amplitudes


def _beside_tones(density: Mel, centre: Float[Tensor, "mel"], num_bins: int) -> Amplitudes:
    """How far each bin is from a tone near it, as the logarithm of a bell around the tone; else 0.

    A tone is in two bands, whose triangles tell where it is; their neighbours hold next to nothing.
    """
    bands = density.shape[1]
    if bands < 2:
        return torch.zeros(1, device=density.device).expand(len(density), num_bins)
    heights = density * torch.gradient(centre)[0]  # of a triangle, rather than its area
    left, right = heights[:, :-1], heights[:, 1:]
    both = (left + right).clamp(min=TINY)
    outside = pad(heights, (1, 0))[:, :-2] + pad(heights, (0, 1))[:, 2:]
    certainty = (1 - outside / both / TONE).clamp(min=0)
    tone = centre[:-1] + (centre[1:] - centre[:-1]) * right / both
    bins = torch.arange(num_bins, device=density.device)
    pair = torch.searchsorted(centre, bins.float()) - 1
    distance = torch.zeros(len(density), num_bins, device=density.device)
    for near in (-1, 0, 1):
        at = (pair + near).clamp(0, bands - 2)
        bell = certainty[:, at] * (bins - tone[:, at]) ** 2 / (2 * TONE_WIDTH**2)
        distance = torch.maximum(distance, bell)
    return distance


def _centres(front_end: FrontEnd) -> Float[Tensor, "mel"]:
    """The middle of each band, in bins."""
    filters = mel_filters(front_end)
    position = torch.arange(len(filters), dtype=torch.float32)
    return (position @ filters) / filters.sum(0).clamp(min=TINY)


@lru_cache(maxsize=8)
def _interpolation(front_end: FrontEnd) -> Float[Tensor, "mel bin"]:
    """What each band gives to each bin on the cubic through the centres (Catmull and Rom)."""
    filters = mel_filters(front_end)
    bins, bands = filters.shape
    position = torch.arange(bins, dtype=torch.float32)
    centre = _centres(front_end)
    right = torch.searchsorted(centre, position).clamp(1, max(bands - 1, 1))
    left = right - 1
    if bands == 1:
        return torch.ones(1, bins)
    part = ((position - centre[left]) / (centre[right] - centre[left]).clamp(min=TINY)).clamp(0, 1)
    cubic = torch.stack(
        [
            -part + 2 * part**2 - part**3,
            2 - 5 * part**2 + 3 * part**3,
            part + 4 * part**2 - 3 * part**3,
            part**3 - part**2,
        ]
    )
    neighbours = torch.stack([left - 1, left, right, right + 1]).clamp(0, bands - 1)
    return torch.zeros(bands, bins).scatter_add(0, neighbours, cubic / 2)


def first_phases(amplitudes: Amplitudes, front_end: FrontEnd) -> Amplitudes:
    """Phases that turn with the frequency of the nearest peak, which a parabola tells.

    Counted from the middle of the window, where the bins around a peak agree.

    Source: Beauregard, Harish and Wyse 2015, "Single pass spectrogram inversion".
    """
    owner, frequency = _peaks(amplitudes)
    turn = 2 * math.pi * front_end.hop_length / front_end.n_fft
    phase = torch.zeros_like(amplitudes[0])
    phases = [phase]
    for row in range(1, len(amplitudes)):
        peak = owner[row]
        step = turn / 2 * (frequency[row] + frequency[row - 1])
        phase = torch.remainder((phase + step)[peak], 2 * math.pi)
        phases.append(phase)
    odd = torch.arange(amplitudes.shape[1], device=amplitudes.device) % 2
    return torch.stack(phases) + math.pi * odd  # from the beginning of the window


def _peaks(amplitudes: Amplitudes) -> tuple[Int[Tensor, "time bin"], Amplitudes]:
    """The bin of the nearest peak of each bin, and the frequency of that peak in bins."""
    height = pad(amplitudes.clamp(min=TINY).log(), (1, 1), value=math.log(TINY))
    left, middle, right = height[:, :-2], height[:, 1:-1], height[:, 2:]
    bins = torch.arange(middle.shape[1], device=height.device).expand_as(middle)
    is_peak = (middle > left) & (middle >= right)
    far = 2 * middle.shape[1]
    below = torch.where(is_peak, bins, -far).cummax(1).values
    above = torch.where(is_peak, bins, far).flip(1).cummin(1).values.flip(1)
    owner = torch.where(bins - below <= above - bins, below, above)
    owner = torch.where(owner.abs() < far, owner, bins)  # silence has no peaks
    bend = (left - 2 * middle + right).clamp(max=-TINY)
    frequency = bins + ((left - right) / (2 * bend)).clamp(-0.5, 0.5)
    return owner, frequency.gather(1, owner)


def windows_of(
    samples: Float[Tensor, "sample"], front_end: FrontEnd
) -> Complex[Tensor, "time bin"]:
    """The spectra of mel.py, in the order of time that overlap_add needs."""
    window = torch.hann_window(front_end.n_fft, device=samples.device)
    pieces = pad_ends(samples, front_end).unfold(0, front_end.n_fft, front_end.hop_length)
    return torch.fft.rfft(pieces * window)


def overlap_add(
    spectra: Complex[Tensor, "time bin"], front_end: FrontEnd
) -> Float[Tensor, "sample"]:
    """The samples whose windows are nearest to the given ones; the padded ends are cut off.

    Minimises the squared distance of the windows (Griffin and Lim 1984, equation 6).
    """
    size, hop = front_end.n_fft, front_end.hop_length
    rows = len(spectra)
    window = torch.hann_window(size, device=spectra.device)
    frames = torch.fft.irfft(spectra, n=size) * window

    def added(pieces: Float[Tensor, "time sample"]) -> Float[Tensor, "padded"]:
        length = (rows - 1) * hop + size
        return fold(pieces.T[None], (1, length), (1, size), stride=(1, hop))[0, 0, 0]

    whole = added(frames) / added((window**2).expand(rows, size)).clamp(min=TINY)
    begin = (size - hop) // 2
    return whole[begin : begin + rows * hop]
