"""The entry point of melodies whose latent has one token per note."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The melody modality."""
    return ModalitySpec(
        options="lumina_melody.options:MelodyOptions",
        modality="lumina_melody.melody:MelodyModality",
        api=(3, 0),
    )
