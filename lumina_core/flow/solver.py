"""Ordinary differential equation solvers from noise (t = 0) to data (t = 1).

A solver is a function of two neighbouring times; a sample is a plain loop over them. There is no
scheduler object. All but ping_pong follow a path without noise; that one asks its caller for noise.
Gradients are the caller's choice (`no_grad`).

Departures from the released sampler: `num_steps` counts intervals, where it counted grid points,
so its N is our N - 1; the state keeps its dtype (float32), where it was integrated in bfloat16;
no trajectory is kept. `rk4` is the 3/8 rule, which torchdiffeq, and so the released models, call
rk4. The fixed-step solvers are our own: torchdiffeq gives no word between steps.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import exp, log
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.flow.path import shift_time
from lumina_core.flow.settings import EVEN, LISTED, PING_PONG, TRAINING, SolverConfig

TIME_COUNT = 1000  # steps of the training of models that do not have time in [0, 1]
FIRST_TIME = 1e-6  # of UniPC, in place of 0, whose logarithm is infinite
OnStep = Callable[[int, int], None]
"""Called as on_step(step, total) after each step; may raise to cancel."""
Velocity = Callable[[float, Tensor], Tensor]


def time_grid(num_steps: int, shift: float, start: float = 0.0) -> list[float]:
    """Give the num_steps + 1 times between which a fixed-step solver steps, computed in float64.

    t_i = shift_time(u_i, shift), u_i evenly spaced from the time that the shift sends to `start`
    up to 1. The first is exactly `start`, the last exactly 1.

    Args:
        num_steps: number of intervals, at least 1.
        shift: above 1 spends more steps near noise, 1 spaces them evenly; above 0.
        start: first time, in [0, 1).

    Raises:
        ValueError: start is outside [0, 1).
    """
    if not 0 <= start < 1:
        raise ValueError(f"start is {start}; a path to t = 1 begins in [0, 1)")
    first = shift_time(start, 1 / shift)
    evenly = (first + (1 - first) * step / num_steps for step in range(1, num_steps))
    return [start, *(shift_time(u, shift) for u in evenly), 1.0]


def counted_grid(num_steps: int, shift: float) -> list[float]:
    """Give the `time_grid` from noise to data as a network takes it that counts time to 1000.

    sigma = shift s / (1 + (shift - 1) s), s evenly from 1 to 1 / num_steps; t = (1000 - 1000 sigma)
    / 1000, everything in float32. Such a network multiplies t by 1000 again, so that the last bit
    of t turns its fastest wave by 6e-5: pictures equal those of the released code only if t does.

    Args:
        num_steps: number of intervals, at least 1.
        shift: as in time_grid.

    Source: FlowMatchEulerDiscreteScheduler and ZImagePipeline of diffusers.
    """
    even = torch.linspace(1.0, 1 / num_steps, num_steps)
    sigma = shift * even / (1 + (shift - 1) * even)
    t = (TIME_COUNT - TIME_COUNT * sigma) / TIME_COUNT
    return [*t.clamp(min=0).tolist(), 1.0]


def times_of(config: SolverConfig, start: float = 0.0, *, is_counted: bool = False) -> list[float]:
    """The times between which a fixed-step solver steps.

    Args:
        config: of the solver.
        start: first time, in [0, 1).
        is_counted: whether the network counts time to TIME_COUNT; from a later start it gets what
            `time_grid` gives, for no released code is followed there.

    Every other schedule than the even one is drawn together from a later start, step by step.

    Raises:
        ValueError: start is outside [0, 1), or the shift depends on the length of a sample.
    """
    if isinstance(config.shift, tuple):
        raise ValueError(f"shift {config.shift} depends on a length; take config.at_length(tokens)")
    if config.schedule == EVEN and config.terminal is None:
        if is_counted and start == 0:
            return counted_grid(config.num_steps, config.shift)
        return time_grid(config.num_steps, config.shift, start)
    times = _scheduled(config)
    if config.terminal is not None and times[-2] > 0:
        stretch = (1 - config.terminal) / times[-2]
        times = [*(t * stretch for t in times[:-1]), 1.0]
    return [start, *(start + (1 - start) * t for t in times[1:-1]), 1.0]


def _scheduled(config: SolverConfig) -> list[float]:
    """The times of a schedule from noise to data, computed in float64.

    training: sigma evenly from 1 to the smallest of the shifted times of training, then shifted.
    log_snr: t = sigmoid(l), l evenly from the first of `log_snr` to the second, then shifted.

    Source: FlowMatchEulerDiscreteScheduler and `logsnr_sigma_schedule` of diffusers.
    """
    count, shift = config.num_steps, cast(float, config.shift)
    if config.schedule == LISTED:
        return list(cast(tuple[float, ...], config.times))
    if config.schedule == EVEN:
        return time_grid(count, shift)
    if config.schedule == TRAINING:
        last = shift_time(1 - 1 / TIME_COUNT, shift)
        even = [last * step / max(count - 1, 1) for step in range(1, count)]
    else:
        low, high = config.log_snr
        even = [1 / (1 + exp(-low - (high - low) * step / count)) for step in range(1, count)]
    return [0.0, *(shift_time(u, shift) for u in even), 1.0]


def no_noise() -> Tensor:
    """Refuse to draw noise."""
    raise ValueError(f"{PING_PONG} draws noise; give integrate some, such as noise=velocity.noise")


def integrate(
    velocity: Velocity,
    x_0: Float[Tensor, "element"],
    config: SolverConfig,
    *,
    times: Sequence[float] | None = None,
    noise: Callable[[], Tensor] = no_noise,
    on_step: OnStep | None = None,
) -> Float[Tensor, "element"]:
    """Follow dx/dt = velocity(t, x) from x_0 at the first of the times to t = 1.

    dopri5 does not use num_steps and shift, and does not call on_step. Its step size follows the
    error over the whole state: give it one sample at a time, or samples depend on one another.

    Args:
        velocity: (t, x) -> dx/dt in the dtype of x, at those times and between them. What it
            raises comes through.
        x_0: noise, or the state at the first time; not modified.
        config: solver, steps and tolerances; its shift is a number.
        times: from `times_of`; None: those from noise to data.
        noise: gives fresh noise, shaped as x_0; of ping_pong alone.
        on_step: called as (step, total) after each fixed step, step from 1 to total; it may raise
            to cancel.

    Returns:
        The state at t = 1.

    Raises:
        ValueError: the shift depends on the length of a sample, or noise is needed and not given.
    """
    times = times_of(config) if times is None else times
    if config.name == "dopri5":
        return _integrate_dopri5(velocity, x_0, config, times[0])
    x, steps = x_0, list[Step]()
    for step, (t, t_next) in enumerate(pairwise(times), start=1):
        if config.name in _MULTISTEP:
            steps = [Step(t, x, velocity(t, x)), *steps[:2]]
            x = _MULTISTEP[config.name](t_next, *steps)
        elif config.name == PING_PONG:
            x = _ping_pong_step(Step(t, x, velocity(t, x)), t_next, noise)
        else:
            x = _ONE_STEP[config.name](velocity, x, t, t_next)
        if on_step is not None:
            on_step(step, config.num_intervals)
    return x


def _euler_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Give x + h k1."""
    return x + (t_next - t) * velocity(t, x)


