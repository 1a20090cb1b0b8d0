"""How to integrate, to guide and to draw times: the records. Imports no torch."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting

ADAPTIVE = ("dopri5",)
PING_PONG = "ping_pong"
FIXED_STEP = ("euler", "midpoint", "heun", "rk4", "ab2", "dpmpp_2m", "unipc", PING_PONG)
EVEN, TRAINING, LOG_SNR, LISTED = SCHEDULES = ("even", "training", "log_snr", "listed")

SOLVERS = FIXED_STEP + ADAPTIVE
MAX_STEPS = 10_000  # a hundred times what any sample has needed
MAX_LOG_SNR = 30.0  # sigmoid(30) is 1 - 1e-13
MAX_MU = 20.0  # exp(20) leaves no time but the ends; released models stay below 2
LengthShift = tuple[float, float, float, float]
"""Tokens and mu, twice: the shift of a sample is exp(mu) on the line through both."""


@dataclass(frozen=True)
class SolverConfig(Settings, block="solver"):
    """Which solver, and how finely it steps."""

    name: str = setting("euler", "which solver", choices=SOLVERS)
    num_steps: int = setting(
        30,
        "intervals between noise and data",
        at_least=1,
        at_most=MAX_STEPS,
        idle={"name": ADAPTIVE, "schedule": (LISTED,)},
    )
    shift: float | LengthShift = setting(
        1.0,
        "above 1 spends more steps near noise; [tokens,mu,tokens,mu]: exp(mu) by the length of the "
        "sample, on the line through both",
        above=0,
        idle={"name": ADAPTIVE, "schedule": (LISTED,)},
    )
    """FLUX and models after it have [256, 0.5, 4096, 1.15]."""
    schedule: str = setting(
        EVEN,
        "even: times evenly, then shifted; training: evenly from the first to the last of 1000 "
        "shifted times, then shifted again; log_snr: evenly in the logarithm of signal to noise, "
        "then shifted; listed: those in times",
        choices=SCHEDULES,
        idle={"name": ADAPTIVE},
        untold=True,
    )
    log_snr: tuple[float, float] = setting(
        (-6.2, 2.0),
        "logarithms of signal to noise, from the first time to the end; schedule=log_snr only",
        at_least=-MAX_LOG_SNR,
        at_most=MAX_LOG_SNR,
        idle={"schedule": (EVEN, TRAINING, LISTED)},
        untold=True,
    )
    """The defaults are those of Stable Audio 3."""
    times: tuple[float, ...] | None = setting(
        None,
        "where steps begin, from 0, and 1 at last; schedule=listed only",
        at_least=0,
        at_most=1,
        idle={"schedule": (EVEN, TRAINING, LOG_SNR)},
        untold=True,
    )
    terminal: float | None = setting(
        None,
        "noise that is left where the last step begins: the times before it are stretched; null: "
        "as they fall",
        above=0,
        below=1,
        idle={"name": ADAPTIVE, "schedule": (LISTED,)},
        untold=True,
    )
    atol: float = setting(
        1e-5, "absolute error per step; dopri5 only", above=0, idle={"name": FIXED_STEP}
    )
    rtol: float = setting(
        1e-5,
        "error per step relative to the state; dopri5 only",
        above=0,
        idle={"name": FIXED_STEP},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.shift, tuple) and self.shift[0] >= self.shift[2]:
            raise LuminaError(
                f"solver.shift is {list(self.shift)}; set tokens and mu of a short sample, then "
                "those of a longer one, such as [256, 0.5, 4096, 1.15]."
            )
        if isinstance(self.shift, tuple) and self.schedule == TRAINING:
            raise LuminaError(
                f"solver.schedule=training shifts twice by one number, and solver.shift is "
                f"{list(self.shift)}; set one number, or solver.schedule=even"
            )
        if self.log_snr[0] >= self.log_snr[1]:
            raise LuminaError(
                f"solver.log_snr is {list(self.log_snr)}; set two numbers that rise, such as "
                "[-6.2, 2.0]"
            )
        if self.schedule == LISTED and not _are_times(self.times):
            got = "null" if self.times is None else list(self.times)
            raise LuminaError(
                f"solver.times is {got}; list times that rise from 0 to 1, such as [0, 0.4, 1]"
            )

    @property
    def num_intervals(self) -> int:
        """How many steps are made, whichever key says it."""
        listed = self.times if self.schedule == LISTED else None
        return self.num_steps if listed is None else len(listed) - 1

    def quicker(self, divisor: int) -> "SolverConfig":
        """The solver with a fraction of its steps, rounded up; Euler's remember the one before."""
        name = "ab2" if self.name == "euler" else self.name
        if self.schedule == LISTED and self.times is not None:
            return replace(self, name=name, times=(*self.times[:-1:divisor], 1.0))
        return replace(self, name=name, num_steps=-(-self.num_steps // divisor))

    def at_length(self, num_tokens: int) -> "SolverConfig":
        """The solver of a sample, its shift a number.

        mu = mu_1 + (mu_2 - mu_1) (num_tokens - tokens_1) / (tokens_2 - tokens_1), shift = exp(mu)

        Args:
            num_tokens: of the sample, separators left out.

        Raises:
            LuminaError: mu is far from all that a model was trained with.

        Source: `calculate_shift` of diffusers; Esser et al. 2024, arXiv:2403.03206, section 5.3.2.
        """
        if not isinstance(self.shift, tuple):
            return self
        tokens_1, mu_1, tokens_2, mu_2 = self.shift
        slope = (mu_2 - mu_1) / (tokens_2 - tokens_1)
        mu = num_tokens * slope + (mu_1 - slope * tokens_1)
        if abs(mu) > MAX_MU:
            raise LuminaError(
                f"solver.shift={list(self.shift)} gives mu {mu:.4g} at {num_tokens} tokens, and "
                f"{MAX_MU:g} is the most; set one number, such as solver.shift=6"
            )
        return replace(self, shift=exp(mu))


def _are_times(times: tuple[float, ...] | None) -> bool:
    if times is None or not 2 <= len(times) <= MAX_STEPS:
        return False
    return (times[0], times[-1]) == (0, 1) and all(a < b for a, b in pairwise(times))


RULES = ("plain", "added")
RENORMALISED = ("none", "row", "sample")


@dataclass(frozen=True)
class GuidanceConfig(Settings, block="guidance"):
    """How strongly, by which rule, when and on which channels guidance acts."""

    scale: float = setting(
        4.0, "1 is no guidance, 0 ignores the prompt; with rule=added 0 is no guidance", at_least=0
    )
    rule: str = setting(
        "plain",
        "plain: u + scale (c - u), of the velocities c with the prompt and u without; added: "
        "c + scale (c - u)",
        choices=RULES,
        untold=True,
    )
    """Z-Image counts as `added` does: its scale is that of `plain` less 1."""
    renormalise: str = setting(
        "none",
        "row: each row of the latent gets the norm that it has in c; sample: the whole sample gets "
        "at most norm_limit times its norm in c",
        choices=RENORMALISED,
        untold=True,
    )
    norm_limit: float = setting(
        1.0,
        "largest norm of the guided velocity of a sample, as a multiple of that of c",
        above=0,
        idle={"renormalise": ("none", "row")},
        untold=True,
    )
    share_of_steps: float = setting(
        1.0,
        "share of the steps, from the first, that are guided",
        at_least=0,
        at_most=1,
        untold=True,
    )
    interval: tuple[float, float] = setting(
        (0.0, 1.0), "times between which guidance acts, 0 is noise", at_least=0, at_most=1
    )
    channels: int | None = setting(
        None, "guide only the first latent channels; null: all", at_least=1
    )
    """The released image models guide 3."""
    in_turn: bool = setting(
        False,
        "compute the two velocities of a guided step one after the other: half the memory of both "
        "at once, other rounding",
        untold=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interval[0] > self.interval[1]:
            raise LuminaError(
                f"guidance.interval is {list(self.interval)}; set two times in order, such as "
                "[0.0, 1.0]."
            )

    @property
    def is_on(self) -> bool:
        """Whether any step needs the velocity without the prompt."""
        neutral = 0 if self.rule == "added" else 1
        return self.scale != neutral and self.share_of_steps > 0


DISTRIBUTIONS = ("uniform", "logit_normal")


@dataclass(frozen=True)
class TimeConfig(Settings, block="time"):
    """How the times of training samples are drawn.

    uniform: t ~ U(0, 1); logit_normal: t = sigmoid(n), n ~ N(mean, std^2).
    """

    distribution: str = setting("logit_normal", "of the times in (0, 1)", choices=DISTRIBUTIONS)
    mean: float = setting(
        0.0, "of the logit; above 0: nearer to data", idle={"distribution": ("uniform",)}
    )
    std: float = setting(1.0, "of the logit", above=0, idle={"distribution": ("uniform",)})
    shift: float = setting(1.0, "above 1: more noise", above=0)
