import pytest
import torch

from lumina_core import LuminaError
from lumina_core.data import synthetic
from lumina_core.data.pool import LatentPool
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.data.synthetic import (
    SyntheticPool,
    draw_captions,
    draw_variant,
    longest_sample,
    training_variants,
)
from lumina_core.modality import World
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample


def pool_at(model, *steps, seed=5, size=6, refresh=2, start=None):
    pool = SyntheticPool(
        "image",
        model.modality,
        SyntheticConfig(size, start or size, refresh),
        seed,
    )
    for step in steps:
        pool.advance(step)
    return pool


def contents(pool):
    return [(item.caption, item.tokens) for item in pool._samples]


def are_equal(first, second):
    return len(first) == len(second) and all(
        a[0] == b[0] and a[1].grid == b[1].grid and torch.equal(a[1].tokens, b[1].tokens)
        for a, b in zip(first, second, strict=True)
    )


def test_pool_depends_on_seed_and_step_alone(tiny_model):
    fresh = contents(pool_at(tiny_model, 5))
    assert are_equal(fresh, contents(pool_at(tiny_model, 0, 5)))
    assert are_equal(fresh, contents(pool_at(tiny_model, 0, 1, 2, 3, 4, 5)))
    assert not are_equal(fresh, contents(pool_at(tiny_model, 5, seed=6)))


def test_pool_is_renewed_a_few_at_a_time(tiny_model):
    before, after = contents(pool_at(tiny_model, 0)), contents(pool_at(tiny_model, 1))
    assert len(before) == len(after) == 6
    assert are_equal(before[2:], after[:4])


def test_a_vocabulary_holds_the_words_that_the_world_tells(tiny_model):
    (words,) = pool_at(tiny_model).vocabulary_captions(seeded(7))
    assert words.split() == sorted(tiny_model.modality.world.vocabulary())


def test_a_vocabulary_is_drawn_where_the_world_tells_no_words(
    tiny_model, small_vocabulary, monkeypatch
):
    monkeypatch.setattr(type(tiny_model.modality.world), "vocabulary", World.vocabulary)
    captions = pool_at(tiny_model).vocabulary_captions(seeded(7))
    assert len(captions) == synthetic.NUM_VOCABULARY_CAPTIONS <= small_vocabulary
    assert len(set(captions)) > 1


def test_pool_that_is_not_refreshed_stays(tiny_model):
    fixed = contents(pool_at(tiny_model, 0, refresh=0))
    assert are_equal(fixed, contents(pool_at(tiny_model, 9, refresh=0)))


