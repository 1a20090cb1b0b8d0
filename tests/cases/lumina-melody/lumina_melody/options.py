"""What a user may choose about melodies. Light: imports no torch."""

from dataclasses import dataclass

from lumina_core import Options, setting

MAX_BEATS = 4096  # keeps a slip of the finger from filling the memory
STEPS_PER_BEAT = 4  # sixteenth notes


@dataclass(frozen=True)
class MelodyOptions(Options):
    """Options of the melody modality."""

    beats: int = setting(8, "length in quarter notes", unit="beats", at_least=1, at_most=MAX_BEATS)


@dataclass(frozen=True)
class PianorollOptions(MelodyOptions):
    """Options of the same melodies with the other latent."""

    patch: int = setting(
        4, "of a token", unit="sixteenth notes", at_least=1, at_most=MAX_BEATS, fixed=True
    )
