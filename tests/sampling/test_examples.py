"""Prompts that the demos know, as `examples` prints them."""

import json

import pytest

from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.sampling.examples import NUM_CAPTIONS, NUM_OTHERS, example_lines, examples

WORLDLESS = """
from lumina_core import Modality
class Toy(Modality):
    media_shape = None
"""

WRONG_WORLD = """
from lumina_core import Modality, World
class Tasks(World):
    splits = ("trained",)
    caption = task_of = variants = draw = judge = None
    def tasks(self, split):
        return "task"
class Toy(Modality):
    media_shape, world = None, Tasks()
"""


@pytest.mark.parametrize("name", host.SHIPPED)
def test_examples_are_captions_of_every_task_of_every_split(name):
    found = list(examples(name))
    assert {each.modality for each in found} == {name}
    assert len({(each.split, each.caption) for each in found}) == len(found)
    for split in {each.split for each in found}:
        tasks = [each.task for each in found if each.split == split]
        most = NUM_CAPTIONS if split == found[0].split else NUM_OTHERS
        assert all(1 <= tasks.count(task) <= most for task in tasks)
    assert found == list(examples(name))


def test_examples_stand_beside_their_tasks(capsys):
    assert main(["examples", "audio"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == list(example_lines(list(examples("audio"))))
    assert [line for line in lines if not line.startswith(" ")] == [
        *("audio, trained", "audio, held_out", "audio, unseen_lengths", "audio, unseen_wordings")
    ]
    shown = {line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "}
    assert shown == {"pitch", "sweep", "counting", "length", "tremolo", "loudness", "order"} | {
        *("dynamics", "sequence")
    }


def test_examples_of_all_are_those_of_each(capsys):
    assert main(["examples", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == [each._asdict() for name in host.installed() for each in examples(name)]
    assert main(["examples", "+modality=image", "--json"]) == 0
    image = [each for each in found if each["modality"] == "image"]
    assert json.loads(capsys.readouterr().out) == image


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tyo"], "Modality 'tyo' is not installed (installed: toy). Did you mean 'toy'"),
        (["toy"], "toy has no synthetic world"),
        (["toy", "image"], "examples takes one modality, got 2: toy, image"),
        (["toy", "--jsn"], "Did you mean '--json'?"),
    ],
)
def test_examples_that_there_are_not_are_one_line(write_distribution, refusal, words, said):
    write_distribution("lumina-toy", "toy", toy=WORLDLESS)
    assert said in refusal("examples", *words)


def test_a_modality_without_examples_hides_no_other(write_distribution, capsys):
    write_distribution("lumina-toy", "toy", toy=WORLDLESS)
    assert main(["examples"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("note: ")
    assert "toy has no synthetic world" in captured.err


def test_a_world_that_returns_something_else_is_named(write_distribution, capsys):
    write_distribution("lumina-toy", "toy", toy=WRONG_WORLD)
    assert main(["examples", "toy"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "its world.tasks returned 'task' of type str" in line


def test_examples_without_a_modality_says_how_to_install_one(write_distribution, refusal):
    assert "pip install ./plugins/lumina-image" in refusal("examples")
