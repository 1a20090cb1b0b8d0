"""Guidance extrapolates by its rule, on the channels and at the times asked for, nowhere else."""

import pytest
import torch

from lumina_core.errors import LuminaError
from lumina_core.flow.guidance import end_of_guidance, guided, is_guided_at, renormalised
from lumina_core.flow.settings import GuidanceConfig
from lumina_core.flow.solver import time_grid


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
        ("rule", "x"),
        ("renormalise", "x"),
        ("norm_limit", 0.0),
        ("share_of_steps", 1.5),
    ],
)
def test_impossible_values_are_refused_by_key(key, value):
    with pytest.raises(LuminaError, match=rf"guidance\.{key} is"):
        guidance_config(**{key: value})


def test_added_counts_the_scale_from_the_velocity_with_the_prompt(conditional, unconditional):
    added = guided(conditional, unconditional, 3.0, rule="added")
    torch.testing.assert_close(added, conditional + 3 * (conditional - unconditional))
    torch.testing.assert_close(added, guided(conditional, unconditional, 4.0))
    nothing = torch.full_like(conditional, float("nan"))
    assert torch.equal(guided(conditional, nothing, 0.0, rule="added"), conditional)


@pytest.mark.parametrize(
    ("changes", "is_on"),
    [
        ({"scale": 1.0}, False),
        ({"scale": 0.0}, True),
        ({"scale": 0.0, "rule": "added"}, False),
        ({"scale": 1.0, "rule": "added"}, True),
        ({"share_of_steps": 0.0}, False),
        ({"share_of_steps": 0.01}, True),
    ],
)
def test_guidance_is_on_unless_its_rule_makes_the_scale_neutral(changes, is_on):
    config = guidance_config(**changes)
    assert config.is_on == is_on == is_guided_at(0.5, config)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("num_steps", [1, 3, 6, 18])
def test_guidance_ends_with_its_share_of_the_steps(num_steps, share):
    times = time_grid(num_steps, 6.0)
    end = end_of_guidance(times, share)
    for step, t in enumerate(times[:-1]):
        assert (t < end) == (not (step + 1) / num_steps > share)


def latents(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 3, 5, 6, generator=generator).unbind()


def test_row_gives_every_row_the_norm_of_the_conditional_velocity():
    velocity, conditional = latents()
    found = renormalised(velocity, conditional, guidance_config(renormalise="row"))
    norm = torch.linalg.vector_norm
    torch.testing.assert_close(norm(found, dim=-1), norm(conditional, dim=-1))
    ratio = found / velocity
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))
    assert (ratio > 1).any() and (ratio < 1).any()


@pytest.mark.parametrize(("limit", "factor"), [(1.0, 1 / 3), (2.0, 2 / 3), (4.0, 1.0)])
def test_sample_only_shrinks_the_norm_of_the_whole(limit, factor):
    conditional = latents()[0]
    config = guidance_config(renormalise="sample", norm_limit=limit)
    found = renormalised(3 * conditional, conditional, config)
    torch.testing.assert_close(found, 3 * factor * conditional)


@pytest.mark.parametrize("rule", ["row", "sample"])
def test_a_velocity_of_zero_stays_zero(rule):
    velocity, conditional = latents()
    velocity[0] = 0
    assert (renormalised(velocity, conditional, guidance_config(renormalise=rule))[0] == 0).all()
    zero = torch.zeros_like(velocity)
    assert torch.equal(renormalised(zero, zero, guidance_config(renormalise=rule)), zero)


def test_none_leaves_the_velocity_as_it_is():
    velocity, conditional = latents()
    assert renormalised(velocity, conditional, guidance_config()) is velocity
