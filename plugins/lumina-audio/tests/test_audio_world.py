"""The audio world: sounds show what captions say, and the oracle sees when they do not."""

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lumina_audio import grammar, oracle
from lumina_audio.grammar import Event, Scene
from lumina_audio.oracle import find_spans
from lumina_audio.world import AudioWorld
from lumina_core import LuminaError

RATE = 16_000
WORLD = AudioWorld()
CASES = [(split, task) for split in WORLD.splits for task in WORLD.tasks(split)]


def canvas(seconds, rate=RATE):
    return SimpleNamespace(sample_rate=rate, num_samples=round(seconds * rate))


CANVAS = canvas(2.5)


def draw(caption, seconds=2.5, seed=0, rate=RATE):
    return WORLD.draw(caption, canvas(seconds, rate), torch.Generator().manual_seed(seed))


def is_right(sound, caption):
    return all(WORLD.judge(sound, caption, CANVAS).values())


@pytest.mark.parametrize(("split", "task"), CASES)
def test_every_caption_parses_to_its_scene(split, task):
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        scene = WORLD.sample_scene(generator, split, task)
        caption = grammar.caption_of(scene, generator)
        assert grammar.parse(caption) == scene
        assert grammar.parse(f"  {caption.upper()}. ") == scene
        assert WORLD.task_of(caption) == task
        assert grammar.is_held_out(scene) == (split == "held_out")


def test_the_words_of_people_are_understood():
    scene = grammar.parse("Two short high beeps, then a falling sweep.")
    beeps = Event("beep", "high", count=2, length="short")
    assert scene == Scene("order", (beeps, Event("sweep", direction="falling")))
    assert not grammar.is_held_out(scene)
    assert grammar.parse("a low tone with a slow tremolo").events[0].tremolo == "slow"
    assert grammar.parse("one beep") == grammar.parse("a beep")


@pytest.mark.parametrize(
    "caption",
    ["", "beep", "two beep", "a beeps", "five beeps", "three long beeps", "a low sweep",
     "a short tone", "a chord with slow tremolo", "a loud sweep", "a low noise burst",
     "two loud beeps", "a beep then a beep", "three beeps then a tone", "a dog",
     "a soft tone then a chord", "two long beeps then a chord", "a tone then a chord then a beep"],
)  # fmt: skip
def test_other_captions_are_refused_with_an_example(caption):
    with pytest.raises(LuminaError, match=r"is no caption of the audio world.*write, say"):
        grammar.parse(caption)


def test_unknown_splits_and_tasks_are_refused():
    generator = torch.Generator()
    with pytest.raises(LuminaError, match="has no split 'x'; choose one of trained"):
        WORLD.variants("x")
    with pytest.raises(LuminaError, match="'sweep' has no captions in the split 'held_out'"):
        WORLD.caption("held_out", generator, "sweep")
    with pytest.raises(LuminaError, match="'x' has no captions in the split 'trained'"):
        WORLD.caption("trained", generator, "x")


@pytest.mark.parametrize(("split", "task"), CASES)
def test_the_oracle_agrees_with_what_is_drawn(split, task):
    generator = torch.Generator().manual_seed(1)
    variants = WORLD.variants(split)
    for number in range(24):
        caption = WORLD.caption(split, generator, task)
        seconds = variants[number % len(variants)]["seconds"]
        sound = WORLD.draw(caption, canvas(seconds), generator)
        assert sound.shape == (round(seconds * RATE),) and sound.dtype == torch.int16
        assert is_right(sound, caption), (caption, find_spans(sound, RATE))


def contradicts(asked, drawn):
    """Whether they differ in more than words that the drawn one leaves to chance."""
    if len(asked.events) != len(drawn.events):
        return True
    for one, other in zip(asked.events, drawn.events, strict=True):
        kinds = ["tone" if event.kind == "beep" else event.kind for event in (one, other)]
        if kinds[0] != kinds[1] or (one.count, one.direction) != (other.count, other.direction):
            return True
        pairs = [
            (getattr(one, name), getattr(other, name)) for name in ("pitch", "length", "level")
        ]
        if any(mine and theirs and mine != theirs for mine, theirs in pairs):
            return True
        if one.kind == other.kind == "tone" and one.tremolo != other.tremolo:
            return True
    return False


