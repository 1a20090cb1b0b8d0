import numpy as np
import pytest

from lumina_core.data.order import PIECES, Order, set_aside


def epoch_of(order, epoch):
    first = epoch * order.num_items
    return [order.at(place) for place in range(first, first + order.num_items)]


@pytest.mark.parametrize("counts", [[7], [3, 0, 5, 1], [40, 2, 300]])
@pytest.mark.parametrize("window", [1, 16, 64, 10_000])
def test_order_holds_every_item_once_in_each_epoch(counts, window):
    order = Order(counts, 3, window)
    epochs = [[place.item for place in epoch_of(order, epoch)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(sum(counts))) for epoch in epochs)
    assert [place.epoch for place in epoch_of(order, 2)] == [2] * sum(counts)
    if sum(counts) > 20:
        assert epochs[0] != epochs[1] != epochs[2]


def test_order_depends_on_seed_and_place_alone():
    order, again, other = (Order([30, 30], seed, 16) for seed in (1, 1, 2))
    forward = [order.at(place) for place in range(120)]
    assert [again.at(place) for place in reversed(range(120))] == forward[::-1]
    assert [other.at(place) for place in range(120)] != forward


def test_order_mixes_far_shards_and_stays_in_a_window():
    counts, window = [100] * 50, 400
    items = [place.item for place in epoch_of(Order(counts, 0, window), 0)]
    shards = [{item // 100 for item in items[first : first + window]} for first in (0, 1000, 4000)]
    # pieces of 25 items; in plain order four shards would meet, in one of all items nearly all
    assert min(map(len, shards)) >= PIECES // 2
    assert max(map(len, shards)) <= 2 * (PIECES + 1)  # such a stretch may touch two windows


def test_order_leaves_out_what_is_set_aside():
    held = np.array([0, 5, 6, 7, 8, 9, 19])
    order = Order([5, 5, 10], 0, 16, held)
    assert order.num_items == 13
    found = sorted(place.item for place in epoch_of(order, 1))
    assert found == [item for item in range(20) if item not in held]


def test_an_order_of_nothing_is_refused():
    for counts, held in (([], ()), ([0, 0], ()), ([2], (0, 1))):
        with pytest.raises(ValueError, match="at least one item"):
            Order(counts, 0, 16, held)


@pytest.mark.parametrize("scanned", [7, 1000])
def test_media_are_set_aside_with_all_items_that_show_them(scanned, monkeypatch):
    monkeypatch.setattr("lumina_core.data.order._SCANNED", scanned)
    media = np.random.default_rng(0).integers(0, 256, (40, 16), np.uint8)
    shown = np.array([number % 40 for number in range(100)])
    held = set_aside(media[shown], 6, 1)
    numbers = {int(shown[item]) for item in held}
    assert len(numbers) == 6
    assert held.tolist() == [item for item in range(100) if shown[item] in numbers]
    assert set_aside(media[shown], 6, 1).tolist() == held.tolist()
    assert set_aside(media[shown], 6, 2).tolist() != held.tolist()
    assert len(set_aside(media[shown], 0, 1)) == 0
    assert len(set_aside(media[shown], 99, 1)) == 100