@pytest.mark.parametrize("refresh", [0, 1, 3])
def test_a_pool_grows_by_a_quarter_of_its_start_until_it_is_the_one_that_began_full(refresh):
    def numbers_at(step, start, *before):
        pool = SquaresPool(16, refresh, start)
        for each in (*before, step):
            pool.advance(each)
        return [int(sample.tokens.tokens[0]) for sample in pool._samples]

    for step in range(9):
        size = min(16, 8 + 2 * step)
        expected = list(range(step * refresh, step * refresh + size))
        assert numbers_at(step, 8) == expected  # as a resumed run has it
        assert numbers_at(step, 8, *range(step)) == expected
        assert numbers_at(step, 8, step // 2) == expected
    assert numbers_at(4, 8) == numbers_at(4, None)
    assert len(numbers_at(4, 7)) == 11  # by a whole number, at least 1
    assert len(numbers_at(4, 2)) == 6


def test_a_pool_draws_at_a_step_what_the_step_needs_and_tells_how_many_wait(capsys):
    drawn = []

    class Counting(SquaresPool):
        def draw(self, number):
            drawn.append(number)
            return super().draw(number)

    pool = Counting(2048, 4, 64)
    for step in range(4):
        pool.advance(step)
    assert drawn == list(range(64 + 3 * (16 + 4)))
    assert capsys.readouterr().err == "note: encoding 64 samples before step 1\n"
    Counting(2048, 4, 64).advance(500)
    assert capsys.readouterr().err == "note: encoding 2,048 samples before step 501\n"


def test_drawing_leaves_the_global_generator_alone(tiny_model):
    before = torch.get_rng_state()
    pool_at(tiny_model, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_a_step_picks_every_sample_at_hand_before_one_again():
    pool = SquaresPool(6, 2)
    pool.advance(3)
    numbers = pool.numbers(3, 0)
    for _ in range(4):
        assert sorted(next(numbers) for _ in range(6)) == list(range(6, 12))


def test_the_order_of_a_step_follows_from_seed_and_step():
    def order(step, seed=1):
        pool = SquaresPool(40, 0, seed=seed)
        pool.advance(step)
        numbers = pool.numbers(step, 7)
        return [next(numbers) for _ in range(60)]

    assert order(1) == order(1)
    assert len({tuple(order(step)) for step in range(4)}) == 4
    assert order(1) != order(1, seed=2)


@pytest.mark.parametrize("separators", [True, False])
def test_a_pool_knows_how_long_its_samples_are(separators):
    pool = SquaresPool(3, 0, separators=separators)
    pool.advance(0)
    found = [pool.num_positions(number) for number in range(3)]
    assert found == [side * side + separators * side for side in (8, 16, 32)]


def test_a_sample_that_the_pool_has_left_behind_is_drawn_once_more():
    pool, drawn = SquaresPool(3, 3), []
    pool.advance(1)
    draw = pool.draw
    pool.draw = lambda number: drawn.append(number) or draw(number)
    assert (pool.num_positions(1), int(pool.get(1).tokens.tokens[0])) == (256 + 16, 1)
    assert drawn == [1]


class SquaresPool(LatentPool):
    """Sample n is a square of 8, 16 or 32 tokens along each side, each equally common."""

    def draw(self, number):
        side = (8, 16, 32)[number % 3]
        tokens = torch.full((side * side, 1), float(number))
        return CaptionedSample(
            TokenSample("image", Grid(1, side, side, (1.0, 1.0, 1.0)), tokens), "x"
        )

    held_out = captions = vocabulary_captions = variants = summary = None


def test_longest_sample_is_the_largest_variant(tiny_model):
    # 112x112 pixels, latents of 28x28, patches of 2x2, one separator behind each of fourteen rows
    variants = training_variants(tiny_model.modality)
    assert longest_sample(tiny_model.modality, variants, True) == 14 * 14 + 14
    assert longest_sample(tiny_model.modality, variants, False) == 14 * 14


def test_samples_of_more_tokens_than_wanted_are_never_drawn(tiny_model):
    found = training_variants(tiny_model.modality, 36)  # of 8 x 8 pixels
    every = tiny_model.modality.world.variants("trained")
    assert found == [v for v in every if v["height"] * v["width"] <= 36 * 64]
    assert len(found) < len(every)
    config = SyntheticConfig(8, 8, 0, max_tokens=36)
    pool = SyntheticPool("image", tiny_model.modality, config, seed=1)
    assert pool.variants() == found
    assert max(pool.draw(n).tokens.grid.num_patches for n in range(20)) <= 36
    with pytest.raises(LuminaError, match="max_tokens=3 leaves nothing to draw; the smallest"):
        training_variants(tiny_model.modality, 3)


def test_variants_and_captions_are_those_of_training(tiny_model):
    world, options = tiny_model.modality.world, tiny_model.modality.options
    sizes = [(v["height"], v["width"]) for v in world.variants("trained")]
    drawn = {
        (o.height, o.width)
        for o in (
            draw_variant(world.variants("trained"), options, seeded(seed)) for seed in range(600)
        )
    }
    assert drawn == set(sizes)
    for caption in draw_captions(tiny_model.modality, 20, seeded(0)):
        world.task_of(caption)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 0), "data.pool_size is 0"),
        ((4, 1, 5), "data.refresh_per_step=5"),
        ((4, 1, -1), "data.refresh_per_step is -1"),
        ((4, 0, 1), "data.pool_start is 0; set a whole number of at least 1"),
        ((4, 1, 1, "synthetic", 0), "data.max_tokens is 0"),
    ],
)
def test_impossible_pools_are_refused(values, message):
    with pytest.raises(LuminaError, match=message):
        SyntheticConfig(*values)
