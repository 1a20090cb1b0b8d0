"""Lumina-Image-2.0 and what was trained from it (Neta-Lumina): text in the same sequence.

`norm_final` is saved by the release and never used. The epsilon of q and k is 1e-5, as in diffusers
and in the release with apex.

Source: Alpha-VLLM/Lumina-Image-2.0, models/model.py; diffusers, Lumina2Transformer2DModel.
"""

from collections.abc import Mapping
from typing import Any

from lumina_core.backbone.families.layouts import Family, Layout
from lumina_core.backbone.families.names import (
    DIFFUSERS_BLOCK,
    DIFFUSERS_ENDS,
    MODULATION,
    NORMS,
    REFINERS,
    RELEASED_ENDS,
)
from lumina_core.backbone.settings import CONCATENATED, JOINT, BackboneConfig

SWITCHES = {
    "text": JOINT,
    "rope": CONCATENATED,
    "rope_theta": 10_000.0,
    "separators": False,
    "sandwich": True,
    "final_shift": False,
    "head_norm": True,
    "qk_norm_eps": 1e-5,
}
SINGLE = (*RELEASED_ENDS, *REFINERS, (r"\.attention\.wo\.", ".attention.out."), *NORMS)
"""From our names to those of a single file, as far as this family and Z-Image share them."""
DIFFUSERS = (
    (r"^inputs\.[^.]+", "x_embedder"),
    *DIFFUSERS_ENDS,
    (r"^text_refiners\.(\d+)\.attention_norm\.", r"context_refiner.\1.norm1."),
    *REFINERS,
    (r"\.attention\.w([qkv])\.", r".attn.to_\1."),
    (r"\.attention\.wo\.", ".attn.to_out.0."),
    (r"\.attention\.([qk])_norm\.", r".attn.norm_\1."),
    *DIFFUSERS_BLOCK,
)
FUSED = Layout(
    (*SINGLE, MODULATION),
    signature=("layers.0.attention.qkv.weight", "layers.0.adaLN_modulation.1.weight"),
    is_fused=True,
    unused=("norm_final.weight",),
)


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    width = 4 * config["hidden_size"]
    if config["ffn_dim_multiplier"] is not None:
        width = int(config["ffn_dim_multiplier"] * width)
    return {
        **SWITCHES,
        "channels": config["in_channels"],
        "patch_size": config["patch_size"],
        "hidden_size": config["hidden_size"],
        "depth": config["num_layers"],
        "refiners": config["num_refiner_layers"],
        "num_heads": config["num_attention_heads"],
        "num_kv_heads": config["num_kv_heads"],
        "text_dim": config["cap_feat_dim"],
        "conditioning_size": None,
        "ffn_size": -(-width // config["multiple_of"]) * config["multiple_of"],
        "norm_eps": config["norm_eps"],
        "rope_dims": tuple(config["axes_dim_rope"]),
    }


def _config(config: BackboneConfig, channels: int, patch_size: int) -> dict[str, Any]:
    return {
        "_class_name": "Lumina2Transformer2DModel",
        "sample_size": 128,
        "patch_size": patch_size,
        "in_channels": channels,
        "out_channels": None,
        "hidden_size": config.hidden_size,
        "num_layers": config.depth,
        "num_refiner_layers": config.refiners,
        "num_attention_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        # so the width is exactly that of the weights
        "multiple_of": config.ffn_dim,
        "ffn_dim_multiplier": config.ffn_dim / (4 * config.hidden_size),
        "norm_eps": config.norm_eps,
        "scaling_factor": 1.0,
        "axes_dim_rope": list(config.axis_dims),
        "axes_lens": [300, 512, 512],
        "cap_feat_dim": config.text_dim,
    }


LUMINA_IMAGE_2 = Family(
    name="lumina_image_2",
    switches=SWITCHES,
    layouts={
        "diffusers": Layout(
            DIFFUSERS,
            signature=("x_embedder.weight", "noise_refiner.0.attn.to_q.weight"),
        ),
        "comfyui": FUSED,
        "released": FUSED,
    },
    channels=16,
    diffusers_class="Lumina2Transformer2DModel",
    values_of_config=_values,
    config_of_values=_config,
    rope_dims=lambda head_dim: (head_dim // 3,) * 3,
)
