"""RoPE depends on differences of positions, and scaling changes what its name says."""

import math

import pytest
import torch

from lumina_core.backbone.rope import positions_of, rope_tables, rotate, table_at
from lumina_core.backbone.settings import NO_SCALING, BackboneConfig, RopeScaling
from lumina_core.errors import LuminaError
from lumina_core.sequence import Grid, TokenSample, layout, pack

THETA = 100.0
SEQUENCE_DIMS = (8,)
AXIAL_DIMS = (4, 4, 8)


def batch(*sizes):
    """Samples of (frames, rows, columns), one unit between neighbours."""
    grids = [Grid(*size, step=(1.0, 1.0, 1.0)) for size in sizes]
    samples = [TokenSample("image", grid, torch.zeros(grid.num_patches, 1)) for grid in grids]
    return pack(samples, separators=True)


def tables_of(packed, dims=SEQUENCE_DIMS, theta=THETA, scaling=NO_SCALING):
    rope = "sequence" if len(dims) == 1 else "axial"
    config = BackboneConfig(
        hidden_size=sum(dims), num_heads=1, rope=rope, rope_dims=dims, rope_theta=theta
    )
    return rope_tables(positions_of(packed, rope), config, scaling)


def table(packed, dims=SEQUENCE_DIMS, theta=THETA, scaling=NO_SCALING):
    return tables_of(packed, dims, theta, scaling).early


