"""Solvers reach the known solution at their order, on a grid with exact ends, and can be cancelled.

The field is dx/dt = cos(t) x (1 - x), nonlinear, whose logit moves by the integral of cos(t).
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torchdiffeq
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from lumina_core.errors import LuminaError
from lumina_core.flow.path import shift_time
from lumina_core.flow.settings import SolverConfig
from lumina_core.flow.solver import integrate, time_grid, times_of

FIXED = ("euler", "midpoint", "heun", "rk4", "ab2", "dpmpp_2m", "unipc", "ping_pong")
EVALUATIONS = {"midpoint": 2, "heun": 2, "rk4": 4}  # per step; all others 1
ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "ab2": 2}


def solver_config(name="euler", **changes):
    values = {"num_steps": 8, "shift": 1.0, "atol": 1e-7, "rtol": 1e-7, **changes}
    return SolverConfig(name=name, **values)


def logistic(t, x):
    return math.cos(t) * x * (1 - x)


def exact(x, start=0.0):
    return torch.sigmoid(torch.logit(x) + math.sin(1) - math.sin(start))


@pytest.fixture
def x_0():
    return 0.05 + 0.9 * torch.rand(64, generator=torch.Generator().manual_seed(0))


def error(name, num_steps, shift):
    x = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    x_1 = integrate(logistic, x, solver_config(name, num_steps=num_steps, shift=shift))
    return (x_1 - exact(x)).abs().max().item()


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("name", ORDERS)
def test_error_falls_at_the_order_of_the_solver(name, shift):
    orders = [math.log2(error(name, n, shift) / error(name, 2 * n, shift)) for n in (32, 64)]
    assert orders == pytest.approx([ORDERS[name]] * 2, abs=0.05)


@pytest.mark.parametrize("start", [0.0, 0.375])
@pytest.mark.parametrize("name", FIXED)
def test_one_step_is_exact_on_a_straight_path(name, start, x_0):
    v = torch.randn(64, generator=torch.Generator().manual_seed(1))
    config = solver_config(name, num_steps=1)
    x_1 = integrate(lambda t, x: v, x_0, config, times=times_of(config, start))
    torch.testing.assert_close(x_1, x_0 + (1 - start) * v, atol=1e-6, rtol=1e-6)


def test_dopri5_is_exact_on_a_straight_path(x_0):
    v = torch.randn(64, generator=torch.Generator().manual_seed(1))
    x_1 = integrate(lambda t, x: v, x_0, solver_config("dopri5"))
    torch.testing.assert_close(x_1, x_0 + v, atol=1e-5, rtol=1e-5)


def test_rk4_is_the_rk4_of_torchdiffeq(x_0):
    config = solver_config("rk4", num_steps=5, shift=4.0)
    grid = torch.tensor(time_grid(5, 4.0))
    reference = torchdiffeq.odeint(logistic, x_0, grid, method="rk4")[-1]
    torch.testing.assert_close(integrate(logistic, x_0, config), reference, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["euler", "midpoint"])
def test_fixed_solvers_are_those_of_torchdiffeq(name, x_0):
    grid = torch.tensor(time_grid(5, 4.0))
    reference = torchdiffeq.odeint(logistic, x_0, grid, method=name)[-1]
    x_1 = integrate(logistic, x_0, solver_config(name, num_steps=5, shift=4.0))
    torch.testing.assert_close(x_1, reference, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 20])
def test_dpmpp_2m_is_that_of_diffusers(num_steps, x_0):
    times = time_grid(num_steps, 2.0)
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, final_sigmas_type="zero"
    )
    scheduler.set_timesteps(num_steps)
    scheduler.sigmas = 1 - torch.tensor(times, dtype=torch.float64)
    x = x_0.double()
    for step, t in enumerate(times[:-1]):
        x = scheduler.step(-logistic(t, x), scheduler.timesteps[step], x).prev_sample
    config = solver_config("dpmpp_2m", num_steps=num_steps, shift=2.0)
    torch.testing.assert_close(integrate(logistic, x_0.double(), config), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 20])
def test_unipc_is_that_of_diffusers(num_steps, shift, x_0):
    config = solver_config("unipc", num_steps=num_steps, shift=shift)
    times = time_grid(num_steps, shift)
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    scheduler.set_timesteps(sigmas=1 - np.array(times[:-1]))
    x = x_0[None]
    for t, number in zip(times, scheduler.timesteps, strict=False):
        x = scheduler.step(-logistic(t, x), number, x).prev_sample
    torch.testing.assert_close(integrate(logistic, x_0, config), x[0], atol=2e-6, rtol=0)


@pytest.mark.parametrize("num_steps", [1, 3, 8])
def test_ping_pong_is_that_of_diffusers(num_steps, x_0):
    times, generator = time_grid(num_steps, 3.0), torch.Generator()
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, stochastic_sampling=True)
    scheduler.set_timesteps(sigmas=[1 - t for t in times[:-1]])
    x = x_0
    generator.manual_seed(5)
    for t, theirs in zip(times, scheduler.timesteps, strict=False):
        x = scheduler.step(-logistic(t, x), theirs, x, generator=generator).prev_sample
    generator.manual_seed(5)
    config = solver_config("ping_pong", num_steps=num_steps, shift=3.0)
    ours = integrate(logistic, x_0, config, noise=lambda: torch.randn(64, generator=generator))
    torch.testing.assert_close(ours, x, atol=1e-6, rtol=1e-5)  # the field amplifies noise


def test_ping_pong_without_noise_is_refused(x_0):
    with pytest.raises(ValueError, match="ping_pong draws noise; give integrate some"):
        integrate(logistic, x_0, solver_config("ping_pong", num_steps=2))


def error_on_the_way(name, num_steps):
    """At t = 0.6 of a path from 0.2: logarithms of signal to noise are finite at both."""
    x, seen = torch.linspace(0.1, 0.9, 7, dtype=torch.float64), []

    def record(t, x):
        seen.append(x)
        return logistic(t, x)

    times = time_grid(2 * num_steps, 1.0, start=0.2)
    integrate(record, x, solver_config(name), times=times)
    wanted = torch.sigmoid(torch.logit(x) + math.sin(0.6) - math.sin(0.2))
    return (seen[num_steps] - wanted).abs().max().item()


@pytest.mark.parametrize(("name", "order"), [("dpmpp_2m", 2), ("unipc", 3)])
def test_error_of_logarithmic_solvers_falls_between_the_ends(name, order):
    errors = [error_on_the_way(name, num_steps) for num_steps in (32, 64, 128)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([order] * 2, abs=0.1)


def test_solvers_of_several_steps_gain_on_euler_by_the_same_evaluations():
    assert error("ab2", 16, 1.0) < error("euler", 16, 1.0) / 5
    assert error("dpmpp_2m", 16, 1.0) < error("euler", 16, 1.0) / 5
    assert error("unipc", 16, 1.0) < error("dpmpp_2m", 16, 1.0)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"num_steps": 24}, {"name": "ab2", "num_steps": 6}),
        ({"num_steps": 5}, {"name": "ab2", "num_steps": 2}),
        ({"num_steps": 1}, {"name": "ab2", "num_steps": 1}),
        ({"name": "heun", "num_steps": 8}, {"name": "heun", "num_steps": 2}),
        (
            {"schedule": "listed", "times": (0.0, 0.1, 0.2, 0.3, 0.4, 0.7, 1.0)},
            {"name": "ab2", "times": (0.0, 0.4, 1.0)},
        ),
    ],
)
def test_a_quicker_solver_leaves_steps_out(given, wanted):
    quick = solver_config(**given).quicker(4)
    assert quick == replace(solver_config(**given), **wanted)
    assert integrate(logistic, torch.full((2,), 0.5), quick).isfinite().all()


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_dopri5_is_close_to_the_exact_solution(start, x_0):
    x_1 = integrate(logistic, x_0, solver_config("dopri5"), times=[start, 1.0])
    torch.testing.assert_close(x_1, exact(x_0, start), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("speed", [0.0, 0.001, 1.0, 100.0])
def test_dopri5_stays_within_the_path(speed, x_0):
    times = []

    def record(t, x):
        times.append(t)
        return torch.full_like(x, speed)

    integrate(record, x_0, solver_config("dopri5", atol=1e-6, rtol=1e-3))
    assert min(times) == 0 and 0.999 < max(times) <= 1


@pytest.mark.parametrize("speed", [1.0, 100.0])
def test_dopri5_takes_no_step_beyond_the_data(speed, x_0):
    def check(t, x):
        torch.testing.assert_close(x, x_0 + speed * t, atol=1e-4, rtol=1e-5)
        return torch.full_like(x, speed)

    integrate(check, x_0, solver_config("dopri5", atol=1e-6, rtol=1e-3))


@pytest.mark.parametrize("name", [*FIXED, "dopri5"])
def test_state_stays_float32_and_the_noise_unmodified(name, x_0):
    before = x_0.clone()
    x_1 = integrate(logistic, x_0, solver_config(name), noise=lambda: x_0)
    assert x_1.dtype == torch.float32
    assert torch.equal(x_0, before)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_steps_evaluate_the_velocity_as_often_as_they_must(name, x_0):
    times = []

    def count(t, x):
        times.append(t)
        return logistic(t, x)

    integrate(count, x_0, solver_config(name, num_steps=3), noise=lambda: x_0)
    assert len(times) == 3 * EVALUATIONS.get(name, 1)
    assert all(isinstance(t, float) and 0 <= t <= 1 for t in times)


@pytest.mark.parametrize("start", [0.0, 0.3])
@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0, 6.7])
@pytest.mark.parametrize("num_steps", [1, 2, 7, 250])
def test_grid_ends_are_exact_and_its_times_increase(num_steps, shift, start):
    grid = time_grid(num_steps, shift, start)
    assert len(grid) == num_steps + 1
    assert grid[0] == start and grid[-1] == 1.0
    assert all(t < t_next for t, t_next in pairwise(grid))


def test_grid_without_shift_is_even():
    assert time_grid(4, 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_shift_spends_more_steps_near_noise():
    grid = time_grid(20, 4.0)
    assert sum(t < 0.5 for t in grid) > sum(t < 0.5 for t in time_grid(20, 1.0))
    lengths = [t_next - t for t, t_next in pairwise(grid)]
    assert lengths == sorted(lengths)
    assert [shift_time(t, 1 / 4.0) for t in grid] == pytest.approx(time_grid(20, 1.0))


def test_a_grid_from_a_grid_point_is_the_rest_of_the_grid():
    grid = time_grid(10, 3.0)
    assert time_grid(6, 3.0, start=grid[4]) == pytest.approx(grid[4:])


@pytest.mark.parametrize("name", ["euler", "dopri5"])
@pytest.mark.parametrize("start", [-0.1, 1.0])
def test_start_outside_the_path_is_refused(name, start):
    with pytest.raises(ValueError, match="start is"):
        times_of(solver_config(name), start)


def test_on_step_is_told_each_finished_step(x_0):
    steps = []
    integrate(
        logistic,
        x_0,
        solver_config("heun", num_steps=3),
        on_step=lambda step, total: steps.append((step, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_on_step_cancels_by_raising(x_0):
    calls = []

    def count(t, x):
        calls.append(t)
        return logistic(t, x)

    def cancel(step, total):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        integrate(count, x_0, solver_config(num_steps=8), on_step=cancel)
    assert len(calls) == 2


def test_unknown_solver_is_refused_with_the_nearest_name():
    with pytest.raises(LuminaError, match=r"solver\.name is 'midpiont'.*Did you mean 'midpoint'"):
        solver_config("midpiont")


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_steps", 0), ("shift", 0.0), ("shift", float("nan")), ("atol", 0.0), ("rtol", -1e-3)],
)
def test_impossible_numbers_are_refused_by_key(key, value):
    with pytest.raises(LuminaError, match=rf"solver\.{key} is"):
        solver_config(**{key: value})
