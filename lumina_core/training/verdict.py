"""Whether a run over-fits, in one sentence with its reasons.

The rule, on the loss of training and on the validation loss, whose samples, noise and times never
change. A trend is a straight line of least squares; it is sure where its slope is several times
the error of the slope.

- Fewer than MIN_VALIDATIONS validations or MIN_LINES lines with a loss: no verdict.
- It diverges if the training loss surely rises over the last third of the run, by more than
  DIVERGING.
- It over-fits if the validation loss, after its lowest value, surely rises to more than RISEN
  above it, while the training loss rises by less, its noise allowed for. If that rises by half as
  much or more, the run diverges; if its noise hides that, there is no verdict. The mean over all
  times may hide one of them, so each time is looked at, too, beside the training loss around it,
  if the log has that.
- Else it still learns if the validation loss fell by more than FALLING over the second half of the
  run, and has levelled off if it did not.

The lowest value itself is no point of the trend after it: noise alone makes one point the lowest.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from lumina_core.evaluation.charts import Points, short
from lumina_core.training.curves import number

MIN_VALIDATIONS = 5
MIN_LINES = 20  # with a loss of training, whose noise is large
MIN_AFTER = 4  # validations after the lowest one, for a trend
RISEN, FALLING, DIVERGING = 0.02, 0.01, 0.1  # shares of the loss
SURE = 4.0  # errors of the slope; of four points chance alone makes that once in 35 times
LIKELY = 2.0  # errors, within which a change likely lies

TOO_FEW, UNSURE = "too few points", "too much noise"
OVERFITS, DIVERGES = "over-fitting", "diverging"
LEARNS, LEVELLED_OFF = "learning", "levelled off"


class Verdict(NamedTuple):
    """What becomes of a run."""

    kind: str
    text: str
    """One sentence with the reasons."""


class Trend(NamedTuple):
    """A straight line through points."""

    begin: float
    end: float
    error: float
    """Of the difference between its ends, from the noise of the points."""

    @property
    def change(self) -> float:
        """As a share of the begin."""
        return self.end / self.begin - 1 if self.begin > 0 else 0.0

    @property
    def highest_change(self) -> float:
        """The largest that the noise allows for."""
        end = self.end + LIKELY * self.error
        return end / self.begin - 1 if self.begin > 0 else 0.0

    @property
    def rises(self) -> bool:
        """Whether it surely does."""
        return self.end - self.begin > SURE * self.error


def trend(points: Points) -> Trend:
    """The line of least squares through at least two points of different steps."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = sqrt(left / max(1, count - 2) / spread)
    first, last = points[0][0], points[-1][0]
    begin, end = (mean_y + slope * (x - mean_x) for x in (first, last))
    return Trend(begin, end, error * (last - first))


def verdict(
    training: Points, validation: Mapping[str, Points], training_at: Mapping[str, Points]
) -> Verdict:
    """What becomes of a run.

    Args:
        training: loss of training.
        validation: loss at each time, by the time as text.
        training_at: loss of training by the lower end of a bin of times.
    """
    mean = _mean(validation)
    if len(training) >= MIN_LINES:
        last = trend(training[-(len(training) // 3) :])
        if last.rises and last.change > DIVERGING:
            return _diverges(f"the training loss rose by {last.change:.0%} over its last third")
    if len(mean) < MIN_VALIDATIONS or len(training) < MIN_LINES:
        return Verdict(TOO_FEW, _too_few(len(mean), len(training)))
    if found := _after_lowest(mean, training):
        is_whole = found.kind != OVERFITS
        return found if is_whole else Verdict(OVERFITS, f"Over-fitting {found.text}.")
    for time, points in validation.items():
        found = _after_lowest(points, _around(time, training_at))
        if found and found.kind == OVERFITS:
            return Verdict(OVERFITS, f"Over-fitting at t = {time}, {found.text}.")
    half = trend(mean[-max(3, len(mean) // 2) :])
    if half.change < -FALLING:
        return Verdict(
            LEARNS,
            f"No over-fitting: the validation loss fell by {-half.change:.0%} over the second half "
            "of the run and still falls.",
        )
    return Verdict(
        LEVELLED_OFF,
        "No over-fitting: the validation loss has levelled off, it changed by "
        f"{half.change:+.1%} over the second half of the run.",
    )


def _after_lowest(validation: Points, training: Points) -> Verdict | None:
    """Whether the validation loss rose since its lowest value, and what training did meanwhile."""
    if not validation:
        return None
    lowest_step, lowest = min(validation, key=lambda point: point[1])
    after = [point for point in validation if point[0] > lowest_step]
    meanwhile = [point for point in training if point[0] > lowest_step]
    if len(after) < MIN_AFTER or len(meanwhile) < MIN_LINES // 2 or lowest <= 0:
        return None
    rise = trend(after)
    share = rise.end / lowest - 1
    if not rise.rises or share <= RISEN:
        return None
    of_training = trend(meanwhile)
    change = of_training.change
    since = f"since step {lowest_step:.0f}"
    if change > share / 2:
        both = f"the validation loss rose by {share:.0%} and the training loss by {change:.0%}"
        return _diverges(f"{since} {both}")
    if of_training.highest_change > share:
        told = f"{since} the validation loss rose by {share:.0%}, and the training loss varies too"
        return Verdict(UNSURE, f"No verdict on over-fitting: {told} much to say whether it rose.")
    told = f"fell by {-change:.0%}" if change < -FALLING else "did not rise as much"
    return Verdict(
        OVERFITS,
        f"{since}: the validation loss rose by {share:.0%} from its lowest value, {short(lowest)}, "
        f"while the training loss {told}",
    )


def _diverges(reason: str) -> Verdict:
    return Verdict(DIVERGES, f"Diverging: {reason}; a lower optimizer.learning_rate may help.")


def _too_few(num_validations: int, num_lines: int) -> str:
    if num_lines < MIN_LINES:
        lines = f"{num_lines} line{'s' * (num_lines != 1)}"
        has = f"the log has {lines} with a loss, and it takes {MIN_LINES}"
        return f"No verdict on over-fitting: {has} (log_every)."
    losses = f"{num_validations} validation loss{'es' * (num_validations != 1)}"
    has = f"the run measured {losses}, and it takes {MIN_VALIDATIONS}"
    return f"No verdict on over-fitting: {has} (validate_every)."


def _mean(curves: Mapping[str, Points]) -> Points:
    """The mean over the times, at the steps that all of them have."""
    by_step = [dict(points) for points in curves.values()]
    steps = set.intersection(*map(set, by_step)) if by_step else set()
    return [(step, sum(d[step] for d in by_step) / len(by_step)) for step in sorted(steps)]


def _around(time: str, bins: Mapping[str, Points]) -> Points:
    """The curve of the bin that a time lies in; a bin is called by its lower end."""
    below = [(number(name), name) for name in bins if number(name) <= number(time)]
    return bins[max(below)[1]] if below else []
