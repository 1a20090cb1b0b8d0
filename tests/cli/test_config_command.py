"""`config COMMAND` prints the settings in use; `config=FILE` gives them back to the command."""

import os
from pathlib import Path

import pytest

from lumina_core.cli.commands import CONFIGURED
from lumina_core.cli.completion import FILES, complete
from lumina_core.cli.main import main
from lumina_core.config.settings_file import as_yaml
from lumina_core.files.seals import sealed
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import read_yaml
from lumina_core.training.written_settings import write_settings

WORDS = {
    "run": ["a: 'red' ${x} circle, 雪\n", "solver=heun", "guidance.scale=3", "seed=5", "out=~/x"],
    "infer": ["a cat", "solver=dopri5", "coarse.above=null"],
    "evaluate": ["solver.num_steps=7", "splits=trained", "rope_scaling.watershed=0.5"],
    "train": ["data=folder", "data.path=a b", "optimizer=muon", "time=uniform", "backbone=600m"],
    "train-vae": ["batch_size=3", "block_channels=[8,16]", "learning_rate=1e-5"],
    "cache": ["data=folder", "data.path=a b", "shard_megabytes=3", "text_encoder=t5"],
}
OWN = {
    "image": ["modality.height=32"],
    "video": ["modality.frames=5"],
    "multiview": ["modality.views=6"],
    "audio": ["modality.seconds=1.5"],
}


@pytest.fixture
def settings(work, capsys):
    """Write what `config` prints for words into a file; give its lines."""

    def write(*words: str, name: str = "f.yaml") -> list[str]:
        capsys.readouterr()
        assert main(["config", *words]) == 0
        text = capsys.readouterr().out
        (work / name).write_text(text)
        return text.splitlines()

    return write


def composed(command, *words):
    return CONFIGURED[command].compose([w if "=" in w else f"prompt={w}" for w in words])


@pytest.mark.parametrize("modality", host.SHIPPED)
@pytest.mark.parametrize("command", WORDS)
def test_the_settings_that_are_shown_are_taken_back(settings, command, modality):
    asked = [f"+modality={modality}", *WORDS[command], *OWN[modality]]
    if command == "train":
        asked += [{"image": "modality.patch_size=4"}.get(modality, "seed=9")]
    lines = settings(command, *asked)
    wanted = composed(command, *asked)
    assert composed(command, "config=f.yaml") == wanted
    assert settings(command, "config=f.yaml")[2:] != lines[2:]  # the origins
    assert composed(command, "config=f.yaml") == wanted


def value_and_origin(lines, key):
    (line,) = [line for line in lines if line.removeprefix("# ").startswith(f"{key}:")]
    value, _, origin = line.partition(": ")[2].partition("  # ")
    return ("# " * line.startswith("#") + value).strip(), origin


@pytest.fixture
def checkpoint(toy, tmp_path):
    """A checkpoint of toys, of which there is nothing but what it recommends and fixes."""
    content = {key: {} for key in ("backbone", "training", "files")} | {
        "format": 1, "lumina_core": "0.1.0", "text_encoder": {"max_tokens": 8},
        "sampling": {"guidance": {"scale": 9.5}},
        "modalities": {"toy": {"options": {"patch_size": 4}, "token_dim": 16}},
    }  # fmt: skip
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "lumina.json").write_text(sealed(content))
    return folder


def test_each_value_has_its_origin_beside_it(settings, checkpoint):
    mine = os.path.relpath(checkpoint)  # short enough to be shown whole
    lines = settings("run", f"checkpoint={mine}", "solver=heun", "coarse.above=500", "a cat")
    assert lines[0] == "command: run"
    assert value_and_origin(lines, "modality") == ("toy", f"checkpoint={mine}")
    assert value_and_origin(lines, "prompt") == ('"a cat"', "command line")
    assert value_and_origin(lines, "checkpoint") == (f'"{mine}"', "command line")
    assert value_and_origin(lines, "guidance.scale") == ("9.5", mine)
    assert value_and_origin(lines, "modality.patch_size") == ("# 4", f"fixed by {mine}")
    assert value_and_origin(lines, "modality.height") == ("32", "lumina-toy")
    assert value_and_origin(lines, "solver.name") == ("heun", "solver=heun")
    assert value_and_origin(lines, "solver.shift") == ("3.0", "lumina-toy")
    assert value_and_origin(lines, "coarse.above") == ("500", "command line")
    assert value_and_origin(lines, "seed") == ("0", "core")
    again = settings("run", "config=f.yaml", "seed=3")
    assert value_and_origin(again, "seed") == ("3", "command line")
    assert value_and_origin(again, "solver.num_steps") == ("15", "f.yaml")
    assert value_and_origin(again, "modality") == ("toy", "f.yaml")


