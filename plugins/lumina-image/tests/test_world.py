"""The promises of the image world, measured: the oracle accepts what is drawn, and little else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from scipy import ndimage

from lumina_core import LuminaError
from lumina_core.media.worlds.finding import find_objects
from lumina_core.media.worlds.words import BACKGROUNDS
from lumina_image import grammar
from lumina_image.grammar import Scene, Thing, caption_of, parse
from lumina_image.world import ImageWorld

WORLD = ImageWorld()


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
    generator = seeded(seed)
    tasks = grammar.HELD_OUT_TASKS if split == "held_out" else grammar.TASKS
    for index in range(num_pictures):
        caption = WORLD.caption(split, generator, tasks[index % len(tasks)])
        canvas = canvas_of(split, index // len(tasks))
        yield caption, WORLD.draw(caption, canvas, generator)


def changed(scene: Scene) -> dict[str, list[Scene]]:
    """Every scene that differs in exactly one thing the caption says, by the kind of change."""
    changes = {"colour": [], "shape": [], "size": [], "relation": [], "count": [], "background": []}
    named = {thing.shape for thing in scene.things}

    def with_thing(index: int, **values) -> Scene:
        things = list(scene.things)
        things[index] = replace(things[index], **values)
        return replace(scene, things=tuple(things))

    for i, thing in enumerate(scene.things):
        changes["shape"] += [with_thing(i, shape=s) for s in grammar.SHAPES if s not in named]
        if thing.colour:
            others = set(grammar.COLOURS) - {thing.colour}
            changes["colour"] += [with_thing(i, colour=colour) for colour in sorted(others)]
        if thing.size:
            others = {*grammar.SIZES, None} - {thing.size}
            changes["size"] += [with_thing(i, size=size) for size in sorted(others, key=str)]
    if scene.relation:
        others = set(grammar.RELATIONS) - {scene.relation}
        changes["relation"] = [replace(scene, relation=relation) for relation in sorted(others)]
    if scene.task == "counting":
        changes["count"] = [replace(scene, count=n) for n in (1, 2, 3, 4) if n != scene.count]
    if scene.background:
        others = set(BACKGROUNDS) - {scene.background}
        changes["background"] = [replace(scene, background=name) for name in sorted(others)]
    if scene.task == "colour_attribution":
        first, second = (thing.colour for thing in scene.things)
        one, other = scene.things
        things = (replace(one, colour=second), replace(other, colour=first))
        changes["swap"] = [replace(scene, things=things)]
    drawn = {kind: list(filter(grammar.is_drawn, scenes)) for kind, scenes in changes.items()}
    return {kind: scenes for kind, scenes in drawn.items() if scenes}


@pytest.mark.parametrize("split", ["trained", "held_out"])
def test_parse_inverts_caption_of(split):
    generator = seeded(0)
    for index in range(1200):
        task = (
            grammar.HELD_OUT_TASKS[index % 4] if split == "held_out" else grammar.TASKS[index % 6]
        )
        scene = WORLD.sample_scene(generator, split, task)
        caption = caption_of(scene, generator)
        assert parse(caption) == scene, caption
        assert parse(f"  {caption.upper().replace(' ', '  ')}. ") == scene


def test_parse_reads_the_prompt_of_the_readme():
    scene = parse("a red circle to the left of a blue square")
    things = (Thing("red", "circle"), Thing("blue", "square"))
    assert scene == Scene("position", things, "left", 2, None)
    assert not grammar.is_held_out(scene)


@pytest.mark.parametrize(
    "caption",
    (
        *("", "a dog", "a pink circle", "two circle", "one circles", "there are a star", "a red"),
        *("a circle to the left of", "five stars", "a star on a pink background", "a star and"),
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


@pytest.mark.parametrize("kind", ["colour", "shape", "size", "relation", "count", "background"])
def test_judge_refuses_one_changed_attribute(kind):
    assert _num_accepted(kind, num_pictures=60) == 0


def test_judge_refuses_swapped_colours():
    assert _num_accepted("swap", num_pictures=60) == 0


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
    for index in range(60):
        caption = WORLD.caption("trained", generator, grammar.TASKS[index % 6])
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


def test_judge_says_what_is_wrong():
    picture = WORLD.draw("a red star left of a blue ring", canvas_of("trained", 0), seeded(0))
    verdict = WORLD.judge(picture, "a red star right of a green ring", None)
    assert [name for name, is_met in verdict.items() if not is_met] == ["colour_2", "position"]


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
