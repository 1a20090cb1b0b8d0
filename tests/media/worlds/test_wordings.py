"""Sentences with slots: what is written is read back."""

from dataclasses import replace

import torch

from lumina_core.media.worlds.wordings import Reading, Wordings, words_in

THING = r"(?:a|two) (?:dogs?|cats?)"
WORDINGS = Wordings(
    slots={"first": THING, "second": THING},
    trained={
        "beside": ("{first} beside {second}", "(there is )?{first} (next to|near) {second}"),
        "alone": ("{first}", "(a picture of )?{first}"),
    },
    unseen={"beside": ("beside {second} (is|stands) {first}",), "alone": ("{first}( alone)?",)},
)
TEXTS = {"first": "a dog", "second": "two cats"}


def drawn(name: str, unseen: bool) -> set[str]:
    generator = torch.Generator().manual_seed(0)
    return {WORDINGS.worded(name, TEXTS, generator, unseen) for _ in range(100)}


def test_worded_draws_every_sentence_of_a_meaning():
    assert drawn("beside", unseen=False) == {
        *("a dog beside two cats", "a dog next to two cats", "a dog near two cats"),
        *("there is a dog next to two cats", "there is a dog near two cats"),
    }
    assert drawn("beside", unseen=True) == {
        *("beside two cats is a dog", "beside two cats stands a dog"),
    }


def test_worded_without_a_generator_takes_what_stands_first():
    assert WORDINGS.worded("beside", TEXTS, None) == "a dog beside two cats"
    assert WORDINGS.worded("beside", TEXTS, None, unseen=True) == "beside two cats is a dog"
    assert WORDINGS.worded("alone", TEXTS, None) == "a dog"


def test_readings_find_what_was_worded():
    for name, texts in (("beside", TEXTS), ("alone", {"first": "a dog"})):
        for unseen in (False, True):
            for text in drawn(name, unseen):
                assert Reading(name, texts) in list(WORDINGS.readings(text)), text


def test_readings_make_no_pattern_of_what_a_text_cannot_be():
    fresh = replace(WORDINGS)
    assert not list(fresh.readings("a horse beside a bird"))
    assert list(fresh._patterns) == [THING]
    assert not list(fresh.readings("a dog and a horse"))
    assert not [each for each in fresh._patterns if "beside" in each or "near" in each]
    assert len(list(fresh.readings("a dog near two cats"))) == 1


def test_words_in_takes_the_words_of_training_and_none_of_the_slots():
    words = {"beside", "there", "is", "next", "to", "near", "a", "picture", "of"}
    assert words_in(WORDINGS.written()) == words
    assert words_in(("An L-shape, please",)) == {"an", "l", "shape", "please"}


def test_readings_give_every_way_to_read_a_text():
    assert [found.name for found in WORDINGS.readings("a dog")] == ["alone"] * 3
    assert not list(WORDINGS.readings("a dog beside a horse"))
    assert not list(WORDINGS.readings("a dogs beside  two cats"))
