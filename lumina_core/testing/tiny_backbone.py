"""A backbone that is as small as it can be, for rules about batches."""

import torch

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.runtime import seeded
from lumina_core.sequence import TokenSample, pack, unpack

TEXT_DIM = 16


def tiny_backbone(token_dims: dict[str, int], features: dict[str, int]) -> Backbone:
    """A tiny backbone whose every weight matters: none is left at zero."""
    config = BackboneConfig(
        hidden_size=32,
        depth=1,
        num_heads=2,
        num_kv_heads=None,
        token_dims=token_dims,
        feature_dims=features,
        text_dim=TEXT_DIM,
        conditioning_size=16,
        multiple_of=8,
        ffn_dim_multiplier=None,
        norm_eps=1e-5,
        qk_norm=True,
        learn_sigma=False,
        separators=True,
        rope="axial",
        rope_theta=100.0,
        rope_dims=(4, 4, 4, 2, 2),
        initial_gate=0.5,
    )
    backbone = Backbone(config).eval()
    generator = seeded(11)
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return backbone.requires_grad_(False)


def velocity_of(backbone: Backbone, items: list[TokenSample]) -> list[torch.Tensor]:
    """The velocity of each sample at t = 0.5 with a text of two tokens."""
    batch = pack(items, separators=True)
    features = torch.randn(2, TEXT_DIM, generator=seeded(12)).repeat(len(items), 1)
    context = backbone.prepare(batch, features, [2] * len(items))
    time = torch.full((len(items),), 0.5)
    velocity = backbone(batch, batch.segment_time(time), context)
    return list(unpack(batch.with_state(velocity)))
