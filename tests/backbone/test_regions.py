"""Texts for parts of a sample: each position reads its own, whatever stands beside it."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from lumina_core.backbone.block import Attention, Run
from lumina_core.backbone.regions import Regions, readers_of
from lumina_core.backbone.rope import positions_of, rope_tables, rotate, table_at
from lumina_core.backbone.settings import NO_SCALING, BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.sequence import Grid, TokenSample

TEXT_DIM = 12
FAMILIES = {
    "flag_dit": {"rope": "sequence", "separators": True},
    "next_dit": {"rope": "alternating", "separators": False, "sandwich": True, "num_kv_heads": 2},
}
families = pytest.mark.parametrize("family", FAMILIES)


def backbone(family, depth=2):
    config = BackboneConfig(
        token_dims={"image": 6}, hidden_size=32, depth=depth, text_dim=TEXT_DIM, **FAMILIES[family]
    )
    model = Backbone(config).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_scale = "norm" in name and name.endswith("weight")
            weight.normal_(float(is_scale), 0.3, generator=generator)
    return model


def samples(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        TokenSample("image", grid, torch.randn(grid.num_patches, 6, generator=generator))
        for grid in (Grid(1, rows, columns, step=(0.5, 1.0, 1.0)) for rows, columns in sizes)
    ]


def texts(*lengths, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), TEXT_DIM, generator=generator).double(), list(lengths)


def by_column(batch, cut):
    """Text 0 left of a column, text 1 from it on, for every sample alike."""
    return (batch.index[:, 2] >= cut).long()


def velocity(model, batch, text, regions):
    context = model.prepare(batch, *text, regions=regions)
    time = torch.full((batch.num_segments,), 0.4).double()
    with torch.no_grad():
        return model(batch, time, context)


@families
def test_attention_is_that_of_a_mask_over_all_texts(family):
    model = backbone(family)
    batch = model.pack(samples((4, 6)))
    text, lengths = texts(3, 5, 2)
    text_of = (batch.index[:, 1] * 7 + batch.index[:, 2]) % 3
    config, module = model.config, model.blocks[0].attention
    tables = rope_tables(positions_of(batch, config.rope), config, NO_SCALING)
    table = table_at(tables, torch.zeros(len(text_of)))
    x = torch.randn(len(text_of), 32, generator=torch.Generator().manual_seed(3)).double()
    run = Run(batch.lengths, None, tables, None, tuple(lengths), "sdpa")
    keys, values = module.text_keys_values(text)
    with torch.no_grad():
        found = module(x, table, replace(run, readers=readers_of(text_of, 3)), (keys, values))
        alone = Attention(replace(config, text="label", num_classes=1)).double()
        alone.load_state_dict(module.state_dict(), strict=False)
        q = rotate(module._normed(module.q_norm, module.wq(x)), table)
        of_key = torch.arange(3).repeat_interleave(torch.tensor(lengths))
        mask = text_of[:, None] == of_key
        heads = config.num_heads // config.kv_heads
        k, v = (each.repeat_interleave(heads, 1).transpose(0, 1) for each in (keys, values))
        cross = scaled_dot_product_attention(q.transpose(0, 1), k, v, mask).transpose(0, 1)
        wanted = alone(x, table, run, None) + module.wo(
            (torch.tanh(module.gate)[:, None] * cross).flatten(1)
        )
    assert found.std() > 0.1
    torch.testing.assert_close(found, wanted)


@families
def test_equal_texts_in_all_regions_are_one_text(family):
    model = backbone(family)
    batch = model.pack(samples((4, 6)))
    text, lengths = texts(5)
    regions = Regions(by_column(batch, 2), text, (5,))
    twice = torch.cat([text, text]), [5, 5]
    plain = velocity(model, batch, (text, lengths), None)
    assert plain.std() > 0.1
    torch.testing.assert_close(velocity(model, batch, twice, regions), plain)


@families
def test_a_text_reaches_the_positions_of_its_region_alone(family):
    model = backbone(family, depth=1)  # in one block nothing passes on from region to region
    batch = model.pack(samples((4, 6)))
    text, lengths = texts(5, 3)
    pooled = texts(4, seed=9)
    regions = Regions(by_column(batch, 2), pooled[0], (4,))
    before = velocity(model, batch, (text, lengths), regions)
    other = torch.cat([text[:5], texts(3, seed=7)[0]])
    after = velocity(model, batch, (other, lengths), regions)
    is_changed = (before != after).unflatten(0, (-1, 6)).any(-1)
    is_right = by_column(batch, 2)[batch.content_index].bool()
    assert torch.equal(is_changed, is_right)
    one = Regions(torch.zeros_like(regions.text_of), pooled[0], (4,))
    whole = velocity(model, batch, (text[:5], [5]), one).unflatten(0, (-1, 6))
    torch.testing.assert_close(before.unflatten(0, (-1, 6))[~is_right], whole[~is_right])


@families
def test_the_pooled_caption_reaches_every_position(family):
    model = backbone(family)
    batch = model.pack(samples((3, 4)))
    text, text_of = texts(5, 3), by_column(batch, 2)
    first, second = (
        velocity(model, batch, text, Regions(text_of, texts(4, seed=seed)[0], (4,)))
        for seed in (8, 9)
    )
    assert (first != second).all()


@families
def test_samples_with_other_numbers_of_regions_share_a_batch(family):
    model = backbone(family)
    one, two = samples((4, 6), (3, 2))
    text, lengths = texts(5, 3, 4)
    pooled, pooled_lengths = texts(2, 6, seed=9)
    first, second = model.pack([one]), model.pack([two])
    cells = by_column(first, 2), torch.zeros(sum(second.lengths), dtype=torch.long)
    together = Regions(torch.cat([cells[0], cells[1] + 2]), pooled, tuple(pooled_lengths))
    found = velocity(model, model.pack([one, two]), (text, lengths), together)
    apart = [
        velocity(model, first, (text[:8], [5, 3]), Regions(cells[0], pooled[:2], (2,))),
        velocity(model, second, (text[8:], [4]), Regions(cells[1], pooled[2:], (6,))),
    ]
    torch.testing.assert_close(found, torch.cat(apart))


@pytest.mark.parametrize(("text_of", "num_texts"), [([0, 0, 2], 3), ([0, 1, 2], 2)])
def test_every_text_is_read_and_every_read_text_is_there(text_of, num_texts):
    with pytest.raises(ValueError, match=f"each of {num_texts} texts is read somewhere"):
        readers_of(torch.tensor(text_of), num_texts)


def test_regions_need_cross_attention():
    config = BackboneConfig(
        token_dims={"image": 6},
        hidden_size=32,
        text_dim=TEXT_DIM,
        text="joint",
        rope="concatenated",
        rope_dims=(4, 2, 2),
        separators=False,
    )
    model = Backbone(config).double()
    batch = model.pack(samples((2, 2)))
    text, lengths = texts(3)
    regions = Regions(torch.zeros(4, dtype=torch.long), text, (3,))
    with pytest.raises(ValueError, match="regions need text=cross"):
        model.prepare(batch, text, lengths, regions=regions)
