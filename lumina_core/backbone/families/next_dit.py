"""Next-DiT from text to image (Lumina-Next) and from a class of ImageNet.

Norms before and after each layer, gates through tanh, and positions of rows and columns. diffusers
stores the query of the text apart, which the release shares with self-attention.

Source: Alpha-VLLM/Lumina-T2X, lumina_next_t2i/models/model.py (class NextDiT) and
Next-DiT-ImageNet/models/models.py; diffusers, LuminaNextDiT2DModel.
"""

from collections.abc import Mapping
from typing import Any

from lumina_core.backbone.families.flag_dit import SWITCHES, T2X, T2X_INPUT, T2X_OUTPUT
from lumina_core.backbone.families.layouts import Family, Layout
from lumina_core.backbone.families.names import DIFFUSERS_BLOCK, DIFFUSERS_ENDS, NORMS
from lumina_core.backbone.settings import ALTERNATING, LABEL, BackboneConfig

NEXT_SWITCHES = {
    **SWITCHES,
    "rope": ALTERNATING,
    "separators": False,
    "sandwich": True,
    "final_shift": False,
}
DIFFUSERS = (
    (r"^inputs\.[^.]+", "patch_embedder.proj"),
    *DIFFUSERS_ENDS,
    (r"\.attention\.gate$", ".gate"),
    (r"\.attention\.text_norm\.", ".norm1_context."),
    (r"\.attention\.w([qkv])\.", r".attn1.to_\1."),
    (r"\.attention\.wo\.", ".attn2.to_out.0."),
    (r"\.attention\.([qk])_norm\.", r".attn1.norm_\1."),
    (r"\.attention\.text_w([kv])\.", r".attn2.to_\1."),
    (r"\.attention\.text_k_norm\.", ".attn2.norm_k."),
    *DIFFUSERS_BLOCK,
)


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **NEXT_SWITCHES,
        "channels": config["in_channels"],
        "patch_size": config["patch_size"],
        "hidden_size": config["hidden_size"],
        "depth": config["num_layers"],
        "num_heads": config["num_attention_heads"],
        "num_kv_heads": config["num_kv_heads"],
        "text_dim": config["cross_attention_dim"],
        "conditioning_size": None,
        "multiple_of": config["multiple_of"],
        "ffn_dim_multiplier": config["ffn_dim_multiplier"],
        "norm_eps": config["norm_eps"],
        "qk_norm": config["qk_norm"],
        "qk_norm_eps": 1e-5 if config["qk_norm"] else None,
        "learn_sigma": config["learn_sigma"],
    }


def _config(config: BackboneConfig, channels: int, patch_size: int) -> dict[str, Any]:
    return {
        "_class_name": "LuminaNextDiT2DModel",
        "sample_size": 128,
        "patch_size": patch_size,
        "in_channels": channels,
        "hidden_size": config.hidden_size,
        "num_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        # so the width is exactly that of the weights, whatever rule it came from
        "multiple_of": config.ffn_dim,
        "ffn_dim_multiplier": config.ffn_dim / int(8 * config.hidden_size / 3),
        "norm_eps": config.norm_eps,
        "learn_sigma": config.learn_sigma,
        "qk_norm": config.qk_norm,
        "cross_attention_dim": config.text_dim,
        "scaling_factor": 1.0,
    }


NEXT_DIT = Family(
    name="next_dit",
    switches=NEXT_SWITCHES,
    layouts={
        "diffusers": Layout(
            DIFFUSERS,
            signature=("patch_embedder.proj.weight", "layers.0.attn2.to_k.weight"),
            unused=("pad_token",),
            tied=((r"\.attn1\.(to_q|norm_q)\.", r".attn2.\1."),),
            input_patch=T2X_INPUT,
            output_patch=T2X_OUTPUT,
        ),
        "released": Layout(
            (*T2X, *NORMS),
            signature=("layers.0.attention_norm1.weight", "layers.0.attention.wk_y.weight"),
            unused=("pad_token",),
            input_patch=T2X_INPUT,
            output_patch=T2X_OUTPUT,
        ),
    },
    channels=4,
    diffusers_class="LuminaNextDiT2DModel",
    values_of_config=_values,
    config_of_values=_config,
)

NEXT_DIT_IMAGENET = Family(
    name="next_dit_imagenet",
    switches={
        **{key: value for key, value in NEXT_SWITCHES.items() if key != "initial_gate"},
        "text": LABEL,
        "final_shift": True,
        "pre_norm_weight": False,
    },
    layouts={
        "released": Layout(
            (
                *T2X,
                (r"^labels\.", "y_embedder.embedding_table."),
                (r"\.attention_post_norm\.", ".attention_norm."),
                (r"\.ffn_post_norm\.", ".ffn_norm."),
            ),
            signature=("y_embedder.embedding_table.weight", "layers.0.attention_norm.weight"),
            input_patch=T2X_INPUT,
            output_patch=T2X_OUTPUT,
        )
    },
    channels=4,
    num_heads=32,
)
