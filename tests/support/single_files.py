"""Weights of tiny diffusers transformers as others store them, by rules written out here."""

import json
import re

import torch
from safetensors.torch import save_file

FUSED = {
    "lumina2": (
        (r"time_caption_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
        (r"time_caption_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
        (r"time_caption_embed\.caption_embedder", "cap_embedder"),
        (r"\.attn\.", ".attention."),
        (r"to_out\.0", "out"),
        (r"norm_([qk])\.", r"\1_norm."),
        (r"norm1\.linear", "adaLN_modulation.1"),
        (r"(?<!ffn_)norm1\.(norm\.)?weight", "attention_norm1.weight"),
        (r"(?<!ffn_)norm2\.weight", "attention_norm2.weight"),
        (r"feed_forward\.linear_", "feed_forward.w"),
        (r"norm_out\.linear_1", "final_layer.adaLN_modulation.1"),
        (r"norm_out\.linear_2", "final_layer.linear"),
    ),
    "z_image": (
        (r"all_(final_layer|x_embedder)\.2-1", r"\1"),
        (r"to_out\.0", "out"),
        (r"norm_([qk])\.", r"\1_norm."),
    ),
}
RELEASED = {
    "lumina_next": (
        (r"time_caption_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
        (r"time_caption_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
        (r"time_caption_embed\.caption_embedder", "cap_embedder"),
        (r"patch_embedder\.proj", "x_embedder"),
        (r"\.gate$", ".attention.gate"),
        (r"norm1_context", "attention_y_norm"),
        (r"attn1\.to_([qkv])", r"attention.w\1"),
        (r"attn2\.to_out\.0", "attention.wo"),
        (r"attn1\.norm_([qk])", r"attention.\1_norm"),
        (r"attn2\.to_([kv])", r"attention.w\1_y"),
        (r"attn2\.norm_k", "attention.ky_norm"),
        (r"norm1\.linear", "adaLN_modulation.1"),
        (r"(?<!ffn_)norm1\.norm", "attention_norm1"),
        (r"(?<!ffn_)norm2\.weight", "attention_norm2.weight"),
        (r"feed_forward\.linear_", "feed_forward.w"),
        (r"norm_out\.linear_1", "final_layer.adaLN_modulation.1"),
        (r"norm_out\.linear_2", "final_layer.linear"),
    )
}
_BY_ROWS = re.compile(
    r"(wq|wk|wv|w[kv]_y|w1|w3|x_embedder|linear|adaLN_modulation.1|cap_embedder.1|mlp.0"
    r"|q_norm|k_norm|ky_norm)\.(weight|bias)$|gate$"
)
_BY_COLUMNS = re.compile(r"(wo|w2|mlp.2)\.weight$")


def fused(state, family):
    """As ComfyUI stores a transformer: q, k and v in one tensor."""
    found = {}
    for name, value in state.items():
        if ".to_k." in name or ".to_v." in name:
            continue
        if ".to_q." in name:
            others = (state[name.replace("to_q", other)] for other in ("to_k", "to_v"))
            name, value = name.replace("to_q", "qkv"), torch.cat([value, *others])
        found[_renamed(name, FUSED[family])] = value.clone()
    return found


def released(state, family="lumina_next"):
    """As the trainers of Lumina-T2X store it, in one part."""
    left_out = re.compile(r"attn2\.(to_q|norm_q)")  # the same as those of attn1
    kept = {name: value for name, value in state.items() if not left_out.search(name)}
    return {_renamed(name, RELEASED[family]): value.clone() for name, value in kept.items()}


def write_parts(folder, weights, total=2, name="consolidated"):
    """Tensor-parallel parts of released weights."""
    folder.mkdir(exist_ok=True)
    for number in range(total):
        part = {key: _share(key, value, number, total) for key, value in weights.items()}
        save_file(part, folder / f"{name}.{number:02d}-of-{total:02d}.safetensors")
    return folder


def write_index(folder, weights, name="diffusion_pytorch_model"):
    """The weights of a diffusers folder in two files with an index."""
    keys = sorted(weights)
    listed = {}
    for number, half in enumerate((keys[::2], keys[1::2]), 1):
        file = f"{name}-{number:05d}-of-00002.safetensors"
        save_file({key: weights[key] for key in half}, folder / file)
        listed |= dict.fromkeys(half, file)
    path = folder / f"{name}.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return path


def _renamed(name, rules):
    for pattern, other in rules:
        name = re.sub(pattern, other, name)
    return name


def _share(name, value, number, total):
    axis = 0 if _BY_ROWS.search(name) else 1 if _BY_COLUMNS.search(name) else None
    return (value if axis is None else value.chunk(total, axis)[number]).contiguous().clone()
