"""Values of a wrong type that a Python program gives are refused in one line, never drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lumina_core
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.evaluation.compose import EVALUATE
from lumina_core.sampling.compose import RUN, compose_run
from lumina_core.sampling.generate import Generated
from lumina_core.sampling.python_arguments import words_of
from lumina_core.training.compose import TRAIN

VALUES = (torch.ones(1), b"x", {1: 2}, {3}, [1, object()], object, 1j, range(3))


@pytest.fixture
def refused(monkeypatch):
    """The one line with which a call of `generate` is refused, before anything is composed."""

    def line(*words, **more):
        monkeypatch.setattr(
            "lumina_core.sampling.python_api.compose_run", lambda words: pytest.fail(f"{words}")
        )
        with pytest.raises(LuminaError) as error:
            lumina_core.generate(*words, **{"modality": "image"} | more)
        said = str(error.value)
        assert "\n" not in said and len(said) < 400
        return said

    return line


@pytest.mark.parametrize("value", [b"a", 5, torch.ones(1), Path("a"), [], ["a", 5], {"a": 1}])
def test_what_is_no_prompt_is_refused(refused, value):
    said = refused(value)
    assert said.startswith("prompt is ") and said.endswith("; give a text or a list of texts")


@pytest.mark.parametrize("value", [None, ["a", "b"], b"a", 5, torch.ones(1), Path("a")])
def test_what_is_no_text_is_refused(refused, value):
    assert refused("a star", modality=value).endswith("; give a text")
    assert refused("a star", negative_prompt=value).endswith("; give a text")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["num_steps", "modality.height", "checkpoint", "solver"])
def test_values_that_no_command_takes_are_refused(refused, name, value):
    said = refused("a star", **{name: value})
    assert said.startswith(f"{name} is ") and "; give " in said


def test_a_keyword_is_the_last_part_of_a_key():
    keywords = {"height": 32, "num_steps": np.int64(4), "shift": 2, "seed": 3, "solver": "heun"}
    assert words_of(RUN, "image", keywords) == {
        "modality.height": "32",
        "solver.num_steps": "4",
        "solver.shift": "2",
        "seed": "3",
        "solver": "heun",
    }
    assert words_of(RUN, "image", {"solver.num_steps": 4}) == {"solver.num_steps": "4"}
    assert words_of(RUN, "image", {"guidance": 3.0}) == {"guidance.scale": "3.0"}


def test_what_is_made_or_given_comes_before_settings_of_the_core():
    given = {"image": Path("a b.png"), "mask": "m.png", "strength": 0.5}
    assert words_of(RUN, "image", given) == {
        "condition.image": "a b.png",
        "condition.mask": "m.png",
        "condition.strength": "0.5",
    }
    assert words_of(EVALUATE, "image", {"strength": 0.5}) == {"coarse.strength": "0.5"}


def test_a_block_that_the_call_chooses_comes_first():
    assert words_of(TRAIN, "image", {"data": "folder", "path": "x"})["data.path"] == "x"
    chosen = words_of(TRAIN, "image", {"text_encoder": "t5", "path": "x"})
    assert chosen["text_encoder.path"] == "x"


@pytest.mark.parametrize(
    ("command", "modality", "keywords", "said"),
    [
        (
            RUN,
            "video",
            {"frames": 4},
            "frames may be modality.frames or condition.frames; write the whole key: "
            "**{'modality.frames': ...}",
        ),
        (
            TRAIN,
            "image",
            {"path": "x"},
            "path may be text_encoder.path or data.path; write the whole key: "
            "**{'text_encoder.path': ...}",
        ),
        (RUN, "image", {"num_step": 4}, "unknown key 'num_step'. Did you mean 'num_steps'?"),
        (RUN, "image", {"heigth": 4}, "unknown key 'heigth'. Did you mean 'height'?"),
        (RUN, "image", {"+seed": 1}, "unknown key '+seed'. Did you mean 'seed'?"),
        (RUN, "image", {"a=b.c": 1}, "unknown key 'a=b.c'"),
        (
            TRAIN,
            "image",
            {"lr": 1},
            "unknown key 'lr'. Known are those of: python -m lumina_core train +modality=image",
        ),
        (
            RUN,
            "image",
            {"height": 4, "modality.height": 5},
            "height and modality.height are the same key, modality.height; give it once",
        ),
    ],
)
def test_a_keyword_that_is_no_key_is_refused(command, modality, keywords, said):
    with pytest.raises(LuminaError) as error:
        words_of(command, modality, keywords)
    assert str(error.value).startswith(said)


def test_values_of_numpy_and_paths_are_taken():
    values = {
        "num_steps": np.int64(4),
        "guidance.scale": np.float32(2.5),
        "interval": (0, np.float64(0.5)),
    }
    words = words_of(RUN, "image", values)
    pairs = [f"{key}={value}" for key, value in words.items()]
    config = compose_run(["modality=image", "prompt=x", *pairs])
    assert (config.solver.num_steps, config.guidance.scale) == (4, 2.5)
    assert config.guidance.interval == (0.0, 0.5)
    assert words_of(RUN, "image", {"checkpoint": Path("/a b")}) == {"checkpoint": "/a b"}


@pytest.mark.parametrize(
    ("path", "more"),
    [(5, {}), (b"a.png", {}), (["a.png"], {}), ("a.png", {"overwrite": "false"})],
    ids=repr,
)
def test_save_takes_paths_only(path, more, work):
    item = Generated(torch.zeros(3, 8, 8, dtype=torch.uint8), None, {}, "", 0, None)
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
