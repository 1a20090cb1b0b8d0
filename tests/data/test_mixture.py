import json
from itertools import count, islice

import pytest

from lumina_core import LuminaError
from lumina_core.data import mixture as mixing
from lumina_core.data.mixture import Mixture
from lumina_core.data.source import CaptionedSample, Source


class Stream(Source):
    """Gives sample after sample, of these lengths in turn; None stands for one of no use."""

    def __init__(self, *lengths, is_broken=lambda number: False):
        self.lengths, self.is_broken = lengths, is_broken
        self.expected, self.steps = [], []

    def numbers(self, step, place):
        assert self.steps[-1] == step
        return count(place)

    def num_positions(self, number):
        return self.lengths[number % len(self.lengths)]

    def get(self, number):
        return None if self.is_broken(number) else CaptionedSample(None, str(number))

    def expect(self, numbers):
        self.expected.append(list(numbers))

    def advance(self, step):
        self.steps.append(step)

    def captions(self, count, generator):
        return [str(number) for number in range(count)]

    held_out = vocabulary_captions = variants = summary = None


def steps_of(mixture, start=0):
    """What the steps pick, one after the other."""
    for step in count(start):
        mixture.advance(step)
        picked = mixture.pick(step)
        mixture.place = picked.after
        yield picked


class Foreseeable(Stream):
    is_foreseeable = True
    num_collected = 0

    def numbers(self, step, place):
        return count(place)

    def collect(self):
        self.num_collected += 1


def test_a_step_is_foreseen_where_every_source_knows_it():
    mixture = Mixture({"a": Foreseeable(40), "b": Foreseeable(60)}, {"a": 1, "b": 1}, 130)
    mixture.advance(0)
    after = mixture.pick(0).after
    foreseen = mixture.foreseen(1, after)
    mixture.advance(1)
    assert foreseen == mixture.pick(1, after).batches
    mixture.expect(foreseen)
    expected = [source.expected for source in mixture.sources.values()]
    assert expected == [[numbers_of(foreseen[0], name)] for name in "ab"]
    other = Mixture({"a": Foreseeable(40), "b": Stream(60)}, {"a": 1, "b": 1}, 130)
    other.advance(0)
    assert other.foreseen(1, other.pick(0).after) == []


def test_ranks_tell_what_they_met_from_time_to_time():
    source = Foreseeable(40)
    mixture = Mixture({"a": source}, {"a": 1}, 130)
    for step in range(33):
        mixture.collect(step)
    assert source.num_collected == 3


def numbers_of(picks, name="a"):
    return [pick.number for pick in picks if pick.modality == name]


def test_a_batch_is_filled_in_order_and_the_sample_that_does_not_fit_begins_the_next():
    mixture = Mixture({"a": Stream(40, 40, 40, 100, 20)}, {"a": 1}, 130, num_batches=2)
    first, second = islice(steps_of(mixture), 2)
    assert [numbers_of(batch) for batch in first.batches] == [[0, 1, 2], [3, 4]]
    assert [numbers_of(batch) for batch in second.batches] == [[5, 6, 7], [8, 9]]
    assert [pick.n for batch in second.batches for pick in batch] == [0, 1, 2, 3, 4]
    assert (first.after.carried, first.after.given) == (("a", 5), {"a": 6})
    assert first.tokens() == {"a": 240}


def test_samples_of_every_length_are_given_as_often_as_they_stand_there():
    mixture, found = Mixture({"a": Stream(64, 256, 1024)}, {"a": 1}, 1200), []
    for picked in islice(steps_of(mixture), 500):
        found += numbers_of(picked.batches[0])
    assert found == list(range(len(found)))  # none is dropped, none comes twice


def test_a_place_goes_through_json_and_on():
    def mixture():
        sources = {"a": Stream(30, 50, 20), "b": Stream(70)}
        return Mixture(sources, {"a": 2, "b": 1}, 200)

    whole = [picked.batches for picked in islice(steps_of(mixture()), 40)]
    part, again = mixture(), mixture()
    first = [picked.batches for picked in islice(steps_of(part), 17)]
    again.restore({"mixture": json.loads(json.dumps(part.place.stored()))})
    assert again.place == part.place
    assert first + [picked.batches for picked in islice(steps_of(again, 17), 23)] == whole


def test_picking_changes_nothing_and_takes_any_place():
    mixture = Mixture({"a": Stream(60)}, {"a": 1}, 100)
    before = mixture.place
    mixture.advance(0)
    first = mixture.pick(0)
    assert mixture.pick(0) == first
    assert mixture.pick(0, first.after).batches == [[mixing.Pick(0, "a", 1, 60)]]
    assert mixture.place is before


@pytest.mark.parametrize("shares", [(1, 1, 1), (6, 3, 1), (0.5, 0.02, 0.48)])
def test_modalities_have_their_share_of_the_tokens_however_long_their_samples(shares):
    # a long one that fills a batch, short ones, and a source that has only two samples
    sources = {"a": Stream(7, 900), "b": Stream(40), "c": Stream(130, 90)}
    ratios = dict(zip("abc", shares, strict=True))
    mixture = Mixture(sources, ratios, 1000, num_batches=2)
    *_, last = islice(steps_of(mixture), 400)
    total = sum(last.after.tokens.values())
    for name, share in ratios.items():
        assert last.after.tokens[name] / total == pytest.approx(share / sum(shares), abs=0.005)
    for name in "ac":  # within a modality none is dropped, either
        carried = last.after.carried == (name, last.after.given[name] - 1)
        lengths = sources[name].lengths
        given = last.after.given[name] - carried
        expected = sum(lengths[number % len(lengths)] for number in range(given))
        assert last.after.tokens[name] == expected


def test_what_is_known_to_be_of_no_use_is_passed_over():
    mixture = Mixture({"a": Stream(None, 50, None, None, 30)}, {"a": 1}, 100)
    first, second = islice(steps_of(mixture), 2)
    assert [numbers_of(picked.batches[0]) for picked in (first, second)] == [[1, 4], [6, 9]]


def test_a_source_of_which_nothing_is_of_use_is_given_up(monkeypatch):
    monkeypatch.setattr(mixing, "MAX_UNUSABLE", 20)
    mixture = Mixture({"a": Stream(None), "b": Stream(5)}, {"a": 1, "b": 1}, 100)
    mixture.advance(0)
    with pytest.raises(LuminaError, match="20 samples of a in a row cannot be used; mend the data"):
        mixture.pick(0)


def test_a_sample_longer_than_the_budget_is_refused():
    mixture = Mixture({"a": Stream(50, 101)}, {"a": 1}, 100)
    mixture.advance(0)
    with pytest.raises(LuminaError, match="of 101 positions; set token_budget=101 or more"):
        mixture.pick(0)
