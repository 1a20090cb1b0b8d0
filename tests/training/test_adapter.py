"""An adapter is trained on a model that stays as it is; frozen roles stay to the bit."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import lumina_core
from lumina_core.backbone.roles import role_of
from lumina_core.checkpoints.adapters import Adapters, Layers, read_adapters
from lumina_core.checkpoints.manifest import manifest_sha256, read_manifest
from lumina_core.cli.main import main
from lumina_core.data.settings import FilesConfig
from lumina_core.errors import LuminaError
from lumina_core.plugins import demos
from lumina_core.training import start
from lumina_core.training.adapter import base_of
from lumina_core.training.command import TrainingRun
from lumina_core.training.compose import compose_train
from lumina_core.training.forgetting import start_samples
from lumina_core.training.step import training_step

peft = pytest.importorskip("peft")
FILE = "adapter_model.safetensors"
FAST = "optimizer.learning_rate=0.01"


@pytest.fixture
def words(tiny_training, tiny_checkpoint, tmp_path):
    """The words of a run that begins with the tiny checkpoint."""

    def of(*more, out="out"):
        return tiny_training(tmp_path / out, f"init_from={tiny_checkpoint}", *more)

    return of


def lora(*more, name="lora"):
    return [f"adapter={name}", "adapter.rank=2", FAST, *more]


def losses(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_the_first_loss_is_that_of_the_model_and_only_the_adapter_learns(words, name):
    plain = start.start(compose_train(words()))
    config = compose_train(words(*lora("adapter.targets=[attention,text]", name=name)))
    run = start.start(config)
    before = {key: value.clone() for key, value in run.networks.state_dict().items()}
    expected = training_step(plain, compose_train(words()))["loss"]
    assert training_step(run, config)["loss"] == expected
    training_step(run, config)
    changed = {
        key
        for key, value in run.networks.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert changed and all("lora_" in key for key in changed)
    assert {role_of(key.removeprefix("backbone.")) for key in changed} == {"attention", "text"}
    trained = {w for group in run.optimizer.param_groups for w in group["params"]}
    named = dict(run.networks.named_parameters())
    assert trained == {w for key, w in named.items() if "lora_" in key}
    averages = dict(run.average.named_parameters())
    assert all((averages[key] is w) == (w not in trained) for key, w in named.items())


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_a_run_with_its_model_and_adapter_gives_what_was_trained(
    words, tiny_checkpoint, tmp_path, name, capsys
):
    config = compose_train(words(*lora("adapter.alpha=3", "max_steps=2", name=name)))
    assert main(["train", *words(*lora("adapter.alpha=3", "max_steps=2", name=name))]) == 0
    out = tmp_path / "out"
    manifest = read_manifest(out / "checkpoints" / "step-0000002")
    assert manifest["network"] == "adapter"
    assert manifest["base"] == {
        "checkpoint": str(tiny_checkpoint),
        "sha256": manifest_sha256(tiny_checkpoint),
    }
    run = start.start(replace(config, resume=True))
    trained = next(iter(start.averaged(run).values())).backbone.state_dict()
    loaded = lumina_core.load(tiny_checkpoint, adapters=[str(out)]).checkpoint
    ours = dict(loaded.ready_backbone().named_modules())
    wrapped = dict(start.averaged(run)["image"].backbone.named_modules())
    made = TrainingRun("image", out, 2, ()).model().checkpoint
    assert made.adapters == loaded.adapters
    with pytest.raises(LuminaError, match="is an adapter for image, and the model makes audio"):
        read_adapters(Adapters(((out, 1.0),)), Layers({}, {}, "audio"))
    assert main(["info", str(out)]) == 0
    assert f"base.checkpoint: {tiny_checkpoint}" in capsys.readouterr().out
    layers = [key.removesuffix(".base_layer") for key in wrapped if key.endswith(".base_layer")]
    assert len(layers) == 4 and len(trained) > 12
    for layer in layers:
        wrapped[layer].merge()
        torch.testing.assert_close(
            ours[layer].weight, wrapped[layer].base_layer.weight, atol=1e-6, rtol=1e-5
        )


def test_a_resumed_adapter_equals_an_uninterrupted_one_to_the_bit(words, tmp_path):
    assert main(["train", *words(*lora("max_steps=4"), out="whole")]) == 0
    assert main(["train", *words(*lora("max_steps=2", "optimizer.decay_share=0"), out="part")]) == 0
    shutil.rmtree(tmp_path / "part")
    parts = words(*lora("max_steps=4", "save_every=2"), out="part")
    assert main(["train", *parts]) == 0
    shutil.rmtree(tmp_path / "part" / "checkpoints" / "step-0000004")
    assert main(["train", "resume=true", f"out={tmp_path / 'part'}"]) == 0
    newest = "checkpoints/step-0000004"
    stored = [load_file(tmp_path / out / newest / FILE) for out in ("whole", "part")]
    assert all(torch.equal(stored[0][key], value) for key, value in stored[1].items())
    assert losses(tmp_path / "whole") == losses(tmp_path / "part")


def test_an_adapter_is_trained_on_the_demo(tmp_path):
    out = f"out={tmp_path / 'out'}"
    config = compose_train(["+modality=image", "init_from=demo", "adapter=lora", out])
    base = base_of(config, None)
    assert base.path == demos.demo_folder("image")
    assert config.backbone.depth == base.manifest["backbone"]["depth"]


def test_resuming_finds_the_model_again_and_refuses_another(
    tiny_training, checkpoint_copy, tiny_checkpoint, tmp_path, refusal
):
    out = tmp_path / "out"
    begin = [f"init_from={checkpoint_copy}", *lora("max_steps=1")]
    assert main(["train", *tiny_training(out, *begin)]) == 0
    go_on = ["train", "resume=true", f"out={out}", "max_steps=2"]
    moved = checkpoint_copy.rename(tmp_path / "moved")
    error = refusal(*go_on)
    assert "is an adapter of the model" in error and "is not there as it was" in error
    manifest = moved / "lumina.json"
    manifest.rename(tmp_path / "kept.json")
    shutil.copytree(tiny_checkpoint, checkpoint_copy)
    path = checkpoint_copy / "lumina.json"
    other = {**json.loads(path.read_text()), "sampling": {"guidance": {"scale": 2.0}}}
    from lumina_core.files.seals import sealed

    other.pop("sha256")
    path.write_text(sealed(other))
    assert "holds other weights now" in refusal(*go_on)
    (tmp_path / "kept.json").rename(manifest)
    assert main([*go_on, f"init_from={moved}"]) == 0


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_in_bfloat16_the_matrices_below_an_adapter_take_half_and_count_the_same(words, name):
    more = ["dtype=bfloat16", "sample_every=1", "num_sample_prompts=1", "max_steps=1"]
    whole = start.start(compose_train(words(*lora(name=name))))  # all of it in float32
    config = compose_train(words(*lora(*more, name=name)))
    run = start.start(config)
    weights = dict(run.networks["backbone"].named_parameters())
    assert weights["blocks.0.feed_forward.w1.weight"].dtype == torch.bfloat16
    assert weights["blocks.0.attention.wq.base_layer.weight"].dtype == torch.bfloat16
    assert weights["blocks.0.modulation.weight"].dtype == torch.float32
    assert {w.dtype for key, w in weights.items() if "lora_" in key} == {torch.float32}
    assert training_step(run, config)["loss"] == training_step(whole, config)["loss"]
    assert main(["train", *words(*lora(*more, name=name))]) == 0  # and draws its sheet


def test_what_an_adapter_cannot_do_is_refused(words, tiny_training, tmp_path, refusal, monkeypatch):
    fresh = tiny_training(tmp_path / "out", *lora())
    assert "give init_from=CHECKPOINT" in refusal("train", *fresh)
    for more, said in (
        (["adapter.targets=[norms]"], "adapter.targets has norms, and this network has no linear"),
        (["adapter.targets=[atention]"], "'attention'?"),
        (["adapter.rank=1000"], "adapter.rank=1000 is above 32, that of the largest layer"),
        (["freeze=[text]"], "freeze has no effect with adapter=lora"),
        (["backbone.rope_theta=50"], "an adapter changes its model as it is"),
        (["backbone.depth=2"], "backbone.depth=1, this run has 2"),
    ):
        assert said in refusal("train", *words(*lora(*more))), more
    assert "adapter.rank=4 has no effect with adapter.name=none" in refusal(
        "train", *words("adapter.rank=4")
    )
    config = compose_train(words(*lora()))
    both = {name: config.members["image"] for name in ("image", "audio")}
    with pytest.raises(LuminaError, match="on one modality, and this run has image, audio"):
        replace(config, joint=both)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "pip install 'lumina-core[adapters]'" in refusal("train", *words(*lora()))
    assert not (tmp_path / "out").exists()


def test_ranks_that_share_matrices_train_no_adapter(words, monkeypatch):
    launched = {"RANK": 0, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**launched, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(LuminaError, match="cuts the matrices that adapter=lora changes; use"):
        start.start(compose_train(words(*lora("parallel=tensor"))))


def test_frozen_roles_stay_to_the_bit_and_the_others_learn(words, tiny_checkpoint, tmp_path):
    roles = ("attention", "text", "text_encoder")
    more = [f"freeze=[{','.join(roles)}]", "max_steps=2", FAST]
    run = start.start(compose_train(words(*more)))
    optimised = {w for group in run.optimizer.param_groups for w in group["params"]}
    assert optimised.isdisjoint(run.networks["text_encoder"].parameters())
    assert main(["train", *words(*more)]) == 0
    newest = tmp_path / "out" / "checkpoints" / "step-0000002"
    before, after = (load_file(x / "backbone.safetensors") for x in (tiny_checkpoint, newest))
    for name, value in before.items():
        assert torch.equal(value, after[name]) or role_of(name) not in roles, name
    changed = {
        role_of(name) for name, value in before.items() if not torch.equal(value, after[name])
    }
    assert changed == {"feed_forward", "modulation", "projections", "norms"}
    texts = (load_file(x / "text_encoder" / "model.safetensors") for x in (tiny_checkpoint, newest))
    one, other = texts
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert main(["train", "resume=true", f"out={tmp_path / 'out'}", "max_steps=3"]) == 0


def test_freezing_nothing_or_everything_is_refused(words, refusal, tmp_path, tiny_training):
    every = "attention,feed_forward,text,modulation,projections,norms,text_encoder"
    assert "leaves nothing to train" in refusal("train", *words(f"freeze=[{every}]"))
    assert "freeze has 'norm'" in refusal("train", *words("freeze=[norm]"))
    fresh = tiny_training(tmp_path / "out", "freeze=[text]")
    assert "give init_from=CHECKPOINT" in refusal("train", *fresh)


def test_a_fine_tune_tells_what_it_forgets(words, tmp_path, monkeypatch, capsys, pictures):
    more = ["validate_every=1", "num_validation_samples=2", "max_steps=1", "data=folder"]
    more += [f"data.path={pictures}", "data.min_tokens=1", "data.max_tokens=60", "evaluate_every=1"]
    more += ["num_evaluation_prompts=1"]
    assert main(["train", *words(*more, *lora())]) == 0
    said = capsys.readouterr().err
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    found = {}
    for line in map(json.loads, lines):
        for key in line.keys() - {"step"}:
            found.setdefault(key, []).append(line["step"])
    for key in ("validation_loss", "start_validation_loss", "evaluation"):
        assert found[key] == [0, 1], key
    assert "step 1  validation loss on the data of its start" in said
    assert said.count("before the first step)") == 3
    assert main(["train", *words(*more, f"start_data={pictures}", "overwrite=true")]) == 0
    own, of_start = (
        [json.loads(line)[key] for line in lines_of(tmp_path / "out") if key in json.loads(line)]
        for key in ("validation_loss", "start_validation_loss")
    )
    assert own == of_start  # of the same pictures


def test_data_of_the_start_need_no_index_beside_a_stream(words, tiny_model, pictures):
    held = ["validate_every=1", "num_validation_samples=2", f"start_data={pictures}"]
    sizes = {"min_tokens": 1, "max_tokens": 60}
    data = FilesConfig(name="shards", path="/shards", index="/x", shuffle_window=4, **sizes)
    config = replace(compose_train(words(*held)), data=data)
    assert len(start_samples(config, tiny_model.modality, [])) == 2


def lines_of(out):
    return (out / "metrics.jsonl").read_text().splitlines()


@pytest.fixture
def pictures(tmp_path):
    """A folder of four pictures with their captions."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, colour in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (32, 32), colour).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a {colour} star")
    return folder
