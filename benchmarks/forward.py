"""One evaluation of the network beside diffusers' class of the same family, weights and inputs.

    python benchmarks/forward.py [next_dit|lumina_image_2|z_image ...] [rounds=9] [out=FILE.json]

Every round computes each variant once, one after the other, in one thread; CPU time counts. Prints
the median of theirs over ours in each round, once as `run` computes (text keys of a request made
once) and once with the text read anew, the distance of the results, and the share of the matmul
peak that ours reaches: operations of the products over the time, over what a product of two square
matrices of the dtype reaches in the same round. In bfloat16 the weights of both are bfloat16.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from lumina_core.backbone.cost import Sizes, flops
from lumina_core.backbone.families.layouts import backbone_of, config_of, values_of_shapes
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.transformer import Backbone
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sequence import TokenSample, unpack

HIDDEN, DEPTH, HEADS, TEXT_DIM, CHANNELS = 512, 8, 8, 512, 4
NUM_TEXT_TOKENS, ROPE_DIMS = 128, (16, 24, 24)
CASES = [(32, 2), (64, 1)]  # cells of a side, and samples
SQUARE = 1536  # rows of the matrices that tell the peak
DIFFUSERS: dict[str, dict[str, Any]] = {
    "next_dit": {
        **{"sample_size": 32, "in_channels": CHANNELS, "hidden_size": HIDDEN, "num_layers": DEPTH},
        **{"num_attention_heads": HEADS, "num_kv_heads": HEADS, "cross_attention_dim": TEXT_DIM},
    },
    "lumina_image_2": {
        **{"in_channels": CHANNELS, "hidden_size": HIDDEN, "num_layers": DEPTH},
        **{"num_attention_heads": HEADS, "num_kv_heads": HEADS, "cap_feat_dim": TEXT_DIM},
        **{"axes_dim_rope": ROPE_DIMS, "axes_lens": (256, 64, 64)},
    },
    "z_image": {
        **{"in_channels": CHANNELS, "dim": HIDDEN, "n_layers": DEPTH, "n_heads": HEADS},
        **{"n_kv_heads": HEADS, "cap_feat_dim": TEXT_DIM},
        **{"axes_dims": list(ROPE_DIMS), "axes_lens": [512, 64, 64]},
    },
}
TOKENIZER = PatchTokenizer(CHANNELS, (1, 2, 2), lambda frames, rows, columns: (1.0, 1.0, 1.0))
TIME = 0.4


@torch.no_grad()
def theirs_of(family: str) -> nn.Module:
    """Diffusers' class with random weights, none zero: fresh ones answer zero."""
    import diffusers

    generator = torch.Generator().manual_seed(0)
    model: nn.Module = getattr(diffusers, FAMILIES[family].diffusers_class)(**DIFFUSERS[family])
    for name, weight in model.named_parameters():
        is_scale = "norm" in name and weight.ndim == 1 and name.endswith("weight")
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.03 + is_scale)
    if family == "next_dit":  # the release has one tensor for both
        for block in model.layers:  # type: ignore[union-attr]
            block.attn2.to_q.load_state_dict(block.attn1.to_q.state_dict())
            block.attn2.norm_q.load_state_dict(block.attn1.norm_q.state_dict())
    return model.eval()


def ours_of(family: str, model: nn.Module) -> Backbone:
    """Our backbone with the weights of theirs."""
    weights, known = model.state_dict(), FAMILIES[family]
    layout = known.layouts["diffusers"]
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    changes = {} if family == "next_dit" else {"rope_dims": ROPE_DIMS}  # which no weight tells
    config = config_of(values_of_shapes(known, layout, shapes) | changes, "image")
    return backbone_of(weights, config, layout, CHANNELS, family).eval()


