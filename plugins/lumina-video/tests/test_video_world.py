"""The promises of the video world, measured: the oracle accepts what is drawn, and little else."""

from dataclasses import replace
from itertools import pairwise, product
from time import process_time
from types import SimpleNamespace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.finding import find_objects
from lumina_core.media.worlds.wordings import Wordings
from lumina_core.media.worlds.words import (
    BACKGROUNDS,
    COLOURS,
    HELD_OUT_PAIRS,
    SHAPES,
    split_background,
)
from lumina_video import grammar, motions, names, scenes, wordings
from lumina_video.grammar import caption_of, parse
from lumina_video.options import VideoOptions
from lumina_video.paths import poses_of
from lumina_video.scenes import Scene, Thing
from lumina_video.video_files import VideoDecoder
from lumina_video.world import FREE_COLOURS, VideoWorld

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
        assert grammar.is_drawn(scene)
        for caption in (
            *(caption_of(scene, seeded(seed)), caption_of(scene, None)),
            caption_of(scene, seeded(seed), unseen=True),
        ):
            assert parse(caption) == scene, caption
            assert parse(f" {caption.upper()}. ") == scene
            assert WORLD.task_of(caption) == task


def test_parse_reads_the_prompt_of_the_readme():
    scene = parse("a red circle moving to the right")
    assert scene == Scene("motion", (Thing("red", "circle", ("right",)),))
    assert not grammar.is_held_out(scene)


TYPED = {
    "A red ball slides from left to right.": "a red circle moving to the right",
    "show me a video of a blue square that is moving left": "a blue square moving to the left",
    "please draw green star going upwards": "a green star moving up",
    "a white snowman falls": "a white snowman moving down",
    "the yellow star is getting bigger": "a yellow star growing",
    "an animation of a purple ring that gets smaller": "a purple ring shrinking",
    "a gray cross does not move": "a grey cross standing still",
    "a tiny red square rises": "a small red square moving up",
    "a big blue ball stays still": "a large blue circle standing still",
    "a red circle turns blue": "a circle turning from red to blue",
    "a square that turns from red to green": "a square turning from red to green",
    "a star changes color from white to yellow": "a star turning from white to yellow",
    "a video where a triangle becomes green": "a triangle turning green",
    "a red circle moves left and then up": "a red circle moving to the left and then moving up",
    "a star first grows then shrinks": "a star growing and then shrinking",
    "a square moves down before growing": "a square moving down and then growing",
    "a red circle moves up, a blue square moves right": (
        "a red circle moving up and a blue square moving to the right"
    ),
    "a green star grows while a white ring moves left": (
        "a green star growing and a white ring moving to the left"
    ),
    "a ring shrinks and a cross stands still": "a ring shrinking and a cross standing still",
    "a red circle and a blue circle both move down": (
        "a red circle moving down and a blue circle moving down"
    ),
    "a red star goes past a green ring": "a red star passing a green ring",
    "an orange star travels right past the box on a white background": (
        "an orange star moving to the right past a square on a white background"
    ),
    "First, a green square grows; after that it moves left.": (
        "a green square growing and then moving to the left"
    ),
    "After shrinking, one white circle drifts slowly down": (
        "a white circle shrinking and then moving down"
    ),
    "please just draw me a single square that is red, rolling away to the right": (
        "a red square moving to the right"
    ),
    "square, blue, coming in from the left side of the screen": "a blue square moving to the right",
    "let a star swell and then shrink again": "a star growing and then shrinking",
    "a blue square below a red circle, both moving right": (
        "a red circle moving to the right and a blue square moving to the right"
    ),
    "a red star and a ring, one rising, the other sinking": (
        "a red star moving up and a ring moving down"
    ),
    "a green ring is passed by a red star": "a red star passing a green ring",
    "the color of the ring changes from red to blue": "a ring turning from red to blue",
    "small blue circle passing a large red square": (
        "a small blue circle passing a large red square"
    ),
    "two circles, one goes left and the other goes right": (
        "two circles one moving to the left and the other moving to the right"
    ),
    "two red triangles moving up": "two red triangles moving up",
    "I'd like to see a green triangle turn purple": "a triangle turning from green to purple",
    "a green cross moving left and then turning red": (
        "a green cross moving to the left and then turning red"
    ),
    "a white ring that turns yellow and then grows": (
        "a white ring turning yellow and then growing"
    ),
    "a red snowman which gets bigger and then smaller": (
        "a red snowman growing and then shrinking"
    ),
    "a tiny white star gets larger": "a small white star growing",
    "a big red star moves down then up": "a large red star moving down and then moving up",
    "white background, a red star moving left": (
        "a red star moving to the left on a white background"
    ),
    "a star growing with brown behind it": "a star growing on a brown background",
    "circle, small, yellow, moving up": "a small yellow circle moving up",
    "circles, two of them, moving up": "two circles moving up",
    "could I get a star growing": "a star growing",
    "let a star change from red to blue": "a star turning from red to blue",
    "a red star moving up along with a blue ring": "a red star moving up and a blue ring moving up",
    "a red star keeps still": "a red star standing still",
    "make a white star climb": "a white star moving up",
    "a still purple star": "a purple star standing still",
    "moving up: a white triangle": "a white triangle moving up",
    "a star, red at first, then purple": "a star turning from red to purple",
    "a red square going up next to a standing green circle": (
        "a red square moving up and a green circle standing still"
    ),
}
"""What people type, and the plainest words for it."""


