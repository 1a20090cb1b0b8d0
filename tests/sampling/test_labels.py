"""A model of classes takes condition.label, by number or name, and nothing else."""

import pytest

from lumina_core.cli.main import main
from lumina_core.sampling.file_request import read_request

SMALL = ("modality.height=32", "modality.width=32", "solver.name=euler", "solver.num_steps=2")
SMALL += ("device=cpu",)


def words(model, *more):
    return ["infer", f"checkpoint={model}", *SMALL, *more]


@pytest.mark.parametrize("label", ["3", "Tiger Shark"])
def test_a_class_is_made_by_its_number_or_name(class_model, tmp_path, capsys, label):
    picture = tmp_path / "x.png"
    assert main([*words(class_model), f"condition.label={label}", f"out={picture}"]) == 0
    request = read_request(picture)
    assert (request["prompt"], request["guidance"]["scale"]) == (label, 4.0)
    again = tmp_path / "y.png"
    repeat = [f"repeat={picture}", f"checkpoint={class_model}", f"out={again}"]
    assert main(["infer", *repeat]) == 0
    assert again.read_bytes() == picture.read_bytes()


def test_a_name_and_its_number_are_the_same_class(class_model, tmp_path):
    made = [tmp_path / "number.png", tmp_path / "name.png", tmp_path / "prompt.png"]
    main([*words(class_model), "condition.label=3", f"out={made[0]}"])
    main([*words(class_model), "condition.label=tiger shark", f"out={made[1]}"])
    main([*words(class_model), "tiger shark", f"out={made[2]}"])
    first, second, third = (read_request(path)["media_sha256"] for path in made)
    assert first == second == third


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["condition.label=10"], "no class of this model; write a number from 0 to 9"),
        (["condition.label=tigger shark"], "tiger shark"),
        (["condition.label=3", "a cat"], "both say what to show"),
        ([], "no prompt"),
        (["condition.label="], "the prompt is empty"),
    ],
)
def test_what_is_no_class_is_one_line(class_model, tmp_path, refusal, more, message):
    assert message in refusal(*words(class_model), *more, f"out={tmp_path / 'x.png'}")
    assert not list(tmp_path.iterdir())


def test_a_model_of_texts_takes_no_label(tiny_checkpoint, refusal, tmp_path):
    out = f"out={tmp_path / 'x.png'}"
    error = refusal("run", f"checkpoint={tiny_checkpoint}", "condition.label=3", "device=cpu", out)
    assert "reads texts; write a prompt" in error
