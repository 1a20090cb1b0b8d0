"""Each family computes what diffusers' own class computes, and every switch matters."""

import pytest
import torch
from released import randomise
from small_families import (
    SMALL,
    TIMES,
    TOKENIZER,
    TOLERANCE,
    answers,
    distance,
    inputs,
    original,
    read_small,
    small,
    velocities,
)

from lumina_core.backbone.families.layouts import config_of, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError
from lumina_core.sequence import TokenSample

pytest.importorskip("diffusers")
RELEASED = {
    "lumina_image_2": (dict(cap_feat_dim=2304), 2_609_769_152),
    "z_image": (dict(), 6_154_908_736),
    "next_dit": (dict(num_layers=24, num_kv_heads=8), 1_627_384_096),
}


@pytest.fixture(scope="module", params=SMALL)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def theirs(family):
    return small(family)


def test_velocity_is_that_of_diffusers(family, theirs):
    expected = answers(family, theirs)
    assert min(each.std() for each in expected) > 0.1
    assert distance(velocities(read_small(family, theirs)), expected) < TOLERANCE


SWITCHES = [
    ("lumina_image_2", {"text_start": 1, "rope_theta": 5.0}),
    ("lumina_image_2", {"qk_norm_eps": 1e-2}),
    ("lumina_image_2", {"norm_eps": 1e-2}),
    ("lumina_image_2", {"modulation_silu": False}),
    ("lumina_image_2", {"time_scale": 2.0}),
    ("lumina_image_2", {"rope_dims": (8, 2, 2)}),
    ("z_image", {"modulation_silu": True}),
    ("z_image", {"text_start": 0}),
    ("z_image", {"time_scale": 1.0}),
    ("z_image", {"rope_theta": 10_000.0}),
    ("z_image", {"rope_dims": (8, 2, 2)}),
    ("next_dit", {"rope": "sequence"}),
    ("next_dit", {"rope": "axial", "rope_dims": (4, 4, 4)}),
    ("next_dit", {"norm_eps": 1e-2}),
    ("next_dit", {"rope_theta": 5.0}),
]


@pytest.mark.parametrize(("name", "changes"), SWITCHES)
def test_another_switch_gives_another_velocity(name, changes):
    model = small(name)
    right, wrong = (velocities(read_small(name, model, **more)) for more in ({}, changes))
    assert distance(right, wrong) > 10 * TOLERANCE


def test_weights_tell_the_switches_that_change_their_shape(family, theirs):
    is_other = {"sandwich": False, "final_shift": True, "qk_norm": False, "pre_norm_weight": False}
    is_other["head_norm"] = family == "next_dit"
    for switch in is_other.items():
        with pytest.raises(LuminaError, match=r"tensors: |has shape"):
            read_small(family, theirs, **dict([switch]))


def test_released_sizes_have_the_released_tensors(family):
    sizes, num_parameters = RELEASED[family]
    own = FAMILIES[family]
    with torch.device("meta"):
        reference = original(family, **sizes)
        config = config_of(own.values_of_config(reference.config), "image")
        ours = Backbone(config)
    layout = own.layouts["diffusers"]
    wanted = {name: tuple(weight.shape) for name, weight in reference.state_dict().items()}
    found = {}
    for piece in pieces(config, layout, own.channels):
        found |= dict.fromkeys((piece.stored, *layout.twins(piece.stored)), piece.stored_shape)
    assert found == {name: shape for name, shape in wanted.items() if name not in layout.unused}
    unread = {*layout.unused} | {twin for name in wanted for twin in layout.twins(name)}
    count = sum(x.numel() for name, x in reference.named_parameters() if name not in unread)
    assert sum(x.numel() for x in ours.parameters()) == count == num_parameters


def test_settings_become_a_config_json_that_says_the_same(family):
    own = FAMILIES[family]
    for sizes in (SMALL[family], RELEASED[family][0]):
        with torch.device("meta"):
            reference = original(family, **sizes)
            config = config_of(own.values_of_config(reference.config), "image")
            written = own.config_of_values(config, reference.config.in_channels, 2)
            again = original(family, **{k: v for k, v in written.items() if k[0] != "_"})
        shapes = [{k: v.shape for k, v in x.state_dict().items()} for x in (reference, again)]
        assert shapes[0] == shapes[1]
        back = config_of(own.values_of_config(written), "image")
        assert (back.ffn_dim, back.axis_dims) == (config.ffn_dim, config.axis_dims)


def test_unequal_tied_weights_are_refused():
    model = randomise(original("next_dit", **SMALL["next_dit"]))
    with pytest.raises(LuminaError, match=r"attn2\.(norm_q|to_q)\S* differs from .*attn1"):
        read_small("next_dit", model)


def test_a_sample_does_not_depend_on_its_batch_mates(family, theirs):
    model = read_small(family, theirs)
    together = velocities(model)
    latents, texts = inputs()
    for latent, text, time, expected in zip(latents, texts, TIMES, together, strict=True):
        grid = TOKENIZER.grid(tuple(latent.shape))
        with torch.no_grad():
            batch = model.pack([TokenSample("image", grid, TOKENIZER.tokenize(latent))])
            context = model.prepare(batch, text, [len(text)])
            alone = model(batch, torch.tensor([time]), context)
        assert (TOKENIZER.tokenize(expected).flatten() - alone).abs().max() < TOLERANCE