def test_parse_reads_what_people_type():
    found = {typed: caption_of(parse(typed), None) for typed in TYPED}
    assert found == TYPED
    assert all(grammar.is_drawn(parse(typed)) for typed in TYPED)


@pytest.mark.parametrize(
    "caption",
    (
        *("", "a red circle", "a dog moving left", "a circle turning from red to red"),
        *("a red circle moving left and then moving left", "a red circle moving left and a star"),
        *("a star standing still and then growing", "two stars growing", "a star passing"),
        *("a star growing and a ring growing", "a star and a ring shrinking"),
        *("a star turning red and a ring turning blue", "a star moving left past"),
        *("a red circle above a star both moving up", "a red star that is blue moving up"),
        *("a star moving to the top right", "a star moving up and to the left"),
        *("a large star moving up and then growing", "three stars moving left"),
        *("a large star moving left and a ring moving up", "two large stars moving up"),
        *("a red star turning from blue to green", "a red star turning red"),
    ),
)
def test_parse_refuses_what_is_no_caption_and_names_it(caption):
    with pytest.raises(LuminaError, match=f"'{caption}' is no caption"):
        parse(caption)


@pytest.mark.parametrize(
    "words", ("a red circle and ", "slowly ", "in the ", "a small red circle ")
)
def test_a_long_text_that_means_nothing_is_read_in_no_time(words):
    parses = [process_time()]
    for _ in range(3):
        with pytest.raises(LuminaError):
            parse(words * 200)
        parses.append(process_time())
    assert min(after - before for before, after in pairwise(parses)) < 0.05


def test_two_things_that_no_word_tells_apart_do_not_pass_each_other():
    for caption in (
        *("a red star moving up and a star moving down", "a red star passing a star"),
        *("a red star passing a red star", "a red star moving up on a red background"),
        "a red star turning blue on a blue background",
    ):
        assert not grammar.is_drawn(parse(caption))
    assert grammar.is_drawn(parse("a star moving up and a star moving down"))


def test_captions_have_few_words():
    assert len(WORLD.vocabulary()) < 320


def test_unseen_wordings_stand_in_no_training_caption():
    trained = Wordings(wordings.WORDINGS.slots, wordings.WORDINGS.trained, {})
    for task in grammar.TASKS:
        for seed in range(60):
            caption = WORLD.caption("unseen_wordings", seeded(seed), task)
            assert not list(trained.readings(split_background(caption)[0])), caption


def test_half_of_the_training_captions_have_the_plainest_wording():
    captions = [WORLD.caption("trained", seeded(seed)) for seed in range(400)]
    plain = sum(caption_of(parse(caption), None) == caption for caption in captions)
    assert 0.44 <= plain / len(captions) < 0.62  # 400 draws of PLAIN; some are plain by chance


