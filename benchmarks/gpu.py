"""What a GPU does with released shapes: time, memory and the share of the matmul peak, in one call.

    python benchmarks/gpu.py [CASE ...] [minutes=9] [pixels=1024] [steps=10] [offload=blocks]
        [quantise=int8] [attention=auto] [device=cuda] [dtype=bfloat16] [size=released] [vae=demo]
        [out=gpu.json]

| case | what it measures |
|---|---|
| backends | each attention backend on one packing: forward, backward, and that they agree |
| flag_dit_600m, flag_dit_5b, z_image_6b, flag_dit_7b | guided evaluations of a shape |
| train, compiled | steps of training by the command itself, 600M, without and with `compile=true` |
| beside | a guided picture of each released family beside its pipeline of diffusers |
| long | blocks of the 7B shape on 512K positions |

Without a name all are measured in this order. A case begins only while `minutes` are not over, and
each is written to `out` as it ends, so that a run that is cut leaves what it has.

Weights are random: what a step costs does not depend on them. A sample is guided, so each step
evaluates the network for two texts at once. The peak is what square matrix products reach on the
same machine a moment before; operations are counted by torch on the network itself. Text encoder
and autoencoder are no part of the shapes: they never lie on a GPU beside the blocks. `size=tiny`
keeps the structure of each and shrinks its widths, for a machine without a GPU.

`train` is one rank, whose weights are gathered and whose gradients are summed by NCCL as those of
many are, on pictures of the world.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gpu_cases
import torch
from gpu_cases import LONG_BLOCKS, NUM_TEXT_TOKENS, evaluation, seconds_of, synchronise
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.placement import Placement
from lumina_core.parallel import ranks
from lumina_core.runtime import DTYPES, resolve_device, seeded
from lumina_core.sequence import Grid, TokenBatch, TokenSample
from lumina_core.training.command import train_alone
from lumina_core.training.compose import compose_train
from lumina_core.training.folder import METRICS

STRIDE, PATCH = 8, 2  # of the autoencoders and of the patches of all these models
SHAPES = {
    "flag_dit_600m": ("600m", 4),
    "flag_dit_5b": ("5b", 4),
    "z_image_6b": ("z_image", 16),
    "flag_dit_7b": ("7b", 4),
}
"""The group of settings and the channels of the latent; by parameters: 0.8, 5.0, 6.15 and 8.4
billion, of which the last is released as 7B without its text layers."""
TINY = {"hidden_size": 64, "depth": 2, "num_heads": 4, "text_dim": 32, "conditioning_size": 32}
TINY_OF_Z_IMAGE = {"ffn_size": 96, "time_size": 64, "rope_dims": (4, 4, 8)}
SQUARE, SQUARES = 8192, 20  # rows of the matrices whose product is timed, and how often
DEFAULTS = {
    "pixels": "1024", "steps": "10", "offload": "none", "quantise": "none", "attention": "auto",
    "device": "auto", "dtype": "bfloat16", "size": "released", "vae": "demo", "out": "",
    "minutes": "9",
}  # fmt: skip
TRAIN, COMPILED, BACKENDS, BESIDE, LONG = "train", "compiled", "backends", "beside", "long"
CASES = (BACKENDS, *list(SHAPES)[:2], TRAIN, BESIDE, LONG, COMPILED, *list(SHAPES)[2:])
SMALL = ["text_encoder.hidden_size=32", "text_encoder.depth=1", "data.pool_size=64"]


@dataclass(frozen=True)
class Measured:
    """What one shape costs."""

    shape: str
    parameters: int
    positions: int
    """Of the picture, its text included where that is in the sequence."""
    place_seconds: float
    """To bring the weights to where they compute."""
    step_seconds: float
    weights_gib: float
    """In the memory of the GPU before the first step; 0 on a CPU."""
    peak_gib: float
    """Of the GPU's memory; 0 on a CPU."""
    step_tflop: float
    matmul_tflops: float
    """What square products reach here."""
    share: float
    """Of that, in a step."""


