"""Reads the released weights of lumina_t2i, a Flag-DiT from text to image, into our backbone.

Works on a dictionary of tensors; it opens no file, so no pickle either. Width, depth, heads and
switches follow from the shapes and names of the weights. RoPE scaling is not read: in the released
model it belongs to the constructor, here to the call (`Backbone.prepare`).

Departures: `pad_token` is dropped, since sequences are packed. The released model has no
[nextframe]; it becomes a copy of [nextline], the one separator that the trained network knows, so
that the first training on frames starts from an input it has met instead of from noise. With one
frame it is never read.

Source: Alpha-VLLM/Lumina-T2X, lumina_t2i/models/model.py (class DiT_Llama).
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.errors import LuminaError

_RENAMES = (  # ours -> released; a name meets one of the first group, then the second group
    (r"^inputs\.[^.]+", "x_embedder"),
    (r"^outputs\.[^.]+", "final_layer.linear"),
    (r"^final_modulation", "final_layer.adaLN_modulation.1"),
    (r"^time_embedding\.hidden", "t_embedder.mlp.0"),
    (r"^time_embedding\.out", "t_embedder.mlp.2"),
    (r"^pooled_norm", "cap_embedder.0"),
    (r"^pooled_linear", "cap_embedder.1"),
    (r"^nextline$", "eol_token"),
    (r"^blocks", "layers"),
    (r"\.modulation\.", ".adaLN_modulation.1."),
    (r"\.attention\.text_norm\.", ".attention_y_norm."),
    (r"\.text_wk\.", ".wk_y."),
    (r"\.text_wv\.", ".wv_y."),
    (r"\.text_k_norm\.", ".ky_norm."),
)
_DROPPED = "pad_token"
_NEW = "nextframe"
_INPUT = "x_embedder.weight"
_OUTPUT = "final_layer.linear"
_SHOWN = 3  # names of keys in a message; it stays one line


def load_flag_dit(
    state_dict: Mapping[str, Tensor],
    *,
    modality: str = "image",
    in_channels: int = 4,
    patch_size: int = 2,
    rope_theta: float = 10_000.0,
    norm_eps: float = 1e-5,
) -> Backbone:
    """A backbone with the released weights; what no shape tells is an argument.

    Args:
        state_dict: tensors under their released names. The backbone may share their memory.
        modality: to which the input and output projections belong.
        in_channels: channels of the latent.
        patch_size: latent cells along each side of a patch.
        rope_theta: base of the rotary frequencies, before NTK scaling.
        norm_eps: epsilon of the norms.

    Returns:
        The backbone in float32, which takes the tokens of `PatchTokenizer`.

    Raises:
        LuminaError: a key is missing, unexpected or of the wrong shape, or the channels and the
            patch do not fit.
    """
    token_dim = in_channels * patch_size**2
    width = _tensor(state_dict, _INPUT).shape[-1]
    if width != token_dim:
        raise LuminaError(
            f"{_INPUT} reads {width} elements per patch, but in_channels={in_channels} and "
            f"patch_size={patch_size} give {token_dim}; pass those of the trained model"
        )
    config = _config(state_dict, modality, token_dim, rope_theta=rope_theta, norm_eps=norm_eps)
    with torch.device("meta"):
        model = Backbone(config)
    ours = model.state_dict()
    released = {_released_name(name): name for name in ours if name != _NEW}
    _check_names(state_dict, released)
    for key, name in released.items():
        if state_dict[key].shape != ours[name].shape:
            raise LuminaError(
                f"{key} has shape {list(state_dict[key].shape)}, expected {list(ours[name].shape)} "
                "from the shapes of the other weights"
            )
    weights = {
        name: _patch_order(key, state_dict[key], patch_size, config.learn_sigma).float()
        for key, name in released.items()
    }
    if config.separators:
        weights[_NEW] = weights["nextline"].clone()
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def _config(
    state_dict: Mapping[str, Tensor],
    modality: str,
    token_dim: int,
    *,
    rope_theta: float,
    norm_eps: float,
) -> BackboneConfig:
    def rows(key: str) -> int:
        return _tensor(state_dict, key).shape[0]

    hidden_size, num_heads = rows(_INPUT), rows("layers.0.attention.gate")
    num_outputs = rows(f"{_OUTPUT}.weight")
    if num_outputs not in (token_dim, 2 * token_dim):
        raise LuminaError(
            f"{_OUTPUT}.weight has {num_outputs} rows, expected {token_dim}, or "
            f"{2 * token_dim} with learn_sigma"
        )
    multiple_of, ffn_dim_multiplier = _ffn_rule(
        hidden_size, rows("layers.0.feed_forward.w1.weight")
    )
    return BackboneConfig(
        token_dims={modality: token_dim},
        hidden_size=hidden_size,
        depth=len({key.split(".")[1] for key in state_dict if key.startswith("layers.")}),
        num_heads=num_heads,
        num_kv_heads=rows("layers.0.attention.wk.weight") * num_heads // hidden_size,
        text_dim=rows("cap_embedder.0.weight"),
        conditioning_size=rows("t_embedder.mlp.0.weight"),
        multiple_of=multiple_of,
        ffn_dim_multiplier=ffn_dim_multiplier,
        norm_eps=norm_eps,
        qk_norm="layers.0.attention.q_norm.weight" in state_dict,
        learn_sigma=num_outputs == 2 * token_dim,
        separators="eol_token" in state_dict,
        rope="sequence",
        rope_theta=rope_theta,
        rope_dims=None,
        initial_gate=0.0,
    )


def _ffn_rule(hidden_size: int, width: int) -> tuple[int, float | None]:
    """multiple_of and ffn_dim_multiplier from which BackboneConfig.ffn_dim is exactly `width`.

    The original pair cannot be known (many give one width), and is not needed: with `multiple_of`
    = width every number from 1 to width is rounded up to width. The multiplier brings the
    unscaled number into that range where it is larger; int() may lose 1 there, which is harmless.
    """
    unscaled = int(2 * 4 * hidden_size / 3)  # as in BackboneConfig.ffn_dim
    return width, None if unscaled <= width else width / unscaled


def _tensor(state_dict: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state_dict:
        raise LuminaError(_names_message([key], []))
    return state_dict[key]


def _released_name(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _check_names(state_dict: Mapping[str, Tensor], released: Mapping[str, str]) -> None:
    missing = [key for key in released if key not in state_dict]
    unexpected = [key for key in state_dict if key not in released and key != _DROPPED]
    if missing or unexpected:
        raise LuminaError(_names_message(missing, unexpected))


def _names_message(missing: list[str], unexpected: list[str]) -> str:
    parts = []
    for label, keys in (("missing", missing), ("unexpected", unexpected)):
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        if keys:
            parts.append(f"{label}: {', '.join(keys[:_SHOWN])}{more}")
    return (
        f"the weights are not those of a lumina_t2i Flag-DiT ({'; '.join(parts)}); "
        "other released models are not read"
    )


def _patch_order(key: str, weight: Tensor, patch_size: int, learn_sigma: bool) -> Tensor:
    """Reorder the elements of a patch; every other weight is as it was.

    Released: input (channel, row, column); output (row, column, channel), its channels the velocity
    and then sigma. Ours: (row, column, channel) for both, sigma after the whole velocity.
    """
    if key == _INPUT:
        pattern = "hidden (c ph pw) -> hidden (ph pw c)"
        return rearrange(weight, pattern, ph=patch_size, pw=patch_size)
    if key.startswith(_OUTPUT):
        pattern = "(ph pw half c) ... -> (half ph pw c) ..."
        half = 2 if learn_sigma else 1
        return rearrange(weight, pattern, ph=patch_size, pw=patch_size, half=half)
    return weight
