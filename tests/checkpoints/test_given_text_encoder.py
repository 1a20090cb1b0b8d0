"""`text_encoder=`: the text encoder of weights that bring none."""

import json
import shutil

import pytest
import torch

import lumina_core
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.text.settings import Negative

SIZE = {"height": 64, "width": 96, "solver.num_steps": 2}


@pytest.fixture
def bare(tiny_pipeline, tmp_path):
    """A transformer of diffusers without the parts of its pipeline, and the pipeline."""
    folder = tiny_pipeline("z_image").folder
    shutil.copytree(folder / "transformer", tmp_path / "z_image")
    return tmp_path / "z_image", folder


def test_weights_without_an_encoder_read_texts_by_the_one_that_is_given(bare):
    weights, pipeline = bare
    whole = lumina_core.load(pipeline)
    wanted = whole.generate("a red circle", **SIZE)[0]
    for place in (pipeline, pipeline / "text_encoder"):
        vae = {"vae": str(pipeline / "vae"), "text_encoder": str(place)}
        model = lumina_core.load(weights, modality="image", **vae)
        texts = ["a red circle", Negative("")]
        assert torch.equal(
            model.checkpoint.text_features(texts)[0], whole.checkpoint.text_features(texts)[0]
        )
        assert model.generate("a red circle", **SIZE)[0].media_sha256 == wanted.media_sha256


def test_weights_without_an_encoder_say_how_to_give_one(bare):
    weights, pipeline = bare
    with pytest.raises(LuminaError, match=r"bring no text_encoder.*text_encoder=FOLDER"):
        lumina_core.load(weights, modality="image", vae=str(pipeline / "vae"))


def test_an_encoder_of_another_width_is_refused_before_anything_is_computed(bare, tmp_path):
    from transformers import Qwen3Config, Qwen3Model

    weights, pipeline = bare
    other = shutil.copytree(pipeline / "text_encoder", tmp_path / "other")
    for file in (pipeline / "tokenizer").iterdir():
        shutil.copy(file, other)
    Qwen3Model(Qwen3Config.from_pretrained(other, hidden_size=8)).save_pretrained(other)
    parts = {"vae": str(pipeline / "vae"), "text_encoder": str(other)}
    with pytest.raises(LuminaError, match=r"elements, and this text encoder gives 8; name the one"):
        lumina_core.load(weights, modality="image", **parts)


def test_an_encoder_beside_one_that_the_checkpoint_has_is_refused(ask, tiny_pipeline, capsys):
    folder = tiny_pipeline("z_image").folder
    assert main(ask(f"text_encoder={folder}", "a red circle")) == 2
    error = capsys.readouterr().err
    assert "is for weights that bring no text encoder" in error
    assert "has its own; leave it out" in error
    assert main(ask("text_encoder.max_tokens=9", "a red circle")) == 2
    assert "text_encoder.max_tokens belongs to the architecture" in capsys.readouterr().err


def test_a_copy_of_the_encoder_of_the_hub_serves_where_it_is_the_same(
    encoder_folders, tiny_training, tmp_path, monkeypatch, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(encoder_folders["gemma_2b"], copy)
    monkeypatch.setattr("lumina_core.hub.snapshot", lambda name: copy)
    words = tiny_training(tmp_path / "out", "text_encoder=gemma_2b", "max_steps=1")
    assert main(["train", *words]) == 0
    monkeypatch.setattr("lumina_core.hub.snapshot", lambda name: None)
    step = tmp_path / "out" / "checkpoints" / "step-0000001"
    about = json.loads((step / "lumina.json").read_text())["text_encoder"]
    assert about["hub_id"] == "google/gemma-2b"
    ask = ["run", "+modality=image", f"checkpoint={step}", "device=cpu", "solver.num_steps=1"]
    ask += ["modality.height=32", "modality.width=32", f"out={tmp_path / 'a.png'}", "a red circle"]
    assert main([*ask, f"text_encoder={encoder_folders['gemma_2b']}"]) == 0
    capsys.readouterr()
    assert main([*ask, "text_encoder=google/gemma-2b"]) == 2
    assert "text_encoder: 'google/gemma-2b' is neither a folder" in capsys.readouterr().err
    path = copy / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    assert main([*ask, f"text_encoder={copy}"]) == 2
    assert "its sha256 differs" in capsys.readouterr().err
