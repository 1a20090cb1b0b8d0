"""What a folder means wherever a checkpoint is taken, and the modality that follows from it."""

import json
import shutil

import pytest

from lumina_core import LuminaError, generate
from lumina_core.checkpoints.folder import export
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.cli.completion import complete
from lumina_core.cli.main import main
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.files.seals import sealed
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_infer, compose_run
from lumina_core.training.compose import compose_train
from lumina_core.training.init_from import init_source


def write_manifest(folder, *modalities):
    content = {key: {} for key in ("backbone", "sampling", "training", "files")} | {
        "format": 1, "lumina_core": "0.1.0", "text_encoder": {"max_tokens": 8},
        "modalities": {name: {"options": {}, "token_dim": 16} for name in modalities},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "lumina.json").write_text(sealed(content))
    return folder


def write_training(out, *modalities):
    """A folder of training whose newest finished checkpoint is that of step 20."""
    for step in (3, 20):
        write_manifest(out / "checkpoints" / f"step-{step:07d}", *modalities)
    for unfinished in ("step-0000030", ".lumina-1"):
        (out / "checkpoints" / unfinished).mkdir()
    write_manifest(out / "checkpoints" / "step-0000040-copy", *modalities)
    return out


def test_a_folder_of_training_means_its_newest_finished_checkpoint(tmp_path):
    out = write_training(tmp_path / "mine", "toy")
    newest = out / "checkpoints" / "step-0000020"
    older = out / "checkpoints" / "step-0000003"
    assert checkpoint_folder(out) == checkpoint_folder(out / "checkpoints") == newest
    assert checkpoint_folder(newest) == newest
    assert checkpoint_folder(older) == older
    assert checkpoint_folder(tmp_path) == tmp_path
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    with pytest.raises(LuminaError, match=r"new has finished no checkpoint yet"):
        checkpoint_folder(tmp_path / "new")


def test_every_command_takes_a_folder_of_training(toy, tmp_path, capsys):
    out = write_training(tmp_path / "mine", "toy")
    newest = str(out / "checkpoints" / "step-0000020")
    for words in ([f"checkpoint={out}"], ["+modality=toy", f"checkpoint={out}"]):
        assert compose_run([*words, "prompt=a cat"]).checkpoint == newest
        assert compose_infer([*words, "prompt=a cat"]).checkpoint == newest
        assert compose_evaluate(words).checkpoint == newest
    assert str(init_source(str(out), ["toy"], download=False).path) == newest
    assert main(["info", str(out), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["modalities"]) == ["toy"]


@pytest.mark.parametrize("modality", host.SHIPPED)
def test_a_checkpoint_of_one_modality_says_which(tmp_path, modality):
    checkpoint = f"checkpoint={write_training(tmp_path / 'mine', modality)}"
    for compose in (compose_run, compose_infer):
        assert compose([checkpoint, "prompt=x"]).modality == modality
    assert compose_evaluate([checkpoint]).modality == modality
    assert compose_train([f"init_from={tmp_path / 'mine'}"]).modality == modality
    assert complete(["run", checkpoint, "modality."])


def test_a_checkpoint_is_of_an_installed_modality_or_refused_in_one_line(toy, tmp_path, refusal):
    several = write_manifest(tmp_path / "several", "toy", "image")
    for words in ([], ["+modality=toy"]):  # the only one that is installed
        assert compose_run([*words, f"checkpoint={several}", "prompt=x"]).modality == "toy"
    absent = write_manifest(tmp_path / "absent", "audio")
    for command in ("run", "infer", "evaluate"):
        said = refusal(command, f"checkpoint={absent}")
        assert "'audio' is not installed" in said
        assert "pip install ./plugins/lumina-audio" in said
    assert "no checkpoint in" in refusal("infer", "x", f"checkpoint={tmp_path}")


def test_a_training_is_used_by_the_name_of_its_folder(tiny_checkpoint, tmp_path, work, capsys):
    shutil.copytree(tiny_checkpoint.parent.parent, work / "mine")
    (work / "prompts.txt").write_text("a red circle\n")
    small = ["modality.height=32", "modality.width=32", "solver.num_steps=1", "device=cpu"]
    mine = "checkpoint=mine"
    for words in (
        ["run", mine, "a red circle", "out=a.png", *small],
        ["infer", mine, "a red circle", "out=b.png", *small],
        ["run", mine, "prompt_file=prompts.txt", "out=many", *small],
        ["evaluate", mine, "num_prompts=1", "splits=held_out", "solver.num_steps=1"],
        ["info", "mine"],
    ):
        assert main(words) == 0, words
    capsys.readouterr()
    settings = {"height": 32, "width": 32, "num_steps": 1}
    (made,) = generate("a red circle", modality="image", checkpoint="mine", **settings)
    assert main(["info", "a.png", "--json"]) == 0
    told = json.loads(json.dumps(made.request)) | {"media_sha256": made.media_sha256}
    assert json.loads(capsys.readouterr().out) == told
    vae = find_vae("image", "mine", download=False)
    assert vae.relative_to("mine/checkpoints").parts == ("step-0000003", "vae", "image")
    export(work / "mine", work / "shipped", made.media.dtype)
    assert checkpoint_folder(work / "shipped") == work / "shipped"
