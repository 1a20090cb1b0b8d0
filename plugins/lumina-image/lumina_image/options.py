"""What a user may choose about pictures. Light: imports no torch."""

from dataclasses import dataclass, field

from lumina_core import LuminaError

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_PIXELS = 1 << 26  # 8192 x 8192, 200 MB as RGB: of a picture that is made or read


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
    """`demo`, `sd`, `sdxl`, `flux`, or the folder or hub id of a diffusers AutoencoderKL."""

    def __post_init__(self) -> None:
        for key in ("height", "width", "patch_size"):
            value = getattr(self, key)
            if not 1 <= value <= MAX_SIDE:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {MAX_SIDE}")
        if self.height * self.width > MAX_PIXELS:
            raise LuminaError(
                f"modality.height={self.height} times modality.width={self.width} is more than "
                f"{MAX_PIXELS} pixels; use smaller ones"
            )


@dataclass(frozen=True)
class ImageCondition:
    """What may be given beside a prompt."""

    image: str | None = field(metadata={"file": True})
    """A picture file, at most as large as the picture to make."""
    mask: str | None = field(metadata={"file": True})
    """A picture file of the same size: white is filled, black is kept."""
    offset: tuple[int, int] | None
    """Where the upper left corner of the image stands, (down, right) in pixels; None: centred."""

    def __post_init__(self) -> None:
        if self.image is None:
            raise LuminaError(
                "condition.mask and condition.offset say what to do with a picture; give it: "
                "condition.image=FILE"
            )
        if self.offset is not None and min(self.offset) < 0:
            raise LuminaError(f"condition.offset={list(self.offset)}: use pixels of 0 or more")
