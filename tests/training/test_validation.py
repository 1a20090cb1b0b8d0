import re
from dataclasses import replace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.data import synthetic
from lumina_core.data.pool import LatentPool
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.synthetic import SyntheticPool
from lumina_core.runtime import derived_seed, seeded
from lumina_core.sampling.compose import compose_sampling
from lumina_core.training import command
from lumina_core.training import start as training_start
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import Drawn, drawn_loss
from lumina_core.training.validation import (
    NOISE_STREAM,
    Held,
    accuracy,
    held_samples,
    measures,
    validation_loss,
    validation_samples,
    with_other_captions,
)

TIMES = (0.1, 0.5)
DATA = SyntheticConfig(pool_size=4, pool_start=4, refresh_per_step=1)


def measured(model, samples, budget=300):
    return validation_loss(model, samples, TIMES, 0, token_budget=budget, dtype="float32")


def held(model, count):
    return validation_samples(SyntheticPool("image", model.modality, DATA, 0), count)


def test_validation_is_fixed_and_follows_the_weights(tiny_model):
    samples = held(tiny_model, 3)
    again = held(tiny_model, 3)
    torch.manual_seed(5)  # no other randomness than that of its streams
    first = measured(tiny_model, samples)
    assert first.keys() == {"0.1", "0.5"}
    assert measured(tiny_model, again) == first
    one_by_one = measured(tiny_model, samples, budget=1)
    assert one_by_one == pytest.approx(first, rel=1e-5)  # how it is split does not matter
    bias = tiny_model.backbone.outputs["image"].bias
    with torch.no_grad():
        bias += 1
        assert measured(tiny_model, samples) != first
        bias -= 1


def test_validation_loss_is_the_mean_at_each_time_on_its_noise(tiny_model):
    samples = held(tiny_model, 2)
    stream = derived_seed(0, NOISE_STREAM)
    for t in TIMES:
        losses = []
        for number, sample in enumerate(samples):
            x_0 = torch.randn(sample.tokens.tokens.numel(), generator=seeded(stream, number))
            losses.append(drawn_loss(tiny_model, Drawn([sample], torch.tensor([t]), x_0)).item())
        wanted = sum(losses) / 2
        assert measured(tiny_model, samples)[f"{t:g}"] == pytest.approx(wanted, rel=1e-5)


def test_accuracy_is_what_evaluate_measures(tiny_model, monkeypatch):
    right = iter([True, False, True, True])
    monkeypatch.setattr(
        type(synthetic.world_of(tiny_model.modality)),
        "judge",
        lambda *_: {"color": next(right)},
    )
    sampling = replace(compose_sampling("image"))
    sampling = replace(sampling, solver=replace(sampling.solver, num_steps=1))
    options = tiny_model.modality.options
    found = accuracy(tiny_model, options, sampling, lambda: False, num_prompts=4, seed=0)
    assert (found["accuracy"], found["num_prompts"]) == (0.75, 4)
    assert sum(task["num_prompts"] for task in found["tasks"].values()) == 4
    right = iter([True])  # a second sample would find no verdict
    assert accuracy(tiny_model, options, sampling, lambda: True, num_prompts=4, seed=0) is None


def test_a_run_measures_on_schedule_with_its_averaged_weights(
    tiny_training, tmp_path, capsys, monkeypatch, metrics
):
    from lumina_core.training import validation

    monkeypatch.setattr(validation, "accuracy", lambda *_, **__: {"accuracy": 0.25})
    out = tmp_path / "out"
    words = ["validate_every=2", "num_validation_samples=2", "validation_times=[0.1,0.5]"]
    words += ["evaluate_every=3", "num_evaluation_prompts=4", "max_steps=4", "log_every=9"]
    assert main(["train", *tiny_training(out, *words)]) == 0
    err = capsys.readouterr().err
    entries = metrics(out)
    found = [(entry["step"], next(key for key in entry if key != "step")) for entry in entries]
    assert found == [
        (2, "validation_loss"),
        (3, "evaluation"),
        (4, "loss"),
        (4, "validation_loss"),
    ]
    assert "step 3  right 25.0% of 4 prompts" in err
    assert re.search(
        r"step 4  validation loss [\d.]+, [\d.]+% (more|less) at t = 0.1 with captions of others\n",
        err,
    )
    config = compose_train(tiny_training(out, *words, "resume=true"))
    run = training_start.start(config)
    samples = {"image": Held(held_samples(config, run.mixture.sources["image"]), [])}
    (again,) = measures(training_start.averaged(run), 4, config, {}, samples, lambda: False)
    assert again[0] == entries[-1]


