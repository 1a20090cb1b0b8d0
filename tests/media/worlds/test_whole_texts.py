"""Texts of which every word must be known."""

import pytest

from lumina_core.media.worlds.lexicon import MAX_LENGTH
from lumina_core.media.worlds.whole_texts import MARK, WholeTexts

PHRASES = {
    "red": ("colour", "red"),
    "can": ("shape", "cylinder"),
    "circle": ("shape", "circle"),
    "circle of light": ("shape", "lamp"),
}
TEXTS = WholeTexts(PHRASES, silent=("a", "of size"))
RED, CIRCLE = PHRASES["red"], PHRASES["circle"]


@pytest.mark.parametrize(
    ("text", "meanings"),
    [
        ("A red circle!", [RED, CIRCLE, (MARK, ".")]),
        ("Could you please show me a RED circle", [RED, CIRCLE]),
        ("circle: red", [CIRCLE, (MARK, ":"), RED]),
        ("circle - red", [CIRCLE, (MARK, ":"), RED]),
        ("circle, red\nred", [CIRCLE, (MARK, ","), RED, (MARK, "."), RED]),
        ("a circle, which is red", [CIRCLE, RED]),
        ("a circle of light", [PHRASES["circle of light"]]),
        ("can you show me a can", [PHRASES["can"]]),
        ("it's a circel", [CIRCLE]),
        ("please", []),
    ],
)
def test_words_and_marks_are_read_in_order_and_the_longest_phrase_counts(text, meanings):
    assert TEXTS.meanings(text) == meanings


@pytest.mark.parametrize(
    "text", ["a red cat", "two circles", "not red", "circle of", "of", "a blue circle", "red #1"]
)
def test_a_text_with_an_unknown_word_is_not_read(text):
    assert TEXTS.meanings(text) is None


def test_a_text_that_is_too_long_is_not_read():
    assert TEXTS.meanings("red " * (MAX_LENGTH // 4)) == [RED] * (MAX_LENGTH // 4)
    assert TEXTS.meanings("red " * MAX_LENGTH) is None
