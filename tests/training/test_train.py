"""What a training step computes, and what a run leaves behind."""

import json
import re
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from states import state_in

from lumina_core.checkpoints import manifest
from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.data.mixture import Pick
from lumina_core.data.source import CaptionedSample
from lumina_core.runtime import autocast, seeded
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.sequence import TokenSample, _unscaled_layout
from lumina_core.training import loss, start, step, train
from lumina_core.training import state as training_state
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import draw, drawn_loss
from lumina_core.training.saving import Kept, Saver


@pytest.fixture
def run(tiny_training, tmp_path):
    config = compose_train(tiny_training(tmp_path / "out"))
    return start.start(config), config


def samples_for(state, count):
    return [state.mixture.sources["image"].draw(number) for number in range(count)]


def loss_of(run, samples, caption_dropout=0.0, seed=0):
    state, config = run
    objectives = {config.modality: loss.Objective(config.time, caption_dropout, None, 0.0, 0.0)}
    generators = [seeded(seed, number) for number in range(len(samples))]
    return drawn_loss(state.model, draw(samples, objectives, generators))


def draw_for(state, config, count):
    for parameter in state.networks.parameters():  # a fresh model predicts 0 whatever it is given
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    samples = samples_for(state, count)
    picks = [Pick(n, "image", n, 1) for n in range(count)]
    return step.drawn_batch(list(zip(picks, samples, strict=True)), config, 0)


def gradients(state):
    found = {n: p.grad.clone() for n, p in state.networks.named_parameters() if p.grad is not None}
    state.optimizer.zero_grad()
    return found


def test_loss_falls_on_a_few_samples(run):
    state, _ = run
    samples = samples_for(state, 2)
    optimizer = torch.optim.AdamW(state.networks.parameters(), lr=3e-3)
    before = loss_of(run, samples).mean().item()
    for _ in range(60):
        loss_of(run, samples).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss_of(run, samples).mean().item() < 0.6 * before


def test_loss_depends_on_its_generator_alone(run):
    samples = samples_for(run[0], 2)
    torch.manual_seed(1)
    first = loss_of(run, samples, 0.5)
    torch.manual_seed(2)
    assert torch.equal(first, loss_of(run, samples, 0.5))
    assert not torch.equal(first, loss_of(run, samples, 0.5, seed=1))


def test_full_caption_dropout_trains_without_captions(run):
    state, _ = run
    samples = samples_for(state, 1)
    others = [replace(samples[0], caption="a star")]
    for block in state.model.backbone.blocks:  # a fresh model predicts 0 whatever the text
        torch.nn.init.normal_(block.modulation.weight)
    torch.nn.init.normal_(state.model.backbone.outputs["image"].weight)
    torch.nn.init.normal_(state.model.backbone.pooled_linear.weight)
    assert torch.equal(loss_of(run, samples, 1.0), loss_of(run, others, 1.0))
    assert not torch.equal(loss_of(run, samples, 0.0), loss_of(run, others, 0.0))


def test_micro_batches_give_the_gradient_of_one_batch_also_where_one_is_broken(run):
    state, config = run
    drawn = draw_for(state, config, 5)
    drawn_loss(state.model, drawn).mean().backward()
    wanted = gradients(state)
    whole = samples_for(state, 5)
    pairs = [(Pick(n, "image", n, 1), sample) for n, sample in enumerate(whole)]
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "loaded", lambda *_: [pairs[:2], [], pairs[2:]])
        patch.setattr(state.optimizer, "step", lambda: taken.append(gradients(state)))
        patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.zeros(()))
        metrics = step.training_step(state, config)
    assert metrics["loss"] == pytest.approx(drawn_loss(state.model, drawn).mean().item())
    for name, value in wanted.items():
        torch.testing.assert_close(taken[0][name], value, rtol=1e-4, atol=1e-6)


def test_bfloat16_is_near_and_keeps_the_weights_in_float32(run):
    state, config = run
    drawn = draw_for(state, config, 3)
    exact = drawn_loss(state.model, drawn)
    with autocast(state.model.device, "float32"):
        assert torch.equal(drawn_loss(state.model, drawn), exact)
    with autocast(state.model.device, "bfloat16"):
        near = drawn_loss(state.model, drawn)
    assert near.dtype == torch.float32
    assert not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, rtol=0.02, atol=0)
    step.training_step(state, replace(config, dtype="bfloat16"))
    kept = training_state.training_state(state.networks, state.average, state.optimizer)
    assert {value.dtype for value in kept.values()} == {torch.float32}


def test_saving_leaves_the_networks_as_they_are(run):
    state, config = run
    before = {key: value.clone() for key, value in state.networks.state_dict().items()}
    average = {key: value.clone() for key, value in state.average.state_dict().items()}
    modes = [module.training for module in state.networks.modules()]
    with Saver(Kept(last=1, every=0)) as saver:
        folder = train.save_checkpoint(state, replace(config, save_dtype="bfloat16"), saver)
    assert modes == [module.training for module in state.networks.modules()]
    for module, saved in ((state.networks, before), (state.average, average)):
        for key, value in module.state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, saved[key])
    for name in ("backbone", "text_encoder/model", "vae/image/diffusion_pytorch_model"):
        weights = load_file(folder / f"{name}.safetensors")
        assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    state_ = state_in(folder)
    assert torch.bfloat16 not in {value.dtype for value in state_.values()}


