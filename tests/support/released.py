"""Networks of released families in tests: read from tensors, and random weights without a zero."""

import torch

from lumina_core.backbone.families.layouts import backbone_of, config_of, values_of_shapes
from lumina_core.backbone.families.registry import FAMILIES


def read(family, layout, weights, *, modality="image", channels=None, **changes):
    """A backbone of stored tensors, its sizes from their shapes; `changes` are settings."""
    family = FAMILIES[family]
    layout = family.layouts[layout]
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    config = config_of(values_of_shapes(family, layout, shapes) | changes, modality)
    return backbone_of(weights, config, layout, channels or family.channels, "the file")


@torch.no_grad()
def randomise(module, seed=0, std=0.08):
    """Redraw every weight, none zero: a fresh network answers exactly 0 whatever is asked."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in module.named_parameters():
        is_scale = "norm" in name and weight.ndim == 1 and name.endswith("weight")
        weight.copy_(torch.randn(weight.shape, generator=generator) * std + is_scale)
    return module.eval()
