"""What a user may choose about signals. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import Options, setting

LONGEST = 1 << 20  # keeps a slip of the finger from filling the memory


@dataclass(frozen=True)
class MymodalityOptions(Options):
    """Options of the mymodality modality."""

    samples: int = setting(128, "length of a signal", unit="samples", at_least=1, at_most=LONGEST)
    patch: int = setting(
        8, "length of a token", unit="samples", at_least=1, at_most=LONGEST, fixed=True
    )
