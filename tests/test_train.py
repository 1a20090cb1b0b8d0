import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file

from lumina_core import LuminaError, train
from lumina_core import checkpoint as checkpoints
from lumina_core.cli import main
from lumina_core.config import compose_sampling, compose_train
from lumina_core.data.synthetic import CaptionedSample, SyntheticPool, draw_sample
from lumina_core.loss import Drawn, draw, drawn_loss
from lumina_core.recipe import check_resumed, recipe
from lumina_core.runtime import autocast, seeded
from lumina_core.sampling import Request, sample
from lumina_core.sequence import Grid, TokenSample, layout
from lumina_core.training_log import MetricsLog, stop_on_signal

SIGNAL_WAIT_SECONDS = 120  # for a machine that does other things


@pytest.fixture
def run(tiny_training, tmp_path):
    config = compose_train(tiny_training(tmp_path / "out"))
    return train.start(config), config


def losses(out):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return {entry["step"]: entry["loss"] for entry in map(json.loads, lines)}


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def refusal(capsys, words):
    capsys.readouterr()
    assert main(["train", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_loss_falls_on_a_few_samples(run):
    state, config = run
    samples = [draw_sample("image", state.model.modality, seeded(n)) for n in range(2)]
    optimizer = torch.optim.AdamW(state.networks.parameters(), lr=3e-3)

    def loss():
        return train.training_loss(
            state.model, samples, train.Objective(config.time, 0.0, 0.0, 0.0), seeded(0)
        ).mean()

    before = loss().item()
    for _ in range(60):
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss().item() < 0.6 * before


def test_loss_depends_on_its_generator_alone(run):
    state, config = run
    samples = [draw_sample("image", state.model.modality, seeded(n)) for n in range(2)]

    def loss(seed):
        return train.training_loss(
            state.model, samples, train.Objective(config.time, 0.5, 0.0, 0.0), seeded(seed)
        )

    torch.manual_seed(1)
    first = loss(0)
    torch.manual_seed(2)
    assert torch.equal(first, loss(0))
    assert not torch.equal(first, loss(1))


def test_full_caption_dropout_trains_without_captions(run):
    state, config = run
    sample_ = draw_sample("image", state.model.modality, seeded(0))
    other = type(sample_)(sample_.tokens, "a star")

    def loss(item, dropout):
        return train.training_loss(
            state.model, [item], train.Objective(config.time, dropout, 0.0, 0.0), seeded(0)
        )

    for block in state.model.backbone.blocks:  # a fresh model predicts 0 whatever the text
        torch.nn.init.normal_(block.modulation.weight)
    torch.nn.init.normal_(state.model.backbone.outputs["image"].weight)
    torch.nn.init.normal_(state.model.backbone.pooled_linear.weight)
    assert torch.equal(loss(sample_, 1.0), loss(other, 1.0))
    assert not torch.equal(loss(sample_, 0.0), loss(other, 0.0))


@pytest.fixture
def restored_threads():
    """Puts back the number of threads that a run sets for its process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_run_equals_an_uninterrupted_one(
    tiny_training, tmp_path, optimizer, restored_threads
):
    more = [
        f"optimizer={optimizer}",
        "max_steps=6",
        "caption_dropout=0.5",
        "condition_share=0.5",
        "position_jitter=0.3",
        "optimizer.warmup_steps=2",
        "num_threads=1",  # several threads add in another order when the machine is busy
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *tiny_training(whole, *more)]) == 0
    assert main(["train", *tiny_training(parts, *more, "save_every=3")]) == 0
    shutil.rmtree(parts / "checkpoints" / "step-0000006")  # as if killed before the end
    assert losses(parts).keys() == set(range(1, 7))
    assert main(["train", *tiny_training(parts, *more, "resume=true")]) == 0
    assert losses(whole) == losses(parts)
    assert len((parts / "metrics.jsonl").read_text().splitlines()) == 6
    name = "checkpoints/step-0000006"
    first, second = (
        load_file(whole / name / "training.safetensors"),
        load_file(parts / name / "training.safetensors"),
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    stored, wanted = (checkpoints.read_manifest(out / name) for out in (parts, whole))
    assert stored == wanted


def test_a_run_is_made_of_what_it_says(tiny_training, tmp_path, capfd):
    out = tmp_path / "out"
    more = ["sample_every=2", "save_every=1", "max_steps=4", "log_every=2"]
    assert main(["train", *tiny_training(out, *more)]) == 0
    captured = capfd.readouterr()
    newest = out / "checkpoints" / "step-0000004"
    made = {"checkpoint": str(newest), "step": 4, "num_skipped": 0}
    assert json.loads(captured.out) == made
    # no bars and no advice of the libraries
    assert [line.split("  ")[0] for line in captured.err.splitlines()] == ["step 2/4", "step 4/4"]
    assert [path.name for path in train.finished_checkpoints(out)] == [
        f"step-000000{n}" for n in range(1, 5)
    ]
    kept = [path.parent.name[-1] for path in sorted(out.glob("checkpoints/*/training.safetensors"))]
    assert kept == ["3", "4"]
    for folder in train.finished_checkpoints(out):
        checkpoints.verify(folder, checkpoints.read_manifest(folder))
    assert sorted(path.name for path in (out / "samples").iterdir()) == [
        "step-0000002.png",
        "step-0000004.png",
    ]
    entries = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [2, 4]
    assert entries[0].keys() == {
        *("step", "loss", "gradient_norm", "learning_rate", "tokens_per_second", "seconds")
    }


def test_an_existing_folder_is_kept(tiny_training, tmp_path, capsys):
    out = tmp_path / "out"
    mine = ["notes.txt", "samples/mine.png", "checkpoints/mine/a.txt"]
    for name in mine:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    assert "exists already" in refusal(capsys, tiny_training(out))
    assert "no checkpoint to resume from" in refusal(capsys, tiny_training(out, "resume=true"))
    words = tiny_training(out, "max_steps=1", "sample_every=1", "overwrite=true")
    assert main(["train", *words]) == 0
    before = files_below(out)
    assert "shorter than one sample" in refusal(capsys, [*words, "token_budget=20"])
    assert files_below(out) == before  # a mistaken request deletes nothing
    assert main(["train", *words, "seed=3"]) == 0
    assert [(out / name).read_text() for name in mine] == ["mine"] * 3
    assert len(train.finished_checkpoints(out)) == 1
    assert checkpoints.read_manifest(train.finished_checkpoints(out)[0])["training"]["seed"] == 3


@pytest.mark.parametrize("kind", ["broken", "none fits"])
def test_a_refused_run_deletes_nothing_of_the_one_before(tiny_training, tmp_path, capsys, kind):
    out, data = tmp_path / "out", tmp_path / "set"
    words = tiny_training(out, "max_steps=1")
    assert main(["train", *words]) == 0
    before = files_below(out)
    write_set(data, (".png",))
    more = ["data=folder", f"data.path={data}", "overwrite=true", "data.max_tokens=64"]
    if kind == "none fits":
        more.append("data.max_quarantined=1")
    for path in data.glob("*.png"):
        path.write_bytes(b"x")
    capsys.readouterr()
    assert main(["train", *words, *more]) == 2
    assert "can be used" in capsys.readouterr().err.splitlines()[-1].replace("cannot", "can")
    (out / "quarantine.jsonl").unlink()
    assert files_below(out) == before


def test_a_refused_first_run_leaves_the_folder_free(tiny_training, tmp_path, capsys):
    out, data = tmp_path / "out", tmp_path / "set"
    write_set(data, (".png",))
    words = tiny_training(out, "data=folder", f"data.path={data}", "data.max_tokens=64")
    assert "cannot be used" in refusal(capsys, [*words, "data.max_quarantined=0"])
    assert main(["train", *words, "data.max_quarantined=0.5"]) == 0


def test_what_cannot_be_deleted_is_one_line_and_keeps_the_checkpoints(
    tiny_training, tmp_path, capsys
):
    out = tmp_path / "out"
    words = tiny_training(out, "max_steps=1")
    assert main(["train", *words]) == 0
    (out / "metrics.jsonl").unlink()
    (out / "metrics.jsonl").mkdir()
    error = refusal(capsys, [*words, "overwrite=true"])
    assert f"{out / 'metrics.jsonl'} cannot be deleted for overwrite=true" in error
    assert len(train.finished_checkpoints(out)) == 1


def test_resume_refuses_another_architecture(
    tiny_training, tiny_checkpoint, tiny_vae, tmp_path, capsys
):
    out = tmp_path / "out"
    shutil.copytree(tiny_checkpoint, out / "checkpoints" / tiny_checkpoint.name)
    words = tiny_training(out, "resume=true", "max_steps=4")
    assert "backbone.depth=1, this run has 2" in refusal(capsys, [*words, "backbone.depth=2"])
    assert "text_encoder.max_tokens=32" in refusal(capsys, [*words, "text_encoder.max_tokens=9"])
    assert "text_encoder.num_heads=2, this run has 1" in refusal(
        capsys, [*words, "text_encoder.num_heads=1"]
    )
    vae = tmp_path / "vae"
    shutil.copytree(tiny_vae, vae)
    config = json.loads((vae / "config.json").read_text())
    (vae / "config.json").write_text(json.dumps(config | {"latents_mean": [9.0] * 4}))
    assert "another autoencoder" in refusal(capsys, [*words, f"modality.vae={vae}"])
    assert main(["train", *words]) == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=1", "seed=0, this run has seed=1"),
        ("token_budget=400", "token_budget=300, this run has token_budget=400"),
        ("gradient_accumulation=2", "gradient_accumulation=1, this run has"),
        ("dtype=bfloat16", "dtype=float32, this run has dtype=bfloat16"),
        ("optimizer.learning_rate=0.5", "optimizer.learning_rate=0.002, this run has"),
        ("time.mean=2", "time.mean=-0.7, this run has time.mean=2.0"),
        ("data.pool_size=5", "data.pool_size=4, this run has data.pool_size=5"),
        ("max_steps=2", "max_steps=2 is less than the 3 steps"),
    ],
)
def test_resume_refuses_other_numbers(tiny_training, tiny_checkpoint, tmp_path, word, message):
    out = tmp_path / "out"
    folder = out / "checkpoints" / tiny_checkpoint.name
    stored = checkpoints.read_manifest(tiny_checkpoint)["training"]
    words = tiny_training(out, "resume=true", "max_steps=9", "log_every=7", "save_every=2")

    def wanted(*more):
        config = compose_train([*words, *more])
        return recipe(config, SyntheticPool("image", None, config.data, 0))

    check_resumed(folder, stored, wanted())
    with pytest.raises(LuminaError, match=message):
        check_resumed(folder, stored, wanted(word))


def test_resume_takes_no_damaged_or_unfinished_checkpoint(
    tiny_training, tiny_checkpoint, tmp_path, capsys
):
    out = tmp_path / "out"
    folder = out / "checkpoints" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, folder)
    unfinished = [".lumina-0123", "step-0000009"]
    for name in unfinished:  # what a process killed while saving may leave
        shutil.copytree(tiny_checkpoint, out / "checkpoints" / name)
        (out / "checkpoints" / name / "lumina.json").unlink()
    words = tiny_training(out, "resume=true", "max_steps=4")
    assert main(["train", *words]) == 0
    assert not (out / "checkpoints" / ".lumina-0123").exists()
    state = out / "checkpoints" / "step-0000004" / "training.safetensors"
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    assert "is damaged" in refusal(capsys, words)
    state.unlink()
    assert "does not fit this run" in refusal(capsys, words)


def test_a_failed_save_leaves_the_checkpoints_before(tiny_training, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert main(["train", *tiny_training(out)]) == 0
    before = files_below(out / "checkpoints")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "_write_manifest", fail)
    words = tiny_training(out, "resume=true", "max_steps=5")
    assert main(["train", *words]) == 130
    assert files_below(out / "checkpoints") == before
    monkeypatch.undo()
    assert main(["train", *words]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_sets_a_flag(number):
    before = signal.getsignal(number)
    with stop_on_signal() as is_stopped:
        assert not is_stopped()
        signal.raise_signal(number)
        assert is_stopped()
        with pytest.raises(KeyboardInterrupt):  # a second one stops at once
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_saves_and_exits(tiny_training, tmp_path):
    out = tmp_path / "out"
    words = tiny_training(out, "max_steps=100000", "save_every=0")
    process = subprocess.Popen(
        [sys.executable, "-m", "lumina_core", "train", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for _ in range(SIGNAL_WAIT_SECONDS * 10):
        if (out / "metrics.jsonl").exists() and len(losses(out)) > 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=SIGNAL_WAIT_SECONDS)
    assert process.returncode == 130
    assert all(line.startswith("step ") for line in stderr.splitlines())
    (folder,) = train.finished_checkpoints(out)
    step = json.loads(stdout)["step"]
    assert checkpoints.read_manifest(folder)["training"]["step"] == step == max(losses(out))
    assert os.listdir(out / "checkpoints") == [folder.name]
    assert main(["train", *words, "resume=true", f"max_steps={step + 1}"]) == 0
    assert max(losses(out)) == step + 1


def test_a_place_that_cannot_be_written_is_one_line(tiny_training, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(capsys, tiny_training(tmp_path / "file"))
    assert "cannot be written" in refusal(capsys, tiny_training(tmp_path / "file" / "below"))
    assert "cannot be written" in refusal(capsys, tiny_training("/proc/lumina"))


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(
    tiny_training, tmp_path, capsys, monkeypatch, name
):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    monkeypatch.setattr(train, "training_step", None)
    words = tiny_training(out, "overwrite=true", "sample_every=1")
    assert "cannot be written" in refusal(capsys, words)
    assert (out / name).read_text() == "mine"


def test_a_full_disk_ends_a_run_with_a_sentence_and_keeps_the_last_checkpoint(
    tiny_training, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    step = train.training_step

    def fill_the_disk(run, *arguments):
        metrics = step(run, *arguments)
        if run.step == 2:
            (out / "metrics.jsonl").unlink()
            (out / "metrics.jsonl").symlink_to("/dev/full")
        return metrics

    monkeypatch.setattr(train, "training_step", fill_the_disk)
    capsys.readouterr()
    assert main(["train", *tiny_training(out, "save_every=1")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: {out / 'metrics.jsonl'} cannot be written: No space left on device"
    (folder,) = train.finished_checkpoints(out)
    checkpoints.verify(folder, checkpoints.read_manifest(folder))
    assert os.listdir(out / "checkpoints") == ["step-0000001"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("token_budget=50", "token_budget=50 is shorter than one sample of"),
        ("dtype=float16", "train with dtype=bfloat16 or float32"),
        ("gradient_accumulation=0", "gradient_accumulation is 0"),
        ("max_nonfinite_steps=0", "max_nonfinite_steps is 0"),
        ("save_dtype=float8", "dtype='float8' is unknown"),
        ("modality.vae=/nowhere", "Known by name: demo, flux, sd, sdxl, a folder or a hub id"),
        ("text_encoder.path=/nowhere", "'/nowhere' is no folder and no id of the hub"),
        ("text_encoder=t5", "give download=true or a folder"),
        ("optimizer.clip_norm=0", "optimizer.clip_norm=0"),
        ("max_steps=0", "max_steps is 0"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tiny_training, tmp_path, capsys, word, message):
    assert message in refusal(capsys, tiny_training(tmp_path / "out", word))
    assert not (tmp_path / "out").exists()


def nan_at(monkeypatch, steps):
    """The loss is not a number at these steps, counted from 1."""
    whole, seen = train.training_loss, []

    def loss(*arguments):
        seen.append(None)
        return whole(*arguments) * (torch.nan if len(seen) in steps else 1)

    monkeypatch.setattr(train, "training_loss", loss)


def test_a_step_that_is_not_finite_updates_nothing(run, monkeypatch):
    state, config = run
    pool = state.pool
    train.training_step(state, config, pool)
    before = checkpoints.training_state(state.networks, state.average, state.optimizer)
    nan_at(monkeypatch, [1])
    metrics = train.training_step(state, config, pool)
    assert metrics == {"step": 2, "not_finite": "loss", "num_skipped": 1}
    after = checkpoints.training_state(state.networks, state.average, state.optimizer)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert "loss" in train.training_step(state, config, pool)
    assert (state.step, state.num_skipped, state.num_skipped_in_a_row) == (3, 1, 0)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(torch.inf))
    assert train.training_step(state, config, pool)["not_finite"] == "gradient"


def test_a_skipped_step_is_counted_and_resumed_alike(tiny_training, tmp_path, monkeypatch, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = ["max_steps=5", "save_every=1", "sample_every=0"]
    for out in (whole, parts):
        with pytest.MonkeyPatch.context() as patch:
            nan_at(patch, [3])
            assert main(["train", *tiny_training(out, *words)]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["num_skipped"] == 1
        assert "warning: step 3 skipped: loss not finite" in captured.err
    entries = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert entries[2] == {"step": 3, "not_finite": "loss", "num_skipped": 1}
    assert not (whole / "checkpoints" / "step-0000003").exists()  # nothing new to save
    shutil.rmtree(parts / "checkpoints" / "step-0000005")
    assert main(["train", *tiny_training(parts, *words, "resume=true")]) == 0
    assert json.loads(capsys.readouterr().out)["num_skipped"] == 1
    name = "checkpoints/step-0000005/training.safetensors"
    assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_a_diverged_run_stops_with_its_batch_and_keeps_its_checkpoints(
    tiny_training, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    words = tiny_training(
        out, "max_steps=9", "save_every=2", "max_nonfinite_steps=2", "gradient_accumulation=2"
    )
    nan_at(monkeypatch, [3, 7, 9])  # two batches per step: the steps 2, 4 and 5
    capsys.readouterr()
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 2 steps in a row, up to step 5, had a loss or gradient")
    assert list((out / "checkpoints").iterdir()) == []
    monkeypatch.undo()
    with safe_open(out / "bad-batch.safetensors", framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, no mapping
        about = file.metadata()
    texts = json.loads(about["samples"])
    assert (about["step"], about["seed"], len(texts)) == ("5", "0", 2)
    state = train.start(compose_train(words))
    pool = state.pool
    pool.advance(4)
    generator = seeded(0, train.STEP_STREAM, 4)
    batches = [pool.batch(generator, 300, True) for _ in range(2)]
    for number, samples in enumerate(batches):
        objective = train.objective_of(compose_train(words))
        loss = train.training_loss(state.model, samples, objective, generator)
        read = [
            CaptionedSample(
                TokenSample(
                    "image",
                    Grid(**item["grid"] | {"step": tuple(item["grid"]["step"])}),
                    tensors[f"{number}.{place}.tokens"],
                    known=tensors.get(f"{number}.{place}.known"),
                ),
                item["caption"],
            )
            for place, item in enumerate(texts[number])
        ]
        drawn = Drawn(read, tensors[f"{number}.t"], tensors[f"{number}.x_0"])
        assert torch.equal(drawn_loss(state.model, drawn), loss)


def test_micro_batches_give_the_gradient_of_one_batch(run):
    state, config = run
    drawn = draw_for(state, config, 5)
    drawn_loss(state.model, drawn).mean().backward()
    wanted = gradients(state)
    ends = torch.tensor([s.tokens.tokens.numel() for s in drawn.samples]).cumsum(0).tolist()
    cut = ends[1]
    parts = [
        Drawn(drawn.samples[:2], drawn.t[:2], drawn.x_0[:cut]),
        Drawn(drawn.samples[2:], drawn.t[2:], drawn.x_0[cut:]),
    ]
    taken = []
    queue = [drawn_loss(state.model, part) for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "draw_batches", lambda *_: [part.samples for part in parts])
        patch.setattr(train, "training_loss", lambda *_: queue.pop(0))
        patch.setattr(state.optimizer, "step", lambda: taken.append(gradients(state)))
        patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.zeros(()))
        metrics = train.training_step(state, config, state.pool)
    assert metrics["loss"] == pytest.approx(drawn_loss(state.model, drawn).mean().item())
    for name, value in wanted.items():
        torch.testing.assert_close(taken[0][name], value, rtol=1e-4, atol=1e-6)


def draw_for(state, config, count):
    samples = [draw_sample("image", state.model.modality, seeded(n)) for n in range(count)]
    for parameter in state.networks.parameters():  # a fresh model predicts 0 whatever it is given
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return draw(state.model, samples, train.objective_of(config), seeded(0))


def gradients(state):
    found = {n: p.grad.clone() for n, p in state.networks.named_parameters() if p.grad is not None}
    state.optimizer.zero_grad()
    return found


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
    pool = state.pool
    train.training_step(state, replace(config, dtype="bfloat16"), pool)
    kept = checkpoints.training_state(state.networks, state.average, state.optimizer)
    assert {value.dtype for value in kept.values()} == {torch.float32}


def test_saving_leaves_the_networks_as_they_are(run, tmp_path):
    state, config = run
    config = type(config)(**{**vars(config), "save_dtype": "bfloat16"})
    before = {key: value.clone() for key, value in state.networks.state_dict().items()}
    average = {key: value.clone() for key, value in state.average.state_dict().items()}
    modes = [module.training for module in state.networks.modules()]
    folder = train.save_checkpoint(state, config)
    assert modes == [module.training for module in state.networks.modules()]
    for module, saved in ((state.networks, before), (state.average, average)):
        for key, value in module.state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, saved[key])
    for name in ("backbone", "text_encoder/model", "vae/image/diffusion_pytorch_model"):
        weights = load_file(folder / f"{name}.safetensors")
        assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    state_ = load_file(folder / "training.safetensors")
    assert torch.bfloat16 not in {value.dtype for value in state_.values()}


def test_sampling_never_spoils_training(run):
    state, config = run
    model = train.averaged(state)
    options = type(config.options)(**{**vars(config.options), "height": 48, "width": 64})
    layout.cache_clear()  # the sizes are new to the process
    sample(model, [Request("a star", "", 0, options)], compose_sampling("image"))
    picture = torch.zeros(3, 48, 64, dtype=torch.uint8)
    latent = model.modality.vae.encode(picture)
    grid = model.modality.tokenizer.grid(tuple(latent.shape))
    tokens = TokenSample("image", grid, model.modality.tokenizer.tokenize(latent))
    item = CaptionedSample(tokens, "a star")
    train.training_loss(
        state.model, [item], train.Objective(config.time, 0.0, 0.0, 0.0), seeded(0)
    ).sum().backward()


def test_words_that_look_alike_are_warned_of(run, capsys, monkeypatch):
    state, config = run
    train.warn_if_words_look_alike(state, config)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(train, "one_word_cosine", lambda *_: 0.99)
    train.warn_if_words_look_alike(state, config)
    err = capsys.readouterr().err
    assert err.startswith("warning: captions that differ in one word")
    assert err.count("\n") == 1


COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220)}
BROKEN = {"cut.png", "empty.png", "word.png", "small.png", "long.png"}


def write_set(folder, suffixes):
    """Pictures of several kinds, sizes and proportions with captions; five cannot be used."""
    folder.mkdir()
    sizes = [(64, 64), (48, 80), (150, 70), (90, 40), (33, 61), (400, 300)]
    for number in range(24):
        name, colour = list(COLOURS.items())[number % 3]
        width, height = sizes[number % len(sizes)]
        picture = Image.new("RGB", (width, height), "white")
        box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        mode = ["RGB", "RGBA", "P", "L"][number % 4]
        suffix = suffixes[number % len(suffixes)]
        is_flat = suffix in (".jpg", ".jpeg") and mode in ("RGBA", "P")
        path = folder / f"{number:02}{suffix}"
        picture.convert("RGB" if is_flat else mode).save(path)
        path.with_suffix(".txt").write_text(f"a {name} circle")
    for name in BROKEN:
        size = {"small.png": (9, 9), "long.png": (900, 30)}.get(name, (64, 64))
        Image.new("RGB", size, "red").save(folder / name)
        (folder / name).with_suffix(".txt").write_text("a red circle")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:-40])
    (folder / "empty.png").write_bytes(b"")
    (folder / "word.txt").write_bytes(b"a caf\xe9")


def test_a_folder_of_files_trains_a_checkpoint_that_runs(tiny_training, tmp_path, capsys):
    from lumina_image.picture_files import PictureDecoder

    out, data = tmp_path / "out", tmp_path / "set"
    write_set(data, PictureDecoder.suffixes)
    words = tiny_training(
        *(out, "data=folder", f"data.path={data}", "max_steps=200", "data.min_tokens=16"),
        *(
            "data.max_tokens=64",
            "data.max_aspect=3",
            "data.max_quarantined=0.2",
            "data.pool_size=40",
        ),
        *("optimizer.learning_rate=0.003", "sample_every=200", "num_sample_prompts=2"),
    )
    assert main(["train", *words]) == 0
    captured = capsys.readouterr()
    newest = json.loads(captured.out)["checkpoint"]
    assert captured.err.startswith(f"warning: 5 items of {data} are left out so far")
    entries = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    reasons = {entry["path"]: entry["reason"] for entry in entries}
    assert reasons.keys() == BROKEN
    assert "cannot be read as a picture" in reasons["cut.png"]
    assert "UTF-8" in reasons["word.png"]
    found = list(losses(out).values())
    assert len(found) == 200
    assert sum(found[-20:]) < 0.8 * sum(found[:20])
    picture = tmp_path / "picture.png"
    words = ["+modality=image", f"checkpoint={newest}", f"out={picture}", "device=cpu"]
    assert main(["run", *words, "solver.num_steps=2", "a red circle"]) == 0
    assert Image.open(picture).size == (64, 64)
    assert (out / "samples" / "step-0000200.png").exists()
    text = (tmp_path / newest / "lumina.json").read_text()
    assert (str(data) in text, '"num_quarantined": 5' in text) == (False, True)
    more = ["data=folder", f"data.path={data}", "data.pool_size=40"]
    words = tiny_training(tmp_path / "other", *more)
    assert "more than data.max_quarantined=0.1; one is " in refusal(capsys, words)


def test_resumed_run_on_files_equals_an_uninterrupted_one(tiny_training, tmp_path):
    write_set(tmp_path / "set", (".png",))
    more = ["data=folder", f"data.path={tmp_path / 'set'}", "data.max_quarantined=0.5"]
    more += ["data.pool_size=6", "data.refresh_per_step=2", "max_steps=6", "save_every=3"]
    more += ["data.max_tokens=64"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for out in (whole, parts):
        assert main(["train", *tiny_training(out, *more)]) == 0
    shutil.rmtree(parts / "checkpoints" / "step-0000006")  # as if killed before the end
    assert main(["train", *tiny_training(parts, *more, "resume=true")]) == 0
    assert losses(whole) == losses(parts)
    name = "checkpoints/step-0000006"
    stored, wanted = (checkpoints.read_manifest(out / name) for out in (parts, whole))
    assert stored == wanted


def test_init_from_starts_with_the_weights_of_a_checkpoint(
    tiny_training, tiny_checkpoint, tmp_path, capsys
):
    words = tiny_training(tmp_path / "out", f"init_from={tiny_checkpoint}", "seed=5")
    state = train.start(compose_train(words))
    stored = load_file(tiny_checkpoint / "backbone.safetensors")
    text = load_file(tiny_checkpoint / "text_encoder" / "model.safetensors")
    for networks in (state.networks, state.average):
        backbone = networks["backbone"].state_dict()
        assert all(torch.equal(backbone[key], value) for key, value in stored.items())
        encoder = networks["text_encoder"].model.state_dict()
        assert all(torch.equal(encoder[key], value) for key, value in text.items())
    assert state.step == 0
    assert not state.optimizer.state_dict()["state"]
    assert capsys.readouterr().err == ""
    assert main(["train", *words]) == 0


def test_a_run_on_files_that_began_with_a_checkpoint_is_resumed(
    tiny_training, tiny_checkpoint, tmp_path, capsys
):
    write_set(tmp_path / "set", (".png",))
    more = ["data=folder", f"data.path={tmp_path / 'set'}", "data.max_quarantined=0.5"]
    more += ["data.max_tokens=64", "max_steps=4", "save_every=2"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    begin = f"init_from={tiny_checkpoint}"
    for out in (whole, parts):
        assert main(["train", *tiny_training(out, *more, begin)]) == 0
    shutil.rmtree(parts / "checkpoints" / "step-0000004")  # as if killed before the end
    words = tiny_training(parts, *more, "resume=true")
    assert "leave out init_from" in refusal(capsys, [*words, begin])
    assert main(["train", *words]) == 0
    assert losses(whole) == losses(parts)
    name = "checkpoints/step-0000004"
    assert files_below(whole / name) == files_below(parts / name)


def test_init_from_keeps_a_frozen_text_encoder_frozen(
    tiny_training, encoder_folders, tmp_path, capsys
):
    frozen = [f"text_encoder.path={encoder_folders['gemma_2b']}", "text_encoder.trainable=false"]
    frozen += ["text_encoder.max_tokens=9", "text_encoder.hidden_state=-2", "max_steps=1"]
    assert main(["train", *tiny_training(tmp_path / "first", *frozen)]) == 0
    first = tmp_path / "first" / "checkpoints" / "step-0000001"
    words = tiny_training(tmp_path / "out", "max_steps=1")
    begin = f"init_from={first}"
    error = refusal(capsys, [*words, begin, "text_encoder.max_tokens=8"])
    assert "text_encoder.max_tokens=9, this run has 8; leave it out" in error
    assert main(["train", *words, begin]) == 0
    assert main(["train", *words, "resume=true", "max_steps=2"]) == 0
    newest = tmp_path / "out" / "checkpoints" / "step-0000002"
    stored, wanted = (checkpoints.read_manifest(x)["text_encoder"] for x in (newest, first))
    assert stored == wanted
    assert (stored["max_tokens"], stored["hidden_state"]) == (9, -2)


def test_init_from_takes_another_data_set_and_says_what_differs(
    tiny_training, tiny_checkpoint, tiny_vae, tmp_path, capsys
):
    vae = tmp_path / "vae"
    shutil.copytree(tiny_vae, vae)
    config = json.loads((vae / "config.json").read_text())
    (vae / "config.json").write_text(json.dumps(config | {"latents_mean": [9.0] * 4}))
    begin = f"init_from={tiny_checkpoint}"
    words = tiny_training(tmp_path / "out", begin, "backbone.rope_theta=50", f"modality.vae={vae}")
    train.start(compose_train(words))
    err = capsys.readouterr().err
    assert "backbone.rope_theta=100.0, this run has 50.0" in err
    assert "another autoencoder" in err
    assert (err.count("warning: "), err.count("\n")) == (2, 2)


def test_init_from_refuses_what_does_not_fit(tiny_training, checkpoint_copy, tmp_path, capsys):
    words = tiny_training(tmp_path / "out", f"init_from={checkpoint_copy}")
    assert "backbone.depth=1, this run has 2" in refusal(capsys, [*words, "backbone.depth=2"])
    for key, stored, wanted in (("hidden_size", 32, 64), ("depth", 1, 3), ("num_heads", 2, 1)):
        error = refusal(capsys, [*words, f"text_encoder.{key}={wanted}"])
        assert f"text_encoder.{key}={stored}, this run has {wanted}; leave it out" in error
    other = [*words, "modality.patch_size=1", "token_budget=3000"]
    assert "options.patch_size=2, this run has 1" in refusal(capsys, other)
    assert "leave out init_from" in refusal(capsys, [*words, "resume=true"])
    assert "no checkpoint in" in refusal(capsys, [*words, f"init_from={tmp_path}"])
    weights = checkpoint_copy / "backbone.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert "is damaged" in refusal(capsys, words)
    assert not (tmp_path / "out").exists()


def test_log_drops_what_came_after_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = MetricsLog(path, 2)
    log.write({"step": 3, "loss": 0.5})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    with pytest.raises(LuminaError, match="cannot be written"):
        MetricsLog(path / "below", 0)
    path.write_text('{"step": 1}\n{"step": 2, "a": {"b": 1}\n')  # cut short by a full disk
    MetricsLog(path, 2)
    assert path.read_text() == '{"step": 1}\n'
    path.write_bytes(b'\xff\xfe\n{"step": 1, "a": "\xff"}\n[1]\n{"step": "1"}\n{"step": 2}\n')
    MetricsLog(path, 2)
    assert path.read_text() == '{"step": 2}\n'
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(LuminaError, match="is no regular file"):
        MetricsLog(path, 0)
