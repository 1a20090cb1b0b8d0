"""What a user may choose about views of an object. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from lumina_core import LuminaError, Options, Settings, setting

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_VIEWS = 1000
MAX_PIXELS = 1 << 28  # of all views together, 800 MB as RGB: of an object that is made or read
DEFAULT_VIEWS = 8
MAX_LISTED = 8  # angles in a message
TURN = 360.0  # degrees
MAX_ELEVATION = 89.0  # degrees; straight from above or below, no side of a picture is up


@dataclass(frozen=True)
class MultiviewOptions(Options):
    """Options of the multi-view modality."""

    height: int = setting(48, "height of a view", unit="pixels", at_least=1, at_most=MAX_SIDE)
    width: int = setting(48, "width of a view", unit="pixels", at_least=1, at_most=MAX_SIDE)
    views: int | None = setting(
        None,
        "how many, evenly around the object; null: as many as azimuths; 8 where both are null",
        unit="views",
        at_least=1,
        at_most=MAX_VIEWS,
    )
    azimuths: tuple[float, ...] | None = setting(
        None,
        "where each view is taken around the object, [0,90,180]; 0: its front, 90: its right "
        "side; null: even",
        unit="degrees",
        at_least=-TURN,
        at_most=TURN,
    )
    elevation: float | tuple[float, ...] = setting(
        20.0,
        "angle above the horizon, of all views or a list with one for each",
        unit="degrees",
        at_least=-MAX_ELEVATION,
        at_most=MAX_ELEVATION,
    )
    patch: tuple[int, int] = setting(
        (2, 2),
        "size of a token along height and width",
        unit="latent cells",
        at_least=1,
        at_most=MAX_SIDE,
        fixed=True,
    )
    vae: str = setting(
        "demo",
        "the autoencoder: demo, or the folder or hub id of a diffusers AutoencoderKL",
        fixed=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number()
        if self.num_views * self.height * self.width > MAX_PIXELS:
            raise LuminaError(
                f"{self.num_views} views of {self.width} x {self.height} are more than "
                f"{MAX_PIXELS} pixels; ask for fewer or smaller ones"
            )

    def _check_number(self) -> None:
        if self.views is not None and self.azimuths is not None:
            raise LuminaError(
                f"modality.views={self.views} and modality.azimuths=[{listed(self.azimuths)}] both "
                "say how many views there are; leave one out or set it to null"
            )
        if self.azimuths is not None and not 1 <= len(self.azimuths) <= MAX_VIEWS:
            raise LuminaError(
                f"modality.azimuths lists {len(self.azimuths)} views; list 1 to {MAX_VIEWS}"
            )
        if isinstance(self.elevation, tuple) and len(self.elevation) != self.num_views:
            raise LuminaError(
                f"modality.elevation lists {len(self.elevation)} angles for {self.num_views} "
                "views; give one for each, or one number for all"
            )

    @property
    def num_views(self) -> int:
        """Views, whichever of the two keys says it."""
        if self.azimuths is not None:
            return len(self.azimuths)
        return DEFAULT_VIEWS if self.views is None else self.views

    @property
    def angles(self) -> tuple[float, ...]:
        """Azimuth of each view in degrees, from 0 to below 360."""
        if self.azimuths is None:
            return tuple(number * TURN / self.num_views for number in range(self.num_views))
        return tuple(wrapped(azimuth) for azimuth in self.azimuths)

    @property
    def elevations(self) -> tuple[float, ...]:
        """Elevation of each view in degrees."""
        if isinstance(self.elevation, tuple):
            return self.elevation
        return (self.elevation,) * self.num_views


def listed(angles: Sequence[float]) -> str:
    """Angles for a message: the first MAX_LISTED of them."""
    more = ", ..." if len(angles) > MAX_LISTED else ""
    return ", ".join(f"{angle:g}" for angle in angles[:MAX_LISTED]) + more


def wrapped(azimuth: float) -> float:
    """An angle in degrees from 0 to below 360."""
    turned = azimuth % TURN
    return 0.0 if turned == TURN else turned  # a tiny negative angle rounds up


@dataclass(frozen=True)
class MultiviewCondition(Settings, block="condition"):
    """The views that are given."""

    view: str | None = setting(
        None,
        "picture of the object, or folder of its views; the others are generated",
        file=True,
    )
    azimuth: float | None = setting(
        None,
        "where it was taken; null: as the first view, or as the folder says",
        unit="degrees",
        at_least=-TURN,
        at_most=TURN,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.view is None:
            raise LuminaError(
                "condition.azimuth says where a given view was taken; give it: condition.view=FILE"
            )
