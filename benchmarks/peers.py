"""Our network and diffusers' class of the same family, with the same weights; and a clock.

What is compared runs in turn, round by round, in one thread; CPU time counts, and the median of the
ratios of each round. Differences below 4 % are noise.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from lumina_core.backbone.families.layouts import backbone_of, config_of, values_of_shapes
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.transformer import Backbone
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sequence import TokenSample, unpack

HIDDEN, DEPTH, HEADS, TEXT_DIM, CHANNELS = 512, 8, 8, 512, 4
NUM_TEXT_TOKENS, ROPE_DIMS = 128, (16, 24, 24)
DTYPES = (torch.float32, torch.bfloat16)
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
        **{"axes_dim_rope": ROPE_DIMS, "axes_lens": (512, 64, 64)},
    },
    "z_image": {
        **{"in_channels": CHANNELS, "dim": HIDDEN, "n_layers": DEPTH, "n_heads": HEADS},
        **{"n_kv_heads": HEADS, "cap_feat_dim": TEXT_DIM},
        **{"axes_dims": list(ROPE_DIMS), "axes_lens": [1024, 64, 64]},
    },
}
TOKENIZER = PatchTokenizer(CHANNELS, (1, 2, 2), lambda frames, rows, columns: (1.0, 1.0, 1.0))
TIME = 0.4

Call = Callable[[], Any]
Case = dict[str, Any]
"""The figures of one case by name."""


@torch.no_grad()
def theirs_of(
    family: str, config: Mapping[str, Any] | None = None, device: str = "cpu"
) -> nn.Module:
    """Diffusers' class with random weights, none zero: fresh ones answer zero.

    Args:
        family: whose class.
        config: its arguments; None: those of this comparison.
        device: where its weights are drawn.
    """
    import diffusers

    generator = torch.Generator(device).manual_seed(0)
    with torch.device(device):
        model: nn.Module = getattr(diffusers, FAMILIES[family].diffusers_class)(
            **(DIFFUSERS[family] if config is None else config)
        )
    for name, weight in model.named_parameters():
        is_scale = "norm" in name and weight.ndim == 1 and name.endswith("weight")
        drawn = torch.randn(weight.shape, generator=generator, device=device)
        weight.copy_(drawn * 0.03 + is_scale)
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


class Inputs:
    """Latents and texts of a batch, for both.

    Args:
        sizes: cells of the sides of each sample.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        generator = torch.Generator().manual_seed(1)
        self.latents = [torch.randn(CHANNELS, *size, generator=generator) for size in sizes]
        self.text = torch.randn(len(sizes), NUM_TEXT_TOKENS, TEXT_DIM, generator=generator)
        self.times = torch.full((len(sizes),), TIME)
        self.grids = [TOKENIZER.grid((CHANNELS, 1, *size)) for size in sizes]

    def ours(self, network: Backbone) -> tuple[Call, Call]:
        """Our velocities of a packed batch, with the keys of the texts made before, and anew."""
        text = self.text.to(next(network.parameters()).dtype)
        tokens = [TOKENIZER.tokenize(each[:, None]) for each in self.latents]
        samples = [TokenSample("image", *pair) for pair in zip(self.grids, tokens, strict=True)]
        batch = network.pack(samples)

        def prepared() -> Any:
            return network.prepare(batch, text.flatten(0, 1), [NUM_TEXT_TOKENS] * len(text))

        def given(context: Any) -> list[Tensor]:
            made = unpack(batch.with_state(network(batch, batch.segment_time(self.times), context)))
            pairs = zip(made, self.grids, strict=True)
            return [TOKENIZER.detokenize(*pair)[:, 0] for pair in pairs]

        with torch.no_grad():
            context = prepared()
        return lambda: given(context), lambda: given(prepared())

    def theirs(self, family: str, model: nn.Module) -> Call:
        """Their velocities, as their pipeline calls the class: latents of one size, or any list
        for Z-Image, which pads it.
        """
        dtype = next(model.parameters()).dtype
        latents, text = [each.to(dtype) for each in self.latents], self.text.to(dtype)
        times = self.times.to(dtype)
        if family == "z_image":
            inputs = [each[:, None] for each in latents]
            return lambda: [each[:, 0] for each in model(inputs, times, list(text)).sample]
        stacked, mask = torch.stack(latents), torch.ones(text.shape[:2], dtype=torch.long)
        if family == "lumina_image_2":
            return lambda: list(model(stacked, times, text, mask).sample)
        from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina

        rotary = get_2d_rotary_pos_embed_lumina(HIDDEN // HEADS, 384, 384)  # 25 ms, made once here
        words = {"image_rotary_emb": rotary, "cross_attention_kwargs": {}}
        return lambda: list(model(stacked, times, text, mask, **words).sample[:, :CHANNELS])

    def one_by_one(self) -> "list[Inputs]":
        """Each sample as a batch of its own."""
        found = []
        for place in range(len(self.latents)):
            alone = Inputs([])
            for name, values in vars(self).items():
                setattr(alone, name, values[place : place + 1])
            found.append(alone)
        return found


def peak_call(dtype: torch.dtype) -> Call:
    """A product of two large square matrices, of which SQUARE_FLOPS is the size."""
    square = torch.randn(SQUARE, SQUARE).to(dtype)
    return lambda: square @ square


SQUARE_FLOPS = 2 * SQUARE**3


def distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The largest difference of two results."""
    pairs = zip(found, wanted, strict=True)
    return max((a.float() - b.float()).abs().max().item() for a, b in pairs)


def clock_of(device: str) -> Callable[[], float]:
    """CPU time of this process, or the time that a GPU has done everything at."""
    if device == "cpu":
        return time.process_time

    def wall() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return wall


def timed(
    calls: Mapping[str, Call], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each call in each round; a round before these is not counted."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            started = clock()
            calls[name]()
            if number:
                found[name].append(clock() - started)
    return found


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median over the rounds of theirs over ours."""
    return median(a / b for a, b in zip(theirs, ours, strict=True))


def sized_cases(
    measure: Callable[..., Case], families: Sequence[str], rounds: int
) -> Iterator[Case]:
    """The figures of each family in each dtype at each size, as they are measured."""
    for family in families:
        for dtype in DTYPES:
            for side, count in CASES:
                yield measure(family, dtype, side, count, rounds)


def words_of(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The names, and the settings as KEY=VALUE, of a command."""
    named = [word for word in argv if "=" not in word]
    return named, dict(word.split("=", 1) for word in argv if "=" in word)


def show(cases: Any, words: Mapping[str, str]) -> None:
    """Print each case as a line of JSON as it comes; `out=` writes all of them."""
    found = []
    for case in cases:
        found.append(case)
        rounded = {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in case.items()}
        print(json.dumps(rounded), flush=True)
    if "out" in words:
        Path(words["out"]).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def start() -> tuple[list[str], dict[str, str]]:
    """One thread, and the words of this process."""
    torch.set_num_threads(1)
    return words_of(sys.argv[1:])
