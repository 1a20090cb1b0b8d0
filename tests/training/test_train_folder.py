"""The folder of a run after kills, damage and company: equal to that of a run that met none."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import forking
import pytest
import torch
from states import STATE_FILE

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.files import locks
from lumina_core.training.compose import compose_train
from lumina_core.training.folder import check_out

TIMINGS = (
    *("seconds", "tokens_per_second", "wait_seconds", "seconds_left"),
    *("peak", "peak_share", "peak_bytes"),
)
BUDGET = {"image": 300, "audio": 300, "multiview": 1500, "video": 1500}
TINY = (
    "backbone.hidden_size=32 backbone.depth=1 backbone.num_heads=2 backbone.conditioning_size=16 "
    "backbone.rope_dims=[0,4,4,4,4] text_encoder.hidden_size=32 text_encoder.depth=1 "
    "text_encoder.num_heads=2 optimizer.warmup_steps=0 data.pool_size=4 data.pool_start=2 "
    "data.refresh_per_step=1 data.max_tokens=300 log_every=1 num_threads=1 device=cpu max_steps=2 "
    "save_every=1 sample_every=1 num_sample_prompts=1 validate_every=1 num_validation_samples=1"
)
HOLDER = """
import sys
from pathlib import Path
from lumina_core.files.locks import sole_process
with sole_process(Path(sys.argv[1]), "out=x"):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _restored_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def contents(out):
    """Every file of a run, hidden ones too, its log without what a clock measured.

    The page is drawn from the log.
    """
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert found.pop("report.html").stat().st_size > 1000
    entries = [json.loads(line) for line in found.pop("metrics.jsonl").read_text().splitlines()]
    log = [{key: value for key, value in e.items() if key not in TIMINGS} for e in entries]
    return {"log": log} | {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.parametrize("modality", BUDGET)
def test_a_killed_and_resumed_run_leaves_the_folder_of_an_uninterrupted_one(tmp_path, modality):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = ["train", f"+modality={modality}", *TINY.split(), f"token_budget={BUDGET[modality]}"]
    assert main([*words, f"out={whole}"]) == 0
    words.append(f"out={killed}")
    process = forking.start([sys.executable, "-m", "killed_at_a_sheet", *words])
    assert process.returncode == -signal.SIGKILL
    assert (killed / "checkpoints" / "step-0000001").exists()
    left = [name for name in os.listdir(killed / "samples") if name.startswith(".lumina-")]
    assert len(left) == len(os.listdir(killed / "samples")) == 1
    assert main([*words, "resume=true"]) == 0
    assert contents(killed) == contents(whole)
    assert not (killed / ".lumina-lock").exists()


@pytest.mark.parametrize("lost", ["evaluation", "validation_loss", "sheet"])
def test_what_a_killed_run_owes_of_its_last_step_is_made_on_resuming(tiny_training, tmp_path, lost):
    out = tmp_path / "out"
    due = ["sample_every=2", "validate_every=2", "num_validation_samples=2", "evaluate_every=2"]
    words = tiny_training(out, *due, "num_evaluation_prompts=2", "num_sample_prompts=1")
    words += ["max_steps=2", "num_threads=1"]
    assert main(["train", *words]) == 0
    before = contents(out)
    if lost == "sheet":
        (out / "samples" / "step-0000002.png").unlink()
    lines = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if lost not in json.loads(line)]
    (out / "metrics.jsonl").write_text("".join(kept))
    assert main(["train", *words, "resume=true"]) == 0
    after = contents(out)
    by_text = {
        name: sorted(map(json.dumps, found.pop("log")))
        for name, found in (("before", before), ("after", after))
    }
    assert by_text["before"] == by_text["after"]
    assert before == after


def test_a_folder_has_one_run_at_a_time_and_a_killed_one_keeps_nobody_out(
    tiny_training, tmp_path, refusal
):
    out, vae = tmp_path / "run" / "out", tmp_path / "vae"
    runs = {
        out / ".lumina-lock": ["train", *tiny_training(out, "max_steps=1")],
        tmp_path / ".lumina-vae.lock": ["train-vae", "+modality=image", f"out={vae}"],
    }
    for lock, words in runs.items():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        error = refusal(*words)
        assert f"is in use: process {process.pid} writes there; wait for its end, or" in error
        process.kill()
        process.communicate()
        assert lock.exists()
        with locks.sole_process(lock, "out=x"):
            pass
        assert not lock.exists()
    assert main(["train", *tiny_training(out, "max_steps=1")]) == 0