def config_of(shape: str, size: str) -> BackboneConfig:
    """The settings of a shape."""
    group, channels = SHAPES[shape]
    config = compose_train(["modality=image", f"backbone={group}"]).backbone
    changed: dict[str, Any] = {"token_dims": {"image": channels * PATCH**2}}
    if size == "tiny":
        changed |= TINY | (TINY_OF_Z_IMAGE if config.text == "joint" else {})
    return replace(config, **changed)


@torch.no_grad()
def backbone_of(config: BackboneConfig, dtype: torch.dtype) -> Backbone:
    """A network of random weights, made in the memory of the host."""
    with torch.device("meta"):
        backbone = Backbone(config).to(dtype)
    backbone.to_empty(device="cpu")
    drawn = torch.randn(1 << 20, generator=seeded(0)).to(dtype) * 0.02
    for weight in backbone.parameters():
        repeats = -(-weight.numel() // drawn.numel())
        weight.copy_(drawn.repeat(repeats)[: weight.numel()].view_as(weight))
        weight.requires_grad_(False)
    for part in backbone.modules():
        if isinstance(part, nn.RMSNorm | nn.LayerNorm) and part.weight is not None:
            part.weight.fill_(1)
    return backbone.eval()


def gib(device: torch.device, *, peak: bool) -> float:
    """Memory of tensors on a GPU, in GiB."""
    if device.type != "cuda":
        return 0.0
    read = torch.cuda.max_memory_allocated if peak else torch.cuda.memory_allocated
    return rounded(read(device) / 2**30)


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


def matmul_tflops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """What products of square matrices reach, in TFLOP/s."""
    a, b = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    a @ b
    synchronise(device)
    started = time.perf_counter()
    for _ in range(SQUARES):
        a @ b
    synchronise(device)
    return 2 * size**3 * SQUARES / (time.perf_counter() - started) / 1e12


@torch.no_grad()
def measure(shape: str, settings: dict[str, str]) -> Measured:
    """Place the network, take some steps and read clock and memory."""
    device, dtype = resolve_device(settings["device"]), DTYPES[settings["dtype"]]
    peak = matmul_tflops(device, dtype, SQUARE // 64 if is_tiny(settings) else SQUARE)
    config = config_of(shape, settings["size"])
    backbone = backbone_of(config, dtype)
    parameters = sum(weight.numel() for weight in backbone.parameters())
    placement = Placement(device, dtype, settings["offload"], settings["quantise"])
    placement.check()
    started = time.perf_counter()
    placement.put(backbone)
    synchronise(device)
    place_seconds = time.perf_counter() - started
    weights = gib(device, peak=False)
    side = int(settings["pixels"]) // (STRIDE * PATCH)
    grid = Grid(1, side, side, (1.0, 1.0, 1.0))
    tokens = torch.randn(side * side, config.token_dims["image"], generator=seeded(1)).to(device)
    batch = backbone.pack([TokenSample("image", grid, tokens)] * 2)
    tflop = tflop_of(backbone, batch, device)
    evaluate = evaluation(backbone, batch, device, settings["attention"])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(evaluate, device, int(settings["steps"]))
    text = NUM_TEXT_TOKENS if config.text == "joint" else 0
    return Measured(
        shape,
        parameters,
        batch.lengths[0] + text,
        rounded(place_seconds),
        rounded(seconds),
        weights,
        gib(device, peak=True),
        rounded(tflop),
        rounded(peak),
        rounded(tflop / seconds / peak),
    )


def tflop_of(backbone: Backbone, batch: TokenBatch, device: torch.device) -> float:
    """Operations of an evaluation, counted by torch."""
    evaluate = evaluation(backbone, batch, device, "sdpa")  # which torch can count
    with FlopCounterMode(display=False) as counter:
        evaluate()
    return counter.get_total_flops() / 1e12


@dataclass(frozen=True)
class Trained:
    """What a step of training costs on one rank."""

    shape: str
    backend: str
    """What exchanges tensors between ranks."""
    loss: float
    """Of the last step."""
    step_seconds: float
    """Of the steps after the first."""
    tokens_per_second: float
    peak_gib: float
    """Of the GPU's memory; 0 on a CPU."""


def measure_training(settings: dict[str, str], *, is_compiled: bool = False) -> Trained:
    """Train a few steps by the command and read its log."""
    device, steps = resolve_device(settings["device"]), int(settings["steps"])
    backbone = ["backbone=600m"]
    if is_tiny(settings):
        backbone = [f"backbone.{key}={value}" for key, value in TINY.items() if key != "text_dim"]
        backbone.append("backbone.rope_dims=[0,4,4,4,4]")
    words = [
        *("modality=image", f"modality.vae={settings['vae']}", f"device={settings['device']}"),
        *(f"dtype={settings['dtype']}", f"max_steps={steps}", "log_every=1", "overwrite=true"),
        *("save_every=0", "sample_every=0", f"attention={settings['attention']}", *SMALL),
        *(f"compile={str(is_compiled).lower()}",),
        *backbone,
    ]
    with TemporaryDirectory() as folder, ranks.joined(alone=True):
        import torch.distributed as dist

        run, _ = train_alone(compose_train([*words, f"out={folder}"]))
        backend = dist.get_backend_config()
        lines = [json.loads(line) for line in (Path(folder) / METRICS).read_text().splitlines()]
    assert run.step == steps
    later = lines[1:] or lines
    return Trained(
        COMPILED if is_compiled else TRAIN,
        backend,
        lines[-1]["loss"],
        rounded(sum(line["seconds"] for line in later) / len(later)),
        rounded(sum(line["tokens_per_second"] for line in later) / len(later)),
        gib(device, peak=True),
    )


def is_tiny(settings: dict[str, str]) -> bool:
    """Whether widths are shrunk."""
    return settings["size"] == "tiny"


def lines_of(case: str, settings: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The figures of a case, as they are measured."""
    device, dtype = resolve_device(settings["device"]), DTYPES[settings["dtype"]]
    size = {"is_tiny": is_tiny(settings)}
    if case in SHAPES:
        yield asdict(measure(case, settings))
    elif case in (TRAIN, COMPILED):
        yield asdict(measure_training(settings, is_compiled=case == COMPILED))
    elif case == BACKENDS:
        yield from gpu_cases.backends(device, dtype, **size)
    elif case == BESIDE:
        yield from gpu_cases.beside(settings, device, **size)
    else:
        config = replace(config_of(list(SHAPES)[-1], settings["size"]), depth=LONG_BLOCKS)
        yield from gpu_cases.long(backbone_of(config, dtype).to(device), tflop_of, device, **size)


def main() -> None:
    """Measure each case in turn, while there is time."""
    words = sys.argv[1:]
    settings = DEFAULTS | dict(word.split("=", 1) for word in words if "=" in word)
    cases = [word for word in words if "=" not in word] or list(CASES)
    if unknown := [*(settings.keys() - DEFAULTS.keys()), *(set(cases) - set(CASES))]:
        sys.exit(f"{unknown[0]} is unknown; cases: {', '.join(CASES)}; {', '.join(DEFAULTS)}")
    device, started = resolve_device(settings["device"]), time.monotonic()
    is_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_gpu else "cpu"
    about = {"device": name, "torch": torch.__version__, "settings": settings}
    found: list[dict[str, Any]] = []
    for case in cases:
        is_over = time.monotonic() - started > 60 * float(settings["minutes"])
        left_out = [{"left_out": f"after {settings['minutes']} minutes"}]
        for line in left_out if is_over else lines_of(case, settings):
            found.append({"case": case, **line})
            print("  ".join(f"{key} {value}" for key, value in found[-1].items()), flush=True)
        if is_gpu:
            torch.cuda.empty_cache()
        if settings["out"]:
            text = json.dumps({**about, "measured": found}, indent=2)
            Path(settings["out"]).write_text(text + "\n")


if __name__ == "__main__":
    main()
