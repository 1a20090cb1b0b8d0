"""What a text means, and which captions are nearest to it."""

import pytest

from lumina_core.media.worlds.lexicon import Lexicon, spoken, values_of
from lumina_core.text.tiny import _word_tokenizer

PHRASES = {
    **{colour: ("colour", colour) for colour in ("red", "blue")},
    **{shape: ("shape", shape) for shape in ("circle", "square")},
    **{"ball": ("shape", "circle"), "to the left": ("side", "left"), "left": ("side", "left")},
    "ten": ("number", "ten"),
}
CAPTIONS = ("a circle", "a red circle", "a red circle and a blue square", "a blue circle")
LEXICON = Lexicon(PHRASES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A  Red\tcircle.", "a red circle"),
        ('"a red circle", on a navy background!', "a red circle on a navy background"),
        ("l-shape + l_shape", "l shape l shape"),
        ("gru\u0308n", "gr\u00fcn"),
        ("", ""),
    ],
)
def test_a_spoken_text_is_what_the_tiny_encoder_reads(text, words):
    assert spoken(text) == words
    tokenizer = _word_tokenizer([text, words])
    assert tokenizer.encode(text).tokens == tokenizer.encode(words).tokens


def test_a_long_text_is_not_read_to_its_end():
    assert len(spoken("a red circle " * 10**6)) < 1000


@pytest.mark.parametrize(
    ("text", "meanings"),
    [
        ("a red ball", ["red", "circle"]),
        ("circle to the left", ["circle", "left"]),
        ("a reddish infrared tree", []),
        ("a red circel", ["red", "circle"]),
        ("a red red circle and a red square", ["red", "circle", "red", "square"]),
        ("then", []),
    ],
)
def test_words_are_understood(text, meanings):
    assert [value for _, value in LEXICON.understood(text)] == meanings


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a red ball", "a red circle"),
        ("blue square, red circle", "a red circle and a blue square"),
        ("a blue", "a blue circle"),
        ("a dog", "a circle"),
    ],
)
def test_the_nearest_says_most_of_it_and_least_beside(text, caption):
    assert LEXICON.ranked(LEXICON.understood(text), CAPTIONS)[0] == caption


def test_which_word_goes_with_which_decides_between_equal_words():
    captions = ("a blue circle and a red square", "a red circle and a blue square")
    meant = LEXICON.understood("red circle, blue square")
    assert LEXICON.ranked(meant, captions)[0] == captions[1]


def test_values_of_a_kind_come_in_order_and_a_spare_one_fills_up():
    meanings = LEXICON.understood("a blue square and a red circle and a blue ball")
    assert values_of(meanings, "colour", 2) == ("blue", "red")
    assert values_of(meanings, "colour", 1, ("green",)) == ("blue",)
    assert values_of(meanings, "number", 2, ("one", "two")) == ("one",)
    assert values_of(meanings, "colour", 3, ("red", "green", "grey")) == ("blue", "red", "green")
