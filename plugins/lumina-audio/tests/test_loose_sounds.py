"""Texts about sounds that no sentence fits: every word is clear, or they are not read."""

from hashlib import sha256
from time import process_time

import pytest
import torch

from lumina_audio.grammar import parse
from lumina_audio.loose_texts import told_by
from lumina_audio.scene import is_possible
from lumina_audio.world import AudioWorld

WORLD = AudioWorld()
MAX_SECONDS = 0.1
DRAWN = "87b15703ec0e8d8b1bd136693b594a24d2088b0afe0d85f30f19780b4370bc92"
WORDS = "dd477405b5f4597b41c40b6a5c8ab923b22528fc2b97d1d05f850bc731105f37"
"""Of the captions of 1,000 seeds in each split, and of the vocabulary. A demo that was trained on
them does not know others: what is only read changes neither."""

READ = {
    "numbers behind": {
        "beeps, three of them": "three beeps",
        "medium pitch beeps, 3 of them, loud": "three loud middle beeps",
        "beep x2": "two beeps",
        "noise burst, 2x, loud, long": "two loud long noise bursts",
        "please give three beep": "three beeps",
        "make two times a beep": "two beeps",
        "low beep low beep high tone": "two low beeps then a high tone",
        "a low beep, another low beep, then a chord": "two low beeps then a chord",
    },
    "lists": {
        "sound: beep; pitch: high; count: 3": "three high beeps",
        "sound: tone; pitch: low; volume: low": "a soft low tone",
        "tone/high/loud": "a loud high tone",
        "beep > chord > tone": "a beep then a chord then a tone",
        "an alarm: 3 high loud beeps": "three loud high beeps",
        "a chord, low; a beep, high": "a low chord then a high beep",
    },
    "polite": {
        "hi, I'd like to have a gentle high chord, thank you": "a soft high chord",
        "Would you mind playing a low tone with a slow tremolo?": "a low tone with slow tremolo",
        "Please could I have one beep, then one tone? Many thanks": "a beep then a tone",
    },
    "verbs": {
        "play a chord and let it tremble slowly": "a chord with slow tremolo",
        "let a middle tone flutter rapidly": "a middle tone with fast tremolo",
        "quietly sweep up": "a soft rising sweep",
        "slide from low to high": "a rising sweep",
        "the pitch climbs over a long time": "a rising sweep",
    },
    "words behind": {
        "deep tone, please, and loud": "a loud low tone",
        "tone low slow tremolo loud": "a loud low tone with slow tremolo",
        "three bursts, very short, of white noise": "three short noise bursts",
    },
    "several sentences": {
        "A tone. It is low and long.": "a low tone",
        "There are a beep and a chord. The chord is loud.": "a beep then a loud chord",
        "It begins with a low beep. It ends with a high tone.": "a low beep then a high tone",
    },
    "of all": {
        "a beep and a chord, both soft": "a soft beep then a soft chord",
        "three beeps, all of them low": "three low beeps",
        "make it loud: a short downward glide and then two bursts": "a loud falling sweep then two "
        "loud noise bursts",
    },
    "order": {
        "first a loud chord, then a short low beep, and at the end a noise burst": "a loud chord "
        "then a short low beep then a noise burst",
        "a chord, and before it a beep": "a beep then a chord",
        "upward sweep after two short beeps": "two short beeps then a rising sweep",
        "one beep, pause, one noise burst": "a beep then a noise burst",
        "a low tone, a middle one, and a high one": "a low tone then a middle tone then a high "
        "tone",
    },
    "other words": {
        "a glissando upwards": "a rising sweep",
        "play several notes at once, middle register, long": "a middle chord",
        "whoosh upward, then 2 beeps": "a rising sweep then two beeps",
        "a couple of noisy bursts and then a high chord": "two noise bursts then a high chord",
    },
}
NOT_READ = {
    "of another world": (
        "a dog barking",
        "a piano playing a melody",
        "a 440 Hz tone",
        "a car horn",
    ),
    "at the same time": (
        *("a beep and a tone at the same time", "a chord over noise", "a beep while a chord plays"),
        "a chord with a beep in the background",
    ),
    "what no sound of the world is": (
        *("short chord", "five beeps", "a slow beep", "two chords and a beep", "a rising beep"),
        *("loud rising sweep, afterwards four low beeps", "a sweep", "a tone fading out"),
        *("a tone that trembles fast, followed by a burst", "a beep that gets louder"),
    ),
    "no number": ("beeps", "some beeps", "a few beeps, loud", "a beeps"),
    "a choice, a denial": ("a beep or a tone", "no beep", "a tone without tremolo", "not a beep"),
    "whose word it is": (
        *(
            "a chord, soft, low beep",
            "beep high tone",
            "high low",
            "a high low tone",
            "low, then beep",
        ),
        *("a tone with slow and fast tremolo", "a beep then loud"),
    ),
    "when": (
        *("at the end a beep, at the beginning a chord", "a beep at the end", "after a beep"),
        *("first a beep, after a chord", "before a beep and then a chord"),
    ),
}


@pytest.mark.parametrize(
    ("text", "caption"), [pair for several in READ.values() for pair in several.items()]
)
def test_what_people_type_is_read_word_by_word(text, caption):
    assert WORLD.nearest(text) is None
    assert WORLD.plainest(text) == caption


@pytest.mark.parametrize("text", [text for several in NOT_READ.values() for text in several])
def test_what_is_unknown_or_unclear_is_not_read(text):
    assert WORLD.plainest(text) is None


def test_a_caption_that_is_read_word_by_word_means_what_its_sentence_says():
    told = 0
    for seed in range(600):
        split = WORLD.splits[seed % len(WORLD.splits)]
        caption = WORLD.caption(split, torch.Generator().manual_seed(seed))
        events = told_by(caption)
        if events and is_possible(events):
            assert events == parse(caption).events, caption
            told += 1
    assert told > 500


def test_a_text_that_is_read_word_by_word_is_worded_like_no_caption():
    assert not WORLD.writes("beeps, three of them")
    for seed in range(200):
        split = WORLD.splits[seed % len(WORLD.splits)]
        assert WORLD.writes(WORLD.caption(split, torch.Generator().manual_seed(seed)))


def test_drawn_captions_and_the_vocabulary_are_what_they_were():
    drawn = sha256()
    for split in WORLD.splits:
        for seed in range(1000):
            caption = WORLD.caption(split, torch.Generator().manual_seed(seed))
            drawn.update(f"{caption}\n".encode())
    assert drawn.hexdigest() == DRAWN
    assert sha256("\n".join(sorted(WORLD.vocabulary())).encode()).hexdigest() == WORDS


@pytest.mark.parametrize(
    "text",
    ["beep, ", "a low ", "of noise ", "then after ", "the low beep. ", "volume: low ", "loud and "],
)
def test_a_long_text_is_given_up_soon(text):
    WORLD.plainest("sound: tone; pitch: low")
    start = process_time()
    assert WORLD.plainest((text * 500)[:500]) is None
    assert process_time() - start < MAX_SECONDS
