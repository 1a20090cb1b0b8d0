"""What a user may choose about frames. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import Options, setting

MAX_SIDE, MAX_FRAMES = 4096, 256  # keep a slip of the finger from filling the memory


@dataclass(frozen=True)
class MymodalityOptions(Options):
    """Options of the mymodality modality."""

    frames: int = setting(1, "how many", unit="frames", at_least=1, at_most=MAX_FRAMES)
    height: int = setting(
        24,
        "height of a frame, a multiple of the patch",
        unit="pixels",
        at_least=1,
        at_most=MAX_SIDE,
    )
    width: int = setting(
        24,
        "width of a frame, a multiple of the patch",
        unit="pixels",
        at_least=1,
        at_most=MAX_SIDE,
    )
    patch: int = setting(
        4, "both sides of a token", unit="pixels", at_least=1, at_most=MAX_SIDE, fixed=True
    )
