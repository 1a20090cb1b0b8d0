"""Sentences with slots: what is written is read back."""

import torch

from lumina_core.media.worlds.wordings import Reading, Wordings

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


def test_readings_give_every_way_to_read_a_text():
    assert [found.name for found in WORDINGS.readings("a dog")] == ["alone"] * 3
    assert not list(WORDINGS.readings("a dog beside a horse"))
    assert not list(WORDINGS.readings("a dogs beside  two cats"))
