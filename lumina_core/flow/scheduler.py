"""The scheduler of a diffusers folder as settings of our solver; refuses one that steps otherwise.

Departure: by sequence length, our shift counts the tokens of a sample. Lumina2Pipeline (diffusers
0.42) takes the channels of the latent for them; the released folders shift by a number alone.
"""

from collections.abc import Mapping
from typing import Any

from lumina_core.errors import LuminaError, printable
from lumina_core.flow.settings import PING_PONG, SolverConfig
from lumina_core.records import build, shown

SCHEDULER = "FlowMatchEulerDiscreteScheduler"
_DEFAULTS = {  # of diffusers, for what a folder leaves out
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "use_dynamic_shifting": False,
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "time_shift_type": "exponential",
    "shift_terminal": None,
    "stochastic_sampling": False,
}
_LENGTH_SHIFT = ("base_image_seq_len", "base_shift", "max_image_seq_len", "max_shift")
MAX_SHOWN = 60  # characters of a foreign name


def solver_of_scheduler(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `solver` is to have for the steps of a scheduler.

    Args:
        config: what scheduler_config.json holds.

    Returns:
        `name` and `shift`: a number, or [tokens, mu, tokens, mu] where it depends on the length;
        and `terminal`, where it stretches the times.

    Raises:
        LuminaError: another scheduler, or a way of stepping that our solvers lack.
    """
    values = {"_class_name": None, **_DEFAULTS, **config}
    if values["_class_name"] != SCHEDULER:
        raise LuminaError(f"the scheduler is {shown(values['_class_name'])}; use {SCHEDULER}")
    is_dynamic, is_random = values["use_dynamic_shifting"], values["stochastic_sampling"]
    only: dict[str, Any] = {"use_dynamic_shifting": bool(is_dynamic), "num_train_timesteps": 1000}
    only["stochastic_sampling"] = bool(is_random)
    if is_dynamic:
        only["time_shift_type"] = "exponential"
    for key, value in values.items():
        is_extra = key not in _DEFAULTS and not key.startswith("_")
        if (key in only and only[key] != value) or (is_extra and value):
            wanted = shown(only.get(key, False))
            raise LuminaError(
                f"the scheduler has {printable(key, MAX_SHOWN)}={shown(value)}, which changes the "
                f"steps as no solver here does; only {wanted} is taken there"
            )
    shift = [values[key] for key in _LENGTH_SHIFT] if is_dynamic else values["shift"]
    solver = {"name": PING_PONG if is_random else "euler", "shift": shift}
    if values["shift_terminal"]:
        solver["terminal"] = values["shift_terminal"]
    build(SolverConfig, solver, "solver.")
    return solver


def scheduler_of_solver(solver: Mapping[str, Any]) -> dict[str, Any]:
    """What scheduler_config.json is to hold for the steps of a solver; inverse of the above.

    Args:
        solver: keys of `solver`; those that no scheduler has are left out.
    """
    shift = solver.get("shift")
    values = {"_class_name": SCHEDULER, **_DEFAULTS, "shift_terminal": solver.get("terminal")}
    values["stochastic_sampling"] = solver.get("name") == PING_PONG
    if isinstance(shift, list | tuple):
        return (
            values | dict(zip(_LENGTH_SHIFT, shift, strict=True)) | {"use_dynamic_shifting": True}
        )
    return values | {"shift": 1.0 if shift is None else shift}
