"""Values of a wrong type that a Python program gives are refused in one line, never drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lumina_core
from lumina_core import LuminaError
from lumina_core.cli import main
from lumina_core.config import compose_run
from lumina_core.python_arguments import overrides
from lumina_core.run import Generated

TEXTS = (None, ["a", "b"], b"a", 5, torch.ones(1), Path("a"))
NUMBERS = ("1", None, 1.0, True, [1], torch.tensor(1), float("nan"))
SETTINGS = (
    *("solver.num_steps=2", ["solver.num_steps"], 5, {1: 2}, {None: 1}, {"": 1}, {"+seed": 1}),
    *({"++out": "x"}, {"a=b": 1}, {"solver.num_steps": torch.tensor(2)}, {"checkpoint": b"x"}),
    *({"modality.height": {1: 2}}, {"modality.height": {3}}, {"modality.height": [1, object()]}),
)


@pytest.fixture
def refused(monkeypatch):
    """The one line with which a call of `generate` is refused, before anything is composed."""

    def line(*words, **more):
        monkeypatch.setattr("lumina_core.config.compose_run", lambda words: pytest.fail(f"{words}"))
        with pytest.raises(LuminaError) as error:
            lumina_core.generate(*words, **{"modality": "image"} | more)
        said = str(error.value)
        assert "\n" not in said and "; give " in said
        return said

    return line


@pytest.mark.parametrize("value", TEXTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["prompt", "negative_prompt", "modality"])
def test_what_is_no_text_is_refused(refused, name, value):
    assert refused(**{"prompt": "a star", name: value}).startswith(f"{name} is ")


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["seed", "num_samples"])
def test_what_is_no_whole_number_is_refused(refused, name, value):
    said = refused("a star", **{name: value})
    assert said.startswith(f"{name} is ") and said.endswith("give a whole number")


@pytest.mark.parametrize("value", SETTINGS, ids=lambda value: type(value).__name__)
def test_settings_that_no_command_takes_are_refused(refused, value):
    assert "settings" in refused("a star", settings=value)


def test_values_of_numpy_and_paths_are_taken():
    values = {
        "solver.num_steps": np.int64(4),
        "guidance.scale": np.float32(2.5),
        "guidance.interval": (0, np.float64(0.5)),
    }
    config = compose_run(["modality=image", "prompt=x", *overrides(values)])
    assert (config.solver.num_steps, config.guidance.scale) == (4, 2.5)
    assert config.guidance.interval == (0.0, 0.5)
    assert overrides({"checkpoint": Path("/a b")}) == ["checkpoint=/a b"]


@pytest.mark.parametrize(
    ("path", "more"),
    [(None, {}), (5, {}), (b"a.png", {}), (["a.png"], {}), ("a.png", {"overwrite": "false"})],
    ids=repr,
)
def test_save_takes_paths_only(path, more, work):
    item = Generated(torch.zeros(3, 8, 8, dtype=torch.uint8), {}, "", 0, None)
    with pytest.raises(LuminaError, match=r"^(path|overwrite) is .*; give "):
        item.save(path, **more)
    assert not list(work.iterdir())


def test_main_takes_words(capsys):
    for argv in ("version", [b"version"], 5, {"version": 1}):
        assert main(argv) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: argv is ") and captured.err.count("\n") == 1
    assert main(("version",)) == 0
