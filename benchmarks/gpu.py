"""Time and memory of a large picture with released shapes, and the share of the matmul peak.

    python benchmarks/gpu.py [SHAPE ...] [pixels=1024] [steps=10] [offload=blocks] [quantise=int8]
        [attention=auto] [device=cuda] [dtype=bfloat16] [size=released] [out=gpu.json]
    python benchmarks/gpu.py train [steps=10] [vae=demo] [device=cuda] [dtype=bfloat16] ...

Weights are random: what a step costs does not depend on them. A sample is guided, so each step
evaluates the network for two texts at once. The peak is what square matrix products reach on the
same machine a moment before; operations are counted by torch on the network itself. Text encoder
and autoencoder are no part of this: they never lie on a GPU beside the blocks. `size=tiny` keeps
the structure of each shape and shrinks its widths, for a machine without a GPU.

`train` takes steps of training by the command itself: one rank, whose weights are gathered and
whose gradients are summed by NCCL as those of many are; the 600M backbone on pictures of the world.

Prints one line per shape and writes JSON if `out` is given.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.placement import Placement
from lumina_core.parallel import ranks
from lumina_core.runtime import DTYPES, resolve_device, seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training.command import train_alone
from lumina_core.training.compose import compose_train
from lumina_core.training.folder import METRICS

STRIDE, PATCH = 8, 2  # of the autoencoders and of the patches of all these models
NUM_TEXT_TOKENS = 128  # of a prompt of about 90 words
SHAPES = {
    "flag_dit_5b": ("5b", 4),
    "z_image_6b": ("z_image", 16),
    "flag_dit_7b": ("7b", 4),
}
"""The group of settings and the channels of the latent; by parameters: 5.0, 6.15 and 8.4 billion,
of which the last is released as 7B without its text layers."""
TINY = {"hidden_size": 64, "depth": 2, "num_heads": 4, "text_dim": 32, "conditioning_size": 32}
TINY_OF_Z_IMAGE = {"ffn_size": 96, "time_size": 64, "rope_dims": (4, 4, 8)}
SQUARE, SQUARES = 8192, 20  # rows of the matrices whose product is timed, and how often
DEFAULTS = {
    "pixels": "1024", "steps": "10", "offload": "none", "quantise": "none", "attention": "auto",
    "device": "auto", "dtype": "bfloat16", "size": "released", "vae": "demo", "out": "",
}  # fmt: skip
TRAIN = "train"
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


def synchronise(device: torch.device) -> None:
    """Wait until a device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    text = torch.randn(2 * NUM_TEXT_TOKENS, config.text_dim, generator=seeded(2)).to(device)
    times = batch.segment_time(torch.full((2,), 0.5, device=device))
    lengths = (NUM_TEXT_TOKENS, NUM_TEXT_TOKENS)
    context = backbone.prepare(batch, text, lengths, attention="sdpa")  # which torch can count
    with FlopCounterMode(display=False) as counter:
        backbone(batch, times, context)
    context = backbone.prepare(batch, text, lengths, attention=settings["attention"])
    backbone(batch, times, context)
    synchronise(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    for _ in range(int(settings["steps"])):
        backbone(batch, times, context)
    synchronise(device)
    seconds = (time.perf_counter() - started) / int(settings["steps"])
    tflop = counter.get_total_flops() / 1e12
    return Measured(
        shape,
        parameters,
        context.run.lengths[0],
        rounded(place_seconds),
        rounded(seconds),
        weights,
        gib(device, peak=True),
        rounded(tflop),
        rounded(peak),
        rounded(tflop / seconds / peak),
    )


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


def measure_training(settings: dict[str, str]) -> Trained:
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
        TRAIN,
        backend,
        lines[-1]["loss"],
        rounded(sum(line["seconds"] for line in later) / len(later)),
        rounded(sum(line["tokens_per_second"] for line in later) / len(later)),
        gib(device, peak=True),
    )


def is_tiny(settings: dict[str, str]) -> bool:
    """Whether widths are shrunk."""
    return settings["size"] == "tiny"


def main() -> None:
    """Measure each shape in turn."""
    words = sys.argv[1:]
    settings = DEFAULTS | dict(word.split("=", 1) for word in words if "=" in word)
    shapes = [word for word in words if "=" not in word] or list(SHAPES)
    if unknown := [*(settings.keys() - DEFAULTS.keys()), *(set(shapes) - {*SHAPES, TRAIN})]:
        known = ", ".join([*SHAPES, TRAIN])
        sys.exit(f"{unknown[0]} is unknown; shapes: {known}; {', '.join(DEFAULTS)}")
    found: list[Measured | Trained] = []
    for shape in shapes:
        is_trained = shape == TRAIN
        found.append(measure_training(settings) if is_trained else measure(shape, settings))
        print("  ".join(f"{key} {value}" for key, value in asdict(found[-1]).items()))
    if settings["out"]:
        device = resolve_device(settings["device"])
        on_gpu = device.type == "cuda"
        about = {
            "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
            "torch": torch.__version__,
            "settings": settings,
            "measured": [asdict(each) for each in found],
        }
        Path(settings["out"]).write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
