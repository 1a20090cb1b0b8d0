"""A run that was ended and goes on: equal to one that was not, and refused where it cannot be."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from states import STATE_FILE, state_in

from lumina_core import LuminaError
from lumina_core.checkpoints import folder as checkpoint_folder
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints.newest import finished
from lumina_core.checkpoints.sharded import write_state
from lumina_core.cli.main import main
from lumina_core.data.mixture import Mixture
from lumina_core.data.synthetic import SyntheticPool
from lumina_core.files.seals import sealed
from lumina_core.training import start, step
from lumina_core.training import state as training_state
from lumina_core.training.compose import compose_train
from lumina_core.training.recipe import check_resumed, recipe

SIGNAL_WAIT_SECONDS = 120  # for a machine that does other things


@pytest.fixture
def restored_threads():
    """Puts back the number of threads that a run sets for its process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_run_equals_an_uninterrupted_one(
    tiny_training, tmp_path, optimizer, restored_threads, metrics, losses
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
    assert len(metrics(parts)) == 6
    name = "checkpoints/step-0000006"
    first, second = (state_in(out / name) for out in (whole, parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert checkpoints_manifest.read_manifest(whole / name) == checkpoints_manifest.read_manifest(
        parts / name
    )


def test_a_folder_from_before_mixtures_resumes_with_the_number_that_it_carried_or_none(
    tiny_training, tiny_checkpoint, tmp_path
):
    def write(manifest):
        content = {key: value for key, value in manifest.items() if key != "sha256"}
        (folder / "lumina.json").write_text(sealed(content))

    folder = tmp_path / "out" / "checkpoints" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, folder)
    manifest = checkpoints_manifest.read_manifest(folder)
    words = tiny_training(tmp_path / "out", "resume=true", "max_steps=4")
    kept = manifest["training"].pop("mixture")
    assert start.start(compose_train(words)).mixture.place.stored() == kept
    manifest["training"]["carried"] = 3
    write(manifest)
    assert start.start(compose_train(words)).mixture.place.carried == ("image", 3)
    del manifest["training"]["carried"]
    write(manifest)
    assert start.start(compose_train(words)).mixture.place.carried is None
    assert main(["train", *words]) == 0


def test_resume_refuses_another_architecture(
    tiny_training, tiny_checkpoint, other_vae, tmp_path, refusal
):
    out = tmp_path / "out"
    shutil.copytree(tiny_checkpoint, out / "checkpoints" / tiny_checkpoint.name)
    words = tiny_training(out, "resume=true", "max_steps=4")
    assert "backbone.depth=1, this run has 2" in refusal("train", *words, "backbone.depth=2")
    assert "text_encoder.max_tokens=32" in refusal("train", *words, "text_encoder.max_tokens=9")
    assert "text_encoder.num_heads=2, this run has 1" in refusal(
        "train", *words, "text_encoder.num_heads=1"
    )
    assert "another autoencoder" in refusal("train", *words, f"modality.vae={other_vae}")
    assert main(["train", *words]) == 0


def recipe_of(config, pool):
    return recipe(config, Mixture({"image": pool}, {"image": 1}, config.token_budget))


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
    stored = checkpoints_manifest.read_manifest(tiny_checkpoint)["training"]
    words = tiny_training(out, "max_steps=9", "log_every=7", "save_every=2")

    def wanted(*more):
        config = compose_train([*words, *more])
        return recipe_of(config, SyntheticPool("image", None, config.data, 0))

    check_resumed(folder, stored, wanted())
    with pytest.raises(LuminaError, match=message):
        check_resumed(folder, stored, wanted(word))


def test_resume_takes_no_damaged_or_unfinished_checkpoint(
    tiny_training, tiny_checkpoint, tmp_path, refusal
):
    out = tmp_path / "out"
    folder = out / "checkpoints" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, folder)
    unfinished = out / "checkpoints" / ".lumina-0123456789abcdef"
    shutil.copytree(tiny_checkpoint, unfinished)  # what a process killed while saving may leave
    words = tiny_training(out, "resume=true", "max_steps=4")
    assert main(["train", *words]) == 0
    assert not unfinished.exists()
    state = out / "checkpoints" / "step-0000004" / STATE_FILE
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    assert "is damaged" in refusal("train", *words)
    state.unlink()
    assert f"{state} is missing" in refusal("train", *words)
    state.parent.rmdir()
    assert f"{state.parent} is missing" in refusal("train", *words)


def test_a_failed_save_leaves_the_checkpoints_before(
    tiny_training, tmp_path, monkeypatch, files_below
):
    out = tmp_path / "out"
    assert main(["train", *tiny_training(out)]) == 0
    before = files_below(out / "checkpoints")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_folder, "write_manifest", fail)
    words = tiny_training(out, "resume=true", "max_steps=5")
    assert main(["train", *words]) == 130
    assert files_below(out / "checkpoints") == before
    monkeypatch.undo()
    assert main(["train", *words]) == 0


