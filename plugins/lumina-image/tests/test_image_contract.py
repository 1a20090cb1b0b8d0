"""The modality keeps the contract of lumina-core."""

import pytest

from lumina_core.testing import ModalityContract


class TestContract(ModalityContract):
    """Every rule as a test."""

    modality = "image"

    @pytest.fixture(autouse=True)
    def _autoencoder_of_dark_backgrounds(self, request):
        """The demo's autoencoder was trained, and its latents measured, before light ones came."""
        if "latents_are_normalised" in request.node.name:
            reason = "needs an autoencoder that was trained on light backgrounds"
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
