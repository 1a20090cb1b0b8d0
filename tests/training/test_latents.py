"""What is measured on latents before a training: by latents whose numbers are known."""

from dataclasses import replace

import pytest
import torch

from lumina_core.cli.main import main
from lumina_core.training import command
from lumina_core.training.compose import compose_train
from lumina_core.training.latents import (
    FAULT,
    GOOD,
    WARNING,
    kurtosis,
    latent_findings,
    latent_warnings,
    share_explained,
    top_energy,
)


def latents_of(between, within, seed=0):
    """Means of captions and draws around them, with these variances."""
    generator = torch.Generator().manual_seed(seed)
    means = between**0.5 * torch.randn(24, 1, 4000, generator=generator)
    return means + within**0.5 * torch.randn(24, 8, 4000, generator=generator)


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.0), (0.5, 0.5), (0.1, 0.9), (0.0, 1.0)])
def test_the_share_is_that_of_the_variance_between_captions(between, within):
    found = share_explained(latents_of(between, within))
    assert found == pytest.approx(between / (between + within), abs=0.02)


def test_a_latent_that_never_varies_says_nothing():
    nothing = torch.zeros(24, 8, 100)
    assert share_explained(nothing) == 0
    assert top_energy(nothing) == 1
    assert [each.verdict for each in latent_findings(nothing, 4, 128)][:2] == [FAULT, WARNING]


def test_kurtosis_and_energy_tell_spikes_from_smooth_numbers():
    normal = latents_of(0.5, 0.5)
    assert kurtosis(normal) == pytest.approx(3, abs=0.1)
    assert top_energy(normal) == pytest.approx(0.09, abs=0.01)  # beyond 2.58 std
    spikes = (torch.rand(24, 8, 4000, generator=torch.Generator().manual_seed(0)) < 0.01).float()
    assert kurtosis(spikes) == pytest.approx(1 / 0.01 - 3, rel=0.1)  # of a rare event
    assert top_energy(spikes) > 0.9


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.1, FAULT), (0.2, WARNING), (0.35, WARNING), (0.45, GOOD)]
)
def test_a_share_is_judged_by_its_limits(share, verdict):
    first, *others = latent_findings(latents_of(share, 1 - share), 64, 128)
    assert first.verdict == verdict
    assert [each.verdict for each in others] == [GOOD] * 3
    assert latent_findings(latents_of(0.7, 0.3), 65, 128)[3].verdict == WARNING


def test_a_run_on_its_world_is_warned_once_before_the_first_step(
    tiny_training, tmp_path, capsys, monkeypatch
):
    spikes = torch.zeros(24, 4, 400)
    spikes[:, ::2, 0] = 1
    monkeypatch.setattr("lumina_core.training.latents.drawn_latents", lambda *_: spikes)
    words = tiny_training(tmp_path / "out", "max_steps=1", "data.pool_size=100")
    assert main(["train", *words, "data.pool_start=4"]) == 0
    said = capsys.readouterr().err
    lines = (
        "warning: captions explain 0% of the latent: draw with less freedom, or encode what "
        "captions name\n",
        "warning: its kurtosis is 798: ",
        "warning: the largest 1% of its cells hold 100% of its energy: ",
    )
    assert [said.count(line) for line in lines] == [1] * 3
    assert "a token has" not in said  # that is good
    assert main(["train", *words, "data.pool_start=4", "resume=true", "max_steps=2"]) == 0
    said = capsys.readouterr().err
    assert [said.count(line) for line in lines] == [0] * 3


@pytest.mark.parametrize("change", ["small pool", "weights", "slow"])
def test_nothing_is_told_where_it_would_mean_nothing_or_take_long(
    change, tiny_training, tmp_path, tiny_model, monkeypatch
):
    size = 4 if change == "small pool" else 100
    config = compose_train(tiny_training(tmp_path / "out", f"data.pool_size={size}"))
    if change == "weights":
        config = replace(config, init_from="demo")
    found = torch.zeros(1, 4, 400)  # what was drawn in time

    def drawn(*_):
        assert change == "slow"
        return found

    monkeypatch.setattr("lumina_core.training.latents.drawn_latents", drawn)
    assert list(latent_warnings(config, {"image": tiny_model})) == []


def test_an_interrupted_examination_says_that_nothing_is_lost(
    tiny_training, tmp_path, monkeypatch, capsys
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "latent_warnings", interrupted)
    assert main(["train", *tiny_training(tmp_path / "out")]) == 130
    assert "before the first step; nothing is lost" in capsys.readouterr().err
    assert not (tmp_path / "out" / "config.json").exists()
