"""The audio world: sounds show what captions say, and the oracle sees when they do not."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumina_audio import grammar, oracle, scene, world
from lumina_audio.options import AudioOptions
from lumina_audio.oracle import find_spans
from lumina_audio.scene import Event, Scene
from lumina_audio.world import AudioWorld
from lumina_core import LuminaError

RATE = 16_000
WORLD = AudioWorld()
CASES = [(split, task) for split in WORLD.splits for task in WORLD.tasks(split)]


def canvas(seconds, rate=RATE):
    return AudioOptions(seconds=seconds, sample_rate=rate, fmax=rate / 2)


CANVAS = canvas(2.5)


def draw(caption, seconds=2.5, seed=0, rate=RATE):
    return WORLD.draw(caption, canvas(seconds, rate), torch.Generator().manual_seed(seed))


def is_right(sound, caption):
    return all(WORLD.judge(sound, caption, CANVAS).values())


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
    for number in range(12):
        caption = WORLD.caption(split, generator, task)
        seconds = variants[number % len(variants)]["seconds"]
        sound = WORLD.draw(caption, canvas(seconds), generator)
        assert sound.shape == (round(seconds * RATE),) and sound.dtype == torch.int16
        assert is_right(sound, caption), (caption, find_spans(sound, RATE))


def changed(events):
    """The events with one thing said changed into another that contradicts it."""
    for place, event in enumerate(events):
        others = [
            *({"pitch": pitch} for pitch in scene.PITCHES if event.pitch not in (None, pitch)),
            *({"direction": each} for each in scene.DIRECTIONS if event.direction),
            *({"count": event.count + more} for more in (-1, 1) if event.count + more),
            *({"length": each} for each in scene.LENGTHS if event.length),
            *({"level": each} for each in (*scene.LEVELS, None) if event.level),
            *({"tremolo": each} for each in (*scene.TREMOLOS, None) if event.kind == "tone"),
            *({"kind": kind} for kind in scene.KINDS[:-1] if kind not in ALIKE[event.kind]),
        ]
        for other in others:
            one = replace(event, **other)
            if "kind" in other:
                one = replace(one, direction=None)
            found = (*events[:place], one, *events[place + 1 :])
            if one != event and scene.is_possible(found):
                yield found
    if len(events) > 1:
        yield events[:-1]


ALIKE = {kind: (kind,) for kind in scene.KINDS} | {
    "beep": ("beep", "tone"),
    "tone": ("beep", "tone"),
}
"""A beep is a short tone."""


@pytest.mark.parametrize("task", WORLD.tasks("trained"))
def test_the_oracle_refuses_every_single_change(task):
    generator = torch.Generator().manual_seed(2)
    count = 0
    while count < 30:
        asked = WORLD.sample_scene(generator, "trained", task)
        caption = grammar.caption_of(asked, generator)
        for events in changed(asked.events):
            drawn = grammar.caption_of(Scene("", events), None)
            sound = WORLD.draw(drawn, canvas(2.5), generator)
            assert not is_right(sound, caption), (caption, drawn)
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
        ("a loud beep then a soft one", "a soft beep then a loud one", "level"),
        ("two loud short beeps", "two soft short beeps", "level"),
        ("a low chord with fast tremolo", "a low chord", "tremolo"),
        ("a beep, a noise burst and a chord", "a beep, a chord and a noise burst", "kind"),
        ("a beep, a tone and a chord", "a beep then a tone", "count"),
        ("a loud falling sweep", "a soft falling sweep", "level"),
        ("a low rising sweep", "a middle rising sweep", "pitch"),
        ("a high falling sweep", "a middle falling sweep", "pitch"),
        ("a low noise burst", "a middle noise burst", "pitch"),
        ("a middle noise burst", "a high noise burst", "pitch"),
        ("a high noise burst", "a noise burst", "pitch"),
        ("a low noise burst", "a noise burst", "pitch"),
        ("a loud high noise burst", "a high noise burst", "level"),
        ("a loud low chord with slow tremolo", "a low chord with slow tremolo", "level"),
        ("a soft high tone with fast tremolo", "a high tone with fast tremolo", "level"),
        ("three long low beeps", "three short low beeps", "length"),
        ("three beeps then two noise bursts", "two beeps then two noise bursts", "count"),
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


def test_all_that_is_trained_fits_into_the_shortest_sound(monkeypatch):
    generator = torch.Generator().manual_seed(4)
    monkeypatch.setattr(world, "_uniform", lambda interval, generator: interval[1])
    for task in WORLD.tasks("trained"):
        for _ in range(60):
            WORLD.draw(WORLD.caption("trained", generator, task), canvas(1.5, 2000), generator)


def test_a_soft_sound_beside_a_loud_one_is_heard():
    spans = find_spans(draw("a loud noise burst then a soft low beep then a loud high chord"), RATE)
    assert [span.kind for span in spans] == ["noise", "tone", "chord"]
    assert all(loud.level > 8 * spans[1].level for loud in (spans[0], spans[2]))
    assert spans[1].seconds == pytest.approx(0.13, abs=0.02)


def test_what_a_caption_leaves_open_is_never_a_held_out_combination():
    generator = torch.Generator().manual_seed(5)
    for caption, never in (
        ("a beep", ("a short low beep", "a long high beep")),
        ("three short beeps", ("three short low beeps", "three high beeps")),
        ("a soft chord", ("a soft middle chord",)),
        ("a loud tone", ("a loud high tone",)),
        ("a tone with fast tremolo", ("a middle tone with fast tremolo",)),
        ("a low beep", ("a short low beep",)),
        ("three low beeps", ("three short low beeps",)),
    ):
        for _ in range(12):
            sound = WORLD.draw(caption, CANVAS, generator)
            assert is_right(sound, caption)
            assert not any(is_right(sound, other) for other in never), caption


def test_what_leaves_nothing_but_held_out_combinations_open_is_held_out():
    for caption, is_held_out in (
        ("two low beeps", True),
        ("three low beeps", False),
        ("four loud low beeps", True),
        ("a low beep, a chord and a sweep upwards", True),
        ("a low beep", False),
        ("a high beep", False),
        ("a low beep then a tone", False),
    ):
        assert grammar.is_held_out(grammar.parse(caption)) == is_held_out, caption


def test_every_held_out_combination_is_held_out_and_can_be_drawn():
    generator = torch.Generator().manual_seed(0)
    tone = Event("tone", "low")
    events = [(Event(kind, pitch, count=count),) for kind, pitch, count in scene.HELD_OUT_COUNTS]
    events += [(Event(*pair, length=length),) for *pair, length in scene.HELD_OUT_LENGTHS]
    events += [(replace(tone, pitch=p, tremolo=t),) for p, t in scene.HELD_OUT_TREMOLOS]
    events += [(Event(*pair, level=level),) for *pair, level in scene.HELD_OUT_LEVELS]
    events += [tuple(map(plain, kinds)) for kinds in scene.HELD_OUT_ORDERS]
    events += [
        (*map(plain, kinds), Event("sweep", direction="falling")) for kinds in scene.HELD_OUT_ORDERS
    ]
    for several in events:
        held_out = Scene("any", several)
        assert grammar.is_held_out(held_out)
        caption = grammar.caption_of(held_out, generator)
        assert grammar.is_held_out(grammar.parse(caption))
        assert is_right(draw(caption), caption)


def plain(kind):
    """An event of a kind that no other combination holds out."""
    return Event(kind, "middle" if kind in scene.TONAL else None,
                 direction="rising" if kind == "sweep" else None)  # fmt: skip


@pytest.mark.parametrize(
    "events",
    [
        *((Event("noise", "high", level=level),) for level in scene.LEVELS),
        (Event("noise", "low", count=4, length="short"),),
        (Event("noise", "middle", count=3, length="long"),),
        (Event("sweep", "high", "rising", level="soft"), Event("noise", "low")),
        (Event("sweep", "low", "falling"), Event("beep", count=3)),
        (Event("beep", count=3), Event("noise", "high", count=2)),
        (Event("sweep", "middle", "rising"), Event("noise", "middle"), Event("beep", "high")),
        *((Event("chord", "high", tremolo=rate, level="loud"),) for rate in scene.TREMOLOS),
    ],
)
def test_pitches_levels_and_counts_go_with_everything_that_has_them(events):
    caption = grammar.caption_of(Scene("", events), None)
    assert grammar.parse(caption).events == events
    for seed in range(4):
        assert is_right(draw(caption, seconds=1.5, seed=seed), caption)


def test_the_oracle_imports_nothing_of_the_renderer():
    tree = ast.parse(Path(oracle.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.startswith("lumina_audio")} == {"lumina_audio.scene"}


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