def test_every_meaning_has_three_wordings_and_one_that_is_unseen():
    trained, unseen = wordings.WORDINGS.trained, wordings.WORDINGS.unseen
    for name in grammar.SIDES:  # they say more of what 'both' says
        assert len(trained[name]) >= 3
    plain = {name for name in trained if not name.endswith("_rare")} - {*grammar.SIDES}
    assert plain == {name for name in unseen if not name.endswith("_read")}
    assert min(map(len, trained.values())) >= 3
    assert all(unseen.values())
    for motion in motions.MOTIONS:
        assert len(motions.DOING[motion]) >= 2
        assert not set(motions.DOING[motion]) & set(motions.UNSEEN_DOING[motion])
        assert motions.UNSEEN_DOING[motion]


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
    shapes = {shape for shape, _ in scenes.HELD_OUT_MOTIONS}
    held = {motion for _, motion in scenes.HELD_OUT_MOTIONS}
    assert len(shapes) == len(held) == len(motions.EVENTS)


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
                for direction in motions.DIRECTIONS
                if is_right(
                    clip,
                    caption_of(replace_thing(scene, 0, motions=(direction,)), seeded(0)),
                )
            ]
            assert len(seen) == 1
            assert (first.shape, seen[0]) not in scenes.HELD_OUT_MOTIONS


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


def pairs(sizes=(None, None)):
    """A scene of each two things that two things of some sizes do at once."""
    for task in ("two_motions", "two_ways"):
        for ways in product((*motions.MOTIONS, motions.TURN), repeat=2):
            if scenes.task_of(tuple((way,) for way in ways)) == task:
                things = (
                    Thing(None, "star", ways[:1], sizes[0]),
                    Thing(None, "ring", ways[1:], sizes[1]),
                )
                new_colour = "red" if motions.TURN in ways else None
                yield from filter(scenes.has_room, [Scene(task, things, new_colour)])


def test_two_things_keep_apart_and_inside_at_every_trained_size():
    sizes = {(v["height"], v["width"]) for split in WORLD.splits for v in WORLD.variants(split)}
    narrow = {(height, width) for height, width in sizes if min(height, width) == 32}
    named = list(product((*names.SIZES, None), repeat=2))
    assert named.pop() == (None, None)
    told = [scene for pair in named for scene in pairs(pair)]
    moments = [number / 20 for number in range(21)]
    for scene, (height, width) in (*product(pairs(), sizes), *product(told, narrow)):
        for first, second in poses_of(scene, height, width, moments, seeded(height + width)):
            apart = max(abs(first.row - second.row), abs(first.column - second.column))
            assert apart >= first.radius + second.radius + 2.8
            for pose in (first, second):
                edges = pose.row, height - pose.row, pose.column, width - pose.column
                assert min(edges) >= pose.radius + 0.9
                assert pose.radius >= 0.12 * min(height, width)


def test_no_size_and_no_shrinking_makes_anything_smaller_than_an_eighth_of_the_side():
    for seed in range(600):
        scene = WORLD.sample_scene(
            seeded(seed), "trained", grammar.TASKS[seed % len(grammar.TASKS)]
        )
        for poses in poses_of(directed(scene), 32, 48, [0.0, 0.5, 1.0], seeded(seed)):
            assert min(pose.radius for pose in poses) >= 0.123 * 32, scene


def directed(scene):
    """A scene in which what passes has a direction."""
    if scene.task == "passing" and not scene.things[0].motions:
        return replace_thing(scene, 0, motions=("up",))
    return scene


def test_the_first_of_two_things_is_left_or_above_or_passes():
    for scene in pairs():
        (first, second) = poses_of(scene, 64, 64, [0.5], seeded(0))[0]
        assert min(first.row - second.row, first.column - second.column) < 0


def test_what_stands_still_beside_another_has_one_place():
    scene = parse("a star standing still and a ring moving up")
    places = {round(poses_of(scene, 40, 40, [0.5], seeded(s))[0][0].row) for s in range(20)}
    assert places <= {19, 20, 21}


def test_a_colour_that_no_caption_names_is_one_of_few_and_seen():
    for seed in range(40):
        background = ("white", "blue", None)[seed % 3]
        caption = "a star passing a ring" + (f" on a {background} background" if background else "")
        found = find_objects(clip_of(caption, seed)[0])
        colours = {item.colour for item in found}
        assert len(colours) == 2
        assert colours <= set(FREE_COLOURS) - {background}


