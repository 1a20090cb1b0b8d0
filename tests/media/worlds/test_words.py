"""The words that pictures and clips share."""

import pytest
import torch

from lumina_core.media.worlds.words import (
    BACKGROUNDS,
    COLOUR_OF,
    FREE_BACKGROUNDS,
    HELD_OUT_PAIRS,
    SHAPE_OF,
    SHAPE_OF_PLURAL,
    SHAPES,
    any_background,
    free_colours,
    on_background,
    split_background,
)

CAPTION = "a red ring on the left of a box"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_split_background_inverts_every_wording(background):
    generator, drawn = seeded(), {False: set(), True: set()}
    for unseen in drawn:
        for _ in range(80):
            words = on_background(CAPTION, background, generator, unseen)
            assert split_background(words) == (CAPTION, background), words
            drawn[unseen].add(words)
    assert len(drawn[False]) >= 6
    assert len(drawn[True]) >= 3
    assert not drawn[False] & drawn[True]


def test_the_plainest_background_is_named_without_a_generator():
    assert on_background("a star", "orange", None) == "a star on an orange background"
    assert on_background("a star", None, None) == "a star"


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ("a star against grey", ("a star", "grey")),
        ("a star with a gray background", ("a star", "grey")),
        ("star on white background", ("star", "white")),
        ("on a red background a star", ("a star", "red")),
        ("a star and the background is blue", ("a star", "blue")),
        ("a star on the left", ("a star on the left", None)),
        ("a star on a pink background", ("a star on a pink background", None)),
        ("on a white background", ("on a white background", None)),
        ("", ("", None)),
    ],
)
def test_split_background_reads_what_people_write(words, split):
    assert split_background(words) == split


def test_unseen_wordings_use_no_word_that_the_others_have_not():
    generator = seeded()
    trained, unseen = (
        {
            word
            for background in BACKGROUNDS
            for _ in range(60)
            for word in on_background("", background, generator, is_unseen).split()
        }
        for is_unseen in (False, True)
    )
    assert unseen <= trained


def test_no_background_is_drawn_in_a_colour_that_is_seen():
    generator = seeded()
    drawn = {any_background(generator, ("red", None)) for _ in range(400)}
    assert drawn == {None, *BACKGROUNDS} - {"red"}
    assert not set(FREE_BACKGROUNDS) & set(COLOUR_OF.values())


def test_free_colours_are_neither_held_out_nor_that_of_the_background():
    for shape in SHAPES:
        free = free_colours(shape, "white")
        assert "white" not in free
        assert not {(colour, shape) for colour in free} & HELD_OUT_PAIRS
        assert set(free_colours(shape)) == {*free, "white"}


def test_every_word_for_a_shape_has_its_plural():
    assert len(SHAPE_OF) == len(SHAPE_OF_PLURAL)
    assert not SHAPE_OF.keys() & SHAPE_OF_PLURAL.keys()
    assert SHAPE_OF_PLURAL["boxes"] == "square"
    assert SHAPE_OF_PLURAL["pluses"] == SHAPE_OF_PLURAL["crosses"] == "cross"
