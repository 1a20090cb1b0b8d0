"""Each weight of each family has one role, and adapters find the linear layers of a role."""

import pytest
import torch
from torch import nn

from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.roles import ROLES, check_roles, linear_layers, role_of
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError

SETTINGS = {
    "": {"num_heads": 2, "hidden_size": 64},
    "next_dit_imagenet": {"num_classes": 3},
    "lumina_image_2": {"rope_dims": (4, 4, 4), "refiners": 1},
    "z_image": {"rope_dims": (4, 4, 4), "refiners": 1},
}


def backbone_of(family):
    switches = FAMILIES[family].switches if family else {}
    sizes = {"token_dims": {"image": 16}, "hidden_size": 48, "depth": 1, "num_heads": 4}
    shape = {**sizes, "text_dim": 10, "feature_dims": {"image": 3}, **switches}
    with torch.device("meta"):
        return Backbone(BackboneConfig(**{**shape, **SETTINGS.get(family, {})}))


@pytest.mark.parametrize("family", ["", *FAMILIES])
def test_role_of_gives_each_weight_of_each_family_a_role(family):
    backbone = backbone_of(family)
    found = {name: role_of(name) for name in backbone.state_dict()}
    assert set(found.values()) <= set(ROLES)
    assert found["blocks.0.attention.wq.weight"] == "attention"
    assert found["blocks.0.feed_forward.w2.weight"] == "feed_forward"
    assert (
        found["blocks.0.modulation.bias"] == found["time_embedding.hidden.weight"] == "modulation"
    )
    assert found["inputs.image.weight"] == "projections"
    text = {name for name, role in found.items() if role == "text"}
    assert {name for name in found if "text" in name or "pooled" in name or "gate" in name} <= text


@pytest.mark.parametrize("family", ["", *FAMILIES])
def test_linear_layers_are_those_of_the_roles(family):
    backbone = backbone_of(family)
    linear = {name for name, m in backbone.named_modules() if isinstance(m, nn.Linear)}
    roles = {role_of(f"{name}.weight") for name in linear}
    assert sorted(linear_layers(backbone, [role for role in ROLES if role in roles])) == sorted(
        linear
    )
    blocks = 2 if family in ("lumina_image_2", "z_image") else 1  # with one refiner of tokens
    assert len(linear_layers(backbone, ["attention"])) == 4 * blocks


def test_a_role_that_the_network_lacks_is_refused():
    with pytest.raises(LuminaError, match=r"has norms, and this network has no linear layer"):
        linear_layers(backbone_of("z_image"), ["attention", "norms"])
    with pytest.raises(LuminaError, match=r"has text, .* choose among .*attention"):
        linear_layers(backbone_of("next_dit_imagenet"), ["text"])


def test_unknown_roles_are_refused_with_the_nearest():
    with pytest.raises(LuminaError, match=r"freeze has 'atention'; choose among .*'attention'"):
        check_roles("freeze", ["atention"], ROLES)
    with pytest.raises(LuminaError, match="each role once"):
        check_roles("freeze", ["text", "text"], ROLES)