def test_what_is_unset_stays_unset(toy, settings, refusal):
    settings("run", "+modality=toy")
    assert "no prompt" in refusal("run", "config=f.yaml")
    asked = composed("run", "config=f.yaml", "a cat", "seed=2")
    assert asked == composed("run", "+modality=toy", "a cat", "seed=2")
    assert asked.out is None


def test_words_win_over_a_file_and_a_file_over_a_checkpoint(toy, checkpoint, work):
    (work / "f.yaml").write_text(f"checkpoint: {checkpoint}\nguidance: {{scale: 5}}\nseed: 1")
    asked = composed("run", "config=f.yaml", "a cat", "seed=2")
    assert (asked.guidance.scale, asked.seed, asked.checkpoint) == (5.0, 2, str(checkpoint))
    (work / "f.yaml").write_text(f"checkpoint: {checkpoint}\n")
    assert composed("run", "config=f.yaml", "a cat").guidance.scale == 9.5
    assert (
        composed("run", "config=f.yaml", "+modality=toy", "checkpoint=null", "x").checkpoint is None
    )


def test_a_choice_among_the_words_takes_the_place_of_the_block_in_a_file(toy, settings):
    settings("run", "+modality=toy", "solver.num_steps=99", "solver.shift=7")
    solver = composed("run", "config=f.yaml", "solver=rk4", "a cat").solver
    assert (solver.name, solver.num_steps, solver.shift) == ("rk4", 8, 7.0)
    solver = composed("run", "config=f.yaml", "solver=dopri5", "a cat").solver
    assert solver.name == "dopri5"
    settings("train", "+modality=toy", "data=folder", "data.path=here", "data.max_aspect=3")
    data = composed("train", "config=f.yaml").data
    assert (data.path, data.max_aspect) == ("here", 3.0)
    assert composed("train", "config=f.yaml", "data=synthetic").data.pool_size == 2048
    assert composed("train", "config=f.yaml", "data.path=there").data.path == "there"


def test_a_file_may_hold_blocks_and_choices_and_a_few_keys_only(toy, work):
    (work / "f.yaml").write_text(
        "modality: toy\nprompt: a cat\nsolver: rk4\ncoarse: {above: 500}\nmodality.height: 8\n"
        "modality.sizes: [1, 2]\ntext_cache: ~/cache\n"
    )
    asked = composed("run", "config=f.yaml")
    assert (asked.prompt, asked.solver.name, asked.coarse.above) == ("a cat", "rk4", 500)
    assert (asked.options.height, asked.options.sizes) == (8, (1, 2))
    assert asked.text_cache == str(Path("~/cache").expanduser())
    (work / "f.yaml").write_text("data: {name: folder, path: here}\nmodality: toy")
    assert composed("train", "config=f.yaml").data.path == "here"


def test_a_condition_is_taken_back(write_conditioned, settings):
    write_conditioned()
    words = ("+modality=toy", "a cat", "condition.image=~/a, b.png", "condition.frames=3")
    settings("run", *words)
    asked = composed("run", "config=f.yaml")
    assert asked == composed("run", *words)
    assert asked.condition.wanted.image == str(Path("~/a, b.png").expanduser())


def test_a_repeated_file_is_taken_back(toy, commands, settings):
    lines = settings("run", "repeat=a.png", "solver.shift=2")
    assert value_and_origin(lines, "prompt")[0] == '"a dög"'
    assert value_and_origin(lines, "repeat") == ('"a.png"', "command line")
    assert composed("run", "config=f.yaml") == composed("run", "repeat=a.png", "solver.shift=2")


def test_a_training_in_a_folder_is_taken_back(toy, settings, work):
    words = ["+modality=toy", "seed=77", "data=folder", "data.path=here", "out=run"]
    (work / "run").mkdir()
    write_settings(composed("train", *words))
    settings("train", "resume=true", "out=run", "max_steps=9000")
    wanted = composed("train", "resume=true", "out=run", "max_steps=9000")
    assert composed("train", "config=f.yaml") == wanted
    assert wanted.seed == 77
    assert composed("train", "config=f.yaml", "resume=false").resume is False


