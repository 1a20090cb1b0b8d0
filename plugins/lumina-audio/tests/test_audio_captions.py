"""The captions of the audio world: what people type is read, and what is written is read back."""

from dataclasses import replace
from time import process_time

import pytest
import torch

from lumina_audio import grammar
from lumina_audio.scene import Event, Scene
from lumina_audio.world import AudioWorld
from lumina_core import LuminaError

WORLD = AudioWorld()
CASES = [(split, task) for split in WORLD.splits for task in WORLD.tasks(split)]
MAX_WORDS = 310
BEEP, NOISE, RISING = Event("beep"), Event("noise"), Event("sweep", direction="rising")
FALLING = Event("sweep", direction="falling")


@pytest.mark.parametrize(("split", "task"), CASES)
def test_every_caption_parses_to_its_scene(split, task):
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        scene = WORLD.sample_scene(generator, split, task)
        caption = grammar.caption_of(scene, generator, unseen=split == "unseen_wordings")
        assert grammar.parse(caption) == scene, caption
        assert grammar.parse(f"  {caption.upper()}. ") == scene
        assert WORLD.task_of(caption) == task
        assert grammar.is_held_out(scene) == (split == "held_out")


@pytest.mark.parametrize(
    ("caption", "events"),
    [
        ("Two short high beeps, then a falling sweep.",
         (Event("beep", "high", count=2, length="short"), FALLING)),
        ("a loud low beep followed by a soft high tone",
         (Event("beep", "low", level="loud"), Event("tone", "high", level="soft"))),
        ("a quiet beep then a loud one",
         (Event("beep", level="soft"), Event("beep", level="loud"))),
        ("two loud short beeps", (Event("beep", count=2, length="short", level="loud"),)),
        ("a beep, a noise burst and then a falling sweep", (BEEP, NOISE, FALLING)),
        ("3 beeps", (Event("beep", count=3),)),
        ("one beep", (BEEP,)),
        ("beep", (BEEP,)),
        ("high-pitched bleep", (Event("beep", "high"),)),
        ("a deep note", (Event("tone", "low"),)),
        ("Play a siren going up!", (RISING,)),
        ("a tone going down", (FALLING,)),
        ("a rising tone", (RISING,)),
        ("Can I hear a descending tone?", (FALLING,)),
        ("a sweep upwards, then a falling one", (RISING, FALLING)),
        ("white noise", (NOISE,)),
        ("a quiet hiss", (Event("noise", level="soft"),)),
        ("two bursts of static", (Event("noise", count=2),)),
        ("i hear a ping and after that a burst of noise", (BEEP, NOISE)),
        ("first a low tone, then a high one, next a chord",
         (Event("tone", "low"), Event("tone", "high"), Event("chord"))),
        ("a chord after a beep", (Event("chord"), BEEP)[::-1]),
        ("after a beep, play a chord", (BEEP, Event("chord"))),
        ("a low tone with a slow tremolo", (Event("tone", "low", tremolo="slow"),)),
        ("a wobbling low tone", (Event("tone", "low", tremolo="slow"),)),
        ("a high chord trembling quickly", (Event("chord", "high", tremolo="fast"),)),
        ("a tone with vibrato", (Event("tone", tremolo="slow"),)),
        ("one long high tone", (Event("tone", "high"),)),
        ("two short tones", (Event("beep", count=2, length="short"),)),
        ("please just play me a very quiet, deep hum", (Event("tone", "low", level="soft"),)),
        ("a whistle that is loud", (Event("tone", "high", level="loud"),)),
        ("4 clicks", (Event("noise", count=4, length="short"),)),
        ("beep beep beep", (Event("beep", count=3),)),
        ("a high beep twice", (Event("beep", "high", count=2),)),
        ("a beep, a tone", (BEEP, Event("tone"))),
        ("a sweep going up and then down", (RISING, FALLING)),
        ("a tone that starts high and ends low", (FALLING,)),
        ("a sweep down, a pause, a sweep up", (FALLING, RISING)),
        ("a chord with a beep at the end", (Event("chord"), BEEP)),
        ("start with a hiss, then a ping, and end with a chord", (NOISE, BEEP, Event("chord"))),
        ("a tone that wobbles", (Event("tone", tremolo="slow"),)),
        ("three long middle beeps", (Event("beep", "middle", count=3, length="long"),)),
        ("a burst of low noise", (Event("noise", "low"),)),
        ("two soft bursts of low noise", (Event("noise", "low", count=2, level="soft"),)),
        ("a high falling sweep", (replace(FALLING, pitch="high"),)),
        ("low rising sweep, soft", (replace(RISING, pitch="low", level="soft"),)),
        ("something that rises, loud and low", (replace(RISING, pitch="low", level="loud"),)),
        ("a loud tone with slow tremolo", (Event("tone", tremolo="slow", level="loud"),)),
        ("a middle chord, trembling, soft",
         (Event("chord", "middle", tremolo="slow", level="soft"),)),
        ("a tone that shakes", (Event("tone", tremolo="slow"),)),
        ("three beeps then a tone", (Event("beep", count=3), Event("tone"))),
        ("2 beeps, then 3 short noise bursts",
         (Event("beep", count=2), Event("noise", count=3, length="short"))),
        ("two long beeps, high and soft",
         (Event("beep", "high", count=2, length="long", level="soft"),)),
        ("four noises, short and loud", (Event("noise", count=4, length="short", level="loud"),)),
        ("two beeps low in a row", (Event("beep", "low", count=2),)),
        ("a chord high, which comes after a beep low",
         (Event("beep", "low"), Event("chord", "high"))),
        ("a falling sweep in the middle range", (replace(FALLING, pitch="middle"),)),
        ("only one beep", (BEEP,)),
        ("could I get a tone that gets higher", (RISING,)),
        ("a beep, which is followed by a chord", (BEEP, Event("chord"))),
        ("a chord right after a beep", (BEEP, Event("chord"))),
        ("begin with a beep and finish with a chord", (BEEP, Event("chord"))),
        ("a loud tone with a note middle following",
         (Event("tone", level="loud"), Event("tone", "middle"))),
        ("first a beep second a chord loud low frequency third one burst of white noise",
         (BEEP, Event("chord", "low", level="loud"), NOISE)),
        ("make me a long low beep please",
         (Event("beep", "low", length="long"),)),
    ],
)  # fmt: skip
def test_what_people_type_is_read(caption, events):
    assert grammar.parse(caption).events == events
    assert WORLD.nearest(caption) is None


