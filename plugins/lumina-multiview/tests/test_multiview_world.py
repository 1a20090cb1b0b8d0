"""The promises of the multi-view world, measured: the oracle accepts what is drawn, little else."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.lexicon import spoken
from lumina_multiview import grammar, oracle
from lumina_multiview.grammar import Scene, caption_of, is_held_out, parse
from lumina_multiview.renderer import BACKGROUND
from lumina_multiview.sentences import SENTENCES
from lumina_multiview.wordings import plain
from lumina_multiview.world import SCALES, MultiviewWorld

WORLD = MultiviewWorld()
CUBE = "a cube, red in front and blue behind"
MAX_WORDS = 150  # of all captions of training: each must be learned from few samples
MAX_PARSE_SECONDS = 0.05
OLD_CAPTIONS = {
    "a turntable of an l-shape green in front and blue behind": "front_back l-shape green blue",
    "a cylinder with a white front and an orange back": "front_back cylinder white orange",
    "there is a pyramid white in front and red behind": "front_back pyramid white red",
    "views of a cone with an orange front and a purple back": "front_back cone orange purple",
    "a sphere with a blue top and a red bottom": "top_bottom sphere blue red",
    "a turntable of a pyramid with a red top and a yellow bottom": "top_bottom pyramid red yellow",
    "an l-shape purple at the top and orange at the bottom": "top_bottom l-shape purple orange",
    "there is a cube with an orange top and a green bottom": "top_bottom cube orange green",
    "views of a sphere red on the left and yellow on the right": "left_right sphere red yellow",
    "a cone with a white left half and a green right half": "left_right cone white green",
    "a turntable of an L-shape, blue on the left and white on the right.": (
        "left_right l-shape blue white"
    ),
    "there is a cube with an orange left half and a red right half": "left_right cube orange red",
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def cameras(azimuths, elevation=20.0, height=48, width=48):
    elevations = (elevation,) * len(azimuths)
    return SimpleNamespace(
        height=height, width=width, angles=tuple(map(float, azimuths)), elevations=elevations
    )


def even(count, **values):
    return cameras([360 * number / count for number in range(count)], **values)


def cameras_of(split, index):
    variants = WORLD.variants(split)
    variant = dict(variants[(7 * index) % len(variants)])
    count = variant.pop("views", None)
    azimuths = variant.pop("azimuths", None)
    return cameras(azimuths, **variant) if azimuths else even(count, **variant)


def drawn(split, count, seed):
    """Captions of every task in turn, with cameras and views at every variant in turn."""
    for index in range(count):
        generator = seeded(1000 * seed + index)
        caption = WORLD.caption(split, generator, grammar.TASKS[index % len(grammar.TASKS)])
        seen_from = cameras_of(split, index)
        yield caption, seen_from, WORLD.draw(caption, seen_from, generator)


def views_of(caption, seen_from, seed=0):
    return WORLD.draw(caption, seen_from, seeded(seed))


def is_right(views, caption, seen_from):
    return all(WORLD.judge(views, caption, seen_from).values())


@pytest.mark.parametrize("split", WORLD.splits)
@pytest.mark.parametrize("task", grammar.TASKS)
def test_every_caption_parses_back_to_its_scene(split, task):
    for seed in range(60):
        scene = WORLD.sample_scene(seeded(seed), split, task)
        caption = caption_of(scene, seeded(seed), unseen=split == "unseen_wordings")
        assert parse(caption) == scene, caption
        assert parse(f" {caption.upper()}. ") == scene
        assert WORLD.task_of(caption) == task


def test_parse_reads_the_prompt_of_the_readme():
    scene = parse(CUBE)
    assert scene == Scene("front_back", "cube", ("red", "blue"))
    assert not is_held_out(scene)


@pytest.mark.parametrize(("caption", "said"), OLD_CAPTIONS.items())
def test_captions_of_the_first_version_mean_what_they_meant(caption, said):
    task, shape, *colours = said.split()
    assert parse(caption) == Scene(task, shape, tuple(colours))


@pytest.mark.parametrize(
    ("prompt", "scene"),
    [
        ("a ball", Scene("one_colour", "sphere", (None,))),
        ("Show me a 3D model of a red cube!", Scene("one_colour", "cube", ("red",))),
        ("small green tube", Scene("one_colour", "cylinder", ("green",), "small")),
        ("the big blue l shape", Scene("one_colour", "l-shape", ("blue",), "large")),
        ("a rotating white l-shaped block", Scene("one_colour", "l-shape", ("white",))),
        ("an L-shaped solid which is all green", Scene("one_colour", "l-shape", ("green",))),
        ("a red cube with a yellow back", Scene("front_back", "cube", ("red", "yellow"))),
        ("a red cube with a yellow front", Scene("front_back", "cube", ("yellow", "red"))),
        ("a box, blue at the back and red at the front", parse("a box red in front blue behind")),
        ("a cube: the front is red and the back is blue", parse(CUBE)),
        ("a cube that is red in front, and blue behind.", parse(CUBE)),
        ("a cone with a green top", Scene("top_bottom", "cone", ("green", None))),
        ("a cube with a yellow back", Scene("front_back", "cube", (None, "yellow"))),
        ("a half red half blue cube", Scene("left_right", "cube", ("red", "blue"))),
        ("a tiny red and white ball", Scene("left_right", "sphere", ("red", "white"), "small")),
        ("a cone, left side red, right side white", Scene("left_right", "cone", ("red", "white"))),
        ("please draw me one big red box", Scene("one_colour", "cube", ("red",), "large")),
        ("a cube that is large and red", Scene("one_colour", "cube", ("red",), "large")),
        ("a cube that's red everywhere", Scene("one_colour", "cube", ("red",))),
        ("Cylinder in violet please", Scene("one_colour", "cylinder", ("purple",))),
        ("a box that's red in front but blue at the rear", parse(CUBE)),
        ("this is a solid cube whose front is red and back is blue", parse(CUBE)),
        ("the back of this cube is blue and its front is red", parse(CUBE)),
        ("blue behind, red in front: a cube", parse(CUBE)),
        ("a cube with a red front, the rest blue", parse(CUBE)),
        ("a two-colored cube, red and blue", Scene("left_right", "cube", ("red", "blue"))),
        ("a photo of an orange box from all sides", Scene("one_colour", "cube", ("orange",))),
        ("a cone in green, big", Scene("one_colour", "cone", ("green",), "large")),
        ("a thing shaped like an L, red", Scene("one_colour", "l-shape", ("red",))),
        ("walk around a blue cube, not too big", Scene("one_colour", "cube", ("blue",))),
        ("a cube, half red half blue, front and back", parse(CUBE)),
        ("a red and blue cube, from front to back", parse(CUBE)),
        ("a red cube with a blue back and red front", parse(CUBE)),
        ("the front of the cube is red, behind it is blue", parse(CUBE)),
        ("two-coloured cube: front red, back blue", parse(CUBE)),
        ("a cone with a green tip", Scene("top_bottom", "cone", ("green", None))),
        ("a cube, red and blue", Scene("left_right", "cube", ("red", "blue"))),
        ("a cube split into red and blue", Scene("left_right", "cube", ("red", "blue"))),
    ],
)
def test_parse_reads_what_people_type(prompt, scene):
    assert parse(prompt) == scene
    assert WORLD.nearest(prompt) is None


def test_captions_of_training_use_few_words_and_half_of_them_are_plain():
    assert len(WORLD.vocabulary()) < MAX_WORDS
    trained = [WORLD.caption("trained", seeded(s)) for s in range(1000)]
    plain = sum(caption == caption_of(parse(caption), None) for caption in trained)
    assert plain >= 0.5 * len(trained)


def test_no_sentence_of_training_reads_an_unseen_wording():
    trained = replace(SENTENCES, unseen={})
    for seed in range(1000):
        caption = WORLD.caption("unseen_wordings", seeded(seed))
        assert not list(trained.readings(plain(spoken(caption)))), caption


@pytest.mark.parametrize("sentences", [SENTENCES.trained, SENTENCES.unseen])
def test_every_meaning_has_several_sentences_and_an_unseen_one(sentences):
    assert sentences.keys() == SENTENCES.trained.keys()
    least = 1 if sentences is SENTENCES.unseen else 3
    assert all(len(set(several)) >= least for several in sentences.values())


@pytest.mark.parametrize(
    "caption",
    (
        *("", "red", "a red cat", "two red cubes", "a dog red in front and blue behind"),
        *("a red cube with a blue back and green front", "a red cube with a red back"),
        *("a red and red cube", "a small small cube"),
        *("a cube red in front and red behind", "a cube red in front and blue on the right"),
        "a cube red at the top and blue behind",
        *("a small red cube that is large", "a tall red cylinder", "a half sphere in yellow"),
        *("a cube between two balls", "a red cone standing on a blue cylinder", "a dark red cube"),
    ),
)
def test_parse_refuses_what_is_no_caption_and_names_it(caption):
    with pytest.raises(LuminaError, match=f"'{caption}' is no caption of the multi-view world"):
        parse(caption)


@pytest.mark.parametrize(
    "part",
    (
        *("a red cube and ", "a cube red in front and blue ", "show me a picture of ", "that is "),
        *("a cube with a red front and a ", "one half ", "the left side is red and ", "red "),
    ),
)
def test_parse_of_a_long_text_takes_little_time(part):
    parse(CUBE)  # compiles the sentences
    start = time.process_time()
    with pytest.raises(LuminaError):
        parse((part * 500)[:500])
    assert time.process_time() - start < MAX_PARSE_SECONDS


def test_no_caption_can_be_read_in_two_ways():
    for seed in range(1000):
        caption = WORLD.caption(("trained", "unseen_wordings")[seed % 2], seeded(seed))
        readings = SENTENCES.readings(plain(spoken(caption)))
        assert len({grammar.scene_of(reading) for reading in readings} - {None}) <= 1, caption


def test_unknown_splits_and_tasks_are_refused():
    for call in (WORLD.tasks, WORLD.variants):
        with pytest.raises(LuminaError, match="no split 'other'; choose one of trained"):
            call("other")
    with pytest.raises(LuminaError, match="'other' has no captions in the split 'trained'"):
        WORLD.caption("trained", seeded(0), "other")


def test_held_out_captions_and_no_others_name_a_held_out_combination():
    for split in WORLD.splits:
        found = [is_held_out(parse(WORLD.caption(split, seeded(s)))) for s in range(200)]
        assert all(found) if split == "held_out" else not any(found)
    assert {shape for _, shape in grammar.HELD_OUT_PAIRS} == set(grammar.SHAPES)


def test_unseen_splits_have_cameras_that_training_has_not():
    trained = WORLD.variants("trained")
    counts = {variant["views"] for variant in trained if "views" in variant}
    lists = {variant["azimuths"] for variant in trained if "azimuths" in variant}
    assert 2 * len([v for v in trained if "azimuths" in v]) == len(trained)
    assert not counts & {variant["views"] for variant in WORLD.variants("unseen_views")}
    unseen = {variant["azimuths"] for variant in WORLD.variants("unseen_azimuths")}
    assert len(unseen) > 30
    assert not lists & unseen


@pytest.mark.worlds
def test_views_are_as_large_and_many_as_asked_and_the_same_every_time():
    for split in WORLD.splits:
        for index in range(len(WORLD.variants(split))):
            seen_from = cameras_of(split, index)
            first, again = (views_of(CUBE, seen_from, 3) for _ in range(2))
            assert first.shape == (len(seen_from.angles), 3, seen_from.height, seen_from.width)
            assert torch.equal(first, again)


def test_a_view_depends_on_its_camera_alone():
    whole, some = views_of(CUBE, even(8)), views_of(CUBE, cameras([90, 0]))
    assert torch.equal(some, whole[[2, 0]])


def test_azimuth_90_shows_the_right_side():
    (view,) = views_of("a cube red on the left and blue on the right", cameras([90], 0.0))
    assert colours_at(view, (24, 24)) == "blue"
    (view,) = views_of(CUBE, cameras([90], 0.0))
    assert [colours_at(view, (24, column)) for column in (18, 30)] == ["red", "blue"]


def test_elevation_shows_the_top():
    caption = "a cube white at the top and red at the bottom"
    shares = []
    for elevation in (-40.0, 0.0, 40.0):
        (view,) = views_of(caption, cameras([0], elevation))
        words = oracle.read_view(view.numpy())
        shares.append((words == grammar.COLOURS.index("white")).sum() / (words >= 0).sum())
    assert shares[0] < 0.45 < shares[1] < 0.55 < shares[2]


def colours_at(view, place):
    return grammar.COLOURS[oracle.read_view(view.numpy())[place]]


def test_large_views_are_drawn_in_bands_that_fit_together():
    small, large = (views_of(CUBE, cameras([30], height=s, width=s)) for s in (60, 300))
    means = large.float().unflatten(3, (60, 5)).unflatten(2, (60, 5)).mean(dim=(3, 5))
    assert (means - small.float()).abs().mean() < 1.5


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_accepts_what_was_drawn(split):
    verdicts = [is_right(views, caption, where) for caption, where, views in drawn(split, 60, 3)]
    assert sum(verdicts) >= 0.98 * len(verdicts)


def test_judge_forgives_noise_and_one_wrong_view_of_eight():
    seen_from = even(8)
    views = views_of(CUBE, seen_from)
    noise = 12 * torch.randn(views.shape, generator=seeded(0))
    noisy = (views + noise).clamp(0, 255).to(torch.uint8)
    assert is_right(noisy, CUBE, seen_from)
    views[3] = views[7]
    assert is_right(views, CUBE, seen_from)
    agreeing = oracle.agreement(views, CUBE, seen_from.angles, seen_from.elevations)
    assert agreeing == [number != 3 for number in range(8)]


@pytest.mark.parametrize(
    ("caption", "wrong"),
    [
        ("a cube red in front and green behind", "colours"),
        ("a cube red on the left and blue on the right", "consistency"),
        ("a cube blue in front and red behind", "consistency"),
        ("a cylinder red in front and blue behind", "shape"),
        ("a cube red at the top and blue at the bottom", "consistency"),
        ("a red cube", "consistency"),
        ("a blue cube", "consistency"),
        ("a green cube", "colours"),
    ],
)
def test_judge_refuses_one_changed_attribute(caption, wrong):
    seen_from = even(6)
    verdict = WORLD.judge(views_of(caption, seen_from), CUBE, seen_from)
    assert not verdict[wrong]


@pytest.mark.parametrize(
    ("caption", "asked", "wrong"),
    [
        ("a yellow ball", "a red ball", "colours"),
        ("a ball white at the bottom and red at the top", "a red ball", "colours"),
        ("a ball red in front and white behind", "a ball", "colours"),
        ("a ball red in front and white behind", "a red ball with a green back", "colours"),
        ("a red cone", "a cone with a red top", "consistency"),
        ("a cone red at the bottom and blue at the top", "a cone with a red top", "consistency"),
        ("a small red cube", "a large red cube", "size"),
        ("a large red cube", "a small red cube", "size"),
        ("a red cube", "a small red cube", "size"),
        ("a red cube", "a large red cube", "size"),
    ],
)
def test_judge_refuses_what_one_colour_a_half_or_a_size_does_not_say(caption, asked, wrong):
    seen_from = even(6)
    verdict = WORLD.judge(views_of(caption, seen_from), asked, seen_from)
    assert not verdict[wrong]


def test_a_colour_that_a_caption_leaves_open_is_any_that_makes_no_held_out_combination():
    seen_from = even(4, height=32, width=32)
    for caption, colours in {
        "a cube": {"red", "green", "blue", "yellow", "orange", "white"},
        "a cube with a green back": {"red", "yellow", "orange", "white"},
    }.items():
        scene, found = parse(caption), set()
        for open_one in grammar.filled(scene):
            assert not is_held_out(open_one)
            found.add(open_one.colours[0])
            views = views_of(caption_of(open_one, None), seen_from)
            assert is_right(views, caption, seen_from)
        assert found == colours
    assert grammar.filled(parse(CUBE)) == (parse(CUBE),)
    assert len({views_of("a cube", seen_from, s)[0, :, 16, 16].argmax() for s in range(9)}) > 1


def test_sizes_are_drawn_apart_and_the_oracle_cuts_in_the_gaps():
    small, plain, large = (SCALES[size] for size in ("small", None, "large"))
    assert small[1] < oracle.SCALES["small"][1] < plain[0] <= plain[1]
    assert plain[1] < oracle.SCALES["large"][0] < large[0]


@pytest.mark.worlds
@pytest.mark.parametrize("split", WORLD.splits)
def test_judge_refuses_the_views_of_another_caption(split):
    others = [caption for caption, _, _ in drawn(split, 60, seed=4)]
    verdicts = [
        is_right(views, other, seen_from)
        for other, (caption, seen_from, views) in zip(others, drawn(split, 60, 5), strict=True)
        if not may_be(parse(other), parse(caption))
    ]
    assert not any(verdicts)


@pytest.mark.worlds
def test_judge_refuses_every_change_of_one_attribute():
    for caption, seen_from, _ in drawn("trained", 16, 6):
        scene = grammar.filled(parse(caption))[0]
        views = views_of(caption_of(scene, None), seen_from)
        for other in changed(scene):
            assert not is_right(views, caption_of(other, None), seen_from), (scene, other)


def changed(scene):
    """Scenes that differ in one thing from one of which all is said."""
    yield from (replace(scene, shape=shape) for shape in grammar.SHAPES if shape != scene.shape)
    yield from (replace(scene, size=size) for size in grammar.SIZES if size != scene.size)
    for place, colour in enumerate(scene.colours):
        for other in set(grammar.COLOURS) - set(scene.colours):
            colours = [other if n == place else each for n, each in enumerate(scene.colours)]
            yield replace(scene, colours=tuple(colours))
        if len(scene.colours) > 1:
            yield replace(scene, task="one_colour", colours=(colour,))
    if len(scene.colours) == 1:
        other = "white" if scene.colours[0] == "red" else "red"
        yield from (replace(scene, task=t, colours=(*scene.colours, other)) for t in grammar.HALVES)
    else:
        yield replace(scene, colours=scene.colours[::-1])
        yield from (replace(scene, task=task) for task in grammar.HALVES if task != scene.task)


def may_be(asked, shown):
    """Whether views of a scene may show what another one asks for, which leaves more open."""
    if (asked.task, asked.shape) != (shown.task, shown.shape):
        return False
    pairs = zip(asked.colours, shown.colours, strict=True)
    is_alike = all(None in pair or len(set(pair)) == 1 for pair in pairs)
    return is_alike and asked.size in (None, shown.size)


@pytest.mark.parametrize("turn", [40.0, 90.0, 180.0])
def test_judge_refuses_an_object_that_is_turned(turn):
    for caption in (CUBE, "an l-shape white on the left and red on the right"):
        seen_from = even(8)
        turned = cameras([azimuth + turn for azimuth in seen_from.angles])
        assert not is_right(views_of(caption, turned), caption, seen_from)


def test_judge_refuses_an_object_that_does_not_turn_and_one_that_turns_backwards():
    seen_from = even(8)
    views = views_of(CUBE, seen_from)
    assert not is_right(views[:1].expand(8, -1, -1, -1).contiguous(), CUBE, seen_from)
    assert not is_right(views.flip(0).roll(1, 0), CUBE, seen_from)


@pytest.mark.parametrize("size", [20, 300])
def test_judge_refuses_an_object_of_another_size(size):
    seen_from = even(4, height=100, width=100)
    views = views_of(CUBE, seen_from)
    padded = torch.tensor(BACKGROUND, dtype=torch.uint8)[:, None, None].repeat(4, 1, 300, 300)
    if size < 100:
        padded[:, :, 100:200, 100:200] = views
        assert not WORLD.judge(padded, CUBE, even(4, height=300, width=300))["size"]
    else:
        near = views[:, :, 22:78, 22:78].contiguous()
        assert not WORLD.judge(near, CUBE, even(4, height=56, width=56))["size"]


def test_judge_refuses_views_of_nothing_and_the_wrong_number():
    seen_from = even(4)
    views = views_of(CUBE, seen_from)
    nothing = torch.full_like(views, 30)
    random = torch.randint(0, 256, views.shape, dtype=torch.uint8, generator=seeded(1))
    assert not is_right(nothing, CUBE, seen_from)
    assert not is_right(random, CUBE, seen_from)
    assert not is_right(views[:3], CUBE, seen_from)
    views[2] = 30
    assert WORLD.judge(views, CUBE, seen_from)["views"] is False
    assert oracle.agreement(views, CUBE, seen_from.angles, seen_from.elevations)[2] is False
