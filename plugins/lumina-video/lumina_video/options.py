"""What a user may choose about clips. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import LuminaError, Options, Settings, setting

MAX_SIDE = 16_384  # keeps a slip of the finger from filling the memory
MAX_FRAMES = 100_000
MAX_PIXELS = 1 << 28  # of all frames together, 800 MB as RGB: of a clip that is made or read
DEFAULT_FRAMES = 12
FPS_LIMITS = (0.1, 240)


@dataclass(frozen=True)
class VideoOptions(Options):
    """Options of the video modality."""

    height: int = setting(48, "height of the clip", unit="pixels", at_least=1, at_most=MAX_SIDE)
    width: int = setting(48, "width of the clip", unit="pixels", at_least=1, at_most=MAX_SIDE)
    frames: int | None = setting(
        None,
        "length of the clip; null: as `seconds` says; 12 where both are null",
        unit="frames",
        at_least=1,
        at_most=MAX_FRAMES,
    )
    seconds: float | None = setting(
        None, "length of the clip; null: as `frames` says", unit="seconds", above=0
    )
    fps: float = setting(
        8.0,
        "speed of the clip",
        unit="frames per second",
        at_least=FPS_LIMITS[0],
        at_most=FPS_LIMITS[1],
    )
    patch: tuple[int, int, int] = setting(
        (1, 2, 2),
        "size of a token along frames, height and width",
        unit="latent cells",
        at_least=1,
        at_most=MAX_SIDE,
        fixed=True,
    )
    vae: str = setting(
        "demo",
        "the autoencoder: demo, wan, ltx, cogvideox, or the folder or hub id of a diffusers one",
        fixed=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds is not None and self.seconds * self.fps > MAX_FRAMES:
            raise LuminaError(
                f"modality.seconds={self.seconds} is out of range at {self.fps} frames per second; "
                f"use at most {MAX_FRAMES} frames"
            )
        if self.frames is not None and self.seconds is not None:
            raise LuminaError(
                f"modality.frames={self.frames} and modality.seconds={self.seconds} both say how "
                "long the clip is; leave one out or set it to null"
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
class VideoCondition(Settings, block="condition"):
    """The clip whose first frames are given."""

    frames: str | None = setting(
        None, "clip or picture with which the clip to make begins", file=True
    )
    num_frames: int | None = setting(
        None, "how many are given, from the first; null: all", unit="frames", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames is None:
            raise LuminaError(
                "condition.num_frames says how much of a clip is given; give it: "
                "condition.frames=FILE"
            )
