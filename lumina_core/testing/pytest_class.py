"""The contract as tests: the whole test file of a plugin is a subclass with its modality's name."""

from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from lumina_core.errors import LuminaError
from lumina_core.testing.contract import check_names, load_parts, run_check
from lumina_core.testing.rules import Check, all_checks
from lumina_core.testing.subject import Subject, subject_of
from lumina_core.testing.verdicts import BROKEN, NOT_APPLICABLE, NOT_CHECKED


class ModalityContract:
    """Subclass it as `class TestContract(ModalityContract)` and set `modality`."""

    modality: ClassVar[str] = ""
    """Name of the modality."""
    expected_failures: ClassVar[dict[str, str]] = {}
    """Checks that may fail, with the reason; one that passes all the same is a failure."""

    vae: ClassVar[Path | None] = None
    """Folder of an autoencoder, for a modality that needs weights and ships no demo."""

    _stack: ClassVar[ExitStack]
    _subject: ClassVar[Subject]
    _refusals: ClassVar[list[str]]
    """Why no rule can be checked: the first test tells it, the others are skipped."""

    @classmethod
    def setup_class(cls) -> None:
        """Make the modality once for all tests of the class."""
        cls._stack, cls._refusals = ExitStack(), []
        try:
            if not cls.modality:
                raise LuminaError(f'{cls.__name__} names no modality; write modality = "NAME"')
            check_names(cls.expected_failures)
            cls._subject = cls._stack.enter_context(subject_of(cls.modality, cls.vae))
            load_parts(cls._subject, cls.vae)
        except LuminaError as error:
            cls._refusals.append(str(error))

    @classmethod
    def teardown_class(cls) -> None:
        """Delete what the checks wrote."""
        cls._stack.close()

    @pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
    def test_rule(self, check: Check) -> None:
        """One rule."""
        if len(self._refusals) == 1:
            self._refusals.append("another test tells why no rule can be checked")
            pytest.fail(self._refusals[0], pytrace=False)
        if self._refusals:
            pytest.skip(self._refusals[-1])
        result = run_check(check, self._subject)
        reason = self.expected_failures.get(check.name)
        if result.status == NOT_APPLICABLE or (result.status == NOT_CHECKED and reason is None):
            pytest.skip(result.message)
        if result.status in (BROKEN, NOT_CHECKED) and reason is not None:
            pytest.xfail(reason)
        if result.status == BROKEN:
            pytest.fail(f"{check.rule}\n{result.message}\n{result.trace}", pytrace=False)
        assert reason is None, f"{check.name} passes; take it out of expected_failures"