def case(family: str, model: nn.Module, ours: Backbone, side: int, count: int) -> dict[str, Any]:
    """Functions that compute the velocity of the same latents: theirs, ours, ours with its text."""
    dtype = next(ours.parameters()).dtype
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(count, CHANNELS, side, side, generator=generator)
    text = torch.randn(count, NUM_TEXT_TOKENS, TEXT_DIM, generator=generator).to(dtype)
    grid = TOKENIZER.grid((CHANNELS, 1, side, side))
    samples = [TokenSample("image", grid, TOKENIZER.tokenize(each[:, None])) for each in latents]
    batch = ours.pack(samples)
    times = torch.full((count,), TIME)

    def prepared() -> Any:
        return ours.prepare(batch, text.flatten(0, 1), [NUM_TEXT_TOKENS] * count)

    context = prepared()

    def given(context: Any) -> Tensor:
        made = ours(batch, batch.segment_time(times), context)
        tokens = unpack(batch.with_state(made))
        return torch.stack([TOKENIZER.detokenize(each, grid)[:, 0] for each in tokens])

    theirs = their_call(family, model, latents.to(dtype), text, times)
    return {
        "theirs": theirs,
        "ours": lambda: given(context),
        "ours with text": lambda: given(prepared()),
    }


def their_call(family: str, model: nn.Module, latents: Tensor, text: Tensor, times: Tensor) -> Any:
    """Their velocity, as their pipeline calls the class at each step."""
    times = times.to(text.dtype)
    if family == "z_image":
        return lambda: torch.stack(
            [each[:, 0] for each in model(list(latents[:, :, None]), times, list(text)).sample]
        )
    mask = torch.ones(text.shape[:2], dtype=torch.long)
    if family == "lumina_image_2":
        return lambda: model(latents, times, text, mask).sample
    from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina

    rotary = get_2d_rotary_pos_embed_lumina(HIDDEN // HEADS, 384, 384)  # 25 ms, made once here
    return lambda: model(
        latents, times, text, mask, image_rotary_emb=rotary, cross_attention_kwargs={}
    ).sample[:, :CHANNELS]


def seconds(function: Any) -> float:
    """CPU time of this thread."""
    started = time.thread_time()
    function()
    return time.thread_time() - started


@torch.no_grad()
def measure(family: str, dtype: torch.dtype, side: int, count: int, rounds: int) -> dict[str, Any]:
    """The figures of a case."""
    model = theirs_of(family)
    ours = ours_of(family, model).to(dtype)
    model = model.to(dtype)
    calls = case(family, model, ours, side, count)
    square = torch.randn(SQUARE, SQUARE).to(dtype)
    calls["peak"] = lambda: square @ square
    results = {name: call().float() for name, call in calls.items()}  # the first call is slow
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    patches = (side // 2) ** 2
    sizes = Sizes(
        patches,
        TOKENIZER.grid((CHANNELS, 1, side, side)).num_positions(ours.separators),
        NUM_TEXT_TOKENS,
    )
    operations = count * sum(flops(ours.config, "image", sizes).evaluation.values())

    def ratio(name: str) -> float:
        pairs = zip(times["theirs"], times[name], strict=True)
        return median(theirs / own for theirs, own in pairs)

    shares = (
        operations / own / (2 * SQUARE**3 / peak)
        for own, peak in zip(times["ours"], times["peak"], strict=True)
    )
    return {
        "family": family,
        "dtype": str(dtype).removeprefix("torch."),
        "cells": side,
        "samples": count,
        "ratio": ratio("ours"),
        "ratio_with_text": ratio("ours with text"),
        "milliseconds": 1000 * median(times["ours"]),
        "peak_share": median(shares),
        "peak_gflops": 2 * SQUARE**3 / median(times["peak"]) / 1e9,
        "distance": (results["ours"] - results["theirs"]).abs().max().item(),
    }


def main() -> None:
    torch.set_num_threads(1)
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    named = [word for word in sys.argv[1:] if "=" not in word] or list(DIFFUSERS)
    found = []
    for family in named:
        for dtype in (torch.float32, torch.bfloat16):
            for side, count in CASES:
                found.append(measure(family, dtype, side, count, int(words.get("rounds", 9))))
                shown = {
                    k: float(f"{v:.3g}") if isinstance(v, float) else v
                    for k, v in found[-1].items()
                }
                print(json.dumps(shown), flush=True)
    if "out" in words:
        Path(words["out"]).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
