"""The contract of a modality without a world: its parts are checked on what they decode."""

import pytest
from new_packages import installed
from planting import NAME, NO_WORLD, edit

from lumina_core.testing import all_checks, run_contract

OF_THE_WORLD = {
    "sizes_differ",
    "latents_are_normalised",
    "oracle_recognises_round_trips",
    *(check.name for check in all_checks() if check.part == "world"),
}
NOT_OF_TEMPLATES = {"features_fit_the_frames", "weights_wait_for_their_use"}
PARTS = ("options", "tokenizer", "vae", "decoder", "world")


@pytest.mark.parametrize("shape", ["line", "grid"])
def test_only_rules_about_the_world_do_not_apply(shape, tmp_path, monkeypatch):
    names = [check.name for check in all_checks() if check.part in PARTS]
    with installed(NAME, shape, tmp_path, monkeypatch, lambda package: edit(package, NO_WORLD)):
        results = list(run_contract(NAME, names))
    status = {result.check.name: result.status for result in results}
    assert [(r.check.name, r.message) for r in results if r.status == "broken"] == []
    skipped = {name for name, found in status.items() if found == "not applicable"}
    assert skipped - NOT_OF_TEMPLATES == OF_THE_WORLD


def test_a_rule_about_training_says_that_there_is_no_world(tmp_path, monkeypatch):
    with installed(NAME, "line", tmp_path, monkeypatch, lambda package: edit(package, NO_WORLD)):
        (result,) = run_contract(NAME, ["trains_a_step"])
    assert (result.status, result.message) == ("not applicable", "it has no synthetic world")
