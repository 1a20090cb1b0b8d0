"""What a user may choose about pictures. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import LuminaError, Options, Settings, setting

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_PIXELS = 1 << 26  # 8192 x 8192, 200 MB as RGB: of a picture that is made or read


@dataclass(frozen=True)
class ImageOptions(Options):
    """Options of the image modality."""

    height: int = setting(64, "height of the picture", unit="pixels", at_least=1, at_most=MAX_SIDE)
    width: int = setting(64, "width of the picture", unit="pixels", at_least=1, at_most=MAX_SIDE)
    patch_size: int = setting(
        2,
        "size of a token along each axis",
        unit="latent cells",
        at_least=1,
        at_most=MAX_SIDE,
        fixed=True,
    )
    vae: str = setting(
        "demo",
        "the autoencoder: demo, sd, sdxl, flux, or the folder or hub id of a diffusers "
        "AutoencoderKL",
        fixed=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height * self.width > MAX_PIXELS:
            raise LuminaError(
                f"modality.height={self.height} times modality.width={self.width} is more than "
                f"{MAX_PIXELS} pixels; use smaller ones"
            )


@dataclass(frozen=True)
class ImageCondition(Settings, block="condition"):
    """The picture of which a part is given."""

    image: str | None = setting(
        None, "picture to fill, to change (with condition.strength) or to extend", file=True
    )
    mask: str | None = setting(
        None, "picture of the same size: white is filled, black is kept", file=True
    )
    offset: tuple[int, int] | None = setting(
        None,
        "where the image begins in a larger picture, [down, right]; null: centred",
        unit="pixels",
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image is None:
            raise LuminaError(
                "condition.mask and condition.offset say what to do with a picture; give it: "
                "condition.image=FILE"
            )
