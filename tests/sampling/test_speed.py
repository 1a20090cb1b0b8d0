"""Speed leaves steps out, and the file says what was done."""

import pytest

from lumina_core import LuminaError, load
from lumina_core.sampling.compose import compose_run
from lumina_core.server.asked import check_work
from lumina_core.server.refusals import RefusedError


@pytest.mark.parametrize(
    ("speed", "solver", "num_steps"),
    [("exact", "euler", 8), ("balanced", "ab2", 4), ("fast", "ab2", 2)],
)
@pytest.mark.parametrize("small", [False, True])
def test_the_file_has_the_solver_that_was_used(
    tiny_checkpoint, tmp_path, monkeypatch, speed, solver, num_steps, small
):
    monkeypatch.chdir(tmp_path)
    model, steps = load(tiny_checkpoint), []
    asked = {"seed": 4, "speed": speed, "num_steps": 8, "scale": 3.0, "height": 32, "width": 32}
    if small:
        asked |= {"above": 12, "tokens": 8}
    (made,) = model.stream("a ring", on_step=lambda *step: steps.append(step), **asked)
    passes = 1 + small
    assert made.network_evaluations == passes * num_steps * 2
    assert steps[-1] == (passes * num_steps, passes * num_steps)
    assert (made.request["solver"]["name"], made.request["solver"]["num_steps"]) == (
        solver,
        num_steps,
    )
    assert "speed" not in made.request
    made.save("a.png")
    (again,) = model.generate(repeat="a.png")
    assert again.media_sha256 == made.media_sha256


def test_a_repeated_file_can_be_made_faster(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load(tiny_checkpoint)
    model.generate("a ring", num_steps=8)[0].save("a.png")
    (again,) = model.generate(repeat="a.png", speed="balanced")
    assert again.request["solver"]["num_steps"] == 4


def test_an_adaptive_solver_has_no_speed():
    with pytest.raises(LuminaError, match=r"speed=fast leaves .*solver\.name=dopri5"):
        compose_run(["modality=image", "prompt=x", "solver=dopri5", "speed=fast"])


def test_a_server_counts_the_steps_that_are_made():
    def config(*words):
        return compose_run(["modality=image", "prompt=x", "solver.num_steps=40", *words])

    check_work(config("speed=fast"), 100, 1000)
    with pytest.raises(RefusedError, match="100 tokens x 40 steps"):
        check_work(config(), 100, 1000)