@pytest.mark.parametrize(
    "caption",
    ["", "a beeps", "five beeps", "four long beeps", "a short chord",
     "a noise with slow tremolo", "three loud long hisses", "two chords", "a beep then a beep",
     "four beeps then a tone", "three beeps then three hisses", "a dog",
     "two long beeps then a chord", "a low low beep",
     "a trembling tone with tremolo", "a tremolo",
     "a tone with tremolo then a beep", "a long beep, a tone and a beep",
     "two beeps, a tone and a beep", "a beep, a tone, a chord and a beep", "one", "a loud one",
     "a beep then one", "a beep then a rising one", "a sweep upwards then a loud one",
     "a beep tone", "a slow beep", "not a beep", "a beep twice that is low twice", "down",
     "a beep then down", "one low tone loudly that is loud"],
)  # fmt: skip
def test_other_captions_are_refused_with_an_example(caption):
    with pytest.raises(LuminaError, match=r"is no caption of the audio world.*write, say"):
        grammar.parse(caption)


def test_every_caption_of_the_first_grammar_keeps_its_meaning():
    low, beeps = Event("chord", "low"), Event("beep", count=2)
    for opening in ("", "the sound of ", "a recording of "):
        for then in (" then ", " followed by ", " and then "):
            caption = f"{opening}a low chord{then}two beeps"
            assert grammar.parse(caption) == Scene("order", (low, beeps))
    for caption, task, event in (
        ("a recording of a sweep downwards", "sweep", FALLING),
        ("four short noise bursts", "counting", Event("noise", count=4, length="short")),
        ("the sound of a long high beep", "length", Event("beep", "high", length="long")),
        ("a middle tone with a fast tremolo", "tremolo", Event("tone", "middle", tremolo="fast")),
        ("a soft middle chord", "loudness", Event("chord", "middle", level="soft")),
        ("the sound of a high tone", "pitch", Event("tone", "high")),
    ):
        assert grammar.parse(caption) == Scene(task, (event,))


def test_half_of_the_training_captions_are_plain():
    generator = torch.Generator().manual_seed(1)
    captions = [WORLD.caption("trained", generator) for _ in range(500)]
    plain = [grammar.caption_of(grammar.parse(caption), None) for caption in captions]
    share = sum(map(str.__eq__, captions, plain)) / len(captions)
    assert 0.45 < share < 0.6


def test_unseen_wordings_are_new_and_the_words_few(monkeypatch):
    monkeypatch.setattr(grammar, "PLAIN", 0.0)
    generator = torch.Generator().manual_seed(2)
    trained = {WORLD.caption("trained", generator) for _ in range(5000)}
    unseen = {WORLD.caption("unseen_wordings", generator) for _ in range(400)}
    assert not unseen & trained
    assert len(WORLD.vocabulary()) < MAX_WORDS


def test_no_caption_says_only_twice():
    generator = torch.Generator().manual_seed(3)
    scene = Scene("counting", (BEEP,))
    captions = {
        grammar.caption_of(scene, generator, unseen) for unseen in (False, True) for _ in range(300)
    }
    assert any("only" in caption for caption in captions)
    assert not any("only only" in caption for caption in captions)


def test_every_meaning_has_three_sentences_and_one_unseen():
    wordings = grammar.WORDINGS
    read_only = {name for name in wordings.unseen if name.endswith(", read only")}
    assert wordings.trained.keys() == wordings.unseen.keys() - read_only
    assert all(len(set(several)) >= 3 for several in wordings.trained.values())
    assert all(several for several in wordings.unseen.values())
    for name, several in wordings.unseen.items():
        assert not set(several) & set(wordings.trained[name.removesuffix(", read only")])


@pytest.mark.parametrize(
    "text",
    ["a beep and ", "low ", "that is low and ", "beep ", "a sweep going up and then down ",
     "very loud low ", "a beep low and high ", "a burst of low ", "with a low pitch ",
     "first a beep then ", "slowly trembling "],
)  # fmt: skip
def test_a_long_text_is_read_in_no_time(text):
    before = process_time()
    assert not WORLD.is_caption(text * 100)
    assert process_time() - before < 0.1