@pytest.mark.worlds
def test_a_colour_changes_on_every_background_of_another():
    for number, background in enumerate(BACKGROUNDS):
        for before, after in (("red", "yellow"), ("purple", "green"), ("grey", "white")):
            caption = f"a ring turning from {before} to {after} on a {background} background"
            if background not in (before, after):
                for frames in (8, 12):
                    assert is_right(clip_of(caption, number, frames), caption), caption


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_accepts_what_was_drawn(split):
    verdicts = [is_right(clip, caption) for caption, clip in drawn(split, 210, seed=3)]
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
    kinds["size"] = [
        replace_thing(scene, number, size=size)
        for number, thing in enumerate(scene.things)
        for size in names.SIZES
        if thing.size not in (None, size)
    ]
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
            for other in motions.MOTIONS:
                ways = tuple(other if i == place else way for i, way in enumerate(thing.motions))
                if other != motion:
                    new_colour = None if motion == motions.TURN else scene.new_colour
                    wrong = replace_thing(scene, number, motions=ways)
                    kinds["motion"].append(replace(wrong, new_colour=new_colour))
    if scene.new_colour:
        turning = scenes.turning_of(scene)
        first = scene.things[turning].colour
        swapped = replace_thing(scene, turning, colour=scene.new_colour)
        kinds["change"] = [
            *([replace(swapped, new_colour=first)] if first else []),
            *(replace(scene, new_colour=c) for c in COLOURS if c not in (first, scene.new_colour)),
        ]
    if len(scene.things[0].motions) == 2:
        kinds["motion"].append(replace_thing(scene, 0, motions=scene.things[0].motions[::-1]))
    if scene.background:
        kinds["background"] = [
            replace(scene, background=name) for name in BACKGROUNDS if name != scene.background
        ]
    return {kind: [s for s in scenes if is_caption(s)] for kind, scenes in kinds.items()}


def is_caption(scene):
    try:
        read = replace(parse(caption_of(scene, seeded(0))), task=scene.task)
        return read == scene and grammar.is_drawn(scene)
    except (LuminaError, KeyError):
        return False


@pytest.mark.worlds
@pytest.mark.parametrize("kind", ["colour", "shape", "size", "motion", "change", "background"])
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


def is_pair(scene):
    first, second = (replace(scene.things[place], motions=()) for place in (0, -1))
    return len(scene.things) == 2 and first == second


def has_size(scene):
    return any(thing.size for thing in scene.things)


TWO = ("two_motions", "two_ways")
COMBINED = {
    "a size on what grows or shrinks": (("growth",), has_size),
    "a size on what does two things": (("order",), has_size),
    "a size on what passes or is passed": (("passing",), has_size),
    "a size on one of two": (TWO, has_size),
    "another colour before or after": (("order",), lambda scene: scene.new_colour),
    "another colour beside another thing": (("two_ways",), lambda scene: scene.new_colour),
    "two of a kind": (TWO, is_pair),
    "two that stand still": (
        TWO,
        lambda scene: {way for thing in scene.things for way in thing.motions} == {"still"},
    ),
}
"""Meanings that go together: the tasks that have them, and how they are told."""


@pytest.mark.worlds
@pytest.mark.parametrize("name", COMBINED)
def test_judge_accepts_meanings_that_go_together_and_refuses_each_change_of_one(name):
    tasks, is_meant = COMBINED[name]
    generator, num_drawn = seeded(8), 0
    while num_drawn < 12:
        scene = WORLD.sample_scene(generator, "trained", pick(tasks, generator))
        if not is_meant(scene):
            continue
        caption, canvas = caption_of(scene, generator), canvas_of("trained", num_drawn)
        assert is_right(WORLD.draw(caption, canvas, generator), caption), caption
        for others in filter(None, changed(scene).values()):
            wrong = caption_of(pick(others, generator), generator)
            assert not is_right(WORLD.draw(wrong, canvas, generator), caption), (wrong, caption)
        num_drawn += 1


def test_judge_refuses_time_turned_around_and_time_that_stands_still():
    for caption in (
        *("a red circle moving to the right", "a blue square shrinking"),
        *("a star turning from red to white", "a green star growing and then moving up"),
        *(
            "a red star moving left past a blue ring",
            "a red cross moving up and a star moving down",
        ),
        *("a star turning red", "a red ring moving up and a blue star moving left"),
        "a green star growing and a white ring standing still",
        *("a small red star shrinking", "a large blue ring growing"),
        *("a white ring turning yellow and then growing", "two red stars moving up"),
        "a star turning from red to blue and a green ring standing still",
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
