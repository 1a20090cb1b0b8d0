"""Texts of which every word must be known."""

import pytest

from lumina_core.media.worlds.lexicon import MAX_LENGTH
from lumina_core.media.worlds.phrases import Reader, said, said_by, spelt_out, tokens

PHRASES = {
    **said("T", "(red |)circle", value="circle"),
    **said_by("T", {"square": ("square", "box shape"), "cylinder": ("can",)}),
    **said("r", "left of", value="left"),
    **said("d", "left"),
    **said("", "a", "of size"),
    **said(".", "."),
    **said(",", "(,|>)"),
    **said(":", "(:|/)"),
}
READER = Reader(PHRASES)


def marks(text, reader=READER):
    read = reader.read(text)
    return read and read.marks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two STARS!", "two stars ."),
        ("2x star + 1 ring", "2x star and 1 ring"),
        ("red -> blue", "red > blue"),
        ("shape=star (red)", "shape : star / red /"),
        ("a medium-sized ring - it's red", "a medium sized ring / it s red"),
        ('"star" w/ ring @ navy', "star with ring on navy"),
        ("a star, which is 50% red", "a star which is 50 red"),
        ("", ""),
    ],
)
def test_signs_say_where_sentences_and_lists_end(text, words):
    assert " ".join(tokens(text)) == words


def test_a_choice_is_spelt_out():
    assert list(spelt_out("(on|to) its left( side|)")) == [
        *("on its left side", "on its left", "to its left side", "to its left"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A red circle!", "T."),
        ("circle left of square", "TrT"),
        ("circle left square", "TdT"),
        ("circle - square", "T:T"),
        ("circle, square\ncircle", "T,T.T"),
        ("can you show me a can", "T"),
        ("Could you please show me a circel", "T"),
        ("please", ""),
    ],
)
def test_words_and_signs_are_read_in_order_and_the_longest_phrase_counts(text, found):
    assert marks(text) == found


def test_words_have_meanings():
    assert READER.read("box shape, can").values == ("square", None, "cylinder")


@pytest.mark.parametrize(
    "text",
    ["red", "a red cat", "two circles", "circles", "not circle", "of", "circle of", "can #1"],
)
def test_a_text_with_an_unknown_word_is_not_read(text):
    assert marks(text) is None


def test_what_a_world_says_goes_before_what_is_polite():
    assert marks("now circle") == "T"
    assert marks("now circle", Reader(PHRASES | said("n", "now"))) == "nT"


def test_a_word_may_be_misspelt_where_the_reader_says_so():
    assert marks("cirlce left squaer") == "TdT"
    assert marks("cirlce left", Reader(PHRASES, ["circle"])) == "Td"
    assert marks("squaer", Reader(PHRASES, ["circle"])) is None
    assert marks("leftt circel", Reader(PHRASES, [])) is None


def test_a_text_that_is_too_long_is_not_read():
    assert marks("circle " * (MAX_LENGTH // 7)) == "T" * (MAX_LENGTH // 7)
    assert marks("circle" + " " * MAX_LENGTH) is None