def scores(packed, dims):
    """Dot products of one query and one key, rotated to every pair of positions."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, sum(dims), generator=generator)
    length = len(packed.source)
    rotations = table(packed, dims)
    rotated_q = rotate(q.expand(length, 1, -1), rotations)[:, 0]
    rotated_k = rotate(k.expand(length, 1, -1), rotations)[:, 0]
    return rotated_q @ rotated_k.T


def test_sequence_scores_depend_on_the_difference_of_positions():
    score = scores(batch((2, 2, 3)), SEQUENCE_DIMS)
    for offset in range(1 - len(score), len(score)):
        diagonal = score.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))


def test_axial_scores_depend_on_the_difference_of_coordinates():
    packed = batch((2, 3, 3))
    score = scores(packed, AXIAL_DIMS)
    difference = packed.coordinates[:, None] - packed.coordinates[None]
    seen = {}
    for i in range(len(score)):
        for j in range(len(score)):
            value = seen.setdefault(tuple(difference[i, j].tolist()), score[i, j])
            torch.testing.assert_close(score[i, j], value, atol=1e-4, rtol=1e-4)
    assert len(seen) > len(score)


def test_sequence_angle_is_position_times_frequency():
    packed = batch((1, 2, 2), (1, 1, 3))
    positions = torch.tensor([0.0, 1, 2, 3, 4, 5, 0, 1, 2, 3])
    frequencies = torch.tensor([THETA ** (-2 * i / 8) for i in range(4)])
    angle = positions[:, None] * frequencies
    torch.testing.assert_close(table(packed)[:, 0].real, angle.cos())
    torch.testing.assert_close(table(packed)[:, 0].imag, angle.sin())


def test_axial_angle_takes_each_axis_from_its_own_coordinate():
    packed = batch((2, 2, 3))
    parts = []
    for axis, dim in enumerate(AXIAL_DIMS):
        frequencies = torch.tensor([THETA ** (-2 * i / dim) for i in range(dim // 2)])
        parts.append(packed.coordinates[:, axis, None] * frequencies)
    angle = torch.cat(parts, dim=1)
    torch.testing.assert_close(table(packed, AXIAL_DIMS)[:, 0].real, angle.cos())
    torch.testing.assert_close(table(packed, AXIAL_DIMS)[:, 0].imag, angle.sin())


def test_axial_may_leave_an_axis_out():
    packed = batch((1, 2, 3))
    whole, without = table(packed, AXIAL_DIMS), table(packed, (0, 4, 8))
    assert torch.equal(without, whole[..., 2:])


def test_rotate_turns_adjacent_pairs():
    a, b, angle = 3.0, -2.0, 0.7
    rotation = torch.polar(torch.ones(1, 1, 1), torch.full((1, 1, 1), angle))
    expected = [
        a * math.cos(angle) - b * math.sin(angle),
        a * math.sin(angle) + b * math.cos(angle),
    ]
    rotated = rotate(torch.tensor([[[a, b]]]), rotation)
    torch.testing.assert_close(rotated, torch.tensor([[expected]]))


def test_rotate_keeps_dtype_and_computes_in_float32():
    packed = batch((1, 4, 4))
    x = torch.randn(len(packed.source), 2, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    rotated = rotate(x, table(packed))
    assert rotated.dtype == torch.bfloat16
    assert torch.equal(rotated, rotate(x.float(), table(packed)).bfloat16())


def test_linear_scaling_divides_positions():
    packed = batch((1, 4, 4))
    scaled = table(packed, scaling=RopeScaling(linear=2.0, ntk=1.0, watershed=None))
    torch.testing.assert_close(scaled[::2], table(packed)[: len(scaled[::2])])


def test_ntk_scaling_multiplies_theta():
    packed = batch((1, 4, 4))
    scaled = table(packed, scaling=RopeScaling(linear=1.0, ntk=3.0, watershed=None))
    assert torch.equal(scaled, table(packed, theta=3 * THETA))


def test_without_watershed_both_scalings_act_at_every_time():
    packed = batch((1, 4, 4))
    scaling = RopeScaling(linear=2.0, ntk=3.0, watershed=None)
    tables = tables_of(packed, scaling=scaling)
    linear = RopeScaling(linear=2.0, ntk=1.0, watershed=None)
    expected = table(packed, theta=3 * THETA, scaling=linear)
    for time in (0.0, 0.5, 1.0):
        assert torch.equal(table_at(tables, torch.full((len(expected),), time)), expected)


@pytest.mark.parametrize("dims", [SEQUENCE_DIMS, AXIAL_DIMS])
def test_watershed_selects_by_the_time_of_each_position(dims):
    packed = batch((1, 2, 2), (1, 2, 2))
    scaling = RopeScaling(linear=2.0, ntk=3.0, watershed=0.4)
    tables = tables_of(packed, dims, scaling=scaling)
    linear = table(packed, dims, scaling=RopeScaling(linear=2.0, ntk=1.0, watershed=None))
    ntk = table(packed, dims, scaling=RopeScaling(linear=1.0, ntk=3.0, watershed=None))
    time = torch.tensor([0.0, 0.39, 0.41, 1.0, 0.2, 0.6] * 2)
    chosen = table_at(tables, time)
    early = time < 0.4
    assert torch.equal(chosen[early], linear[early])
    assert torch.equal(chosen[~early], ntk[~early])


def test_watershed_itself_is_late():
    packed = batch((1, 1, 1))
    scaling = RopeScaling(linear=2.0, ntk=3.0, watershed=0.5)
    tables = tables_of(packed, scaling=scaling)
    assert torch.equal(table_at(tables, torch.full((2,), 0.5)), tables.late)


def test_table_of_a_packed_sample_is_its_own():
    grid = Grid(1, 3, 2, step=(1.0, 1.0, 1.0))
    length = len(layout(grid, True).source)
    alone = batch((1, 3, 2))
    for dims in (SEQUENCE_DIMS, AXIAL_DIMS):
        packed = table(batch((2, 2, 5), (1, 3, 2)), dims)
        assert torch.equal(packed[-length:], table(alone, dims))


@pytest.mark.parametrize("key", ["linear", "ntk"])
def test_scaling_refuses_a_factor_that_is_not_positive(key):
    values = {"linear": 1.0, "ntk": 1.0, "watershed": None, key: 0.0}
    with pytest.raises(
        LuminaError, match=f"rope_scaling.{key} is 0.0; set a finite number above 0"
    ):
        RopeScaling(**values)
