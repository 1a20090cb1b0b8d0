"""The entry point: names the modality and where its parts are. Imports nothing heavy."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The mymodality modality."""
    return ModalitySpec(
        api=(3, 0),
        options="lumina_mymodality.options:MymodalityOptions",
        modality="lumina_mymodality.mymodality:MymodalityModality",
    )
