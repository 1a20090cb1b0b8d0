"""The log of a run as curves, whatever its lines look like."""

import json

import pytest

from lumina_core import LuminaError
from lumina_core.training.curves import MAX_CURVES, MAX_POINTS, Curves, number, read_curves


def test_every_number_of_a_log_is_a_point_of_a_curve(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 10, "loss": 2.0, "loss_at": {"0.5": 1.0, "0": 3.0}},
        {"step": 20, "loss": 1.0, "evaluation": {"tasks": {"b": {"accuracy": 0.5}}}},
        {"step": 20, "validation_loss": {"0.1": 0.3}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = read_curves(path)
    assert curves.points("loss") == [(10, 2.0), (20, 1.0)]
    assert list(curves.below("loss_at")) == ["0", "0.5"]
    assert curves.points("evaluation", "tasks", "b", "accuracy") == [(20, 0.5)]
    assert curves.inner("evaluation", "tasks") == ["b"]
    assert curves.inner("validation_loss") == []
    assert curves.points("nothing") == []
    of_tasks = curves.matching(("evaluation", "tasks", "*", "accuracy"))
    assert list(of_tasks) == [("b", [(20, 0.5)])]
    assert list(curves.matching(("loss",))) == [("loss", [(10, 2.0), (20, 1.0)])]
    assert curves.last_step == 20


def test_lines_of_a_running_or_damaged_log_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"step": 1, "loss": 2, "x": "y", "n": null}\n\xff\n[1]\n7\n{"loss": 1}\n'
        b'{"step": "2", "loss": 1}\n{"step": -1, "loss": 1}\n{"step": true, "loss": 1}\n'
        b'{"step": 2, "loss": NaN, "gradient_norm": Infinity}\n{"step": 1e300, "loss": 1}\n'
        b'{"step": 3, "loss": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}\n'
        b'{"step": 4, "loss": 1, "\\u001b[2J": 3}\n{"step": 4, "loss": 5}\n{"step": 5, "lo'
    )
    curves = read_curves(path)
    assert curves.points("loss") == [(1, 2.0), (4, 5.0)]
    assert curves.last_step == 4
    assert not any("\x1b" in name for name in curves.below())


def test_a_log_of_endless_keys_has_a_bounded_number_of_curves():
    curves = Curves([{"step": 1, "loss": {str(n): n for n in range(3 * MAX_CURVES)}}])
    assert len(curves.below("loss")) < MAX_CURVES


def test_a_long_curve_is_the_means_of_neighbours():
    count = 3 * MAX_POINTS
    points = Curves({"step": step, "loss": step + 1} for step in range(count)).points("loss")
    assert (len(points), points[0], points[-1]) == (MAX_POINTS, (1, 2), (count - 2, count - 1))


def test_no_log_has_no_curves_and_a_folder_is_refused(tmp_path):
    assert read_curves(tmp_path / "metrics.jsonl").last_step == 0
    with pytest.raises(LuminaError, match="cannot be read"):
        read_curves(tmp_path)


def test_names_that_are_numbers_come_in_their_order():
    names = ["8192", "inf", "0", "b", "64"]
    assert sorted(names, key=lambda name: (number(name), name)) == ["0", "64", "8192", "b", "inf"]
