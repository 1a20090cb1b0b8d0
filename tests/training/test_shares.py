"""Samples of a step are shared out by cost, alike on every rank."""

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.data.mixture import Pick
from lumina_core.training.shares import cost_by, shares_of

LENGTHS = (9, 50, 14, 30, 50, 3, 21, 30)
PICKS = [Pick(n, "image", 100 + n, length) for n, length in enumerate(LENGTHS)]


def by_length(pick):
    return pick.num_positions


def lengths(shares):
    return [[[pick.num_positions for pick in batch] for batch in share] for share in shares]


def test_shares_cost_about_the_same_and_hold_each_sample_once():
    shares = shares_of(PICKS, 2, 60, by_length)
    assert sorted(pick for share in shares for batch in share for pick in batch) == PICKS
    totals = [sum(sum(batch) for batch in share) for share in lengths(shares)]
    assert max(totals) - min(totals) <= 3
    assert all(sum(batch) <= 60 for share in lengths(shares) for batch in share)


def test_shares_have_as_many_batches_also_where_there_is_nothing_to_do():
    assert lengths(shares_of(PICKS[:1], 3, 60, by_length)) == [[[9]], [[]], [[]]]
    assert {len(share) for share in shares_of(PICKS, 3, 50, by_length)} == {2}


def test_samples_of_a_batch_keep_their_order():
    for batch in shares_of(PICKS, 1, 1000, by_length)[0]:
        assert batch == sorted(batch)


def test_a_long_sample_costs_more_than_its_positions_in_short_ones():
    cost = cost_by(BackboneConfig(token_dims={"image": 4}))
    short, long = (cost(Pick(0, "image", 0, length)) for length in (100, 1000))
    assert long > 11 * short
