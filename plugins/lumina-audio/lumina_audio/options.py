"""What a user may choose about sounds. Light: imports no torch."""

from dataclasses import dataclass, field
from math import inf

from lumina_core import LuminaError, nearest

MAX_SECONDS = 3600.0  # keeps a slip of the finger from filling the memory
SAMPLE_RATES = (1000, 192_000)
MAX_FFT = 65_536
MAX_MELS = 1024
MEL_SCALES = ("slaney", "htk")


@dataclass(frozen=True)
class FrontEnd:
    """How samples become a mel spectrogram; all of it is fixed by a checkpoint."""

    sample_rate: int
    """Samples per second."""
    n_fft: int
    """Samples of a window, and of its Fourier transform."""
    hop_length: int
    """Samples between the beginnings of two windows."""
    num_mels: int
    """Mel bands."""
    fmin: float
    """Hz, lower edge of the lowest band."""
    fmax: float
    """Hz, upper edge of the highest band."""
    mel_scale: str
    """slaney or htk."""


@dataclass(frozen=True)
class AudioOptions:
    """Options of the audio modality."""

    seconds: float
    """Duration."""
    sample_rate: int = field(metadata={"architecture": True})
    """Hz."""
    n_fft: int = field(metadata={"architecture": True})
    """Samples of a window."""
    hop_length: int = field(metadata={"architecture": True})
    """Samples from one row of the spectrogram to the next."""
    num_mels: int = field(metadata={"architecture": True})
    """Mel bands, the columns of the spectrogram."""
    fmin: float = field(metadata={"architecture": True})
    """Hz, lower edge of the lowest band."""
    fmax: float = field(metadata={"architecture": True})
    """Hz, upper edge of the highest band."""
    mel_scale: str = field(metadata={"architecture": True})
    """`slaney` or `htk`."""
    mel_range: tuple[float, float] = field(metadata={"architecture": True})
    """Natural logarithms of a mel amplitude that the autoencoder sees as -1 and 1."""
    patch: tuple[int, int] = field(metadata={"architecture": True})
    """Latent cells of a token along time and frequency."""
    vae: str = field(metadata={"architecture": True})
    """`demo`, or the folder or hub id of an autoencoder of spectrograms."""
    vocoder: str
    """`griffin_lim`, or the folder or hub id of a vocoder."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= MAX_SECONDS:
            raise LuminaError(
                f"modality.seconds={self.seconds} is out of range; use more than 0 and at most "
                f"{MAX_SECONDS:g}"
            )
        ranges = {
            "sample_rate": SAMPLE_RATES,
            "n_fft": (2, MAX_FFT),
            "hop_length": (1, self.n_fft),
            "num_mels": (1, MAX_MELS),
        }
        for key, (low, high) in ranges.items():
            if not low <= getattr(self, key) <= high:
                raise LuminaError(
                    f"modality.{key}={getattr(self, key)} is out of range; use {low} to {high}"
                )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise LuminaError(
                f"modality.fmin={self.fmin} and modality.fmax={self.fmax}: use 0 <= fmin < fmax <= "
                f"{self.sample_rate / 2:g}, half the sample rate"
            )
        if self.mel_scale not in MEL_SCALES:
            raise LuminaError(
                f"modality.mel_scale={self.mel_scale} is unknown; use {' or '.join(MEL_SCALES)}."
                f"{nearest(self.mel_scale, list(MEL_SCALES))}"
            )
        if not -inf < self.mel_range[0] < self.mel_range[1] < inf:
            raise LuminaError(
                f"modality.mel_range={list(self.mel_range)}: the first must be below the second, "
                "and both finite"
            )
        if not all(1 <= size <= MAX_MELS for size in self.patch):
            raise LuminaError(
                f"modality.patch={list(self.patch)}: use two whole numbers of 1 to {MAX_MELS}"
            )

    @property
    def num_samples(self) -> int:
        """Samples of the sound."""
        return max(1, round(self.seconds * self.sample_rate))

    @property
    def front_end(self) -> FrontEnd:
        """How samples become a mel spectrogram."""
        return FrontEnd(
            self.sample_rate,
            self.n_fft,
            self.hop_length,
            self.num_mels,
            self.fmin,
            self.fmax,
            self.mel_scale,
        )


@dataclass(frozen=True)
class AudioCondition:
    """What may be given beside a prompt."""

    sound: str | None = field(metadata={"file": True})
    """A sound with which the one to make begins, or in which a gap is to be filled."""
    seconds: float | None
    """How much of its beginning is given; None: all of it."""
    gap: tuple[float, float] | None
    """Beginning and end, in seconds, of what is not given; None: what follows the given part."""

    def __post_init__(self) -> None:
        if self.sound is None:
            raise LuminaError(
                "condition.seconds and condition.gap say which part of a sound is given; give it: "
                "condition.sound=FILE"
            )
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise LuminaError(
                f"condition.seconds={self.seconds} is out of range; use more than 0 and at most "
                f"{MAX_SECONDS:g}"
            )
        if self.gap is not None and not 0 <= self.gap[0] < self.gap[1] <= MAX_SECONDS:
            raise LuminaError(
                f"condition.gap={list(self.gap)}: use two times in seconds, the beginning before "
                "the end"
            )
        if self.gap is not None and self.seconds is not None:
            raise LuminaError(
                "condition.seconds and condition.gap both say which part is given; leave one out"
            )
