"""The words that the shipped worlds tell are those of their captions, and none is rare."""

from collections import Counter

import pytest

from lumina_core.config.compose import compose_options
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.plugins import host
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import seeded
from lumina_core.sampling.examples import NO_FOLDER

NUM_DRAWN = 200  # of each split
NUM_COUNTED = 12_000
MIN_FOUND = 2  # of NUM_COUNTED; one in 3,000 would be four, and half of them is what chance spares


@pytest.fixture
def world(name):
    return make_modality(name, compose_options(name), NO_FOLDER).world


@pytest.mark.parametrize("name", host.SHIPPED)
def test_a_vocabulary_holds_every_word_of_every_split(world):
    vocabulary = world.vocabulary()
    for split in world.splits:
        captions = [world.caption(split, seeded(number)) for number in range(NUM_DRAWN)]
        assert {word for caption in captions for word in spoken(caption).split()} <= vocabulary


@pytest.mark.worlds
@pytest.mark.parametrize("name", host.SHIPPED)
def test_no_word_is_too_rare_to_be_learned(world):
    generator, found = seeded(1), Counter()
    for _ in range(NUM_COUNTED):
        found.update(set(spoken(world.caption(world.splits[0], generator)).split()))
    assert {word: found[word] for word in world.vocabulary() if found[word] < MIN_FOUND} == {}


@pytest.mark.parametrize(
    ("name", "text", "caption"),
    [
        ("image", "An enormous red circle.", "a large red circle"),
        ("video", "a red star keeping still", "a red star standing still"),
        ("multiview", "a totally red cube", "a red cube"),
        ("audio", "a tone sweeping up", "a rising sweep"),
        ("image", "a red circle on a red background", None),
        ("image", "a cat", None),
    ],
)
def test_the_plainest_caption_says_the_same(world, text, caption):
    assert world.plainest(text) == caption
    assert caption is None or world.plainest(caption) == caption
