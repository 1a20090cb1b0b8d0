"""A run that begins with the weights of a checkpoint."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints import folder as checkpoint_folder
from lumina_core.checkpoints import manifest
from lumina_core.checkpoints.source import own_source
from lumina_core.cli.main import main
from lumina_core.sampling.compose import compose_run
from lumina_core.training import start
from lumina_core.training.compose import compose_train
from lumina_core.training.init_from import start_from


def test_init_from_starts_with_the_weights_of_a_checkpoint(
    tiny_training, tiny_checkpoint, tmp_path, capsys
):
    words = tiny_training(tmp_path / "out", f"init_from={tiny_checkpoint}", "seed=5")
    state = start.start(compose_train(words))
    stored = load_file(tiny_checkpoint / "backbone.safetensors")
    text = load_file(tiny_checkpoint / "text_encoder" / "model.safetensors")
    for networks in (state.networks, state.average):
        backbone = networks["backbone"].state_dict()
        assert all(torch.equal(backbone[key], value) for key, value in stored.items())
        encoder = networks["text_encoder"].model.state_dict()
        assert all(torch.equal(encoder[key], value) for key, value in text.items())
    assert state.step == 0
    assert not any(map(state.optimizer.state_of, state.networks.parameters()))
    assert capsys.readouterr().err == ""
    assert main(["train", *words]) == 0


def test_init_from_keeps_a_frozen_text_encoder_frozen(
    tiny_training, encoder_folders, tmp_path, refusal
):
    frozen = [f"text_encoder.path={encoder_folders['gemma_2b']}", "text_encoder.trainable=false"]
    frozen += ["text_encoder.max_tokens=9", "text_encoder.hidden_state=-2", "max_steps=1"]
    assert main(["train", *tiny_training(tmp_path / "first", *frozen)]) == 0
    first = tmp_path / "first" / "checkpoints" / "step-0000001"
    words = tiny_training(tmp_path / "out", "max_steps=1")
    begin = f"init_from={first}"
    error = refusal("train", *words, begin, "text_encoder.max_tokens=8")
    assert "text_encoder.max_tokens=9, this run has 8; leave it out" in error
    assert main(["train", *words, begin]) == 0
    assert main(["train", *words, "resume=true", "max_steps=2"]) == 0
    newest = tmp_path / "out" / "checkpoints" / "step-0000002"
    stored, wanted = (manifest.read_manifest(x)["text_encoder"] for x in (newest, first))
    assert stored == wanted
    assert (stored["max_tokens"], stored["hidden_state"]) == (9, -2)


def test_init_from_takes_another_data_set_and_says_what_differs(
    tiny_training, tiny_checkpoint, other_vae, tmp_path, capsys
):
    begin = f"init_from={tiny_checkpoint}"
    words = tiny_training(
        tmp_path / "out", begin, "backbone.rope_theta=50", f"modality.vae={other_vae}"
    )
    start.start(compose_train(words))
    err = capsys.readouterr().err
    assert "backbone.rope_theta=100.0, this run has 50.0" in err
    assert "another autoencoder" in err
    assert (err.count("warning: "), err.count("\n")) == (2, 2)


@pytest.mark.parametrize(("token_dim", "said"), [(16, "as those of image"), (8, "begin anew")])
def test_another_modality_gives_what_is_shared(
    tiny_checkpoint, tiny_model, capsys, token_dim, said
):
    shape = replace(tiny_model.backbone.config, token_dims={"other": token_dim})
    model = replace(tiny_model, name="other", backbone=Backbone(shape))
    fresh = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    start_from(own_source(tiny_checkpoint), [model])
    assert said in capsys.readouterr().err.splitlines()[0]
    stored = load_file(tiny_checkpoint / "backbone.safetensors")
    for key, value in model.backbone.state_dict().items():
        is_own = key.startswith(("inputs.other", "outputs.other"))
        source = fresh[key] if is_own and token_dim == 8 else stored[key.replace("other", "image")]
        assert torch.equal(value, source), key


def test_init_from_refuses_what_does_not_fit(tiny_training, checkpoint_copy, tmp_path, refusal):
    words = tiny_training(tmp_path / "out", f"init_from={checkpoint_copy}")
    assert "backbone.depth=1, this run has 2" in refusal("train", *words, "backbone.depth=2")
    for key, stored, wanted in (("hidden_size", 32, 64), ("depth", 1, 3), ("num_heads", 2, 1)):
        error = refusal("train", *words, f"text_encoder.{key}={wanted}")
        assert f"text_encoder.{key}={stored}, this run has {wanted}; leave it out" in error
    other = [*words, "modality.patch_size=1", "token_budget=3000"]
    assert "options.patch_size=2, this run has 1" in refusal("train", *other)
    assert "holds no training to go on with" in refusal("train", *words, "resume=true")
    assert "no checkpoint in" in refusal("train", *words, f"init_from={tmp_path}")
    weights = checkpoint_copy / "backbone.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert "is damaged" in refusal("train", *words)
    assert not (tmp_path / "out").exists()


def test_what_a_checkpoint_recommends_is_kept_where_it_is_true(
    tiny_training, tiny_checkpoint, other_vae, tmp_path, capsys
):
    advice = {"coarse": {"above": 40, "tokens": 20, "strength": 0.5}, "longest_side": 8.0}
    first = tmp_path / "first"
    checkpoint_folder.export(tiny_checkpoint, first, torch.float32, {"image": advice})
    out = tmp_path / "out"

    def recommended(step):
        folder = out / "checkpoints" / f"step-{step:07d}"
        return manifest.recommended(manifest.read_manifest(folder), "image")

    words = tiny_training(out, f"init_from={first}", "max_steps=1", "sample_every=1")
    assert main(["train", *words]) == 0
    assert "coarse.above=40, coarse.tokens=20" in capsys.readouterr().err
    assert recommended(1) == advice
    assert compose_run([f"checkpoint={out}", "prompt=x"]).longest_side == 8.0
    assert main(["train", "resume=true", f"out={out}", "max_steps=2"]) == 0
    assert recommended(2) == advice
    dropped = (["backbone.rope_theta=50"], [f"modality.vae={other_vae}"])
    for more in ([], *dropped, ["text_encoder.max_tokens=9"]):
        config = compose_train([*words, "overwrite=true", *more])
        assert start.start(config).sampling == ({} if more in dropped else {"image": advice})
        assert ("this run drops it" in capsys.readouterr().err) == (more in dropped)


def test_a_recommendation_that_acts_for_the_user_is_refused_before_a_run_is_replaced(
    tiny_training, tiny_checkpoint, tmp_path, capsys, files_below
):
    first, out = tmp_path / "first", tmp_path / "out"
    assert main(["train", *tiny_training(out, "max_steps=1")]) == 0
    before = files_below(out)
    for advice, said in (
        ({"out": "mine.png"}, "unknown key 'out' in the recommendation of the checkpoint"),
        ({"solver": {"num_steps": "many"}}, "solver.num_steps"),
    ):
        shutil.rmtree(first, ignore_errors=True)
        checkpoint_folder.export(tiny_checkpoint, first, torch.float32, {"image": advice})
        words = tiny_training(out, "max_steps=1", f"init_from={first}", "overwrite=true")
        capsys.readouterr()
        assert main(["train", *words]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert files_below(out) == before
