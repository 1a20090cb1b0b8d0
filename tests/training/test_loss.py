"""What is drawn for a batch."""

from math import log

import pytest
import torch

from lumina_core.data.source import CaptionedSample
from lumina_core.flow.settings import TimeConfig
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training.loss import Objective, draw, drawn_loss

TIME = TimeConfig(distribution="uniform", mean=0.0, std=1.0, shift=1.0)


@pytest.fixture
def samples(tiny_model):
    dim = tiny_model.modality.tokenizer.token_dim
    grid = Grid(1, 4, 6, (0.0, 2.0, 8 / 6))
    tokens = TokenSample("image", grid, torch.randn(24, dim, generator=seeded(0)))
    return [CaptionedSample(tokens, "a red circle")] * 200


def of_all(objective):
    return {"image": objective}


def generators(samples):
    return (seeded(1, number) for number in range(len(samples)))


def test_shares_and_jitter_are_as_asked(samples):
    drawn = draw(samples, of_all(Objective(TIME, 0.5, None, 0.25, 0.3)), generators(samples))
    scales = [log(sample.tokens.grid.common_scale) for sample in drawn.samples]
    assert -0.3 <= min(scales) < -0.25
    assert 0.25 < max(scales) <= 0.3
    assert 30 < sum(sample.tokens.known is not None for sample in drawn.samples) < 70
    assert 70 < sum(not sample.caption for sample in drawn.samples) < 130


def test_captions_of_what_is_given_have_a_share_of_their_own(samples):
    drawn = draw(samples, of_all(Objective(TIME, 0.0, 1.0, 0.5, 0.0)), generators(samples))
    assert {(not s.caption, s.tokens.known is not None) for s in drawn.samples} == {
        (False, False),
        (True, True),
    }


def test_nothing_varies_where_nothing_is_asked(samples):
    drawn = draw(samples, of_all(Objective(TIME, 0.0, None, 0.0, 0.0)), generators(samples))
    assert all(sample == samples[0] for sample in drawn.samples)


def test_what_is_given_carries_no_loss(tiny_model, samples):
    drawn = draw(samples[:1], of_all(Objective(TIME, 0.0, None, 1.0, 0.0)), [seeded(1)])
    sample = drawn.samples[0]
    known = sample.tokens.known
    loss = drawn_loss(tiny_model, drawn)
    noise = drawn.x_0.view_as(sample.tokens.tokens).clone()
    noise[known] += 1  # of what is given, no noise is seen
    drawn.x_0.copy_(noise.flatten())
    assert torch.equal(drawn_loss(tiny_model, drawn), loss)
    noise[~known] += 1
    drawn.x_0.copy_(noise.flatten())
    assert not torch.equal(drawn_loss(tiny_model, drawn), loss)
