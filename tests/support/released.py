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


DEPTH, HEADS, FFN, CONDITION, CLASSES = 2, 32, 48, 20, 10
HIDDEN = 4 * HEADS  # alternating rows and columns need 4 channels per head


def class_weights():
    """Random weights of a tiny class-conditional Next-DiT under their released names."""
    shapes = {
        "x_embedder.weight": (HIDDEN, 16),
        "x_embedder.bias": (HIDDEN,),
        "t_embedder.mlp.0.weight": (CONDITION, 256),
        "t_embedder.mlp.0.bias": (CONDITION,),
        "t_embedder.mlp.2.weight": (CONDITION, CONDITION),
        "t_embedder.mlp.2.bias": (CONDITION,),
        "y_embedder.embedding_table.weight": (CLASSES + 1, CONDITION),
        "final_layer.linear.weight": (32, HIDDEN),
        "final_layer.linear.bias": (32,),
        "final_layer.adaLN_modulation.1.weight": (2 * HIDDEN, CONDITION),
        "final_layer.adaLN_modulation.1.bias": (2 * HIDDEN,),
    }
    for number in range(DEPTH):
        layer = f"layers.{number}."
        shapes |= {f"{layer}attention.{name}.weight": (HIDDEN, HIDDEN) for name in ("wq", "wk")}
        shapes |= {f"{layer}attention.{name}.weight": (HIDDEN, HIDDEN) for name in ("wv", "wo")}
        for name in ("q_norm", "k_norm"):
            shapes |= {f"{layer}attention.{name}.{kind}": (HIDDEN,) for kind in ("weight", "bias")}
        shapes |= {f"{layer}feed_forward.{name}.weight": (FFN, HIDDEN) for name in ("w1", "w3")}
        shapes[f"{layer}feed_forward.w2.weight"] = (HIDDEN, FFN)
        shapes[f"{layer}adaLN_modulation.1.weight"] = (4 * HIDDEN, CONDITION)
        shapes[f"{layer}adaLN_modulation.1.bias"] = (4 * HIDDEN,)
        shapes |= {f"{layer}{name}.weight": (HIDDEN,) for name in ("attention_norm", "ffn_norm")}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


@torch.no_grad()
def randomise(module, seed=0, std=0.08):
    """Redraw every weight, none zero: a fresh network answers exactly 0 whatever is asked."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in module.named_parameters():
        is_scale = "norm" in name and weight.ndim == 1 and name.endswith("weight")
        weight.copy_(torch.randn(weight.shape, generator=generator) * std + is_scale)
    return module.eval()
