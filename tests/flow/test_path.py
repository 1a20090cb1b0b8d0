"""The straight path: its ends, its velocity, the time shift."""

import pytest
import torch

from lumina_core.flow import path


@pytest.fixture
def x_0():
    return torch.randn(24, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def x_1():
    return torch.randn(24, generator=torch.Generator().manual_seed(1))


def test_interpolate_is_exactly_noise_at_zero_and_data_at_one(x_0, x_1):
    assert torch.equal(path.interpolate(x_0, x_1, 0.0), x_0)
    assert torch.equal(path.interpolate(x_0, x_1, 1.0), x_1)


def test_interpolate_takes_one_time_per_element(x_0, x_1):
    t = torch.tensor([0.0, 1.0, 0.25, 0.5]).repeat_interleave(torch.tensor([4, 4, 8, 8]))
    x_t = path.interpolate(x_0, x_1, t)
    expected = [(1 - s) * a + s * b for a, b, s in zip(x_0, x_1, t, strict=True)]
    torch.testing.assert_close(x_t, torch.stack(expected))
    assert torch.equal(x_t[:4], x_0[:4]) and torch.equal(x_t[4:8], x_1[4:8])


def test_velocity_is_the_derivative_of_the_path(x_0, x_1):
    x_0, x_1 = x_0.double(), x_1.double()
    step = 1e-3
    slope = (path.interpolate(x_0, x_1, 0.4 + step) - path.interpolate(x_0, x_1, 0.4)) / step
    torch.testing.assert_close(path.velocity(x_0, x_1), slope)


@pytest.mark.parametrize("shift", [0.25, 1.0, 3.0, 6.5])
def test_shift_and_its_reciprocal_undo_each_other(shift):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(path.shift_time(path.shift_time(t, shift), 1 / shift), t)


@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0, 6.7])
def test_shift_keeps_both_ends_exactly(shift):
    assert path.shift_time(0.0, shift) == 0.0
    assert path.shift_time(1.0, shift) == 1.0


def test_shift_one_changes_nothing_and_more_moves_towards_noise():
    t = torch.linspace(0.05, 0.95, 19)
    torch.testing.assert_close(path.shift_time(t, 1.0), t)
    assert (path.shift_time(t, 3.0) < t).all()
    assert (path.shift_time(t, 0.5) > t).all()


def test_shift_is_the_released_sampling_map():
    assert path.shift_time(0.5, 6.0) == pytest.approx(0.5 / (0.5 + 6.0 - 6.0 * 0.5))
