"""What the tests of the core and of its plugins share."""

import pytest

pytest_plugins = ["lumina_core.testing.fixtures"]


@pytest.fixture(scope="session", autouse=True)
def _quick(small_vocabulary: int) -> None:
    """Trainings draw few captions."""
