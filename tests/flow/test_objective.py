"""Training times follow their distribution; the loss is each sample's own mean."""

import pytest
import torch

from lumina_core.errors import LuminaError
from lumina_core.flow.objective import sample_time, velocity_loss
from lumina_core.flow.settings import TimeConfig

NUM_DRAWS = 100_000
COUNTS = torch.tensor([5, 1, 300, 17])
NUM_ELEMENTS = 323


def time_config(**changes):
    return TimeConfig(
        **{"distribution": "uniform", "mean": 0.0, "std": 1.0, "shift": 1.0, **changes}
    )


def draw(count=NUM_DRAWS, seed=0, **changes):
    return sample_time(count, time_config(**changes), torch.Generator().manual_seed(seed))


def random_vectors(seed, num_elements=NUM_ELEMENTS):
    return torch.randn(num_elements, generator=torch.Generator().manual_seed(seed))


def test_uniform_times_have_the_moments_of_the_uniform_distribution():
    t = draw()
    assert t.dtype == torch.float32
    assert t.min() >= 0 and t.max() <= 1
    assert t.mean().item() == pytest.approx(1 / 2, abs=0.005)
    assert t.var().item() == pytest.approx(1 / 12, abs=0.002)


@pytest.mark.parametrize("mean", [-1.0, 0.0, 0.5])
def test_logit_normal_times_have_the_median_and_spread_of_their_logit(mean):
    t = draw(distribution="logit_normal", mean=mean, std=0.8)
    assert t.median().item() == pytest.approx(torch.tensor(mean).sigmoid().item(), abs=0.005)
    assert t.logit().std().item() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("distribution", ["uniform", "logit_normal"])
def test_shift_moves_times_towards_noise(distribution):
    plain, shifted = draw(distribution=distribution), draw(distribution=distribution, shift=3.0)
    assert (shifted <= plain).all()
    # The map is monotone, so the median 1/2 goes to 1 / (1 + shift).
    assert shifted.median().item() == pytest.approx(1 / 4, abs=0.005)


@pytest.mark.parametrize("distribution", ["uniform", "logit_normal"])
def test_equal_generators_draw_equal_times(distribution):
    assert torch.equal(draw(8, distribution=distribution), draw(8, distribution=distribution))
    other = draw(8, seed=1, distribution=distribution)
    assert not torch.equal(draw(8, distribution=distribution), other)


def test_times_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    draw(8)
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_distribution_is_refused_with_the_nearest_name():
    with pytest.raises(
        LuminaError, match=r"time\.distribution.*'logitnormal'.*mean 'logit_normal'"
    ):
        time_config(distribution="logitnormal")


@pytest.mark.parametrize(
    ("key", "value"),
    [("std", 0.0), ("std", float("nan")), ("mean", float("inf")), ("shift", 0.0), ("shift", -1.0)],
)
def test_impossible_numbers_are_refused_by_key(key, value):
    with pytest.raises(LuminaError, match=rf"time\.{key} is"):
        time_config(**{key: value})


def test_loss_equals_a_loop_over_samples_of_different_sizes():
    predicted, target = random_vectors(0), random_vectors(1)
    pieces = zip(predicted.split(COUNTS.tolist()), target.split(COUNTS.tolist()), strict=True)
    expected = torch.stack([((p - q) ** 2).mean() for p, q in pieces])
    torch.testing.assert_close(velocity_loss(predicted, target, COUNTS), expected)


def test_loss_is_precise_for_a_sample_of_a_million_elements():
    predicted = random_vectors(0, 1_000_000)
    (loss,) = velocity_loss(predicted, torch.zeros_like(predicted), torch.tensor([1_000_000]))
    assert loss.item() == pytest.approx(predicted.double().square().mean().item(), rel=1e-6)


def test_loss_gradient_counts_each_sample_equally():
    predicted, target = random_vectors(0).requires_grad_(), random_vectors(1)
    velocity_loss(predicted, target, COUNTS).mean().backward()
    per_element = COUNTS.repeat_interleave(COUNTS) * len(COUNTS)
    torch.testing.assert_close(predicted.grad, 2 * (predicted - target).detach() / per_element)


def test_weight_one_everywhere_changes_nothing():
    predicted, target = random_vectors(0), random_vectors(1)
    weighted = velocity_loss(predicted, target, COUNTS, weight=torch.ones_like(target))
    torch.testing.assert_close(weighted, velocity_loss(predicted, target, COUNTS))


def test_elements_of_weight_zero_carry_no_loss_and_no_gradient():
    predicted, target = random_vectors(0).requires_grad_(), random_vectors(1)
    weight = (torch.arange(len(target)) % 3 != 1).float()
    loss = velocity_loss(predicted, target, COUNTS, weight=weight)
    known = weight == 0
    parts = zip(*(v.split(COUNTS.tolist()) for v in (predicted, target, ~known)), strict=True)
    torch.testing.assert_close(loss, torch.stack([((p - q)[u] ** 2).mean() for p, q, u in parts]))
    loss.sum().backward()
    assert (predicted.grad[known] == 0).all() and (predicted.grad[~known] != 0).all()


def test_a_wholly_known_sample_has_no_mean():
    predicted, target = random_vectors(0), random_vectors(1)
    weight = torch.ones_like(target)
    weight[5] = 0  # the only element of sample 1
    loss = velocity_loss(predicted, target, COUNTS, weight=weight)
    assert loss.isnan().tolist() == [number == 1 for number in range(len(COUNTS))]


def test_counts_that_miss_the_state_are_refused():
    with pytest.raises(RuntimeError, match="sum to"):
        velocity_loss(torch.ones(5), torch.ones(5), torch.tensor([2, 2]))
