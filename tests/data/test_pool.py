import pytest
import torch

from lumina_core import LuminaError
from lumina_core.data import synthetic
from lumina_core.data.pool import CaptionedSample, LatentPool
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.synthetic import (
    SyntheticPool,
    draw_captions,
    draw_variant,
    longest_sample,
    training_variants,
)
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


def test_a_vocabulary_misses_no_word_of_the_world(tiny_model, small_vocabulary, monkeypatch):
    def words(captions):
        return {word for caption in captions for word in caption.split()}

    pool = pool_at(tiny_model)
    others = words(pool.captions(small_vocabulary, seeded(8)))
    assert words(pool.vocabulary_captions(seeded(7))) >= others
    monkeypatch.setattr(synthetic, "NUM_VOCABULARY_CAPTIONS", small_vocabulary)
    captions = pool.vocabulary_captions(seeded(7))
    assert len(captions) == small_vocabulary >= 4000
    assert words(captions) >= others


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


@pytest.mark.parametrize("separators", [True, False])
def test_batch_fills_the_budget_and_never_passes_it(tiny_model, separators):
    pool = pool_at(tiny_model, 0)
    longest = longest_sample(tiny_model.modality, pool.variants(), separators)
    for seed in range(20):
        picked, _ = pool.batch(seeded(seed), 300, separators)
        total = sum(item.tokens.grid.num_positions(separators) for item in picked)
        assert 300 - longest < total <= 300


def test_batch_depends_on_its_generator_alone(tiny_model):
    pool = pool_at(tiny_model, 0)

    def captions(seed):
        return [item.caption for item in pool.batch(seeded(seed), 300, True)[0]]

    assert captions(1) == captions(1)
    assert len({tuple(captions(seed)) for seed in range(8)}) > 1


def test_batch_larger_than_the_pool_repeats_it(tiny_model):
    pool = pool_at(tiny_model, 0)
    picked, _ = pool.batch(seeded(0), 5000, True)
    assert len(picked) > 6
    assert {item.caption for item in picked} == {item.caption for item in pool._samples}


def test_a_sample_longer_than_the_budget_is_refused(tiny_model):
    with pytest.raises(LuminaError, match="token_budget=5 is shorter than one sample"):
        pool_at(tiny_model, 0).batch(seeded(0), 5, True)


class SquaresPool(LatentPool):
    """Sample n is a square of 8, 16 or 32 tokens along each side, each equally common."""

    def draw(self, number):
        side = (8, 16, 32)[number % 3]
        tokens = torch.full((side * side, 1), float(number))
        return CaptionedSample(
            TokenSample("image", Grid(1, side, side, (1.0, 1.0, 1.0)), tokens), "x"
        )

    held_out = captions = vocabulary_captions = variants = summary = None


def numbers_of(batch):
    return [int(sample.tokens.tokens[0]) for sample in batch]


@pytest.mark.parametrize("refresh", [0, 3])
@pytest.mark.parametrize("budget", [1200, 4096])
def test_samples_of_every_length_are_trained_on_as_often_as_they_are_drawn(budget, refresh):
    pool, carried = SquaresPool(60, refresh), None
    counts = {64: 0, 256: 0, 1024: 0}
    for step in range(6000 * 1200 // budget):
        pool.advance(step)
        batch, carried = pool.batch(seeded(7, step), budget, False, carried=carried)
        for sample in batch:
            counts[sample.tokens.grid.num_patches] += 1
    shares = {length: count / sum(counts.values()) for length, count in counts.items()}
    # three standard deviations of about 13,000 draws; dropping gives 0.44, 0.37 and 0.19
    assert shares == pytest.approx(dict.fromkeys(shares, 1 / 3), abs=0.0125)


@pytest.mark.parametrize("refresh", [0, 6])
def test_the_sample_that_does_not_fit_begins_the_next_batch(refresh):
    pool, carried = SquaresPool(6, refresh), None
    for step in range(20):
        before = carried
        pool.advance(step)
        batch, carried = pool.batch(seeded(step), 1100, False, carried=before)
        assert before in (None, numbers_of(batch)[0])  # also where the pool has moved on
        total = sum(sample.tokens.grid.num_patches for sample in batch)
        assert total + pool.draw(carried).tokens.grid.num_patches > 1100


def test_a_carried_sample_that_is_gone_is_passed_over():
    pool = SquaresPool(6, 0)
    pool.advance(0)
    whole, _ = pool.batch(seeded(1), 1100, False)
    pool.draw = lambda number: None
    assert numbers_of(pool.batch(seeded(1), 1100, False, carried=99)[0]) == numbers_of(whole)


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
