"""The scheduler of a diffusers folder becomes our solver, whose times are the scheduler's own."""

import json

import numpy as np
import pytest

from lumina_core.errors import LuminaError
from lumina_core.flow.scheduler import SCHEDULER, scheduler_of_solver, solver_of_scheduler
from lumina_core.flow.settings import SolverConfig
from lumina_core.flow.solver import times_of
from lumina_core.records import build

DYNAMIC = {"use_dynamic_shifting": True}


def scheduler(**changes):
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**changes)


def solver(config, num_steps=9):
    values = solver_of_scheduler(config)
    return build(SolverConfig, {**values, "num_steps": num_steps}, "solver.")


@pytest.mark.parametrize("num_tokens", [64, 256, 1024, 4096, 9216])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shift": 6.0},
        {"shift": 3},
        {**DYNAMIC, "shift": 3.0},
        {**DYNAMIC, "base_shift": 0.25, "max_shift": 2.0, "max_image_seq_len": 8192},
        {"shift": 3.0, "shift_terminal": 0.1},
        {**DYNAMIC, "shift_terminal": 0.2},
    ],
)
def test_times_are_those_of_the_scheduler(changes, num_tokens, tmp_path):
    from diffusers.pipelines.z_image.pipeline_z_image import calculate_shift

    reference = scheduler(**changes)
    reference.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "scheduler_config.json").read_text())
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    mu = calculate_shift(num_tokens, *(reference.config[name] for name in names))
    reference.set_timesteps(sigmas=np.linspace(1.0, 1 / 9, 9), mu=mu)
    times = times_of(solver(config).at_length(num_tokens))
    np.testing.assert_allclose(times, 1 - reference.sigmas.double().numpy(), atol=2e-7)


@pytest.mark.parametrize("terminal", [None, 0.1])
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("num_steps", [2, 6, 50])
def test_training_times_are_those_of_the_scheduler_by_itself(num_steps, shift, terminal):
    reference = scheduler(shift=shift, shift_terminal=terminal)
    reference.set_timesteps(num_steps)
    config = SolverConfig(num_steps=num_steps, shift=shift, schedule="training", terminal=terminal)
    times = times_of(config)
    np.testing.assert_allclose(times, 1 - reference.sigmas.double().numpy(), atol=2e-7)
    if shift > 1 and num_steps == 6:  # the second shift is what an even grid lacks
        even = times_of(SolverConfig(num_steps=num_steps, shift=shift, terminal=terminal))
        assert max(abs(a - b) for a, b in zip(times, even, strict=True)) > 0.01


@pytest.mark.parametrize("num_steps", [1, 8, 50])
def test_log_snr_times_are_those_of_stable_audio(num_steps):
    from diffusers.pipelines.stable_audio_3.pipeline_stable_audio_3 import logsnr_sigma_schedule

    sigmas = logsnr_sigma_schedule(num_steps, -5.0, 3.0)
    config = SolverConfig(num_steps=num_steps, schedule="log_snr", log_snr=(-5.0, 3.0))
    np.testing.assert_allclose(times_of(config), [*(1 - np.array(sigmas)), 1.0], atol=2e-7)


@pytest.mark.parametrize("schedule", ["even", "training", "log_snr", "listed"])
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_times_of_every_schedule_rise_from_the_start_to_the_end(schedule, start):
    listed = (0.0, 0.2, 0.25, 1.0) if schedule == "listed" else None
    config = SolverConfig(num_steps=3, schedule=schedule, times=listed, shift=2.0)
    times = times_of(config, start)
    assert (times[0], times[-1], len(times)) == (start, 1.0, 4)
    assert times == sorted(set(times))


def test_listed_times_are_taken_as_they_are():
    config = SolverConfig(schedule="listed", times=(0.0, 0.2, 1.0), shift=3.0)
    assert times_of(config) == [0.0, 0.2, 1.0]
    assert config.num_intervals == 2


@pytest.mark.parametrize("times", [None, (), (1.0,), (0.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.1, 1.0)])
def test_listed_times_that_do_not_rise_from_0_to_1_are_refused(times):
    with pytest.raises(LuminaError, match=r"solver\.times is .*; list times that rise from 0 to 1"):
        SolverConfig(schedule="listed", times=times)


def test_training_times_need_one_shift():
    with pytest.raises(LuminaError, match="shifts twice by one number"):
        SolverConfig(schedule="training", shift=(256.0, 0.5, 4096.0, 1.15))


