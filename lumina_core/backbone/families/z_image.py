"""Z-Image and Z-Image-Turbo: text in the same sequence, both filled up with learned pads.

Source: Tongyi-MAI/Z-Image as in diffusers, ZImageTransformer2DModel, and its single files.
"""

from collections.abc import Mapping
from typing import Any

from lumina_core.backbone.families.layouts import Family, Layout
from lumina_core.backbone.families.lumina_image_2 import SINGLE
from lumina_core.backbone.families.lumina_image_2 import SWITCHES as LUMINA_SWITCHES
from lumina_core.backbone.families.names import NORMS, REFINERS, RELEASED_ENDS
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.errors import LuminaError

SWITCHES = {
    **LUMINA_SWITCHES,
    "rope_theta": 256.0,
    "text_start": 1,
    "pad_multiple": 32,
    "modulation_silu": False,
    "time_size": 1024,
    "time_scale": 1000.0,
}
PADS = ((r"^token_pad$", "x_pad_token"), (r"^text_pad$", "cap_pad_token"))
MODULATION = (r"\.modulation\.", ".adaLN_modulation.0.")
DIFFUSERS = (
    (r"^inputs\.[^.]+", "all_x_embedder.2-1"),
    (r"^outputs\.[^.]+", "all_final_layer.2-1.linear"),
    (r"^final_modulation", "all_final_layer.2-1.adaLN_modulation.1"),
    *RELEASED_ENDS,
    *REFINERS,
    (r"\.attention\.w([qkv])\.", r".attention.to_\1."),
    (r"\.attention\.wo\.", ".attention.to_out.0."),
    (r"\.attention\.([qk])_norm\.", r".attention.norm_\1."),
    MODULATION,
    *PADS,
    *NORMS,
)
MAX_CONDITION = 256  # the width of time and adaLN: min(dim, 256)


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    sides = list(config["all_patch_size"]), list(config["all_f_patch_size"])
    if sides != ([2], [1]):
        raise LuminaError(
            f"all_patch_size and all_f_patch_size are {sides[0]} and {sides[1]}; this version "
            "reads [2] and [1]"
        )
    if config["siglip_feat_dim"] is not None:
        raise LuminaError("it reads pictures as well as text (siglip_feat_dim); text alone is read")
    return {
        **SWITCHES,
        "channels": config["in_channels"],
        "patch_size": 2,
        "hidden_size": config["dim"],
        "depth": config["n_layers"],
        "refiners": config["n_refiner_layers"],
        "num_heads": config["n_heads"],
        "num_kv_heads": config["n_kv_heads"],
        "text_dim": config["cap_feat_dim"],
        "conditioning_size": min(config["dim"], MAX_CONDITION),
        "ffn_size": int(config["dim"] / 3 * 8),
        "norm_eps": config["norm_eps"],
        "qk_norm": config["qk_norm"],
        "head_norm": config["qk_norm"],
        "qk_norm_eps": 1e-5 if config["qk_norm"] else None,
        "rope_theta": config["rope_theta"],
        "rope_dims": tuple(config["axes_dims"]),
        "time_scale": config["t_scale"],
    }


def _config(config: BackboneConfig, channels: int, patch_size: int) -> dict[str, Any]:
    return {
        "_class_name": "ZImageTransformer2DModel",
        "all_patch_size": [patch_size],
        "all_f_patch_size": [1],
        "in_channels": channels,
        "dim": config.hidden_size,
        "n_layers": config.depth,
        "n_refiner_layers": config.refiners,
        "n_heads": config.num_heads,
        "n_kv_heads": config.kv_heads,
        "norm_eps": config.norm_eps,
        "qk_norm": config.qk_norm,
        "cap_feat_dim": config.text_dim,
        "siglip_feat_dim": None,
        "rope_theta": config.rope_theta,
        "t_scale": config.time_scale,
        "axes_dims": list(config.axis_dims),
        "axes_lens": [1024, 512, 512],
    }


Z_IMAGE = Family(
    name="z_image",
    switches=SWITCHES,
    layouts={
        "diffusers": Layout(
            DIFFUSERS,
            signature=("all_x_embedder.2-1.weight", "layers.0.attention.to_q.weight"),
        ),
        "comfyui": Layout(
            (*SINGLE, MODULATION, *PADS),
            signature=("x_embedder.weight", "x_pad_token", "layers.0.attention.qkv.weight"),
            is_fused=True,
            unused=("norm_final.weight",),
        ),
    },
    channels=16,
    diffusers_class="ZImageTransformer2DModel",
    values_of_config=_values,
    config_of_values=_config,
    rope_dims=lambda head_dim: (head_dim // 4, head_dim * 3 // 8, head_dim * 3 // 8),
)
