"""The contract finds faults: each one planted in a template breaks the check of its rule."""

import pytest
from new_packages import installed
from planted_faults import FAULTS
from planting import NAME, edit

from lumina_core.errors import LuminaError
from lumina_core.testing import all_checks, run_contract
from lumina_core.testing.process_state import state_kept

SHARE = 0.95  # of the faults that are caught
MIN_FAULTS = 40
USED_BEFORE = "files_hold_the_media"
REFUSED = {
    "options can be changed": "write @dataclass",
    "no default": "patch must be a whole number, got null",
    "a default out of its own bounds": "patch is 8; set a whole number",
    "a word for a number": "patch must be a whole number",
}
"""Faults with which the host refuses the modality, before any check; what it says."""
OF_SURROUNDINGS = [check.name for check in all_checks() if check.part == "surroundings"]


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    """Take back what faults change in this process."""
    monkeypatch.chdir(tmp_path)
    with state_kept():
        yield


def result_of(check):
    """What becomes of one check; before one of surroundings another uses the parts."""
    names = [USED_BEFORE, check] if check in OF_SURROUNDINGS else [check]
    return list(run_contract(NAME, names))[-1]


FIRST = {fault.check: fault for fault in reversed(FAULTS)}
"""By check; the nox session `faults` plants the others."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault,
            id=f"{fault.check}: {fault.name}",
            marks=() if fault is FIRST[fault.check] else pytest.mark.faults,
        )
        for fault in FAULTS
    ],
)
def test_a_planted_fault_breaks_its_check(fault, tmp_path, monkeypatch):
    with installed(NAME, fault.shape, tmp_path, monkeypatch, fault.plant):
        if fault.name in REFUSED:
            with pytest.raises(LuminaError, match=REFUSED[fault.name]):
                result_of(fault.check)
            return
        result = result_of(fault.check)
    wanted = "broken" if fault.survives is None else "kept"
    assert (result.status, result.trace) == (wanted, ""), result.message


SOUND = sorted({(fault.shape, fault.check, fault.sound) for fault in FAULTS}, key=str)


@pytest.mark.faults
@pytest.mark.parametrize("shape", ["line", "grid"])
def test_without_fault_the_checks_are_kept(shape, tmp_path, monkeypatch):
    checks = sorted({fault.check for fault in FAULTS if fault.shape == shape and not fault.sound})
    with installed(NAME, shape, tmp_path, monkeypatch):
        results = list(run_contract(NAME, checks))
    assert [(r.check.name, r.status, r.message) for r in results if r.status != "kept"] == []


@pytest.mark.faults
@pytest.mark.parametrize(
    ("shape", "check", "sound"),
    [one for one in SOUND if one[2]],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_added_to_a_template_is_without_fault(shape, check, sound, tmp_path, monkeypatch):
    with installed(NAME, shape, tmp_path, monkeypatch, lambda package: edit(package, sound)):
        result = result_of(check)
    assert (result.status, result.message) == ("kept", "")


def test_faults_are_planted_over_the_whole_contract():
    caught = [fault for fault in FAULTS if fault.survives is None]
    assert len(FAULTS) >= MIN_FAULTS
    assert all(fault.survives is None for fault in FIRST.values())
    assert {fault.check for fault in FAULTS} == {check.name for check in all_checks()}
    assert len({(fault.check, fault.name) for fault in FAULTS}) == len(FAULTS)
    assert len(caught) >= SHARE * len(FAULTS)