def test_what_a_run_was_writing_when_it_was_killed_is_no_training(tiny_training, tmp_path):
    words = tiny_training(tmp_path / "out", "max_steps=1")
    config = compose_train(words)
    for folder in (tmp_path / "out", tmp_path / "out" / "checkpoints"):
        folder.mkdir()
        (folder / ".lumina-0123456789abcdef").write_text('{"half": ')
    check_out(tmp_path / "out", config)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(LuminaError, match="exists already"):
        check_out(tmp_path / "out", config)


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/mine", "checkpoints/a/b"])
def test_a_run_does_not_begin_among_the_checkpoints_of_another(
    tiny_training, tmp_path, refusal, place
):
    run, words = tmp_path / "run", tiny_training(tmp_path / "run" / place)
    check_out(run / place, compose_train(words))  # no run is there yet
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text('{"modality": "image"}')
    said = refusal("train", *words, "overwrite=true")
    assert f"lies among the checkpoints of the training in {run}; name" in said
    (run / "config.json").write_text('{"model_type": "llama"}')  # of somebody else
    check_out(run / place, compose_train(words))


def test_a_lock_leaves_no_folder_that_it_made_and_keeps_what_came_into_one(tmp_path):
    with locks.sole_process(tmp_path / "a" / "b" / "lock", "out=a"):
        (tmp_path / "a" / "mine").write_text("mine")
    assert os.listdir(tmp_path / "a") == ["mine"]


def test_without_locks_a_run_goes_on_with_a_note(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks, "flock", refuse)
    with locks.sole_process(tmp_path / "lock", f"out={tmp_path}"):
        pass
    err = capsys.readouterr().err
    assert err.startswith(f"note: the file system of out={tmp_path} knows no locks; ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("damage", ["state", "no state", "weights", "no manifest", "manifest"])
def test_a_damaged_newest_checkpoint_is_named_with_the_way_to_go_on_from_the_one_before(
    tiny_training, tmp_path, refusal, damage
):
    out = tmp_path / "my out"
    words = tiny_training(out, "max_steps=3", "save_every=1", "num_threads=1")
    assert main(["train", *words]) == 0
    before = contents(out)
    newest = out / "checkpoints" / "step-0000003"
    name = {"state": STATE_FILE, "weights": "backbone.safetensors"}.get(damage)
    if name is not None:
        (newest / name).write_bytes((newest / name).read_bytes()[:-1] + b"?")
    elif damage == "manifest":
        (newest / "lumina.json").write_text("{}")
    elif damage == "no state":
        shutil.rmtree(newest / "state")
    else:
        (newest / "lumina.json").unlink()
    error = refusal("train", *words, "resume=true")
    assert "step-0000002 is whole: to go on from there, move the newest away (mv " in error
    assert ("is missing" in error) == damage.startswith("no ")
    command = error[error.index("(mv ") + 1 : error.index(") and resume")]
    _, source, target = shlex.split(command)
    assert source == str(newest)
    subprocess.run(command, shell=True, check=True)
    assert main(["train", *words, "resume=true"]) == 0
    shutil.rmtree(target)
    assert contents(out) == before


def test_without_a_whole_checkpoint_there_is_nothing_to_resume_from(
    tiny_training, checkpoint_copy, tmp_path, refusal
):
    out = tmp_path / "out"
    shutil.copytree(checkpoint_copy, out / "checkpoints" / "step-0000003")
    shutil.rmtree(out / "checkpoints" / "step-0000003" / "state")
    shutil.copytree(out / "checkpoints" / "step-0000003", out / "checkpoints" / "step-0000001")
    error = refusal("train", *tiny_training(out, "resume=true"))
    assert "state is missing; no checkpoint before it has a training state" in error