def test_sampling_never_spoils_training(run):
    state, config = run
    model = start.averaged(state)["image"]
    options = replace(config.options, height=48, width=64)
    _unscaled_layout.cache_clear()  # the sizes are new to the process
    sample(model, [Request("a star", "", 0, options)], compose_sampling("image"))
    picture = torch.zeros(3, 48, 64, dtype=torch.uint8)
    latent = model.modality.vae.encode(picture)
    grid = model.modality.tokenizer.grid(tuple(latent.shape))
    tokens = TokenSample("image", grid, model.modality.tokenizer.tokenize(latent))
    loss_of(run, [CaptionedSample(tokens, "a star")]).sum().backward()


def test_a_run_is_made_of_what_it_says(tiny_training, tmp_path, capfd, metrics):
    out = tmp_path / "out"
    more = ["sample_every=2", "num_sample_prompts=2", "save_every=1", "max_steps=4", "log_every=2"]
    assert main(["train", *tiny_training(out, *more)]) == 0
    captured = capfd.readouterr()
    newest = out / "checkpoints" / "step-0000004"
    made = {"checkpoint": str(newest), "step": 4, "num_skipped": 0}
    assert json.loads(captured.out) == made
    # no bars and no advice of the libraries; a line every two steps and before each checkpoint
    lines = [line.split("  ") for line in captured.err.splitlines()]
    assert [words[0] for words in lines] == ["step 1/4", "step 2/4", "step 3/4", "step 4/4"]
    told = r"loss [\d.]+|gradient \S+|learning rate \S+|\d+ tokens/s|[\d.]+% of peak|waits \d+%"
    told += r"|[\d.]+ GB|[\d.]+ \w+ left"
    assert all(re.fullmatch(told, words) for line in lines for words in line[1:])
    assert [path.name for path in finished(out / "checkpoints")] == [
        f"step-000000{n}" for n in range(1, 5)
    ]
    kept = [path.parent.name[-1] for path in sorted(out.glob("checkpoints/*/state"))]
    assert kept == ["3", "4"]
    for folder in finished(out / "checkpoints"):
        manifest.verify(folder, manifest.read_manifest(folder))
    assert sorted(path.name for path in (out / "samples").iterdir()) == [
        "step-0000002.png",
        "step-0000004.png",
    ]
    entries = metrics(out)
    assert [entry["step"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0].keys() == {
        *("step", "loss", "gradient_norm", "learning_rate", "tokens_per_second", "seconds"),
        *("loss_of", "loss_at", "loss_sized", "token_share", "num_skipped", "seconds_left"),
        *("wait_seconds", "peak", "peak_share", "peak_bytes"),
    }
    assert all(0 <= entry["wait_seconds"] <= entry["seconds"] for entry in entries)
    assert all(0 < entry["peak_share"] < 1 for entry in entries)
    assert (out / "report.html").exists()


def test_a_line_of_the_log_is_of_all_steps_since_the_last_one(tiny_training, tmp_path, metrics):
    each, some = tmp_path / "each", tmp_path / "some"
    words = ["max_steps=4", "sample_every=0", "num_threads=1"]
    assert main(["train", *tiny_training(each, *words, "log_every=1")]) == 0
    assert main(["train", *tiny_training(some, *words, "log_every=3")]) == 0
    lines, (line, last) = metrics(each), metrics(some)
    assert (line["step"], last["step"]) == (3, 4)
    assert last["loss"] == lines[3]["loss"]
    losses, norms = ([entry[key] for entry in lines[:3]] for key in ("loss", "gradient_norm"))
    assert min(losses) < line["loss"] < max(losses)
    assert line["gradient_norm"] == pytest.approx(sum(norms) / 3)


def test_a_stopped_run_logs_what_it_measured_since_the_last_line(
    tiny_training, tmp_path, metrics, monkeypatch
):
    whole = train.training_step

    def stopping(*arguments):
        found = whole(*arguments)
        if found["step"] == 2:
            signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(train, "training_step", stopping)
    words = tiny_training(tmp_path, "max_steps=9", "log_every=9", "sample_every=0")
    assert main(["train", *words]) == 130
    assert [entry["step"] for entry in metrics(tmp_path)] == [2]


def test_tensorboard_has_the_log_and_goes_with_the_run_that_is_replaced(tiny_training, tmp_path):
    words = ["max_steps=1", "sample_every=0", "tensorboard=true"]
    for more in ([], ["overwrite=true"]):
        assert main(["train", *tiny_training(tmp_path, *words, *more)]) == 0
        (events,) = (tmp_path / "tensorboard").iterdir()
        assert b"loss_of/image" in events.read_bytes()
