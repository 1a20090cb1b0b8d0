"""Guidance extrapolates on the channels and in the interval asked for, and nowhere else."""

import pytest
import torch

from lumina_core.errors import LuminaError
from lumina_core.flow.guidance import guided, is_guided_at
from lumina_core.flow.settings import GuidanceConfig


def guidance_config(**changes):
    return GuidanceConfig(**{"scale": 4.0, "interval": (0.0, 1.0), "channels": None, **changes})


@pytest.fixture
def conditional():
    return torch.randn(48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def unconditional():
    return torch.randn(48, generator=torch.Generator().manual_seed(1))


def test_scale_one_is_bitwise_the_conditional_velocity(conditional, unconditional):
    assert torch.equal(guided(conditional, unconditional, 1.0), conditional)
    nothing = torch.full_like(conditional, float("nan"))
    assert torch.equal(guided(conditional, nothing, 1.0), conditional)


def test_scale_zero_is_the_unconditional_velocity(conditional, unconditional):
    assert torch.equal(guided(conditional, unconditional, 0.0), unconditional)


def test_guided_moves_by_the_scaled_difference(conditional, unconditional):
    moved = guided(conditional, unconditional, 4.0) - unconditional
    torch.testing.assert_close(moved, 4 * (conditional - unconditional))


def test_guidance_agrees_where_both_velocities_agree(conditional):
    assert torch.equal(guided(conditional, conditional.clone(), 7.0), conditional)


def test_guiding_three_of_four_channels_leaves_the_rest_conditional(conditional, unconditional):
    channel_mask = torch.arange(48) % 4 < 3  # tokens of 4 channels, channel innermost
    result = guided(conditional, unconditional, 4.0, channel_mask=channel_mask)
    assert torch.equal(result[3::4], conditional[3::4])
    everywhere = guided(conditional, unconditional, 4.0)
    assert torch.equal(result[channel_mask], everywhere[channel_mask])


def test_guidance_does_not_modify_its_inputs(conditional, unconditional):
    before = conditional.clone(), unconditional.clone()
    guided(conditional, unconditional, 4.0, channel_mask=torch.arange(48) % 4 < 3)
    assert torch.equal(conditional, before[0]) and torch.equal(unconditional, before[1])


def test_interval_includes_both_ends():
    config = guidance_config(interval=(0.25, 0.75))
    times = (0.0, 0.24, 0.25, 0.5, 0.75, 0.76, 1.0)
    assert [is_guided_at(t, config) for t in times] == [
        False,
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_scale_one_is_guided_at_no_time():
    assert not any(is_guided_at(t, guidance_config(scale=1.0)) for t in (0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", -1.0),
        ("scale", float("nan")),
        ("interval", (0.8, 0.2)),
        ("interval", (-0.1, 1.0)),
        ("interval", (0.0, 1.5)),
        ("channels", 0),
    ],
)
def test_impossible_values_are_refused_by_key(key, value):
    with pytest.raises(LuminaError, match=rf"guidance\.{key} is"):
        guidance_config(**{key: value})
