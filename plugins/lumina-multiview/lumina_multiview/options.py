"""What a user may choose about views of an object. Light: imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from lumina_core import LuminaError

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_VIEWS = 1000
MAX_PIXELS = 1 << 28  # of all views together, 800 MB as RGB: of an object that is made or read
DEFAULT_VIEWS = 8
MAX_LISTED = 8  # angles in a message
TURN = 360.0  # degrees
MAX_ELEVATION = 89.0  # degrees; straight from above or below, no side of a picture is up


@dataclass(frozen=True)
class MultiviewOptions:
    """Options of the multi-view modality."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    views: int | None
    """Views, evenly around the object; null: as many as `azimuths`, or DEFAULT_VIEWS."""
    azimuths: tuple[float, ...] | None
    """Degrees around the object of each view, to its right from the front; null: even, from 0."""
    elevation: float | tuple[float, ...]
    """Degrees above the horizon: of all views, or of each."""
    patch: tuple[int, int] = field(metadata={"architecture": True})
    """Latent cells of a token along height and width."""
    vae: str = field(metadata={"architecture": True})
    """`demo`, or the folder or hub id of a diffusers AutoencoderKL."""

    def __post_init__(self) -> None:
        for key in ("height", "width"):
            value = getattr(self, key)
            if not 1 <= value <= MAX_SIDE:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {MAX_SIDE}")
        self._check_number()
        self._check_angles()
        if not all(1 <= size <= MAX_SIDE for size in self.patch):
            raise LuminaError(
                f"modality.patch={list(self.patch)}: use two whole numbers of 1 or more"
            )
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
        if not 1 <= self.num_views <= MAX_VIEWS:
            raise LuminaError(f"modality.views={self.views} is out of range; use 1 to {MAX_VIEWS}")

    def _check_angles(self) -> None:
        for azimuth in self.azimuths or ():
            if not (isfinite(azimuth) and -TURN <= azimuth <= TURN):
                raise LuminaError(
                    f"modality.azimuths: {azimuth} is out of range; use degrees from {-TURN:g} to "
                    f"{TURN:g}"
                )
        if isinstance(self.elevation, tuple) and len(self.elevation) != self.num_views:
            raise LuminaError(
                f"modality.elevation lists {len(self.elevation)} angles for {self.num_views} "
                "views; give one for each, or one number for all"
            )
        for elevation in self.elevations:
            if not -MAX_ELEVATION <= elevation <= MAX_ELEVATION:
                raise LuminaError(
                    f"modality.elevation={elevation} is out of range; use {-MAX_ELEVATION:g} to "
                    f"{MAX_ELEVATION:g} degrees"
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
class MultiviewCondition:
    """What may be given beside a prompt."""

    view: str | None = field(metadata={"file": True})
    """A picture of the object, or a folder of its views."""
    azimuth: float | None
    """Degrees at which it was taken; None: the first view, or as the folder says."""

    def __post_init__(self) -> None:
        if self.view is None:
            raise LuminaError(
                "condition.azimuth says where a given view was taken; give it: condition.view=FILE"
            )
        if self.azimuth is not None and not -TURN <= self.azimuth <= TURN:
            raise LuminaError(
                f"condition.azimuth={self.azimuth} is out of range; use degrees from {-TURN:g} to "
                f"{TURN:g}"
            )