def _midpoint_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Give x + h k2, k2 at the middle that half an Euler step reaches."""
    h = t_next - t
    middle = x + h / 2 * velocity(t, x)
    return x + h * velocity(t + h / 2, middle)


def _heun_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Give x + h (k1 + k2) / 2, k2 at the end that an Euler step reaches."""
    h = t_next - t
    k1 = velocity(t, x)
    k2 = velocity(t_next, x + h * k1)
    return x + h / 2 * (k1 + k2)


def _rk4_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Give x + h (k1 + 3 k2 + 3 k3 + k4) / 8: Kutta's 3/8 rule, torchdiffeq's rk4_alt_step_func."""
    h = t_next - t
    third = h / 3  # the rule evaluates at thirds of the step
    k1 = velocity(t, x)
    k2 = velocity(t + third, x + third * k1)
    k3 = velocity(t + 2 * third, x + h * k2 - third * k1)
    k4 = velocity(t_next, x + h * (k1 - k2 + k3))
    return x + h / 8 * (k1 + 3 * (k2 + k3) + k4)  # weights of the rule


_ONE_STEP: dict[str, Callable[[Velocity, Tensor, float, float], Tensor]] = {
    "euler": _euler_step,
    "midpoint": _midpoint_step,
    "heun": _heun_step,
    "rk4": _rk4_step,
}


class Step(NamedTuple):
    """Where a step began, and what was evaluated there."""

    t: float
    x: Tensor
    v: Tensor

    @property
    def data(self) -> Tensor:
        """Where the velocity leads to."""
        return self.x + (1 - self.t) * self.v


def _ab2_step(t_next: float, now: Step, before: Step | None = None, *_: Step) -> Tensor:
    """Give x + h (v + h / (2 h_before) (v - v_before)): Adams and Bashforth's second order."""
    t, x, v = now
    h = t_next - t
    if before is None:
        return x + h * v
    return x + h * (v + h / (2 * (t - before.t)) * (v - before.v))


