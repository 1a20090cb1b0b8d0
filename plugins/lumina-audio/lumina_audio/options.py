"""What a user may choose about sounds. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import LuminaError, Options, Settings, setting

MAX_SECONDS = 3600.0  # keeps a slip of the finger from filling the memory
SAMPLE_RATES = (1000, 192_000)
MAX_FFT = 65_536
MAX_MELS = 1024
MEL_SCALES = ("slaney", "htk")
MONO, STEREO = 1, 2
INT16, FLOAT = SAMPLE_FORMATS = ("int16", "float32")


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
class AudioOptions(Options):
    """Options of the audio modality."""

    seconds: float = setting(
        2.5, "duration of the sound", unit="seconds", above=0, at_most=MAX_SECONDS
    )
    sample_rate: int = setting(
        16_000,
        "samples per second",
        unit="Hz",
        at_least=SAMPLE_RATES[0],
        at_most=SAMPLE_RATES[1],
        fixed=True,
    )
    channels: int = setting(
        MONO,
        "1 is mono, 2 is stereo",
        unit="channels",
        at_least=MONO,
        at_most=STEREO,
        fixed=True,
        untold=True,
    )
    sample_format: str = setting(
        INT16,
        "int16: 16 bits; float32: nothing is rounded, for .wav and .ogg",
        choices=SAMPLE_FORMATS,
        untold=True,
    )
    n_fft: int = setting(
        1024, "length of a window", unit="samples", at_least=2, at_most=MAX_FFT, fixed=True
    )
    hop_length: int = setting(
        256,
        "distance between two rows of the spectrogram, at most a window",
        unit="samples",
        at_least=1,
        fixed=True,
    )
    num_mels: int = setting(
        80,
        "columns of the spectrogram",
        unit="mel bands",
        at_least=1,
        at_most=MAX_MELS,
        fixed=True,
    )
    fmin: float = setting(0.0, "lower edge of the lowest band", unit="Hz", at_least=0, fixed=True)
    fmax: float = setting(8000.0, "upper edge of the highest band", unit="Hz", above=0, fixed=True)
    mel_scale: str = setting("slaney", "how Hz become mel", choices=MEL_SCALES, fixed=True)
    mel_range: tuple[float, float] = setting(
        (-11.52, 2.5),
        "mel amplitudes that the autoencoder sees as -1 and 1",
        unit="logarithm",
        fixed=True,
    )
    patch: tuple[int, int] = setting(
        (2, 5),
        "size of a token along time and frequency; [1,n] is n columns of time of a waveform",
        unit="latent cells",
        at_least=1,
        at_most=MAX_MELS,
        fixed=True,
    )
    vae: str = setting(
        "demo",
        "the autoencoder: demo, or the folder or hub id of one of spectrograms or waveforms",
        fixed=True,
    )
    vocoder: str = setting(
        "griffin_lim",
        "spectrogram to sound: griffin_lim, or the folder or hub id of a vocoder",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hop_length > self.n_fft:
            raise LuminaError(
                f"modality.hop_length={self.hop_length} is more than "
                f"modality.n_fft={self.n_fft}; use a step of at most a window"
            )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise LuminaError(
                f"modality.fmin={self.fmin} and modality.fmax={self.fmax}: use 0 <= fmin < fmax <= "
                f"{self.sample_rate / 2:g}, half the sample rate"
            )
        if self.mel_range[0] >= self.mel_range[1]:
            raise LuminaError(
                f"modality.mel_range={list(self.mel_range)}: the first must be below the second"
            )

    @property
    def num_samples(self) -> int:
        """Samples of the sound."""
        return max(1, round(self.seconds * self.sample_rate))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the sound as media."""
        return (self.num_samples,) if self.channels == MONO else (self.channels, self.num_samples)

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
class AudioCondition(Settings, block="condition"):
    """The sound whose beginning is given."""

    sound: str | None = setting(
        None,
        "sound with which the one to make begins, or in which a gap is to be filled",
        file=True,
    )
    seconds: float | None = setting(
        None,
        "how much of its beginning is given; null: all of it",
        unit="seconds",
        above=0,
        at_most=MAX_SECONDS,
    )
    gap: tuple[float, float] | None = setting(
        None,
        "beginning and end of what is not given; null: what follows the given part",
        unit="seconds",
        at_least=0,
        at_most=MAX_SECONDS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sound is None:
            raise LuminaError(
                "condition.seconds and condition.gap say which part of a sound is given; give it: "
                "condition.sound=FILE"
            )
        if self.gap is not None and self.gap[0] >= self.gap[1]:
            raise LuminaError(
                f"condition.gap={list(self.gap)}: use two times in seconds, the beginning before "
                "the end"
            )
        if self.gap is not None and self.seconds is not None:
            raise LuminaError(
                "condition.seconds and condition.gap both say which part is given; leave one out"
            )
