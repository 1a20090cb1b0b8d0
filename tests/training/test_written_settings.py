"""The settings that a training keeps in its folder, with which it goes on from there alone."""

import json
import shutil
from dataclasses import replace
from threading import enumerate as threads

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.training import step as training_step
from lumina_core.training import train
from lumina_core.training.compose import compose_train
from lumina_core.training.written_settings import SETTINGS, write_settings

OTHER_SETTINGS = [
    "seed=7", "max_steps=77", "dtype=bfloat16", "backbone.depth=3", "optimizer=muon",
    "optimizer.betas=[0.8,0.9]", "time=uniform", "validate_every=2", "validation_times=[0.25]",
    "num_threads=1", "text_encoder.max_tokens=9", "device=cpu",
]  # fmt: skip
FOLDER = ["data=folder", "data.path=pictures", "modality.vae=my vae"]


def kept(out, *words):
    """The folder of a run with these words that has done nothing but keep its settings."""
    config = compose_train([f"out={out}", *words])
    write_settings(config)
    return config


@pytest.mark.parametrize("modality", host.SHIPPED)
def test_a_run_goes_on_with_every_setting_of_its_start(tmp_path, modality):
    out = tmp_path / "of mine"
    config = kept(out, f"+modality={modality}", *OTHER_SETTINGS)
    resumed = ["resume=true", f"out={out}"]
    assert compose_train(resumed) == replace(config, resume=True)
    longer = compose_train([*resumed, "max_steps=99", "optimizer.learning_rate=0.5"])
    optimizer = replace(config.optimizer, learning_rate=0.5)
    assert longer == replace(config, resume=True, max_steps=99, optimizer=optimizer)


def test_a_run_goes_on_from_any_working_folder(work, tmp_path, monkeypatch):
    for name in ("pictures", "my vae", "sd"):
        (work / name).mkdir()
    config = kept(tmp_path / "out", "+modality=image", *FOLDER, "text_encoder.path=google/gemma-2b")
    (work / "below").mkdir()
    monkeypatch.chdir(work / "below")
    found = compose_train(["resume=true", f"out={tmp_path / 'out'}"])
    assert found.data == replace(config.data, path=str(work / "pictures"))
    assert found.options.vae == str(work / "my vae")
    assert found.text_encoder.path == "google/gemma-2b"
    monkeypatch.chdir(work)
    kept(tmp_path / "sd", "+modality=image", "modality.vae=sd")  # a name, and a folder beside it
    assert compose_train(["resume=true", f"out={tmp_path / 'sd'}"]).options.vae == "sd"


def test_shards_of_a_pattern_and_their_index_are_found_from_any_folder(work, tmp_path, monkeypatch):
    for name in ("a-0.tar", "a-1.tar", "of mine"):
        (work / name).write_bytes(b"")
    words = ("data=shards", "data.path=a-*.tar", "data.index=of mine")
    config = kept(tmp_path / "out", "+modality=image", *words)
    monkeypatch.chdir(tmp_path)
    found = compose_train(["resume=true", f"out={tmp_path / 'out'}"]).data
    paths = {"path": str(work / "a-*.tar"), "index": str(work / "of mine")}
    assert found == replace(config.data, **paths)


def test_what_belongs_to_one_command_is_not_kept(tmp_path):
    kept(tmp_path, "+modality=image", "overwrite=true", "download=true")
    text = (tmp_path / SETTINGS).read_text()
    assert json.loads(text).keys() & {"out", "overwrite", "resume", "download"} == set()
    assert str(tmp_path) not in text
    config = compose_train(["resume=true", f"out={tmp_path}"])
    assert (config.overwrite, config.download) == (False, False)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"overwrite": True}, "is damaged: overwrite belongs to a command"),
        ({"out": "/"}, "is damaged: out belongs to a command"),
        ({"sede": 3}, "unknown key 'sede'"),
        ({"seed": "three"}, "seed must be a whole number"),
        ({"backbone": {"deep": 3}}, "unknown key"),
        ({"optimizer": 5}, "optimizer must be a block of keys"),
        ({"options": {"nope": 3}}, "unknown key 'modality.nope'"),
        ({"options": 3}, "is damaged: it has no options"),
        ({"modality": 3}, "is damaged: it names no modality"),
    ],
)
def test_settings_that_are_none_are_refused_by_their_file(tmp_path, refusal, change, fault):
    kept(tmp_path, "+modality=image")
    path = tmp_path / SETTINGS
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for more in ([], ["max_steps=5"], ["+modality=image"]):
        said = refusal("train", "resume=true", f"out={tmp_path}", *more)
        assert str(path) in said
        assert fault in said


