"""The scheduler of a diffusers folder becomes our solver, whose times are the scheduler's own."""

import json

import numpy as np
import pytest

from lumina_core.errors import LuminaError
from lumina_core.flow.scheduler import SCHEDULER, solver_of_scheduler
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
        ({"stochastic_sampling": True}, "stochastic_sampling=true"),
        ({"shift_terminal": 0.1}, "shift_terminal=0.1 (float), which changes the steps"),
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
