"""What a user may choose about pictures. Light: imports no torch."""

from dataclasses import dataclass, field

from lumina_core import LuminaError

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory


@dataclass(frozen=True)
class ImageOptions:
    """Options of the image modality."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    patch_size: int = field(metadata={"architecture": True})
    """Latent cells of a token along each axis."""
    vae: str = field(metadata={"architecture": True})
    """`demo`, the autoencoder of this package, or the folder of a diffusers AutoencoderKL."""

    def __post_init__(self) -> None:
        for key in ("height", "width", "patch_size"):
            value = getattr(self, key)
            if not 1 <= value <= MAX_SIDE:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {MAX_SIDE}")
