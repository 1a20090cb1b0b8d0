"""The entry point: names the image modality and where its parts are."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The image modality."""
    return ModalitySpec(
        api=(3, 0),
        options="lumina_image.options:ImageOptions",
        modality="lumina_image.image:ImageModality",
        condition="lumina_image.options:ImageCondition",
    )
