"""Large samples that begin small."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from rich.progress import Progress

from lumina_core import LuminaError
from lumina_core.checkpoints import folder as checkpoint
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import step_bar
from lumina_core.sampling.request import Request, num_positions
from lumina_core.sampling.sample import batches, sample, sample_batch
from lumina_core.sampling.settings import CoarseConfig


@pytest.fixture
def settings():
    values = compose_sampling("image")
    return replace(values, solver=replace(values.solver, num_steps=2))


def request(side, seed=3):
    options = replace(compose_options("image"), height=side, width=side)
    return Request("a red circle", "", seed, options)


def test_only_long_samples_begin_small(tiny_model, settings):
    coarse = replace(settings, coarse=CoarseConfig(above=30, tokens=20, strength=0.5))
    small, large = request(32), request(64)
    assert [num_positions(tiny_model, r.options) for r in (small, large)] == [20, 72]
    plain = sample(tiny_model, [small, large], settings)
    begun = sample(tiny_model, [small, large], coarse)
    assert torch.equal(plain[0].media, begun[0].media)
    assert not torch.equal(plain[1].media, begun[1].media)
    assert begun[1].media.shape == plain[1].media.shape
    evaluations = [item.network_evaluations for item in (*plain, *begun)]
    assert evaluations == [4, 4, 4, 8]


def test_steps_are_counted_over_the_small_sample_and_the_large_one(tiny_model, settings):
    steps = []
    coarse = replace(settings, coarse=CoarseConfig(30, 20, 0.5))
    sample_batch(tiny_model, [request(64)], coarse, on_step=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_bar_is_full_when_all_is_made_and_not_before(tiny_model, settings, monkeypatch):
    shares = []
    update = Progress.update

    def watched(bar, task, **change):
        update(bar, task, **change)
        shares.append(bar.tasks[0].completed / bar.tasks[0].total)

    monkeypatch.setattr(Progress, "update", watched)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    coarse = replace(settings, coarse=CoarseConfig(30, 20, 0.5))
    with step_bar(2) as on_step:
        for side in (32, 64):
            sample_batch(tiny_model, [request(side)], coarse, on_step=on_step)
    assert shares == pytest.approx([1 / 4, 2 / 4, 5 / 8, 6 / 8, 7 / 8, 1])


def test_a_weak_finish_keeps_what_the_small_one_shows(tiny_model, settings):
    (small,) = sample(tiny_model, [request(32)], settings)
    modality = tiny_model.modality
    large = modality.enlarged(small.media, request(64).options)
    kept = modality.vae.decode(modality.vae.encode(large)).int()

    def change(strength):
        coarse = replace(settings, coarse=CoarseConfig(30, 20, strength))
        (made,) = sample(tiny_model, [request(64)], coarse)
        return (made.media.int() - kept).abs().float().mean()

    assert change(0.01) < change(0.3) < change(0.99)


def test_batches_do_not_mix_what_begins_small(tiny_model, settings, monkeypatch):
    monkeypatch.setattr(type(tiny_model), "device", torch.device("meta"))  # packs, as a GPU does
    coarse = replace(settings, coarse=CoarseConfig(30, 20, 0.5))
    asked = [request(32), request(32, 4), request(64), request(64, 4), request(32, 5)]
    assert [len(batch) for batch in batches(tiny_model, asked, coarse)] == [2, 2, 1]
    assert [len(batch) for batch in batches(tiny_model, asked, settings)] == [5]


@pytest.mark.parametrize("values", [(10, 20, 0.5), (30, 0, 0.5), (30, 20, 0.0), (30, 20, 1.0)])
def test_numbers_are_checked(values):
    with pytest.raises(LuminaError, match="coarse"):
        CoarseConfig(*values)


def test_a_checkpoint_recommends_what_run_does(tiny_checkpoint, tmp_path, capsys):
    folder = tmp_path / "exported"
    advice = {"coarse": {"above": 30, "tokens": 20}}
    checkpoint.export(tiny_checkpoint, folder, torch.float32, {"image": advice})
    words = ["modality=image", f"checkpoint={folder}", "prompt=a red circle"]
    assert compose_run(words).coarse == CoarseConfig(30, 20, 0.7)
    assert compose_run([*words, "coarse.above=null"]).coarse.above is None
    out = tmp_path / "a.png"
    more = ["solver.num_steps=2", "device=cpu", "json=true", f"out={out}"]
    assert main(["run", *words, *more]) == 0
    assert json.loads(capsys.readouterr().out)["network_evaluations"] == 8
    again = ["run", f"repeat={out}", f"checkpoint={folder}", f"out={tmp_path / 'b.png'}"]
    assert main([*again, "device=cpu"]) == 0
    assert out.read_bytes() == (tmp_path / "b.png").read_bytes()
