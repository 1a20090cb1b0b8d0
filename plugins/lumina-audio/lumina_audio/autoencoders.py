"""The kinds of autoencoder that spectrograms go through, behind one interface."""

from pathlib import Path

from lumina_core import FramewiseAutoencoder


class SpectrogramAutoencoder(FramewiseAutoencoder):
    """AutoencoderKL of diffusers with one channel of pixels: a spectrogram is a grey picture."""

    @property
    def strides(self) -> tuple[int, int]:
        """Rows (hops) and columns (mel bands) of the spectrogram per latent cell."""
        return self.stride, self.stride


def open_autoencoder(folder: Path) -> SpectrogramAutoencoder:
    """The autoencoder of a folder; reads no weights."""
    return SpectrogramAutoencoder(folder)
