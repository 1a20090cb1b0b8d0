"""Steps that are not finite, a full disk, and mistakes that are found before the first step."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from states import STATE_FILE

from lumina_core.checkpoints import manifest
from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.data.source import CaptionedSample
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training import start, train
from lumina_core.training import state as training_state
from lumina_core.training import step as training_step
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import Drawn, drawn_loss

SHEET = ["sample_every=1", "num_sample_prompts=2"]


def as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


def nan_at(monkeypatch, steps):
    """The loss is not a number at these steps, counted from 1."""
    whole, seen = training_step.drawn_loss, []

    def loss(*arguments):
        seen.append(None)
        return whole(*arguments) * (torch.nan if len(seen) in steps else 1)

    monkeypatch.setattr(training_step, "drawn_loss", loss)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("token_budget=50", "token_budget=50 is shorter than one sample of"),
        ("dtype=float16", "dtype is 'float16'; choose one of float32, bfloat16"),
        ("gradient_accumulation=0", "gradient_accumulation is 0"),
        ("max_nonfinite_steps=0", "max_nonfinite_steps is 0"),
        ("save_dtype=float8", "save_dtype is 'float8'; choose one of"),
        ("modality.vae=/nowhere", "Known by name: demo, flux, sd, sdxl, a folder or a hub id"),
        (
            "text_encoder.path=/nowhere",
            "text_encoder.path: '/nowhere' is no folder and",
        ),
        ("text_encoder=t5", "give download=true or a folder"),
        ("optimizer.clip_norm=0", "optimizer.clip_norm is 0.0; set"),
        ("max_steps=0", "max_steps is 0"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tiny_training, tmp_path, word, message, refusal):
    assert message in refusal("train", *tiny_training(tmp_path / "out", word))
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_kept(tiny_training, tmp_path, files_below, refusal):
    out = tmp_path / "out"
    mine = ["notes.txt", "samples/mine.png", "checkpoints/mine/a.txt"]
    for name in mine:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    assert refusal("train", *tiny_training(out)).endswith("exists already; choose another folder\n")
    assert "holds no training" in refusal("train", *tiny_training(out, "resume=true"))
    words = tiny_training(out, "max_steps=1", *SHEET, "overwrite=true")
    (out / "config.json").write_text('{"model_type": "mine"}')
    assert "config.json is of no training, and overwrite=true would" in refusal("train", *words)
    (out / "config.json").unlink()
    assert main(["train", *words]) == 0
    assert "go on with it: " in refusal("train", *tiny_training(out))
    before = files_below(out)
    assert "shorter than one sample" in refusal("train", *words, "token_budget=20")
    assert files_below(out) == before  # a mistaken request deletes nothing
    assert main(["train", *words, "seed=3"]) == 0
    assert [(out / name).read_text() for name in mine] == ["mine"] * 3
    assert len(finished(out / "checkpoints")) == 1
    assert manifest.read_manifest(finished(out / "checkpoints")[0])["training"]["seed"] == 3


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("modality.vae", "checkpoints/step-0000001/vae/image"),
        ("init_from", "checkpoints/step-0000001"),
        ("text_encoder.path", "checkpoints/step-0000001/text_encoder"),
        ("data.path", ""),
    ],
)
def test_overwriting_never_deletes_what_the_run_reads(
    tiny_training, checkpoint_copy, tmp_path, files_below, refusal, key, place
):
    out = tmp_path / "out"
    shutil.copytree(checkpoint_copy, out / "checkpoints" / "step-0000001")
    (tmp_path / "link").symlink_to(out)
    before = files_below(out)
    words = tiny_training(out, *["data=folder"] * (key == "data.path"), "overwrite=true")
    for path in (out / place, tmp_path / "link" / place):
        error = refusal("train", *words, f"{key}={path}")
        assert f"{key}={path} lies in out={out}" in error
        assert "choose another out" in error
    assert files_below(out) == before


@pytest.mark.parametrize("name", ["", "checkpoints", "samples"])
def test_overwriting_deletes_nothing_behind_a_link(
    tiny_training, checkpoint_copy, tmp_path, files_below, refusal, name
):
    out, archive = tmp_path / "out", tmp_path / "archive"
    shutil.copytree(checkpoint_copy, archive / "checkpoints" / "step-0000001")
    for path in ("step-0000001", "samples/step-0000001.png", "metrics.jsonl"):
        (archive / path).parent.mkdir(exist_ok=True)
        (archive / path).write_text("mine")
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).symlink_to(archive / name)
    before = files_below(archive)
    error = refusal("train", *tiny_training(out, "overwrite=true"))
    assert f"{out / name} is a link" in error
    assert files_below(archive) == before


def test_a_link_in_the_place_of_what_is_overwritten_is_deleted_and_not_followed(
    tiny_training, checkpoint_copy, tmp_path, files_below
):
    out, archive = tmp_path / "out", tmp_path / "archive"
    shutil.copytree(checkpoint_copy, archive / "step-0000001")
    for name in ("step-0000001.png", "metrics.jsonl"):
        (archive / name).write_text("mine")
    before = files_below(archive)
    for name in ("checkpoints/step-0000001", "samples/step-0000001.png", "metrics.jsonl"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(archive / Path(name).name)
    assert main(["train", *tiny_training(out, "overwrite=true", "max_steps=1")]) == 0
    assert files_below(archive) == before
    assert not (out / "checkpoints" / "step-0000001").is_symlink()
    assert not (out / "samples" / "step-0000001.png").is_symlink()


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/step-0000001"])
def test_training_states_behind_a_link_are_not_thinned_out(
    tiny_training, tmp_path, files_below, name
):
    out, archive = tmp_path / "out", tmp_path / "archive"
    assert main(["train", *tiny_training(out, "max_steps=1")]) == 0
    shutil.move(out / name, archive)
    (out / name).symlink_to(archive)
    assert main(["train", *tiny_training(out, "resume=true", "max_steps=4", "save_every=1")]) == 0
    (state,) = archive.glob("**/state") if "step" in name else [None]
    assert state is None or state.parent == archive
    assert len(list((out / "checkpoints").glob("*/state"))) == 3 + (state is None)


def test_what_cannot_be_deleted_is_one_line_and_keeps_the_checkpoints(
    tiny_training, tmp_path, refusal
):
    out = tmp_path / "out"
    words = tiny_training(out, "max_steps=1")
    assert main(["train", *words]) == 0
    (out / "metrics.jsonl").unlink()
    (out / "metrics.jsonl").mkdir()
    error = refusal("train", *words, "overwrite=true")
    assert f"{out / 'metrics.jsonl'} cannot be deleted for overwrite=true" in error
    assert len(finished(out / "checkpoints")) == 1


def test_a_place_that_cannot_be_written_is_one_line(tiny_training, tmp_path, refusal):
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal("train", *tiny_training(tmp_path / "file"))
    assert "cannot be written" in refusal("train", *tiny_training(tmp_path / "file" / "below"))
    assert "cannot be written" in refusal("train", *tiny_training("/proc/lumina"))


@pytest.mark.parametrize("name", ["checkpoints", "samples"])
def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(
    tiny_training, tmp_path, monkeypatch, name, refusal
):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    monkeypatch.setattr(train, "training_step", None)
    words = tiny_training(out, "overwrite=true", *SHEET)
    assert "cannot be written" in refusal("train", *words)
    assert (out / name).read_text() == "mine"


def test_a_full_disk_ends_a_run_with_a_sentence_and_keeps_the_last_checkpoint(
    tiny_training, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    step = training_step.training_step

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
    (folder,) = finished(out / "checkpoints")
    manifest.verify(folder, manifest.read_manifest(folder))
    assert os.listdir(out / "checkpoints") == ["step-0000001"]


def test_a_step_that_is_not_finite_updates_nothing(tiny_training, tmp_path, monkeypatch):
    config = compose_train(tiny_training(tmp_path / "out"))
    state = start.start(config)
    training_step.training_step(state, config)
    before = training_state.training_state(state.networks, state.average, state.optimizer)
    nan_at(monkeypatch, [1])
    metrics = training_step.training_step(state, config)
    assert metrics == {"step": 2, "not_finite": "loss", "num_skipped": 1}
    after = training_state.training_state(state.networks, state.average, state.optimizer)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert "loss" in training_step.training_step(state, config)
    assert (state.step, state.num_skipped, state.num_skipped_in_a_row) == (3, 1, 0)
    monkeypatch.setattr(training_step, "clip_gradients", lambda *_: torch.tensor(torch.inf))
    assert training_step.training_step(state, config)["not_finite"] == "gradient"


def test_a_skipped_step_is_counted_and_resumed_alike(
    tiny_training, tmp_path, monkeypatch, capsys, metrics
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = ["max_steps=5", "save_every=1", "sample_every=0"]
    for out in (whole, parts):
        with pytest.MonkeyPatch.context() as patch:
            nan_at(patch, [3])
            assert main(["train", *tiny_training(out, *words)]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["num_skipped"] == 1
        assert "warning: step 3 skipped: loss not finite" in captured.err
    entries = metrics(whole)
    assert entries[2] == {"step": 3, "not_finite": "loss", "num_skipped": 1}
    assert not (whole / "checkpoints" / "step-0000003").exists()  # nothing new to save
    shutil.rmtree(parts / "checkpoints" / "step-0000005")
    assert main(["train", *tiny_training(parts, *words, "resume=true")]) == 0
    assert json.loads(capsys.readouterr().out)["num_skipped"] == 1
    name = f"checkpoints/step-0000005/{STATE_FILE}"
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
    config = compose_train(words)
    state = start.start(config)
    for step in range(5):
        state.mixture.advance(step)
        picked = state.mixture.pick(step)
        state.mixture.place = picked.after
    batches = training_step.loaded(state.mixture, picked.batches)
    for number, batch in enumerate(batches):
        loss = drawn_loss(state.model, training_step.drawn_batch(batch, config, 4))
        read = [
            CaptionedSample(
                TokenSample(
                    "image",
                    Grid(**{name: as_tuple(value) for name, value in item["grid"].items()}),
                    tensors[f"{number}.{place}.tokens"],
                    known=tensors.get(f"{number}.{place}.known"),
                ),
                item["caption"],
            )
            for place, item in enumerate(texts[number])
        ]
        drawn = Drawn(read, tensors[f"{number}.t"], tensors[f"{number}.x_0"])
        assert torch.equal(drawn_loss(state.model, drawn), loss)
