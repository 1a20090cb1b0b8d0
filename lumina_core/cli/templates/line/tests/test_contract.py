"""The plugin keeps the contract of lumina-core."""

from lumina_core.testing import ModalityContract


class TestContract(ModalityContract):
    """Every rule as a test."""

    modality = "mymodality"
