"""The entry point: names the multi-view modality and where its parts are."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The multi-view modality."""
    return ModalitySpec(
        api=(3, 0),
        options="lumina_multiview.options:MultiviewOptions",
        modality="lumina_multiview.multiview:MultiviewModality",
        condition="lumina_multiview.options:MultiviewCondition",
    )