def test_each_sample_gets_the_caption_of_another_one(tiny_model):
    samples = held(tiny_model, 5)
    named = [replace(one, caption=text) for one, text in zip(samples, "abaac", strict=True)]
    others = with_other_captions(named)
    assert [one.caption for one in others] == ["c", "a", "c", "b", "b"]
    assert all(a.tokens is b.tokens for a, b in zip(others, named, strict=True))
    assert with_other_captions([replace(one, caption="same") for one in samples]) == []
    assert with_other_captions(samples[:1]) == []


def test_a_validation_logs_the_loss_with_other_captions_and_without(
    tiny_training, tmp_path, tiny_model
):
    samples = held(tiny_model, 4)
    config = compose_train(tiny_training(tmp_path / "out", "validate_every=1"))
    config = replace(config, validation_times=TIMES)

    def measured_of(of):
        of = {"image": Held(of, [])}
        models = {"image": tiny_model}
        ((line, text),) = measures(models, 1, config, {}, of, lambda: False)
        return line, text

    line, text = measured_of(samples)
    right, shuffled = line["validation_loss"], line["shuffled_loss"]
    assert right == measured(tiny_model, samples)
    assert shuffled == measured(tiny_model, with_other_captions(samples))
    alone = [replace(one, caption="") for one in samples]
    assert line["uncaptioned_loss"] == measured(tiny_model, alone)
    assert len({right["0.1"], shuffled["0.1"], line["uncaptioned_loss"]["0.1"]}) == 3
    gap = shuffled["0.1"] / right["0.1"] - 1
    assert line["caption_gap"]["0.1"] == pytest.approx(gap)
    assert f"{abs(gap):.1%} {'more' if gap > 0 else 'less'} at t = 0.1 with" in text
    line, text = measured_of([replace(one, caption="a red circle") for one in samples])
    assert "caption_gap" not in line and "shuffled_loss" not in line
    assert "captions of others" not in text


@pytest.mark.parametrize("times", ["[]", "[0.5,0.5]", "[1.5]", "[-0.1]"])
def test_validation_times_are_checked(tiny_training, tmp_path, times):
    words = tiny_training(tmp_path / "out", "validate_every=1", f"validation_times={times}")
    with pytest.raises(LuminaError, match="validation_times is"):
        compose_train(words)


def test_evaluation_needs_a_world(tiny_training, tmp_path, capsys, monkeypatch):
    start = training_start.start

    def without_world(config):
        run = start(config)
        run.model.modality.world = None
        return run

    monkeypatch.setattr(command, "start", without_world)
    capsys.readouterr()
    out = tmp_path / "out"
    assert main(["train", *tiny_training(out, "evaluate_every=1")]) == 2
    err = capsys.readouterr().err
    assert "evaluate_every=1 needs the oracle of a synthetic world" in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_validation_takes_the_samples_that_can_be_used(tiny_model):
    class Broken(LatentPool):
        captions = vocabulary_captions = variants = summary = None

        def draw(self, number):
            raise AssertionError("training draws these")

        def held_out(self, number):
            return good if is_good(number) else None

    good = held(tiny_model, 1)[0]
    is_good = lambda number: True  # noqa: E731
    assert len(validation_samples(Broken(4, 1), 3)) == 3
    is_good = lambda number: number % 2  # noqa: E731, one of them
    assert len(validation_samples(Broken(4, 1), 4)) == 2
    is_good = lambda number: False  # noqa: E731
    with pytest.raises(LuminaError, match="none of num_validation_samples=4"):
        validation_samples(Broken(4, 1), 4)
