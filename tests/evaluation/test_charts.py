import re

import pytest

from lumina_core.evaluation.charts import (
    BLUE,
    BOTTOM,
    LEFT,
    NUM_DRAWN,
    RED,
    RIGHT,
    TOP,
    Line,
    chart,
    finite,
    short,
)


def places(path):
    """The points of a path."""
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", path)]


def test_a_line_runs_from_corner_to_corner_with_marks_at_round_values():
    drawn = chart("x", [Line("loss", [(0, 0.0), (50, 1.0), (100, 2.0)])], is_log=False)
    (line,) = drawn.lines
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    assert places(line.path) == [(LEFT, BOTTOM), middle, (RIGHT, TOP)]
    assert [mark.text for mark in drawn.up] == ["0", "0.5", "1", "1.5", "2"]
    assert [mark.text for mark in drawn.across] == ["0", "20", "40", "60", "80", "100"]
    assert drawn.up[2].place == middle[1]
    assert "loss: 0 at step 0, 2 at step 100" in drawn.about


def test_on_a_logarithmic_axis_equal_factors_are_equal_ways():
    drawn = chart("x", [Line("a", [(1, 0.01), (2, 0.1), (3, 1.0)])], is_log=True)
    heights = [y for _, y in places(drawn.lines[0].path)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])
    assert {mark.text for mark in drawn.up} >= {"0.01", "0.1", "1"}
    with_zero = chart("x", [Line("a", [(1, 0.0), (2, 0.1), (3, 1.0)])], is_log=True)
    assert places(with_zero.lines[0].path)[0][1] == BOTTOM


def test_a_single_value_is_a_dot_with_its_step_below():
    drawn = chart("x", [Line("a", [(100, 0.5)])], is_log=True)
    assert drawn.lines[0].is_dot
    assert [mark.text for mark in drawn.across] == ["100"]


def test_marks_of_values_that_hardly_differ_can_be_told_apart():
    drawn = chart("x", [Line("a", [(1, 0.41231), (2, 0.41238)])], is_log=True)
    texts = [mark.text for mark in drawn.up]
    assert len(set(texts)) == len(texts) > 3


def test_noise_is_smoothed_without_a_shift_and_its_spikes_stay():
    points = [(step, 10.0 - step / 1000 + (-1) ** step) for step in range(5000)]
    points[777] = (777, 100.0)
    (line,) = chart("x", [Line("a", points)], is_log=False).lines
    assert len(places(line.path)) <= NUM_DRAWN + 1
    assert min(y for _, y in places(line.noise)) == TOP  # of the spike
    three = chart("x", [Line(name, points) for name in "abc"], is_log=False)
    assert not any(line.noise for line in three.lines)
    straight = [(step, 5.0 + step) for step in range(100)]
    ends = chart("x", [Line("a", straight)], is_log=False).lines[0]
    assert places(ends.path)[0] == places(ends.noise)[0]
    assert ends.last == "104"


def test_values_can_be_read_along_a_chart_without_a_script():
    lines = [Line("a", [(0, 1.0), (96, 3.0)]), Line("b", [(0, 5.0), (48, 6.0)], is_dashed=True)]
    drawn = chart("x", lines, is_log=False)
    assert drawn.readings[0].text == "step 1\na: 3\nb: 6"
    assert drawn.readings[-1].place + drawn.reach == pytest.approx(RIGHT)
    assert [line.is_dashed for line in drawn.lines] == [False, True]


def test_lines_of_one_name_share_a_colour_and_ordered_ones_go_from_blue_to_red():
    three = [Line(name, [(0, 1.0)]) for name in ("0.1", "0.5", "0.9", "0.1")]
    hues = [line.hue for line in chart("x", three, is_log=False, is_ordered=True).lines]
    assert (hues[0], hues[2], hues[3]) == (BLUE, RED, BLUE)
    many = [Line(str(number), [(0, 1.0)]) for number in range(12)]
    assert len({line.hue for line in chart("x", many, is_log=False).lines}) == 12


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4123, "0.412"), (12_345, "12.3k"), (2.5e9, "2.5G"), (0, "0"), (-3, "-3"), (1e-9, "1e-09")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 10**400, 1e200, []])
def test_what_is_no_number_to_draw_is_none(value):
    assert finite(value) is None


def test_a_number_of_json_can_be_drawn():
    assert finite(3) == 3.0
