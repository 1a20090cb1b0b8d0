"""The sequence layout by hand, and pack with its exact inverse."""

import itertools
from dataclasses import replace

import pytest
import torch

from lumina_core.sequence import (
    NEXTFRAME,
    NEXTLINE,
    Grid,
    TokenSample,
    layout,
    pack,
    split_spans,
    unpack,
)

TOKEN_DIMS = {"image": 16, "sound": 3}
STEP = (0.5, 0.1, 0.2)


def grid(frames, rows, columns):
    return Grid(frames, rows, columns, step=STEP)


def sample(frames, rows, columns, modality="image", segments=None, seed=0):
    size = grid(frames, rows, columns)
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(size.num_patches, TOKEN_DIMS[modality], generator=generator)
    return TokenSample(modality, size, tokens, segments)


def random_samples(seed):
    """One to four samples of each of the modalities, up to 3 x 5 x 5 patches."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return int(torch.randint(low, high + 1, (), generator=generator))

    return [
        sample(draw(1, 3), draw(1, 5), draw(1, 5), modality, seed=draw(0, 10**6))
        for modality in TOKEN_DIMS
        for _ in range(draw(1, 4))
    ]


def test_layout_is_row_major_with_nextline_after_each_row():
    assert layout(grid(1, 2, 3), True).source.tolist() == [0, 1, 2, NEXTLINE, 3, 4, 5, NEXTLINE]


def test_layout_puts_nextframe_between_frames_only():
    expected = [0, 1, NEXTLINE, NEXTFRAME, 2, 3, NEXTLINE, NEXTFRAME, 4, 5, NEXTLINE]
    assert layout(grid(3, 1, 2), True).source.tolist() == expected


def test_layout_without_separators_is_the_patches():
    assert layout(grid(2, 2, 3), False).source.tolist() == list(range(12))


def test_layout_gives_a_separator_to_the_last_patch_before_it():
    owner = layout(grid(2, 2, 1), True).owner
    assert owner.tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3]


def test_num_positions_is_the_length_of_the_layout():
    for sizes in itertools.product((1, 2, 3, 5), (1, 2, 4), (1, 3, 7)):
        for separators in (True, False):
            size = grid(*sizes)
            assert size.num_positions(separators) == len(layout(size, separators).source)


def test_num_positions_of_a_1024_pixel_image_is_4160():
    side = 1024 // 8 // 2
    assert grid(1, side, side).num_positions(separators=True) == 4160


def test_grid_refuses_an_empty_axis():
    with pytest.raises(ValueError, match="at least one patch"):
        grid(1, 0, 3)


@pytest.mark.parametrize("separators", [True, False])
def test_coordinates_are_centred_and_a_step_apart(separators):
    size = grid(3, 4, 5)
    item = layout(size, separators)
    patches = item.coordinates[item.source >= 0].reshape(3, 4, 5, 5)[..., :3]
    torch.testing.assert_close(patches.mean(dim=(0, 1, 2)), torch.zeros(3), atol=1e-6, rtol=0)
    for axis, step in enumerate(STEP):
        between = patches.diff(dim=axis)
        expected = torch.zeros(3)
        expected[axis] = step
        torch.testing.assert_close(between, expected.expand_as(between))


def test_the_origin_moves_zero_to_the_beginning_of_an_axis():
    centred = Grid(2, 3, 4, (1.0, 0.5, 0.25))
    plain = layout(centred, separators=True).coordinates
    moved = layout(replace(centred, origin=(0.5, 0.0, 1.0)), separators=True).coordinates
    shift = torch.tensor([0.0, 3 / 2 * 0.5, -4 / 2 * 0.25, 3 / 2 * 0.5, -4 / 2 * 0.5])
    torch.testing.assert_close(moved - plain, shift.expand_as(plain))
    assert moved[0, 1] == 0.25  # half a step behind the beginning


def test_nextline_stands_one_column_behind_its_row():
    item = layout(grid(1, 2, 3), True)
    for position in torch.nonzero(item.source == NEXTLINE).flatten().tolist():
        moved = item.coordinates[position] - item.coordinates[position - 1]
        torch.testing.assert_close(moved, torch.tensor([0.0, 0.0, STEP[2], 0.0, STEP[2]]))


def test_nextframe_stands_one_row_and_one_column_behind_its_frame():
    item = layout(grid(2, 2, 3), True)
    (position,) = torch.nonzero(item.source == NEXTFRAME).flatten().tolist()
    last_patch = item.coordinates[position - 2]
    moved = item.coordinates[position] - last_patch
    torch.testing.assert_close(moved, torch.tensor([0.0, STEP[1], STEP[2], STEP[2], STEP[2]]))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("separators", [True, False])
def test_unpack_inverts_pack(seed, separators):
    samples = random_samples(seed)
    batch = pack(samples, separators=separators)
    for item, tokens in zip(samples, unpack(batch), strict=True):
        assert torch.equal(item.tokens, tokens)
    assert batch.lengths == tuple(s.grid.num_positions(separators) for s in samples)
    assert batch.element_counts.tolist() == [s.tokens.numel() for s in samples]


@pytest.mark.parametrize("seed", range(5))
def test_pack_places_every_sample_as_if_alone(seed):
    samples = random_samples(seed)
    batch = pack(samples, separators=True)
    num_patches = sum(s.grid.num_patches for s in samples)
    first = 0
    parts = zip(
        samples,
        batch.source.split(batch.lengths),
        batch.coordinates.split(batch.lengths),
        batch.sequence_index.split(batch.lengths),
        strict=True,
    )
    for item, source, coordinates, index in parts:
        alone = layout(item.grid, True)
        is_patch = alone.source >= 0
        assert torch.equal(source[is_patch], alone.source[is_patch] + first)
        assert (source[alone.source == NEXTLINE] == num_patches).all()
        assert (source[alone.source == NEXTFRAME] == num_patches + 1).all()
        assert torch.equal(coordinates, alone.coordinates)
        assert index.tolist() == list(range(len(source)))
        first += item.grid.num_patches


def test_content_index_finds_the_patches_in_order():
    batch = pack(random_samples(seed=3), separators=True)
    assert torch.equal(batch.source[batch.content_index], torch.arange(len(batch.content_index)))


def test_split_spans_gives_each_modality_its_matrix():
    samples = [sample(1, 2, 2), sample(1, 1, 3), sample(1, 4, 1, "sound")]
    image, sound = split_spans(pack(samples, separators=True))
    assert torch.equal(image, torch.cat([samples[0].tokens, samples[1].tokens]))
    assert torch.equal(sound, samples[2].tokens)


def test_pack_numbers_segments_over_the_batch():
    frames = sample(2, 1, 2, segments=torch.tensor([0, 0, 1, 1]))
    batch = pack([sample(1, 1, 1), frames, sample(1, 1, 1, "sound")], separators=True)
    # patch, line | patch, patch, line, frame, patch, patch, line | patch, line
    assert batch.segment_index.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3]
    assert batch.segment_sample.tolist() == [0, 1, 1, 2]
    assert (batch.num_samples, batch.num_segments) == (3, 4)


def test_with_state_replaces_the_state_only():
    batch = pack(random_samples(seed=1), separators=True)
    before = batch.state.clone()
    other = batch.with_state(batch.state + 1)
    assert torch.equal(other.state, before + 1)
    assert torch.equal(batch.state, before)
    assert other.source is batch.source


def test_with_state_refuses_another_shape():
    batch = pack([sample(1, 1, 1)], separators=True)
    with pytest.raises(ValueError, match=r"\(15,\), expected \(16,\)"):
        batch.with_state(torch.zeros(15))


def test_to_moves_every_tensor_and_forgets_what_was_cached():
    batch = pack([sample(2, 2, 2)], separators=True)
    assert batch.element_counts.device.type == "cpu"
    moved = batch.to(torch.device("meta"))
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert "element_counts" not in vars(moved)
    assert moved.element_counts.device.type == "meta"


def test_pack_refuses_an_empty_batch():
    with pytest.raises(ValueError, match="at least one sample"):
        pack([], separators=True)


def test_pack_refuses_modalities_that_are_not_grouped():
    samples = [sample(1, 1, 1), sample(1, 1, 1, "sound"), sample(1, 1, 1)]
    with pytest.raises(ValueError, match="must stand together"):
        pack(samples, separators=True)


def test_pack_refuses_tokens_that_do_not_fit():
    too_many = TokenSample("image", grid(1, 2, 2), torch.zeros(5, 16))
    with pytest.raises(ValueError, match=r"\(5, 16\), expected \(4, 16\)"):
        pack([too_many], separators=True)
    other_dim = TokenSample("image", grid(1, 2, 2), torch.zeros(4, 15))
    with pytest.raises(ValueError, match=r"\(4, 15\), expected \(4, 16\)"):
        pack([sample(1, 1, 1), other_dim], separators=True)


@pytest.mark.parametrize("segments", [[0, 0], [0, 0, -1]])
def test_pack_refuses_segments_that_do_not_fit(segments):
    with pytest.raises((ValueError, TypeError), match="segments"):  # TypeError: the shape checker
        pack([sample(1, 1, 3, segments=torch.tensor(segments))], separators=True)


def test_the_common_scale_moves_only_the_common_axes():
    plain, scaled = (
        layout(grid(1, 2, 3), True),
        layout(replace(grid(1, 2, 3), common_scale=2.0), True),
    )
    assert torch.equal(scaled.coordinates[:, :3], plain.coordinates[:, :3])
    assert torch.equal(scaled.coordinates[:, 3:], 2 * plain.coordinates[:, 3:])


def test_a_position_limit_holds_what_lies_beyond_on_the_axes_of_the_step():
    whole = Grid(1, 4, 3, step=(0.0, 2.0, 1.0), origin=(0.5, 0.0, 0.5))  # rows at 1, 3, 5 and 7
    plain, held = layout(whole, True), layout(replace(whole, position_limit=4.0), True)
    assert torch.equal(held.coordinates[:, 1], plain.coordinates[:, 1].clamp(max=4.0))
    assert held.coordinates[:, 1].unique().tolist() == [1.0, 3.0, 4.0]
    assert torch.equal(held.coordinates[:, [0, 2, 3, 4]], plain.coordinates[:, [0, 2, 3, 4]])
    both = Grid(1, 5, 1, step=(0.0, 1.0, 1.0), position_limit=1.5)  # zero is in the middle
    rows = layout(both, False).coordinates[:, 1]
    assert rows.tolist() == [-1.5, -1.0, 0.0, 1.0, 1.5]


@pytest.mark.parametrize(
    ("rows", "columns", "scale"), [(16, 4, 0.75), (4, 16, 0.75), (12, 4, 1.0), (4, 4, 1.0)]
)
def test_a_grid_shrinks_to_its_longest_side_and_never_grows(rows, columns, scale):
    stretched = Grid(1, rows, columns, step=(1.0, 8 / rows, 8 / columns))
    assert stretched.shrunk(24.0) == replace(stretched, common_scale=scale)
    assert stretched.shrunk(24.0).shrunk(24.0) == stretched.shrunk(24.0)