@pytest.mark.parametrize("task", WORLD.tasks("trained"))
def test_the_oracle_refuses_a_sound_of_another_caption(task):
    generator = torch.Generator().manual_seed(2)
    count = 0
    while count < 40:
        scene, other = (WORLD.sample_scene(generator, "trained", task) for _ in range(2))
        if not contradicts(other, scene):
            continue
        caption = grammar.caption_of(other, generator)
        sound = WORLD.draw(grammar.caption_of(scene, generator), canvas(2.5), generator)
        assert not is_right(sound, caption), (scene, other)
        count += 1


@pytest.mark.parametrize(
    ("caption", "drawn", "wrong"),
    [
        ("a low tone", "a high tone", "pitch"),
        ("a middle chord", "a middle tone", "kind"),
        ("a noise burst", "a beep", "kind"),
        ("a rising sweep", "a falling sweep", "direction"),
        ("three beeps", "two beeps", "count"),
        ("a short beep", "a long beep", "length"),
        ("a soft low tone", "a low tone", "level"),
        ("a loud low tone", "a low tone", "level"),
        ("a low tone with slow tremolo", "a low tone with fast tremolo", "tremolo"),
        ("a low tone with slow tremolo", "a low tone", "tremolo"),
        ("a low tone", "a low tone with fast tremolo", "tremolo"),
        ("a beep then a chord", "a chord then a beep", "kind"),
        ("a low tone then a high tone", "a high tone then a low tone", "pitch"),
    ],
)
def test_the_verdict_names_what_is_wrong(caption, drawn, wrong):
    for seed in range(5):
        assert not WORLD.judge(draw(drawn, seed=seed), caption, CANVAS)[wrong]
        assert WORLD.judge(draw(caption, seed=seed), caption, CANVAS)[wrong]


@pytest.mark.parametrize("caption", ["a low tone", "two beeps", "a beep then a rising sweep"])
def test_silence_one_sample_and_noise_are_wrong(caption):
    generator = torch.Generator().manual_seed(0)
    hiss = torch.randint(-20_000, 20_000, (2 * RATE,), generator=generator).to(torch.int16)
    for sound in (torch.zeros(2 * RATE), torch.zeros(1), torch.ones(1), hiss):
        assert not is_right(sound.to(torch.int16), caption)


