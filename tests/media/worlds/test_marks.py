"""Words as marks, and rules for them."""

import pytest

from lumina_core.media.worlds.lexicon import MAX_LENGTH
from lumina_core.media.worlds.marks import facts_of, marked, read_marks, tokens
from lumina_core.media.worlds.naming import said, spelt_out

PHRASES = {
    **said("T", "(red |)circle", value="circle"),
    **said("T", "square", value="square"),
    **said("r", "left of", value="left"),
    **said("d", "left"),
    **said("", "please"),
    **said(".", "."),
    **said(",", ","),
}
CLAUSES = (("T",), ("(T)r(T)", "related 21"), ("(T)d(T)", "beside 12", "same 12"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two STARS!", "two stars ."),
        ("2x star + 1 ring", "2 star and 1 ring"),
        ("red -> blue", "red > blue"),
        ("shape=star (red)", "shape : star , red ,"),
        ("a medium-sized ring - it's red", "a medium sized ring , it s red"),
        ('"star" w/ ring @ navy', "star with ring on navy"),
        ("", ""),
    ],
)
def test_signs_say_where_sentences_and_lists_end(text, words):
    assert " ".join(tokens(text)) == words


def test_of_phrases_the_longest_is_read_and_an_unknown_word_stops_it():
    read = read_marks("please: circle".replace(":", ","), PHRASES)
    assert (read.marks, read.values) == (",T", (None, "circle"))
    assert read_marks("red circle left of square", PHRASES).marks == "TrT"
    assert read_marks("red circle left square", PHRASES).marks == "TdT"
    assert read_marks("red", PHRASES) is None
    assert read_marks("circle, dog", PHRASES) is None
    assert read_marks("circle" + " " * MAX_LENGTH + "dog", PHRASES) is None


def test_a_word_may_be_misspelt_where_it_is_said():
    assert read_marks("cirlce", PHRASES) is None
    assert read_marks("cirlce", PHRASES, ["circle"]).marks == "T"
    assert read_marks("cat", PHRASES, ["circle"]) is None


def test_a_choice_is_spelt_out():
    assert list(spelt_out("(on|to) its left( side|)")) == [
        *("on its left side", "on its left", "to its left side", "to its left"),
    ]


def test_words_are_put_for_others_where_a_rule_gives_some():
    words = marked([("s", "a"), ("c", "b"), ("c", "c")])
    joined = words.rewritten("[sc]c", lambda part: [("x", "".join(part.said(0)))])
    assert (joined.marks, joined.values) == ("xc", ("ab", "c"))
    assert words.rewritten("c", lambda _: None) == words
    assert words.rewritten("c").marks == "s"


def test_facts_name_the_words_of_groups_and_every_sentence_says_something():
    text = "circle. circle left of square. square, circle"
    assert facts_of(read_marks(text, PHRASES), CLAUSES) == [
        [],
        [("related", "square", "circle")],
        [],
    ]
    assert facts_of(read_marks("circle left of", PHRASES), CLAUSES) is None
    assert facts_of(read_marks("circle left circle", PHRASES), CLAUSES) == [
        [("beside", "circle", "circle")]
    ]
    assert facts_of(read_marks("circle left square", PHRASES), CLAUSES) is None
