"""The entry point of melodies whose latent is the piano-roll itself, a grid of spikes."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The pianoroll modality."""
    return ModalitySpec(
        options="lumina_melody.options:PianorollOptions",
        modality="lumina_melody.pianoroll:PianorollModality",
        api=(3, 0),
    )
