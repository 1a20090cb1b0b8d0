"""The promises of the video world, measured: the oracle accepts what is drawn, and little else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.finding import find_objects
from lumina_core.media.worlds.words import BACKGROUNDS, COLOURS, HELD_OUT_PAIRS, SHAPES
from lumina_video import grammar
from lumina_video.grammar import Scene, Thing, caption_of, parse
from lumina_video.options import VideoOptions
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

WORLD = VideoWorld()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def canvas_of(split, index):
    variants = WORLD.variants(split)
    variant = variants[(7 * index) % len(variants)]
    return SimpleNamespace(
        height=variant["height"], width=variant["width"], num_frames=variant["frames"]
    )


def is_right(clip, caption):
    return all(WORLD.judge(clip, caption, None).values())


def drawn(split, count, seed):
    """Captions of every task in turn, and their clips at every variant in turn."""
    for index in range(count):
        generator = seeded(1000 * seed + index)
        caption = WORLD.caption(split, generator, grammar.TASKS[index % len(grammar.TASKS)])
        yield caption, WORLD.draw(caption, canvas_of(split, index), generator)


def clip_of(caption, seed=0, frames=8, side=48):
    canvas = SimpleNamespace(height=side, width=side, num_frames=frames)
    return WORLD.draw(caption, canvas, seeded(seed))


@pytest.mark.parametrize("split", WORLD.splits)
@pytest.mark.parametrize("task", grammar.TASKS)
def test_every_caption_parses_back_to_its_scene(split, task):
    for seed in range(60):
        scene = WORLD.sample_scene(seeded(seed), split, task)
        caption = caption_of(scene, seeded(seed))
        assert parse(caption) == scene, caption
        assert parse(f" {caption.upper()}. ") == scene
        assert WORLD.task_of(caption) == task


def test_parse_reads_the_prompt_of_the_readme():
    scene = parse("a red circle moving to the right")
    assert scene == Scene("motion", (Thing("red", "circle", ("right",)),))
    assert not grammar.is_held_out(scene)


@pytest.mark.parametrize(
    "caption",
    (
        *("", "a red circle", "a dog moving left", "a circle turning from red to red"),
        *("a red circle moving left and then moving left", "a red circle moving left and a star"),
        *("a star standing still and then growing", "two stars moving left", "a star passing"),
        *("a star moving left and a ring moving up", "a star growing and a ring growing"),
        *("a star standing still and a ring standing still", "a star moving left past"),
    ),
)
def test_parse_refuses_what_is_no_caption_and_names_it(caption):
    with pytest.raises(LuminaError, match=f"'{caption}' is no caption"):
        parse(caption)


def test_unknown_splits_and_tasks_are_refused():
    for call in (WORLD.tasks, WORLD.variants):
        with pytest.raises(LuminaError, match="no split 'other'; choose one of trained"):
            call("other")
    with pytest.raises(LuminaError, match="'other' has no captions in the split 'trained'"):
        WORLD.caption("trained", seeded(0), "other")


def test_held_out_captions_and_no_others_name_a_held_out_combination():
    for split in WORLD.splits:
        found = [grammar.is_held_out(parse(WORLD.caption(split, seeded(s)))) for s in range(200)]
        assert all(found) if split == "held_out" else not any(found)
    shapes = {shape for shape, _ in grammar.HELD_OUT_MOTIONS}
    motions = {motion for _, motion in grammar.HELD_OUT_MOTIONS}
    assert len(shapes) == len(motions) == len(grammar.EVENTS)


@pytest.mark.worlds
@pytest.mark.parametrize("split", ["trained", "unseen_lengths", "unseen_aspects"])
def test_training_never_shows_a_held_out_pair_even_where_the_caption_leaves_it_open(split):
    for caption, clip in drawn(split, 90, seed=1):
        found = find_objects(clip[0])
        assert not {(item.colour, item.shape) for item in found} & HELD_OUT_PAIRS, caption
        scene = parse(caption)
        if scene.task == "passing":
            first = scene.things[0]
            seen = [
                direction
                for direction in grammar.DIRECTIONS
                if is_right(
                    clip,
                    caption_of(replace_thing(scene, 0, motions=(direction,)), seeded(0)),
                )
            ]
            assert len(seen) == 1
            assert (first.shape, seen[0]) not in grammar.HELD_OUT_MOTIONS


def test_clips_are_as_large_and_long_as_asked_and_the_same_every_time():
    for split in WORLD.splits:
        for index in range(len(WORLD.variants(split))):
            canvas = canvas_of(split, index)
            first, again = (WORLD.draw("a star growing", canvas, seeded(3)) for _ in range(2))
            assert first.shape == (canvas.num_frames, 3, canvas.height, canvas.width)
            assert torch.equal(first, again)


def test_twice_the_frames_show_the_same_in_between():
    short, long = (clip_of("a red circle moving up", frames=count) for count in (6, 18))
    assert torch.equal(short, long[1::3])  # moments (i + 0.5) / n


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_accepts_what_was_drawn(split):
    verdicts = [is_right(clip, caption) for caption, clip in drawn(split, 180, seed=3)]
    assert sum(verdicts) >= 0.99 * len(verdicts)


@pytest.mark.worlds
def test_judge_accepts_what_was_drawn_and_went_through_a_file(tmp_path):
    decoder, path = VideoDecoder(8.0), tmp_path / "clip.mp4"
    verdicts = []
    for caption, clip in drawn("trained", 60, seed=5):
        decoder.write(clip, path, {}, VideoOptions())
        verdicts.append(is_right(decoder.read(path), caption))
    assert sum(verdicts) >= 0.98 * len(verdicts)


def replace_thing(scene, number, **changes):
    things = list(scene.things)
    things[number] = replace(things[number], **changes)
    return replace(scene, things=tuple(things))


def changed(scene):
    """Scenes that differ from one in one attribute, by its kind."""
    kinds = {"colour": [], "shape": [], "motion": [], "change": [], "background": []}
    for number, thing in enumerate(scene.things):
        named = {thing.shape for thing in scene.things}
        kinds["shape"] += [
            replace_thing(scene, number, shape=shape) for shape in SHAPES if shape not in named
        ]
        if thing.colour:
            taken = {thing.colour, scene.new_colour, *(t.colour for t in scene.things)}
            kinds["colour"] += [
                replace_thing(scene, number, colour=colour)
                for colour in COLOURS
                if colour not in taken
            ]
        for place, motion in enumerate(thing.motions):
            for other in grammar.MOTIONS:
                motions = tuple(other if i == place else m for i, m in enumerate(thing.motions))
                if other != motion:
                    kinds["motion"].append(replace_thing(scene, number, motions=motions))
    if scene.new_colour:
        first = scene.things[0].colour
        swapped = replace_thing(scene, 0, colour=scene.new_colour)
        kinds["change"] = [
            replace(swapped, new_colour=first),
            *(replace(scene, new_colour=c) for c in COLOURS if c not in (first, scene.new_colour)),
        ]
    if len(scene.things[0].motions) == 2:
        kinds["motion"].append(replace_thing(scene, 0, motions=scene.things[0].motions[::-1]))
    if scene.background:
        kinds["background"] = [
            replace(scene, background=name) for name in BACKGROUNDS if name != scene.background
        ]
    return {
        kind: [s for s in scenes if is_caption(s) and grammar.is_drawn(s)]
        for kind, scenes in kinds.items()
    }


def is_caption(scene):
    try:
        return replace(parse(caption_of(scene, seeded(0))), task=scene.task) == scene
    except (LuminaError, KeyError):
        return False


@pytest.mark.worlds
@pytest.mark.parametrize("kind", ["colour", "shape", "motion", "change", "background"])
def test_judge_refuses_one_changed_attribute(kind):
    generator, num_drawn, num_accepted = seeded(6), 0, 0
    while num_drawn < 60:
        scene = WORLD.sample_scene(generator, "trained", pick(grammar.TASKS, generator))
        others = changed(scene)[kind]
        if others:
            wrong = caption_of(pick(others, generator), generator)
            clip = WORLD.draw(wrong, canvas_of("trained", num_drawn), generator)
            num_accepted += is_right(clip, caption_of(scene, generator))
            num_drawn += 1
    assert num_accepted == 0


def test_judge_refuses_time_turned_around_and_time_that_stands_still():
    for caption in (
        *("a red circle moving to the right", "a blue square shrinking"),
        *("a star turning from red to white", "a green star growing and then moving up"),
        *(
            "a red star moving left past a blue ring",
            "a red cross moving up and a star moving down",
        ),
    ):
        clip = clip_of(caption)
        assert is_right(clip, caption)
        assert not is_right(clip.flip(0), caption)
        assert not is_right(clip[:1].expand_as(clip), caption)
        assert not is_right(clip[-1:].expand_as(clip), caption)


def test_judge_refuses_what_is_too_much_too_little_or_nothing():
    caption = "a red circle moving to the right"
    clip = clip_of(caption)
    noise = torch.randint(256, clip.shape, generator=seeded(0)).to(torch.uint8)
    assert not is_right(noise, caption)
    assert not is_right(torch.zeros_like(clip), caption)
    assert not is_right(clip[:1], caption)  # one frame shows no motion
    both = torch.maximum(clip, clip_of("a blue star moving up"))
    assert not is_right(both, caption)
    gone = clip.clone()
    gone[5:] = clip[:1, :, :1, :1]
    assert not is_right(gone, caption)
    jumps = clip[[0, 7, 1, 6, 2, 5, 3, 7]]
    assert not is_right(jumps, caption)


def test_judge_forgives_a_flaw_in_one_frame():
    caption = "a red circle moving to the right"
    clip = clip_of(caption, frames=12)
    clip[4] = clip_of("a star standing still", seed=1, frames=12)[4]
    verdict = WORLD.judge(clip, caption, None)
    assert verdict["shape_1"]
    assert verdict["colour_1"]
