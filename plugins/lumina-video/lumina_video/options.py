"""What a user may choose about clips. Light: imports no torch."""

from dataclasses import dataclass, field

from lumina_core import LuminaError

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_FRAMES = 100_000
MAX_PIXELS = 1 << 28  # of all frames together, 800 MB as RGB: of a clip that is made or read
DEFAULT_FRAMES = 12
FPS_LIMITS = (0.1, 240)


@dataclass(frozen=True)
class VideoOptions:
    """Options of the video modality."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    frames: int | None
    """Frames; null: as many as `seconds` says."""
    seconds: float | None
    """Duration; null: as long as `frames` says, or DEFAULT_FRAMES where both are null."""
    fps: float
    """Frames per second."""
    patch: tuple[int, int, int] = field(metadata={"architecture": True})
    """Latent cells of a token along frames, height and width."""
    vae: str = field(metadata={"architecture": True})
    """`demo`, `wan`, `ltx`, `cogvideox`, or the folder or hub id of a diffusers autoencoder."""

    def __post_init__(self) -> None:
        for key in ("height", "width"):
            value = getattr(self, key)
            if not 1 <= value <= MAX_SIDE:
                raise LuminaError(f"modality.{key}={value} is out of range; use 1 to {MAX_SIDE}")
        low, high = FPS_LIMITS
        if not low <= self.fps <= high:
            raise LuminaError(f"modality.fps={self.fps} is out of range; use {low} to {high}")
        if self.seconds is not None and not 0 < self.seconds * self.fps <= MAX_FRAMES:
            raise LuminaError(
                f"modality.seconds={self.seconds} is out of range at {self.fps} frames per second; "
                f"use more than 0 and at most {MAX_FRAMES} frames"
            )
        if self.frames is not None and not 1 <= self.frames <= MAX_FRAMES:
            raise LuminaError(
                f"modality.frames={self.frames} is out of range; use 1 to {MAX_FRAMES}"
            )
        if self.frames is not None and self.seconds is not None:
            raise LuminaError(
                f"modality.frames={self.frames} and modality.seconds={self.seconds} both say how "
                "long the clip is; leave one out or set it to null"
            )
        if not all(1 <= size <= MAX_SIDE for size in self.patch):
            raise LuminaError(
                f"modality.patch={list(self.patch)}: use three whole numbers of 1 or more"
            )
        if self.num_frames * self.height * self.width > MAX_PIXELS:
            raise LuminaError(
                f"{self.num_frames} frames of {self.width} x {self.height} are more than "
                f"{MAX_PIXELS} pixels; make the clip smaller or shorter"
            )

    @property
    def num_frames(self) -> int:
        """Frames of the clip, whichever of the two keys says it."""
        return num_frames(self.frames, self.seconds, self.fps)


def num_frames(frames: int | None, seconds: float | None, fps: float) -> int:
    """Frames of a clip, whichever of the two says it; DEFAULT_FRAMES where neither does."""
    if frames is not None:
        return frames
    return DEFAULT_FRAMES if seconds is None else max(1, round(seconds * fps))


@dataclass(frozen=True)
class VideoCondition:
    """What may be given beside a prompt."""

    frames: str | None = field(metadata={"file": True})
    """A clip, or a picture, with which the clip to make begins."""
    num_frames: int | None
    """How many of its first frames are given; None: all."""

    def __post_init__(self) -> None:
        if self.frames is None:
            raise LuminaError(
                "condition.num_frames says how much of a clip is given; give it: "
                "condition.frames=FILE"
            )
        if self.num_frames is not None and self.num_frames < 1:
            raise LuminaError(f"condition.num_frames={self.num_frames}: use 1 or more")