def test_a_sound_more_is_too_much():
    sound, beep = draw("a low tone", seed=3), draw("a beep", seed=1)
    assert is_right(sound, "a low tone")
    sound[2 * RATE :] = beep[: RATE // 2]
    assert not is_right(sound, "a low tone")


def test_a_pause_stands_between_events_and_not_between_repetitions():
    near = draw("two high beeps then a high tone", seed=0)
    spans = find_spans(near, RATE)
    gap = round((spans[2].start - spans[1].start - spans[1].seconds) * RATE)
    end = round((spans[1].start + spans[1].seconds) * RATE)
    joined = torch.cat([near[:end], near[end + gap - RATE // 8 :]])
    assert WORLD.judge(near, "two high beeps then a high tone", CANVAS)["pause"]
    assert not WORLD.judge(joined, "two high beeps then a high tone", CANVAS)["pause"]


def test_spans_say_where_how_long_how_high_and_how_loud():
    time = torch.arange(2 * RATE) / RATE
    wave = 0.5 * torch.sin(2 * torch.pi * 440 * time) * ((time > 0.5) & (time < 1.25))
    (span,) = find_spans((wave * 32_767).round().to(torch.int16), RATE)
    assert span.kind == "tone" and span.tremolo is None
    assert span.pitch == pytest.approx(440, rel=0.005)
    assert span.start == pytest.approx(0.5, abs=0.015)
    assert span.seconds == pytest.approx(0.75, abs=0.025)
    assert span.level == pytest.approx(0.5 / 2**0.5, rel=0.03)


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_any_sample_rate_is_drawn_and_judged(rate):
    for number, caption in enumerate(("two high beeps then a falling sweep", "a low chord")):
        sound = draw(caption, rate=rate, seed=number)
        assert all(WORLD.judge(sound, caption, canvas(2.5, rate)).values())


def test_a_longer_sound_is_the_same_with_more_silence():
    short, long = (draw("two beeps then a chord", seconds=seconds) for seconds in (2.0, 8.0))
    assert torch.equal(long[: len(short)], short) and not long[len(short) :].any()


def test_a_caption_that_takes_longer_than_the_sound_is_refused():
    with pytest.raises(LuminaError, match=r"takes 1\.\d\d s, the sound has only 0\.50; set a"):
        draw("a low tone with slow tremolo", seconds=0.5)


def test_every_held_out_combination_is_held_out_and_can_be_drawn():
    generator = torch.Generator().manual_seed(0)
    tone = Event("tone", "low")
    events = [(Event(kind, pitch, count=count),) for kind, pitch, count in grammar.HELD_OUT_COUNTS]
    events += [(Event(*pair, length=length),) for *pair, length in grammar.HELD_OUT_LENGTHS]
    events += [(replace(tone, pitch=p, tremolo=t),) for p, t in grammar.HELD_OUT_TREMOLOS]
    events += [(Event(*pair, level=level),) for *pair, level in grammar.HELD_OUT_LEVELS]
    events += [tuple(map(plain, kinds)) for kinds in grammar.HELD_OUT_ORDERS]
    for pair in events:
        scene = Scene("order" if len(pair) > 1 else "any", pair)
        assert grammar.is_held_out(scene)
        caption = grammar.caption_of(scene, generator)
        assert grammar.is_held_out(grammar.parse(caption))
        assert is_right(draw(caption), caption)


def plain(kind):
    """An event of a kind that no other combination holds out."""
    return Event(kind, "middle" if kind in grammar.PITCHED else None,
                 direction="rising" if kind == "sweep" else None)  # fmt: skip


def test_the_oracle_imports_nothing_of_the_renderer():
    tree = ast.parse(Path(oracle.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules & {"lumina_audio.grammar"} and "lumina_audio.world" not in modules
    assert not any(name.startswith("lumina_audio") for name in modules - {"lumina_audio.grammar"})


def beside(seconds, *hertz):
    """Tones one after the other without a pause, and silence around them."""
    parts = [torch.zeros(2000)]
    for low, high in hertz:
        track = torch.linspace(low, high, round(seconds * RATE))
        part = 0.14 * torch.sin(2 * torch.pi * torch.cumsum(track, 0) / RATE)
        fade = torch.linspace(0, 1, 128)
        part[:128] *= fade
        part[-128:] *= fade.flip(0)
        parts.append(part)
    return (torch.cat([*parts, torch.zeros(8000)]) * 32_767).round().to(torch.int16)


@pytest.mark.parametrize(
    ("caption", "sound"),
    [
        ("a low chord", beside(0.25, (300, 300), (450, 450))),
        ("a low chord", beside(0.25, (300, 300), (900, 900))),
        ("a low chord", beside(0.5, (300, 510))),
        ("a low tone", beside(0.5, (300, 510))),
        ("a low tone", beside(0.5, (80, 80))),
        ("a low tone", torch.cat([torch.zeros(2000), torch.full((8000,), 3277.0)]).to(torch.int16)),
    ],
)
def test_what_is_not_steady_or_too_low_is_neither_tone_nor_chord(caption, sound):
    assert not WORLD.judge(sound, caption, CANVAS)["kind"]
    assert is_right(beside(0.5, (300, 300)), "a low tone")