def _dpmpp_2m_step(t_next: float, now: Step, before: Step | None = None, *_: Step) -> Tensor:
    """Give (1 - t') / (1 - t) x + (t' - t) / (1 - t) D, D the data that two velocities lead to.

    d = x + (1 - t) v is the data that one leads to, l = log(t / (1 - t)) half the logarithm of
    signal to noise: D = d + (l' - l) / (2 (l - l_before)) (d - d_before). Where one of them is
    infinite, at both ends, the step is that of Euler.

    Source: Lu et al. 2022, arXiv:2211.01095, algorithm 2, for alpha = t and sigma = 1 - t.
    """
    t, x, _v = now
    data = now.data
    if before is not None and before.t > 0 and t_next < 1:
        ahead, behind = _half_log_snr(t_next, t), _half_log_snr(t, before.t)
        data = data + ahead / (2 * behind) * (data - before.data)
    return (1 - t_next) / (1 - t) * x + (t_next - t) / (1 - t) * data


def _unipc_step(
    t_next: float, now: Step, before: Step | None = None, older: Step | None = None
) -> Tensor:
    """Step as dpmpp_2m does, from an x that what was evaluated there has corrected.

    With r = (l - l_before) / (l_before - l_older), e = (d - d_before), g as in that step:
    x + g (c_2 e + (c_1 - 1 / 2) r (d_before - d_older)), c of the second order, is the corrected x;
    after a first step, x + g e / 2. In the logarithms 0, where noise is, counts as FIRST_TIME.

    Source: Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2 with B(h) = exp(h) - 1;
    FIRST_TIME from UniPCMultistepScheduler of diffusers.
    """
    t, x, _v = now
    data = now.data
    if before is not None and t_next < 1:
        change, gain = data - before.data, (t - before.t) / (1 - before.t)
        behind = _half_log_snr(t, max(before.t, FIRST_TIME))
        x = x + gain * change / 2
        if older is not None:
            ratio = behind / _half_log_snr(before.t, max(older.t, FIRST_TIME))
            first = t / gain - 1 / behind
            second = t / gain - 2 * first / behind
            past = (first - second) * ratio / (1 + ratio)
            x = x + gain * ((first - past - 1 / 2) * change)
            x = x + gain * ((past - 1 / 2) * ratio * (before.data - older.data))
        data = data + _half_log_snr(t_next, t) / (2 * behind) * change
    return (1 - t_next) / (1 - t) * x + (t_next - t) / (1 - t) * data


def _ping_pong_step(now: Step, t_next: float, noise: Callable[[], Tensor]) -> Tensor:
    """Give t' d + (1 - t') fresh noise, d the data that the velocity leads to.

    Source: Novack et al. 2025, arXiv:2505.08175, section 3.3; Song et al. 2023, arXiv:2303.01469,
    algorithm 1.
    """
    return now.data if t_next == 1 else t_next * now.data + (1 - t_next) * noise()


def _half_log_snr(t: float, since: float) -> float:
    """Half the logarithm of signal to noise at t, less that at an earlier time; both in (0, 1)."""
    return log(t * (1 - since) / (since * (1 - t)))


_MULTISTEP: dict[str, Callable[..., Tensor]] = {
    "ab2": _ab2_step,
    "dpmpp_2m": _dpmpp_2m_step,
    "unipc": _unipc_step,
}
"""These evaluate once a step, and remember what the steps before evaluated: (t_next, *steps), the
newest first, three at most."""


def _integrate_dopri5(
    velocity: Velocity, x_0: Tensor, config: SolverConfig, start: float
) -> Tensor:
    from torchdiffeq import odeint  # needed by this solver only

    def velocity_within_path(t: Tensor, x: Tensor) -> Tensor:
        # The first trial, which only guesses a step size, can lie beyond t = 1.
        return velocity(min(t.item(), 1.0), x)

    ends = torch.tensor([start, 1.0], dtype=torch.float64, device=x_0.device)
    # Without step_t the last step runs past t = 1, where the network was never trained, and the
    # result is interpolated back.
    trajectory = odeint(
        velocity_within_path,
        x_0,
        ends,
        rtol=config.rtol,
        atol=config.atol,
        method="dopri5",
        options={"step_t": ends[1:]},
    )
    return trajectory[-1]