def test_a_terminal_becomes_that_of_a_scheduler_again():
    config = {"_class_name": SCHEDULER, "shift_terminal": 0.1}
    assert scheduler_of_solver(solver_of_scheduler(config))["shift_terminal"] == 0.1


def test_a_scheduler_that_draws_noise_is_ping_pong_and_becomes_one_again():
    config = {"_class_name": SCHEDULER, "stochastic_sampling": True}
    solver = solver_of_scheduler(config)
    assert solver == {"name": "ping_pong", "shift": 1.0}
    assert scheduler_of_solver(solver)["stochastic_sampling"] is True
    assert scheduler_of_solver({"name": "euler"})["stochastic_sampling"] is False


@pytest.mark.parametrize("shift", [1.0, 3.0, 6.0, 2.7])
@pytest.mark.parametrize("num_steps", [1, 4, 8, 28, 50])
def test_counted_times_are_those_of_z_image_pipeline_to_the_bit(num_steps, shift):
    from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas

    reference = scheduler(shift=shift)
    reference.set_timesteps(sigmas=get_default_z_image_sigmas(num_steps))
    times = ((1000 - reference.timesteps) / 1000).clamp(min=0)
    config = SolverConfig(num_steps=num_steps, shift=shift)
    counted = times_of(config, is_counted=True)
    assert counted == [*times.tolist(), 1.0]
    np.testing.assert_allclose(counted, times_of(config), atol=2e-7)
    assert times_of(config, 0.25, is_counted=True) == times_of(config, 0.25)


def test_what_a_folder_leaves_out_is_as_in_diffusers():
    assert solver_of_scheduler({"_class_name": SCHEDULER}) == {"name": "euler", "shift": 1.0}
    dynamic = solver_of_scheduler({"_class_name": SCHEDULER, **DYNAMIC})
    assert dynamic["shift"] == [256, 0.5, 4096, 1.15]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "DDIM\x1b[2J"}, "the scheduler is 'DDIM\\x1b[2J' (str); use FlowMatch"),
        ({"_class_name": None}, "the scheduler is null; use FlowMatch"),
        ({"num_train_timesteps": 500}, "num_train_timesteps=500 (int), which"),
        ({"use_karras_sigmas": True}, "use_karras_sigmas=true, which changes the steps"),
        ({"use_beta_sigmas": True}, "use_beta_sigmas=true"),
        ({"use_exponential_sigmas": True}, "use_exponential_sigmas=true"),
        ({"invert_sigmas": True}, "invert_sigmas=true"),
        ({"stochastic_sampling": "no"}, "stochastic_sampling='no' (str)"),
        ({"shift_terminal": 1}, "solver.terminal is 1.0; set a finite number above 0 and below 1"),
        ({"new\nkey": [1]}, "new key=[1] (list)"),
        ({"use_dynamic_shifting": "no"}, "use_dynamic_shifting='no' (str)"),
        ({**DYNAMIC, "time_shift_type": "linear"}, "only 'exponential' (str) is taken there"),
        ({**DYNAMIC, "max_image_seq_len": 256}, "solver.shift is [256.0, 0.5, 256.0, 1.15]; set"),
        ({**DYNAMIC, "base_shift": None}, "solver.shift[1] must be a number, got null"),
        ({"shift": "x"}, "solver.shift must be a number or a list"),
        ({"shift": 0}, "solver.shift is 0.0; set a finite number above 0"),
        ({"shift": float("nan")}, "solver.shift is nan"),
    ],
)
def test_other_steps_are_refused_by_name(changes, message):
    with pytest.raises(LuminaError) as raised:
        solver_of_scheduler({"_class_name": SCHEDULER, **changes})
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changes", [{"invert_sigmas": False, "shift_terminal": None, "_diffusers_version": "0.42.1"}]
)
def test_what_changes_no_step_is_taken(changes):
    assert solver_of_scheduler({"_class_name": SCHEDULER, **changes})["shift"] == 1.0


def test_a_shift_by_length_needs_a_length():
    config = SolverConfig(shift=(256.0, 0.5, 4096.0, 1.15))
    with pytest.raises(ValueError, match="at_length"):
        times_of(config)
    with pytest.raises(LuminaError, match=r"gives mu 169\.\d at 1000000 tokens"):
        config.at_length(1_000_000)
    assert config.at_length(4096).shift == pytest.approx(3.158193)
    assert config.at_length(256).shift == pytest.approx(1.648721)


def test_a_shift_that_is_a_number_is_the_same_at_every_length():
    config = SolverConfig(shift=6.0)
    assert config.at_length(1) is config
