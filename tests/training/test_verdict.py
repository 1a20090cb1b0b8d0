"""The verdict on curves of known kinds, with the noise that a run has."""

import random
from math import exp

import pytest

from lumina_core.training.verdict import (
    DIVERGES,
    LEARNS,
    LEVELLED_OFF,
    OVERFITS,
    TOO_FEW,
    UNSURE,
    Trend,
    trend,
    verdict,
)

TIMES = {"0.1": 2.0, "0.5": 0.6, "0.9": 1.0}
"""Times of a validation, and the level of the loss there."""
STEPS = range(10, 2010, 10)
NOISE_OF_TRAINING, NOISE_OF_VALIDATION = 0.1, 0.004


def falling(step):
    return 0.4 + 1.6 * exp(-step / 700)


def flat(step):
    return 0.4 + 1.6 * exp(-step / 100)


def rising_after(step):
    return falling(min(step, 800)) * (1 + max(0, step - 800) / 4000)


def exploding(step):
    return falling(step) * (1 + max(0, step - 1200) / 400)


def judged(
    of_training,
    of_validation,
    seed=0,
    every=100,
    num_steps=2000,
    only="",
    at=None,
    noise_of_training=NOISE_OF_TRAINING,
):
    """The verdict on a run, whose validation differs from training at one time or at all."""
    noise = random.Random(seed)
    training, *bins = (
        [
            (step, of_training(step) * (1 + noise.gauss(0, noise_of_training)))
            for step in STEPS
            if step <= num_steps
        ]
        for _ in range(4)
    )
    at = dict(zip(("0", "0.5", "0.9"), bins, strict=True)) if at is None else at
    validation = {
        time: [
            (
                step,
                (of_validation if only in ("", time) else of_training)(step)
                * level
                * (1 + noise.gauss(0, NOISE_OF_VALIDATION)),
            )
            for step in range(every, num_steps + 1, every)
        ]
        for time, level in TIMES.items()
    }
    return verdict(training, validation, at)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("of_training", "of_validation", "kind"),
    [
        (falling, falling, LEARNS),
        (flat, flat, LEVELLED_OFF),
        (falling, flat, LEVELLED_OFF),
        (falling, rising_after, OVERFITS),
        (flat, rising_after, OVERFITS),
        (exploding, exploding, DIVERGES),
        (rising_after, rising_after, DIVERGES),
    ],
)
def test_each_kind_of_run_is_told(of_training, of_validation, kind, seed):
    found = judged(of_training, of_validation, seed)
    assert found.kind == kind, found.text
    assert found.text.endswith(".") and "\n" not in found.text


def test_over_fitting_is_told_with_where_it_began_and_by_how_much():
    text = judged(falling, rising_after).text
    assert text.startswith("Over-fitting since step 800: the validation loss rose by 3")
    assert "while the training loss fell by 4" in text


@pytest.mark.parametrize("seed", range(20))
def test_over_fitting_at_one_time_that_the_mean_hides_is_told(seed):
    found = judged(falling, rising_after, seed, only="0.5")
    assert found.kind == OVERFITS
    assert found.text.startswith("Over-fitting at t = 0.5, since step ")


def test_at_one_time_the_loss_of_training_there_counts():
    there = [(step, rising_after(step)) for step in STEPS]
    other = [(step, falling(step)) for step in STEPS]
    assert judged(falling, rising_after, only="0.5", at={"0": other, "0.5": there}).kind == LEARNS
    assert judged(falling, rising_after, only="0.5", at={}).kind == LEARNS  # an older log
    assert judged(falling, rising_after, only="0.5", at={"0": there, "0.5": other}).kind == OVERFITS


@pytest.mark.parametrize(
    ("every", "num_steps", "said"),
    [
        (1000, 2000, "the run measured 2 validation losses, and it takes 5 (validate_every)"),
        (3000, 2000, "the run measured 0 validation losses"),
        (10, 100, "the log has 10 lines with a loss, and it takes 20 (log_every)"),
    ],
)
def test_too_few_points_are_told_with_the_setting_that_gives_more(every, num_steps, said):
    found = judged(falling, rising_after, every=every, num_steps=num_steps)
    assert found.kind == TOO_FEW
    assert said in found.text


def test_a_run_without_validation_that_explodes_is_told():
    assert judged(exploding, flat, every=3000).kind == DIVERGES


def test_where_the_noise_of_training_hides_what_it_does_there_is_no_verdict():
    validation = {"0.5": [(step, rising_after(step)) for step in range(100, 2001, 100)]}
    for size, kind in ((0.05, OVERFITS), (0.9, UNSURE)):
        jumping = [(step, 1 + size * (-1) ** number) for number, step in enumerate(STEPS)]
        found = verdict(jumping, validation, {})
        assert found.kind == kind
    assert found.text.startswith("No verdict on over-fitting: since step 800 the validation loss")
    assert judged(falling, falling, noise_of_training=1.0).kind == LEARNS


def test_noise_alone_is_hardly_ever_over_fitting():
    kinds = [judged(flat, flat, seed, every=200).kind for seed in range(300)]
    assert kinds.count(LEVELLED_OFF) + kinds.count(LEARNS) >= 298


def test_a_trend_is_the_line_of_least_squares():
    assert trend([(0, 1.0), (1, 2.0), (2, 3.0)])[:2] == pytest.approx((1, 3))
    assert trend([(0, 2.0), (1, 2.0)]) == Trend(2, 2, 0)
    assert trend([(0, 2.0), (1, 2.0)]).change == 0
    noisy = trend([(0, 1.0), (1, 3.0), (2, 1.0), (3, 3.0)])
    assert noisy.end - noisy.begin == pytest.approx(1.2)
    assert noisy.error == pytest.approx(3 * (3.2 / 2 / 5) ** 0.5)
    assert not noisy.rises
