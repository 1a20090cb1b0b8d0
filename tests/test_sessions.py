"""The sessions of tests: what one leaves out another one runs, and CI runs them all."""

import ast
import re
import shlex
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from lumina_core.cli.configured import CONFIGURED
from lumina_core.plugins import host

ROOT = Path(__file__).parent.parent
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text())
SESSIONS = {each.name: ast.unparse(each) for each in NOXFILE.body if hasattr(each, "name")}
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]


def usual_sessions():
    """What `nox` runs when no session is named."""
    (given,) = [
        each.value
        for each in NOXFILE.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "nox.options.sessions"
    ]
    return [each.value for each in ast.walk(given) if isinstance(each, ast.Constant)]


def test_what_the_usual_run_leaves_out_has_a_session():
    marks = [line.partition(":")[0] for line in OPTIONS["markers"]]
    marks.remove("gpu")
    words = shlex.split(OPTIONS["addopts"])
    assert words[words.index("-m") + 1] == f"not ({' or '.join(marks)})"
    for mark in marks:
        assert f"'-m', '{mark}'" in SESSIONS[mark]


def test_ci_runs_every_usual_session_after_the_tests():
    lines = re.findall(r"-m nox.* -s ([a-z ]+)", (ROOT / ".ci" / "run").read_text())
    run = [word for line in lines for word in line.split()]
    assert run == usual_sessions()
    assert run[0] == "tests"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The program of the session `demo`, in an empty folder; its commands leave what they would."""
    spec = spec_from_file_location("train_demo", ROOT / ".ci" / "train_demo.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LEGS", module.ANEW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module.subprocess, "run", lambda words, check: leave(asked(words)))
    return module


def asked(words):
    """What a command says behind the name of the program."""
    return words[words.index("lumina_core") + 1 :]


def leave(words):
    """What a command would leave in its folder."""
    keys = dict(word.split("=", 1) for word in words if "=" in word)
    folder = Path(keys["out"])
    if words[0] == "train-vae":
        folder.mkdir(parents=True)
    else:
        step = folder / "checkpoints" / f"step-{int(keys['max_steps']):07d}"
        step.mkdir(parents=True)
        (step / "lumina.json").touch()
    (folder / "config.json").touch()


def test_every_leg_of_the_demo_begins_with_an_earlier_one_and_is_composed(recipe):
    folders = set()
    for leg in recipe.LEGS:
        name, *words = leg.command
        assert ("torch.distributed.run" in leg.program) == (name == "train")
        named = re.findall(r"=outputs/demo/(\S+)", " ".join(words))
        assert {*named} <= {*folders, leg.folder}
        folders.add(leg.folder)
        CONFIGURED[name].compose(words)
    config = CONFIGURED["train"].compose(words)
    assert list(config.members) == list(host.SHIPPED)
    assert recipe.ADVICE.keys() <= config.members.keys()


def test_legs_of_the_demo_go_on_where_they_were_stopped(recipe, monkeypatch, capsys):
    assert not recipe.train(1)
    assert [leg.is_done for leg in recipe.LEGS].count(True) == 1
    last = recipe.LEGS[-1]
    done = []
    monkeypatch.setattr(recipe.subprocess, "run", lambda words, check: done.append(asked(words)))
    with pytest.raises(SystemExit, match="was stopped; give the same command"):
        recipe.train()  # the second one ended without its result
    assert [words[0] for words in done] == ["train-vae"]
    monkeypatch.setattr(
        recipe.subprocess,
        "run",
        lambda words, check: (done.append(asked(words)), leave(asked(words))),
    )
    assert recipe.train()
    trained = [words for words in done if words[0] == "train"]
    resumed = [words for words in trained if "resume=true" in words]
    assert len(trained) == sum(not leg.is_autoencoder for leg in recipe.LEGS)
    assert len(resumed) == len(trained) - len({leg.folder for leg in recipe.LEGS if leg.steps})
    assert done[-1][-1] == f"max_steps={last.steps}"
    assert recipe.train() and done[-1] == trained[-1]  # nothing is left
    (recipe.OUT / last.folder / "checkpoints").rename(recipe.OUT / "lost")
    assert last.command[1:] == [
        *("resume=true", f"out={recipe.OUT / last.folder}", f"max_steps={last.steps}")
    ]
