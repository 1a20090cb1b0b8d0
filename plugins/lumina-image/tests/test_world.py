"""The promises of the image world, measured: the oracle accepts what is drawn, and little else."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import pytest
import torch
from scipy import ndimage

from lumina_core import LuminaError
from lumina_core.media.worlds.finding import find_objects
from lumina_core.media.worlds.words import BACKGROUNDS
from lumina_image import grammar
from lumina_image.grammar import Scene, Thing, caption_of, parse, scene_of
from lumina_image.world import ImageWorld

WORLD = ImageWorld()
MAX_WORDS = 180


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def canvas_of(split: str, index: int) -> SimpleNamespace:
    variants = WORLD.variants(split)
    return SimpleNamespace(**variants[index % len(variants)])


def is_right(picture: torch.Tensor, caption: str) -> bool:
    return all(WORLD.judge(picture, caption, None).values())


def blurred(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    soft = ndimage.gaussian_filter(picture.float().numpy(), (0, 0.6, 0.6))
    noise = 3 * torch.randn(picture.shape, generator=generator)
    return (torch.from_numpy(soft) + noise).clamp(0, 255).round().to(torch.uint8)


def drawn(split: str, num_pictures: int, seed: int):
    """Captions, in equal parts of all tasks that the split has, with their pictures."""
    generator, tasks = seeded(seed), WORLD.tasks(split)
    for index in range(num_pictures):
        caption = WORLD.caption(split, generator, tasks[index % len(tasks)])
        canvas = canvas_of(split, index // len(tasks))
        yield caption, WORLD.draw(caption, canvas, generator)


def changed(scene: Scene) -> dict[str, list[Scene]]:
    """Scenes that differ in exactly one thing the caption says, by the kind of change."""
    changes = {
        kind: [] for kind in ("colour", "shape", "size", "relation", "count", "background", "swap")
    }

    def with_thing(index: int, **values) -> Scene:
        things = list(scene.things)
        things[index] = replace(things[index], **values)
        return replace(scene, things=tuple(things))

    for i, thing in enumerate(scene.things):
        changes["shape"] += [with_thing(i, shape=s) for s in grammar.SHAPES if s != thing.shape]
        if thing.colour:
            others = set(grammar.COLOURS) - {thing.colour}
            changes["colour"] += [with_thing(i, colour=colour) for colour in sorted(others)]
        if thing.size:
            others = {*grammar.SIZES, None} - {thing.size}
            changes["size"] += [with_thing(i, size=size) for size in sorted(others, key=str)]
        counts = {1, 2, 3, 4} - {thing.count}
        changes["count"] += [with_thing(i, count=count) for count in sorted(counts)]
    if scene.relation:
        alike = {"left", "right", "beside"} if scene.relation == "beside" else {scene.relation}
        others = set(grammar.RELATIONS) - {"beside"} - alike
        changes["relation"] = [replace(scene, relation=relation) for relation in sorted(others)]
    if scene.background:
        others = set(BACKGROUNDS) - {scene.background}
        changes["background"] = [replace(scene, background=name) for name in sorted(others)]
    for (i, one), (j, other) in combinations(enumerate(scene.things), 2):
        for name in ("colour", "size", "count"):
            things = list(scene.things)
            things[i] = replace(one, **{name: getattr(other, name)})
            things[j] = replace(other, **{name: getattr(one, name)})
            changes["swap"].append(replace(scene, things=tuple(things)))
    drawn = {
        kind: [said for each in scenes for said in [_said(each)] if said and differs(said, scene)]
        for kind, scenes in changes.items()
    }
    return {kind: scenes for kind, scenes in drawn.items() if scenes}


def _said(scene: Scene) -> Scene | None:
    """The scene that the caption of a changed one says; None where there is none such."""
    counted = scene_of(
        scene.things, scene.relation, scene.background, is_counted=scene.task == "counting"
    )
    try:
        read = parse(caption_of(counted, None))
    except LuminaError:
        return None
    return read if grammar.is_drawn(read) else None


def differs(one: Scene, other: Scene) -> bool:
    """Whether they do not show the same, in any order where the order shows nothing."""
    if one.relation not in (None, "beside"):
        return one != other
    same = sorted(map(str, one.things)) == sorted(map(str, other.things))
    return not same or one.background != other.background


@pytest.mark.parametrize("split", ["trained", "held_out", "unseen_wordings"])
def test_parse_inverts_caption_of(split):
    generator, tasks = seeded(0), WORLD.tasks(split)
    for index in range(100 * len(tasks)):
        scene = WORLD.sample_scene(generator, split, tasks[index % len(tasks)])
        caption = caption_of(scene, generator, unseen=split == "unseen_wordings")
        assert parse(caption) == scene, caption
        assert parse(f"  {caption.upper().replace(' ', '  ')}. ") == scene
        assert WORLD.task_of(caption) == scene.task
        assert grammar.is_drawn(scene)
        assert parse(caption_of(scene, None)) == scene


def test_parse_reads_the_prompt_of_the_readme():
    scene = parse("a red circle to the left of a blue square")
    things = (Thing("red", "circle"), Thing("blue", "square"))
    assert scene == Scene("position", things, "left")
    assert not grammar.is_held_out(scene)


def thing(words: str) -> Thing:
    return parse(words).things[0]


@pytest.mark.parametrize(
    ("caption", "task", "things", "relation", "background"),
    [
        ("a small white star to the left of a large purple cross", "sizes",
         ("a small white star", "a large purple cross"), "left", None),
        ("A white ring and 2 blue triangles.", "counts_of_two",
         ("a white ring", "two blue triangles"), None, None),
        ("a red circle, a blue square and a green star", "three_objects",
         ("a red circle", "a blue square", "a green star"), None, None),
        ("two small red stars above a big blue ring", "counts_of_two",
         ("two small red stars", "a large blue ring"), "above", None),
        ("big red ball on top of a green box", "sizes",
         ("a large red circle", "a green square"), "above", None),
        ("draw me a purple donut next to a couple of dots, please", "counts_of_two",
         ("a purple ring", "two circles"), "beside", None),
        ("show me 4 tiny pluses against a gray background", "sizes",
         ("four small crosses",), None, "grey"),
        ("the blue square is to the right of the red circle", "position",
         ("a blue square", "a red circle"), "right", None),
        ("a circle that is red on white", "background", ("a red circle",), None, "white"),
        ("red circle on the left, blue square on the right", "position",
         ("a red circle", "a blue square"), "left", None),
        ("a red circle beside a blue circle", "next_to",
         ("a red circle", "a blue circle"), "beside", None),
        ("i want a pair of orange stars underneath a snowman", "counts_of_two",
         ("two orange stars", "a snowman"), "below", None),
        ("one big snowman", "counting", ("a large snowman",), None, None),
        ("a blue square with a red circle to the left of it", "position",
         ("a red circle", "a blue square"), "left", None),
        ("An orange square, and below it a blue ring", "position",
         ("a blue ring", "an orange square"), "below", None),
        ("a yellow triangle sits on top of a purple square", "position",
         ("a yellow triangle", "a purple square"), "above", None),
        ("2 crosses, one white and one red", "colour_attribution",
         ("a white cross", "a red cross"), None, None),
        ("a circle and a star, both in white", "colour_attribution",
         ("a white circle", "a white star"), None, None),
        ("to the right of a green cross there is a blue one", "position",
         ("a blue cross", "a green cross"), "right", None),
        ("white background with a single red star", "counting",
         ("a red star",), None, "white"),
        ("a blue cross in the middle", "colours", ("a blue cross",), None, None),
        ("on a yellow background a box with two discs", "counts_of_two",
         ("a square", "two circles"), None, "yellow"),
        ("white background, one red cross", "counting", ("a red cross",), None, "white"),
        ("a purple square with brown behind it", "colours", ("a purple square",), None, "brown"),
        ("circle, small, yellow, on grey background", "background",
         ("a small yellow circle",), None, "grey"),
        ("stars, 3, blue", "counting", ("three blue stars",), None, None),
        ("red squares, four of them", "counting", ("four red squares",), None, None),
        ("give me some squares, four of them, in yellow", "counting",
         ("four yellow squares",), None, None),
        ("Could I get a yellow snowman on a blue background?", "background",
         ("a yellow snowman",), None, "blue"),
    ],
)  # fmt: skip
def test_parse_reads_what_people_write(caption, task, things, relation, background):
    assert parse(caption) == Scene(task, tuple(map(thing, things)), relation, background)
    assert WORLD.nearest(caption) is None


def test_the_words_are_few():
    assert len(WORLD.vocabulary()) < MAX_WORDS


def test_two_things_of_one_shape_are_said_in_every_way_that_is_shorter():
    generator = seeded(11)
    for shape in grammar.SHAPES:
        scene = scene_of((Thing("white", shape), Thing("purple", shape)))
        captions = [caption_of(scene, generator) for _ in range(150)]
        assert any(" one white and " in caption for caption in captions)
        assert any("a white and a purple " in caption for caption in captions)


def test_unseen_wordings_stand_in_no_training_caption():
    generator = seeded(9)
    for task in grammar.TASKS:
        scenes = [WORLD.sample_scene(generator, "trained", task) for _ in range(3)]
        for scene in scenes:
            trained, unseen = (
                {caption_of(scene, generator, is_unseen) for _ in range(120)}
                for is_unseen in (False, True)
            )
            assert not trained & unseen


def test_half_of_the_captions_are_in_the_plainest_words():
    generator, num_plain = seeded(10), 0
    for _ in range(400):
        scene = parse(WORLD.caption("trained", generator))
        num_plain += caption_of(scene, generator) == caption_of(scene, None)
    assert 180 <= num_plain <= 260


@pytest.mark.parametrize(
    "caption",
    (
        *("", "a dog", "a pink circle", "one circles", "a red"),
        *("a circle to the left of", "five stars", "a star on a pink background", "a star and"),
        *("three stars above a ring", "three stars and two rings"),
        *("a red blue star", "a small large star", "a star a ring a cross and a circle"),
        *("two stars 3", "a star 3", "star 3 blue", "a red star small large"),
    ),
)
def test_parse_refuses_what_is_no_caption_and_names_it(caption):
    with pytest.raises(LuminaError, match=f"'{caption}' is no caption"):
        parse(caption)


def test_sample_scene_refuses_a_held_out_task_without_colours():
    with pytest.raises(LuminaError, match="two_objects"):
        WORLD.sample_scene(seeded(0), "held_out", "two_objects")


def test_held_out_combinations_cover_every_shape_once():
    assert sorted(shape for _, shape in grammar.HELD_OUT_PAIRS) == sorted(grammar.SHAPES)
    assert len({colour for colour, _ in grammar.HELD_OUT_PAIRS}) == len(grammar.SHAPES)


def test_held_out_reads_a_relation_from_both_sides():
    assert grammar.is_held_out(parse("a star left of a ring"))
    assert grammar.is_held_out(parse("a ring on the right of a star"))
    assert not grammar.is_held_out(parse("a ring left of a star"))


@pytest.mark.parametrize("split", ["trained", "unseen_sizes", "unseen_aspects"])
def test_training_never_shows_a_held_out_pair_even_where_the_colour_is_free(split):
    for caption, picture in drawn(split, 120, seed=1):
        assert not grammar.is_held_out(parse(caption)), caption
        for found in find_objects(picture):
            assert (found.colour, found.shape) not in grammar.HELD_OUT_PAIRS, caption


def test_held_out_captions_all_name_a_held_out_combination():
    generator = seeded(2)
    captions = [WORLD.caption("held_out", generator) for _ in range(300)]
    assert all(grammar.is_held_out(parse(caption)) for caption in captions)
    assert {WORLD.task_of(caption) for caption in captions} == set(grammar.HELD_OUT_TASKS)


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_accepts_what_was_drawn(split):
    verdicts = [is_right(picture, caption) for caption, picture in drawn(split, 200, seed=3)]
    assert sum(verdicts) >= 0.99 * len(verdicts)


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_tolerates_blur_and_noise(split):
    noise = seeded(4)
    verdicts = [is_right(blurred(p, noise), caption) for caption, p in drawn(split, 200, seed=4)]
    assert sum(verdicts) >= 0.98 * len(verdicts)


@pytest.mark.parametrize(
    "kind", ["colour", "shape", "size", "relation", "count", "background", "swap"]
)
def test_judge_refuses_one_changed_attribute(kind):
    assert _num_accepted(kind, num_pictures=60) == 0


def _num_accepted(kind: str, num_pictures: int) -> int:
    generator, num_drawn, num_accepted = seeded(5), 0, 0
    while num_drawn < num_pictures:
        task = grammar.pick(grammar.TASKS, generator)
        scene = WORLD.sample_scene(generator, "trained", task)
        others = changed(scene).get(kind)
        if others:
            split = ("trained", "unseen_sizes", "unseen_aspects")[num_drawn % 3]
            wrong = caption_of(grammar.pick(others, generator), generator)
            picture = WORLD.draw(wrong, canvas_of(split, num_drawn), generator)
            num_accepted += is_right(picture, caption_of(scene, generator))
            num_drawn += 1
    return num_accepted


def test_judge_refuses_pictures_of_nothing():
    generator = seeded(6)
    for index in range(5 * len(grammar.TASKS)):
        caption = WORLD.caption("trained", generator, grammar.TASKS[index % len(grammar.TASKS)])
        canvas = canvas_of("trained", index)
        shape = (3, canvas.height, canvas.width)
        assert not is_right(torch.full(shape, index, dtype=torch.uint8), caption)
        for brightest in (80, 256):
            noise = torch.randint(brightest, shape, generator=generator, dtype=torch.uint8)
            assert not is_right(noise, caption)


@pytest.mark.parametrize("extra", ["two red stars", "a red star and a red ring"])
def test_judge_refuses_a_second_object_that_nobody_asked_for(extra):
    for index in range(20):
        picture = WORLD.draw(extra, canvas_of("trained", index), seeded(index))
        assert not is_right(picture, "a red star")
        assert not is_right(picture, "a star")


def test_judge_does_not_care_about_the_order_of_an_enumeration():
    picture = WORLD.draw("a red star and a blue ring", canvas_of("trained", 0), seeded(0))
    assert is_right(picture, "a blue ring and a red star")


def test_judge_wants_sides_of_next_to_and_takes_either():
    for relation, is_beside in (("left", True), ("right", True), ("above", False)):
        caption = caption_of(replace(parse("a star left of a ring"), relation=relation), None)
        for index in range(10):
            picture = WORLD.draw(caption, canvas_of("trained", 3 * index), seeded(index))
            assert is_right(picture, "a star next to a ring") == is_beside


def test_judge_wants_every_object_of_a_group_on_its_side():
    picture = WORLD.draw("two stars left of two rings", canvas_of("trained", 3), seeded(0))
    assert is_right(picture, "two rings right of two stars")
    half = picture.shape[2] // 2
    picture[:, :half] = picture[:, :half].flip(2)  # the upper star and ring change places
    verdict = WORLD.judge(picture, "two stars left of two rings", None)
    assert [name for name, is_met in verdict.items() if not is_met] == ["position"]


def test_judge_says_what_is_wrong():
    picture = WORLD.draw("a red star left of a big blue ring", canvas_of("trained", 0), seeded(0))
    verdict = WORLD.judge(picture, "a red star right of a small green ring", None)
    wrong = [name for name, is_met in verdict.items() if not is_met]
    assert wrong == ["colour_2", "size_2", "position"]


@pytest.mark.parametrize("split", WORLD.splits)
def test_draw_repeats_a_seed_and_leaves_the_global_generator_alone(split):
    state = torch.get_rng_state()
    once, again = (
        [picture for _, picture in drawn(split, 24, seed=7)],
        [picture for _, picture in drawn(split, 24, seed=7)],
    )
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_draw_makes_the_size_that_was_asked_for():
    for split in WORLD.splits:
        for variant in WORLD.variants(split):
            picture = WORLD.draw("four stars", SimpleNamespace(**variant), seeded(8))
            assert picture.shape == (3, variant["height"], variant["width"])
            assert variant["height"] % 8 == variant["width"] % 8 == 0


def test_world_names_an_unknown_split():
    with pytest.raises(LuminaError, match="no split 'valid'"):
        WORLD.variants("valid")