def test_cut_settings_are_refused_by_their_file(tmp_path, refusal):
    kept(tmp_path, "+modality=image")
    path = tmp_path / SETTINGS
    for content in (b"", path.read_bytes()[:99], b"[]", b"\xff", b"[" * 9999):
        path.write_bytes(content)
        said = refusal("train", "resume=true", f"out={tmp_path}")
        assert f"{path} is damaged" in said


def test_what_cannot_go_on_is_one_line(tmp_path, refusal, tiny_checkpoint, tiny_training):
    said = refusal("train", "resume=true", f"out={tmp_path / 'nowhere'}")
    assert "holds no training to go on with; leave out resume=true" in said
    assert "out=FOLDER" in refusal("train", "resume=true")
    out = tmp_path / "out"
    config = kept(out, "+modality=image", "init_from=demo")
    said = refusal("train", "resume=true", f"out={out}", "+modality=video")
    assert "is of modality 'image', not 'video'. Leave out +modality=video" in said
    said = refusal("train", "resume=true", f"out={out}", f"init_from={tiny_checkpoint}")
    assert f"leave out init_from={tiny_checkpoint}" in said
    same = compose_train(["resume=true", f"out={out}", "init_from=demo"])
    assert same == replace(config, resume=True)
    said = refusal("train", *tiny_training(out))
    assert f"go on with it: python -m lumina_core train resume=true out={out} " in said


def test_a_run_of_an_older_version_says_its_modality(tmp_path, tiny_checkpoint, refusal):
    out = tmp_path / "out"
    shutil.copytree(tiny_checkpoint, out / "checkpoints" / tiny_checkpoint.name)
    assert compose_train(["resume=true", f"out={out}"]).modality == "image"
    assert "leave out init_from" in refusal("train", "resume=true", f"out={out}", "init_from=demo")


def test_a_run_that_was_resumed_by_its_folder_equals_an_uninterrupted_one(
    tiny_training, tiny_checkpoint, tmp_path, losses, monkeypatch
):
    more = [f"init_from={tiny_checkpoint}", "max_steps=4", "seed=3", "num_threads=1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *tiny_training(whole, *more)]) == 0
    real = training_step.training_step

    def killed_at(stop, words):
        def step(run, *rest):
            if run.step == stop:
                raise SystemExit("killed")
            return real(run, *rest)

        monkeypatch.setattr(train, "training_step", step)
        with pytest.raises(SystemExit):
            main(words)

    resume = ["train", "resume=true", f"out={parts}"]
    killed_at(1, ["train", *tiny_training(parts, *more, "save_every=2")])  # nothing is saved yet
    killed_at(3, resume)
    monkeypatch.undo()
    assert main(resume) == 0
    assert losses(whole) == losses(parts)
    name = "checkpoints/step-0000004"
    assert (whole / name / "lumina.json").read_bytes() == (
        parts / name / "lumina.json"
    ).read_bytes()
    assert main(resume) == 0  # there is nothing left to do


def test_a_second_signal_says_what_is_kept(tiny_training, tmp_path, monkeypatch, capsys):
    real = training_step.training_step

    def interrupted(run, *rest):
        if run.step == 3:
            for thread in threads():
                if thread.name == "saving":
                    thread.join()
            raise KeyboardInterrupt
        return real(run, *rest)

    monkeypatch.setattr(train, "training_step", interrupted)
    out = tmp_path / "of mine"
    for save, kept_line in ((0, "no checkpoint was saved yet"), (2, "step-0000002 is kept")):
        words = tiny_training(out, f"save_every={save}", "max_steps=9", "overwrite=true")
        capsys.readouterr()
        assert main(["train", *words]) == 130
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("interrupted at step 3 of 9, without saving; ")
        assert kept_line in last
        assert last.endswith(f"go on with: python -m lumina_core train resume=true 'out={out}'")


def test_the_script_is_named_where_it_was_typed(monkeypatch):
    from lumina_core.training.written_settings import resume_command

    monkeypatch.setattr("sys.argv", ["/usr/bin/lumina", "train"])
    assert resume_command("a b") == "lumina train resume=true 'out=a b'"
    monkeypatch.setattr("sys.argv", ["/x/lumina_core/__main__.py", "train"])
    assert resume_command("a") == "python -m lumina_core train resume=true out=a"


def test_a_setting_that_is_refused_leaves_what_is_kept(tiny_training, tmp_path):
    out = tmp_path / "out"
    assert main(["train", *tiny_training(out, "max_steps=1")]) == 0
    before = (out / SETTINGS).read_bytes()
    assert main(["train", "resume=true", f"out={out}", "seed=9", "max_steps=2"]) == 2
    assert (out / SETTINGS).read_bytes() == before
    with pytest.raises(LuminaError):
        compose_train(["resume=true", f"out={out}", "nope=3"])
