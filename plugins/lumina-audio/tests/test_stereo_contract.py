"""Stereo sounds through an autoencoder of waveforms keep the rules of parts, 16 bits and floats."""

import pytest
from tiny_waveforms import oobleck

from lumina_core.config.compose import compose_options
from lumina_core.testing.contract import run_check
from lumina_core.testing.rules import all_checks
from lumina_core.testing.subject import subject_of
from lumina_core.testing.verdicts import KEPT, NOT_APPLICABLE

PARTS = ("tokenizer", "vae", "decoder")
RANDOM = ("latents_are_normalised", "oracle_recognises_round_trips")  # no random weights keep these
CHECKS = [each for each in all_checks() if each.part in PARTS and each.name not in RANDOM]


@pytest.fixture(scope="module", params=["int16", "float32"])
def subject(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae") / "oobleck"
    oobleck(downsampling_ratios=[16, 16]).save_pretrained(folder)
    values = {"sample_rate": 8000, "channels": 2, "patch": [1, 1], "fmax": 4000.0}
    with subject_of("audio", folder) as made:
        asked = values | {"sample_format": request.param}
        vars(made)["options"] = compose_options("audio", asked)
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_rule(subject, check):
    result = run_check(check, subject)
    assert result.status in (KEPT, NOT_APPLICABLE), (
        f"{check.rule}\n{result.message}\n{result.trace}"
    )
