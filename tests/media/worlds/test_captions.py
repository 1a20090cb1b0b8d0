import pytest
import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import check_split, pick_weighted, plain_words
from lumina_core.runtime import seeded


def test_names_are_picked_as_often_as_their_weights_say():
    weights = {"often": 3.0, "never": 0.0, "seldom": 1.0}
    generator = seeded(0)
    found = [pick_weighted(weights, generator) for _ in range(2000)]
    assert set(found) == {"often", "seldom"}
    assert found.count("often") / len(found) == pytest.approx(0.75, abs=0.05)


def test_a_weighted_pick_depends_on_its_generator_alone():
    weights = dict.fromkeys("abcdefgh", 0.125)
    state = torch.get_rng_state()
    once, again = ([pick_weighted(weights, seeded(n)) for n in range(9)] for _ in range(2))
    assert once == again
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "caption",
    ["a red circle then a star", " A  red circle,then\na star. ", "a red circle then a star ."],
)
def test_plain_words_are_one_space_apart(caption):
    assert plain_words(caption) == "a red circle then a star"


def test_one_full_stop_is_taken_away():
    assert plain_words("a v. b..") == "a v. b."


def test_check_split_names_those_there_are():
    check_split("toy", "trained", ("trained", "held_out"))
    with pytest.raises(LuminaError, match=r"The toy world has no split 'valid'; choose one of tr"):
        check_split("toy", "valid", ("trained", "held_out"))
