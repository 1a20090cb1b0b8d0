import json
from collections import Counter

import pytest

from lumina_core import LuminaError
from lumina_core.cli import main
from lumina_core.evaluate import cases, wilson_interval

SMALL = ["solver.num_steps=1", "guidance.scale=1", "device=cpu"]


@pytest.fixture
def ask(tiny_checkpoint):
    return lambda *words: [
        "evaluate", "+modality=image", f"checkpoint={tiny_checkpoint}", *SMALL, *words
    ]  # fmt: skip


@pytest.fixture
def world(tiny_model):
    return tiny_model.modality.world


def test_wilson_interval_has_its_known_values():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    low, high = wilson_interval(20, 20)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(0, 20), abs=1e-12)


def test_cases_depend_on_the_seed_alone(world, tiny_model):
    options = tiny_model.modality.options
    first = cases(world, "trained", options, 30, 0)
    assert first == cases(world, "trained", options, 30, 0)
    assert first[:10] == cases(world, "trained", options, 10, 0)
    assert first != cases(world, "trained", options, 30, 1)


def test_cases_are_balanced_over_tasks_and_sizes(world, tiny_model):
    for split in world.splits:
        found = cases(world, split, tiny_model.modality.options, 24, 0)
        tasks = Counter(case.task for case in found)
        assert set(tasks) == set(world.tasks(split))
        assert max(tasks.values()) - min(tasks.values()) <= 1
        sizes = {(case.request.options.height, case.request.options.width) for case in found}
        legal = {(v["height"], v["width"]) for v in world.variants(split)}
        assert sizes <= legal
        assert len(sizes) >= min(len(legal), 4)
        assert len({case.request.seed for case in found}) == 24
        for case in found:
            assert world.task_of(case.request.prompt) == case.task


def test_json_follows_the_schema(ask, world, capfd, tmp_path):
    words = ["num_prompts=7", "splits=[trained,held_out]", "json=true", f"out={tmp_path / 'kept'}"]
    assert main(ask(*words)) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert result["modality"] == "image"
    assert len(result["checkpoint"]) == 64
    assert list(result["splits"]) == ["trained", "held_out"]
    for split, found in result["splits"].items():
        assert found["num_prompts"] == 7
        assert 0 <= found["low"] <= found["accuracy"] <= found["high"] <= 1
        assert set(found["tasks"]) == set(world.tasks(split))
        assert sum(task["num_prompts"] for task in found["tasks"].values()) == 7
        assert len(list((tmp_path / "kept" / split).glob("*.png"))) == 7
        assert (tmp_path / "kept" / f"{split}-failures.png").is_file()  # nothing was learned yet
    assert main(ask(*words)) == 2
    assert "exists already" in capfd.readouterr().err


def test_the_budget_changes_no_result(ask, capfd):
    def result(budget):
        words = ["num_prompts=4", "splits=[trained]", "json=true", f"token_budget={budget}"]
        assert main(ask(*words)) == 0
        return json.loads(capfd.readouterr().out)

    assert result(1) == result(100_000)


def test_the_table_names_every_task(ask, world, capfd):
    assert main(ask("num_prompts=6", "splits=[trained]")) == 0
    out = capfd.readouterr().out
    for task in world.tasks("trained"):
        assert task in out


def test_a_perfect_picture_is_right(tiny_model, world, tmp_path):
    from lumina_core.evaluate import Verdict, summarise
    from lumina_core.runtime import seeded

    verdicts = []
    for case in cases(world, "trained", tiny_model.modality.options, 12, 0):
        picture = world.draw(case.request.prompt, case.request.options, seeded(case.number))
        verdicts.append(Verdict(case, world.judge(picture, case.request.prompt), tmp_path))
    result = summarise(verdicts)
    assert result["accuracy"] == 1.0
    assert {task["accuracy"] for task in result["tasks"].values()} == {1.0}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("splits=[trainde]", "Did you mean 'trained'?"),
        ("num_prompts=0", "num_prompts is 0"),
        ("modality.patch_size=4", "which the checkpoint fixes"),
    ],
)
def test_a_mistake_is_one_line(ask, capsys, tmp_path, word, message):
    assert main(ask(word, f"out={tmp_path / 'out'}")) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_is_refused_by_the_world(world):
    from lumina_core.runtime import seeded

    with pytest.raises(LuminaError):
        world.caption("trained", seeded(0), "baking")