def test_a_signal_saves_and_exits(tiny_training, tmp_path, losses):
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
    *lines, last = stderr.splitlines()
    assert all(line.startswith("step ") for line in lines)
    (folder,) = finished(out / "checkpoints")
    step = json.loads(stdout)["step"]
    assert (
        checkpoints_manifest.read_manifest(folder)["training"]["step"] == step == max(losses(out))
    )
    assert os.listdir(out / "checkpoints") == [folder.name]
    said, _, command = last.partition("; go on with: python -m lumina_core ")
    assert said == f"stopped at step {step} of 100000"
    assert main([*shlex.split(command), f"max_steps={step + 1}"]) == 0
    assert max(losses(out)) == step + 1


def exchanged(folder, target, part, name="diffusion_pytorch_model.safetensors"):
    """A copy of a model with other numbers in one part, and the same config."""
    shutil.copytree(folder, target)
    weights = load_file(target / name)
    for key in [key for key in weights if key.startswith(part)]:
        weights[key] = weights[key] + 1
    save_file(weights, target / name, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("save_dtype", ["float32", "bfloat16"])
def test_weights_of_an_autoencoder_are_compared_and_not_its_config_alone(
    tiny_training, tiny_vae, tmp_path, capsys, refusal, save_dtype
):
    out = tmp_path / "out"
    words = tiny_training(out, f"save_dtype={save_dtype}", "max_steps=1")
    assert main(["train", *words]) == 0
    for part in ("encoder", "decoder"):
        other = exchanged(tiny_vae, tmp_path / part, part)
        resumed = [*words, "resume=true", f"modality.vae={other}"]
        assert "was trained with another autoencoder" in refusal("train", *resumed)
        begun = tiny_training(tmp_path / f"new-{part}", f"modality.vae={other}")
        start.start(compose_train([*begun, f"init_from={out}"]))
        # latents mean the same with another decoder
        assert ("another autoencoder" in capsys.readouterr().err) == (part == "encoder")
    assert main(["train", *words, "resume=true", "max_steps=2"]) == 0


def test_resume_refuses_a_frozen_text_encoder_with_other_weights(
    tiny_training, encoder_folders, tmp_path, capsys, refusal
):
    from transformers import AutoModel

    folder = tmp_path / "encoder"
    shutil.copytree(encoder_folders["gemma_2b"], folder)
    frozen = [f"text_encoder.path={folder}", "text_encoder.trainable=false", "max_steps=1"]
    out = tmp_path / "out"
    assert main(["train", *tiny_training(out, *frozen)]) == 0
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.norm.weight.add_(1)
    model.save_pretrained(folder, max_shard_size="30KB")
    words = tiny_training(out, *frozen, "resume=true", "max_steps=2")
    assert "was trained with text_encoder.sha256=" in refusal("train", *words)
    begun = tiny_training(tmp_path / "new", *frozen, f"init_from={out}")
    start.start(compose_train(begun))
    assert "was trained with text_encoder.sha256=" in capsys.readouterr().err


def test_resume_refuses_a_trained_text_encoder_with_another_vocabulary(
    tiny_training, encoder_folders, tmp_path, refusal, files_below
):
    out, other = tmp_path / "out", tmp_path / "other"
    trained = f"text_encoder.path={encoder_folders['gemma_2b']}"
    words = tiny_training(out, "text_encoder.trainable=true", "max_steps=1")
    assert main(["train", *words, trained]) == 0
    shutil.copytree(encoder_folders["gemma_2b"], other)
    about = json.loads((other / "tokenizer.json").read_text())
    vocabulary = about["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(about))
    more = [*words, "resume=true", "max_steps=2"]
    assert "another vocabulary" in refusal("train", *more, f"text_encoder.path={other}")
    assert main(["train", *more, trained]) == 0
    first, second = (out / f"checkpoints/step-000000{n}/text_encoder" for n in (1, 2))
    names = ("tokenizer.json", "tokenizer_config.json", "config.json")
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_a_run_from_before_pools_grew_is_resumed_with_a_full_pool(tiny_training, tmp_path):
    config = compose_train(tiny_training(tmp_path / "out", "data.pool_size=8", "data.pool_start=2"))
    stored = recipe_of(config, SyntheticPool("image", None, config.data, 0))
    assert stored["data"]["pool_start"] == 2
    del stored["data"]["pool_start"]
    pool = SyntheticPool("image", None, config.data, 0)
    pool.restore(stored["data"])
    pool.draw = lambda number: number
    pool.advance(0)
    assert list(pool._samples) == list(range(8))
    assert recipe_of(config, pool) == stored
    check_resumed(tmp_path, {"step": 0, **stored}, recipe_of(config, pool))


def test_one_file_that_numbers_the_weights_is_restored_as_one_that_names_them(
    tiny_training, tmp_path
):
    config = compose_train(tiny_training(tmp_path / "out", "optimizer=muon"))
    run = start.start(config)
    step.training_step(run, config)
    state = training_state.training_state(run.networks, run.average, run.optimizer)
    weights = {id(weight): name for name, weight in run.networks.named_parameters()}
    trained = [weight for group in run.optimizer.param_groups for weight in group["params"]]
    numbers = {weights[id(weight)]: number for number, weight in enumerate(trained)}
    old = {}
    for key, value in state.items():
        part, name = key.split(".", 1)
        if part == "optimizer":
            weight, moment = name.rsplit(".", 1)
            key = f"optimizer.{numbers[weight]}.{moment}"
        old[key] = value.contiguous()
    save_file(old, tmp_path / "training.safetensors")
    again = start.start(config)
    parts = again.networks, again.average, again.optimizer
    training_state.restore_training_state(tmp_path, *parts)
    restored = training_state.training_state(*parts)
    assert restored.keys() == state.keys()
    assert all(torch.equal(restored[key], state[key]) for key in state)
    with pytest.raises(LuminaError, match="it is of one process"):
        training_state.restore_training_state(tmp_path, *parts, group=object())


def test_a_state_of_another_optimizer_is_refused(tiny_training, tiny_checkpoint, tmp_path):
    run = start.start(compose_train(tiny_training(tmp_path / "out")))
    parts = run.networks, run.average, run.optimizer
    weights = state_in(tiny_checkpoint)
    for change, message in (
        ({"optimizer.backbone.nowhere.exp_avg": torch.zeros(2)}, "nowhere.exp_avg has no place"),
        ({"other.backbone": torch.zeros(2)}, "other.backbone has no place in it"),
        ({next(k for k in weights if k.endswith("exp_avg")): torch.zeros(3)}, "another shape"),
        ({next(k for k in weights if k.startswith("average.")): torch.zeros(3)}, "3 float32 there"),
    ):
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        write_state(tmp_path / "state", weights | change)
        with pytest.raises(LuminaError, match=message):
            training_state.restore_training_state(tmp_path, *parts)
