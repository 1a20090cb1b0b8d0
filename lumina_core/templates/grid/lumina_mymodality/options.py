"""What a user may choose about frames. Light: imports no torch."""

from dataclasses import dataclass, field

from lumina_core import LuminaError

MAX_SIDE, MAX_FRAMES = 4096, 256  # keep a slip of the finger from filling the memory


@dataclass(frozen=True)
class MymodalityOptions:
    """Options of the mymodality modality."""

    frames: int
    """Number of frames."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    patch: int = field(metadata={"architecture": True})
    """Pixels along both sides of a token; fixed by a checkpoint."""

    def __post_init__(self) -> None:
        limits = {"frames": MAX_FRAMES, "height": MAX_SIDE, "width": MAX_SIDE, "patch": MAX_SIDE}
        for key, limit in limits.items():
            value = getattr(self, key)
            if not 1 <= value <= limit:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {limit}")