def test_every_text_is_read_as_it_was(work):
    texts = ["", "null", "~", "yes", "1e-5", "1_0", "0x1", "2024-01-01", "a: b", "# x", "- x", "<<",
             "${x}", "!t &a *b", "'\"\\", "two\nlines", "\u2028\x85\xa0\x7f", "👩‍🚀"]  # fmt: skip
    values = [*texts, 1, 1.0, 1e-5, 1e16, float("inf"), True, None, [1, "a b", [None]], {"a": 1}]
    for encoding in ("utf-8", "ascii"):  # of a terminal that takes no more
        text = "".join(f"k{number}: {as_yaml(value)}  # x\n" for number, value in enumerate(values))
        (work / "f.yaml").write_bytes(text.encode(encoding, "backslashreplace"))
        found = list(read_yaml(work / "f.yaml").values())
        assert [(type(each), each) for each in found] == [(type(each), each) for each in values]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seeed: 1", "f.yaml: unknown key 'seeed'. Did you mean 'seed'?"),
        ("solver: {num_step: 1}", "f.yaml: unknown key 'solver.num_step'. Did you mean"),
        ("modality.heigth: 1", "unknown key 'modality.heigth'. Did you mean 'modality.height'?"),
        ("command: train", "f.yaml holds settings of train, not of run; use it with that"),
        ("command: 3", "f.yaml holds settings of 3, not of run; use it with that"),
        ("modality: game", "config=f.yaml is of modality 'game'; leave out +modality=toy"),
        ("modality: 3", "f.yaml: modality must be a text or null, got 3 (int)."),
        ("seed: -1", "f.yaml: seed is -1; set a whole number"),
        ("seed: x", "f.yaml: seed must be a whole number, got 'x'"),
        ("prompt: 3", "f.yaml: prompt must be a text, got 3"),
        ("out: 3", "f.yaml: out must be a text or null, got 3"),
        ("solver: eulre", "f.yaml: solver=eulre is unknown; choose one of ab2, dopri5"),
        ("rope_scaling: 3", "f.yaml: 'rope_scaling' is a block of keys"),
        ("backbone.depth: 3", "f.yaml: unknown key 'backbone.depth'"),
        ("modality.patch_size: 3", "f.yaml: modality.patch_size belongs to the architecture"),
        ("condition.nope: 3", "f.yaml: unknown key 'condition.nope'"),
        ("config: g.yaml", "f.yaml: config cannot stand in a file"),
        ("solver.name: rk4\nsolver: {name: heun}", "f.yaml sets solver.name twice"),
        ("- a", "f.yaml holds a list; keys with values are wanted"),
        ("seed: [", "f.yaml cannot be read: line 1"),
        ("seed: 1\nseed: 2", "f.yaml cannot be read"),
        ("a: &a 1\nb: *a", "f.yaml cannot be read: it has an alias"),
        ("x: !!python/object/apply:os.system ['touch here']", "f.yaml cannot be read"),
        (f"prompt: {'x' * 70_000}", "f.yaml"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_hold_is_one_line(toy, commands, clean_refusal, work, content, message):
    (work / "f.yaml").write_text(content)
    prompt = [] if content.startswith("prompt") else ["a cat"]
    assert message in clean_refusal("run", "+modality=toy", "config=f.yaml", *prompt)
    assert commands == []
    assert not (work / "here").exists()


def test_a_file_is_not_blamed_for_the_words_beside_it(toy, refusal, work):
    (work / "f.yaml").write_text("modality: toy\nprompt: a cat\n")
    assert refusal("run", "config=f.yaml", "seed=-1").startswith("error: seed is -1")
    assert "config=no/f.yaml is no file; write one: " in refusal("run", "config=no/f.yaml", "a cat")
    assert "config is empty" in refusal("run", "config=", "a cat")


def test_interpolations_stay_as_they_are(toy, work):
    (work / "f.yaml").write_text("modality: toy\nprompt: ${oc.env:HOME}")
    assert composed("run", "config=f.yaml").prompt == "${oc.env:HOME}"


def test_a_wrong_value_is_refused_as_the_command_does(toy, refusal):
    assert "seed is -1" in refusal("config", "run", "+modality=toy", "seed=-1")
    assert "no modality chosen" in refusal("config", "run")
    assert "config takes a command first, run, infer, train" in refusal("config")
    assert "Did you mean 'train'?" in refusal("config", "trian")
    assert "unknown option '-m'" in refusal("config", "run", "-m", "+modality=toy")


def test_help_and_completion_know_of_it(toy, work, capsys):
    (work / "f.yaml").write_text("modality: toy\nseed: 8\nsolver: rk4")
    assert main(["run", "--help", "config=f.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["seed=8", "f.yaml"] for line in lines)
    assert any(line.split()[:2] == ["solver.num_steps=8", "solver=rk4"] for line in lines)
    assert complete(["run", "conf"]) == ["config="]
    assert complete(["run", "config="]) == [FILES]
    assert complete(["config", "tr"]) == ["train", "train-vae"]
    assert complete(["config", "train", "max_s"]) == ["max_steps="]
    assert complete(["run", "config=f.yaml", "modality.he"]) == ["modality.height="]
    assert main(["config", "--help"]) == 0
    assert "usage: " in capsys.readouterr().out


def test_a_file_is_swept_over(toy, commands, work):
    (work / "f.yaml").write_text("modality: toy\nprompt: a cat\nseed: 8\nsolver: rk4")
    assert main(["run", "-m", "config=f.yaml", "seed=1,2", "solver=heun,euler"]) == 0
    found = [(each.seed, each.solver.name, each.solver.num_steps) for each in commands]
    assert found == [(1, "heun", 15), (1, "euler", 30), (2, "heun", 15), (2, "euler", 30)]
