"""What a user may choose about signals. Light: imports no torch."""

from dataclasses import dataclass, field

from lumina_core import LuminaError

MAX_SAMPLES = 1 << 20  # keeps a slip of the finger from filling the memory


@dataclass(frozen=True)
class MymodalityOptions:
    """Options of the mymodality modality."""

    samples: int
    """Length of a signal."""
    patch: int = field(metadata={"architecture": True})
    """Samples of a token; fixed by a checkpoint."""

    def __post_init__(self) -> None:
        for key in ("samples", "patch"):
            value = getattr(self, key)
            if not 1 <= value <= MAX_SAMPLES:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {MAX_SAMPLES}")
