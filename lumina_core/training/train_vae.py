"""Train a small autoencoder on the media of a modality's synthetic world.

It makes an ordinary diffusers AutoencoderKL folder whose config holds the latent statistics, for
`modality.vae=FOLDER`. It is not a recipe for photographs: pixels are matched, nothing perceptual.

Loss: 4 MSE + 0.5 L1 + 0.001 mean(z^2), with noise on z, so that a diffusion error in the latent
costs little; the KL term of the family was not needed. With `edge_weight` edges count more.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lumina_core import terminal
from lumina_core.autoencoder.networks import read_autoencoder
from lumina_core.data.synthetic import draw_variant, trained_split, training_variants, world_of
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.files.locks import sole_process
from lumina_core.files.unfinished import UNFINISHED, refuse_link
from lumina_core.files.writing import atomic_folder
from lumina_core.modality import has_weights
from lumina_core.plugins.parts import make_modality
from lumina_core.program import command_line
from lumina_core.runtime import autocast, quiet, seeded
from lumina_core.training.encoding_settings import TrainVAEConfig

LATENT_NOISE = 0.1  # standard deviation added to z in training, about a tenth of its own
NUM_STATISTICS = 512  # samples over which the latent statistics are measured
GROUP_CHANNELS = 8  # channels per group of the group norms
EDGE_SIDE = 5  # pixels; an edge lies where colours differ within such a square
FAINTEST_EDGE, EDGE_SOFTNESS = 0.05, 0.1  # of the range of a pixel, which is 2
DECAY_SHARE = 0.3  # the learning rate falls to zero over this last share of the steps
DIFFUSERS_FILES = {"config.json", "diffusion_pytorch_model.safetensors"}  # of an autoencoder


@dataclass(frozen=True)
class AutoencoderShape:
    """Architecture of the autoencoder."""

    latent_channels: int
    block_channels: tuple[int, ...]
    """Channels of each resolution, the finest first; one halving between two of them."""
    layers_per_block: int

    def __post_init__(self) -> None:
        if any(width % GROUP_CHANNELS or width % self.num_groups for width in self.block_channels):
            raise LuminaError(
                f"block_channels={list(self.block_channels)} must be multiples of {GROUP_CHANNELS} "
                "and of the first one, such as [32,64,64]"
            )

    @property
    def num_groups(self) -> int:
        """Groups of the group norms, the same at each resolution."""
        return max(1, self.block_channels[0] // GROUP_CHANNELS)


def build_autoencoder(shape: AutoencoderShape, seed: int, *, num_colours: int = 3) -> Any:
    """A fresh diffusers AutoencoderKL without attention, so that it works alike at any size."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    levels = len(shape.block_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKL(
            in_channels=num_colours,
            out_channels=num_colours,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=shape.block_channels,
            layers_per_block=shape.layers_per_block,
            latent_channels=shape.latent_channels,
            norm_num_groups=shape.num_groups,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).to(memory_format=torch.channels_last)  # 1.2 times faster on a CPU


def autoencoder_loss(
    model: Any,
    pixels: Float[Tensor, "b c h w"],
    generator: torch.Generator,
    edge_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """4 MSE + 0.5 L1 + 0.001 mean(z^2) of one batch; `edge_weights` weighs the pixels."""
    z = model.encode(pixels).latent_dist.mode()
    noise = torch.randn(z.shape, generator=generator)
    error = model.decode(z + LATENT_NOISE * noise).sample - pixels
    weights = edge_weights(pixels, edge_weight) if edge_weight else 1.0
    squares, sizes = (weights * error.square()).mean(), (weights * error.abs()).mean()
    return 4 * squares + 0.5 * sizes + 1e-3 * z.square().mean()


def edge_weights(pixels: Float[Tensor, "b c h w"], strength: float) -> Float[Tensor, "b 1 h w"]:
    """How much each pixel counts, 1 on average.

    Most pixels lie in plain areas, and an error at a faint edge is small, so a small red star on
    orange turns into a dot. The fainter an edge, the more its pixels count.

    Args:
        pixels: from -1 to 1.
        strength: 0 weighs all alike.
    """
    highest = functional.max_pool2d(pixels, EDGE_SIDE, 1, EDGE_SIDE // 2)
    lowest = -functional.max_pool2d(-pixels, EDGE_SIDE, 1, EDGE_SIDE // 2)
    contrast = (highest - lowest).amax(dim=1, keepdim=True)
    weights = 1 + strength * (contrast > FAINTEST_EDGE) / (contrast + EDGE_SOFTNESS)
    return weights / weights.mean()


@when_interrupted(lambda: "before its end; nothing is kept, the same command begins anew")
def train_autoencoder(
    config: TrainVAEConfig, modality: Any, model: Any
) -> tuple[Any, dict[str, float]]:
    """Train on drawn media.

    Args:
        config: how long, on how many media at once, and how fast.
        modality: gives the world and the pixels of a medium; it has no autoencoder yet.
        model: a diffusers AutoencoderKL; changed in place, what requires a gradient.

    Returns:
        The model with its latent statistics in its config; the last training loss and the PSNR in
        dB on fresh media.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, fused=True)
    loss = torch.zeros(())
    for step in terminal.progress(range(config.max_steps), "autoencoder"):
        generator = seeded(config.seed, step)
        pixels = _fitting(model, _draw(modality, config.batch_size, generator))
        optimizer.param_groups[0]["lr"] = config.learning_rate * min(
            1.0, (config.max_steps - step) / (DECAY_SHARE * config.max_steps)
        )
        with autocast(pixels.device, config.dtype):
            loss = autoencoder_loss(model, pixels, generator, config.edge_weight)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % config.log_every == 0:
            terminal.tell(json.dumps({"step": step + 1, "loss": loss.item()}))
    has_new_latents = next(model.encoder.parameters()).requires_grad
    model.eval().requires_grad_(False)
    latents, psnr = _measure(model, modality, seeded(config.seed, config.max_steps))
    if has_new_latents:  # else those of its config hold, to the last digit
        mean, std = latents.mean(dim=1), latents.std(dim=1)
        model.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    return model, {"loss": loss.item(), "psnr": psnr}


def save_autoencoder(model: Any, out: Path, *, overwrite: bool = False) -> None:
    """Write a diffusers folder atomically; the one it replaces goes last.

    Raises:
        LuminaError: the folder exists and is not to be replaced, or cannot be written.
    """
    from diffusers.utils import logging

    with quiet(logging), atomic_folder(out, overwrite=overwrite) as folder:
        model.save_pretrained(folder)
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # a folder of this machine, where it was begun
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _draw(modality: Any, count: int, generator: torch.Generator) -> Tensor:
    world = world_of(modality)
    options = draw_variant(training_variants(modality), modality.options, generator)
    media = [
        world.draw(world.caption(trained_split(world), generator), options, generator)
        for _ in range(count)
    ]
    return torch.cat([modality.vae.pixels(item) for item in media])


def _fitting(model: Any, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h_cut w"]:
    """Cut to whole latent cells along the height: a duration need not be made of them.

    Raises:
        LuminaError: the width is not made of them, or there is not one.
    """
    stride = 2 ** (len(model.config.block_out_channels) - 1)
    height, width = pixels.shape[2:]
    if width % stride or height < stride:
        raise LuminaError(
            f"the media to learn from are {height} high and {width} wide, which is not divisible "
            f"into cells of {stride}; use fewer block_channels or other modality options"
        )
    return pixels[..., : height // stride * stride, :]


def _measure(
    model: Any, modality: Any, generator: torch.Generator
) -> tuple[Float[Tensor, "channel value"], float]:
    """The latent values of fresh media by channel, and the PSNR in dB."""
    latents, errors = [], []
    for _ in range(NUM_STATISTICS):
        pixels = _fitting(model, _draw(modality, 1, generator))
        z = model.encode(pixels).latent_dist.mode()
        error = functional.mse_loss(model.decode(z).sample.clamp(-1, 1), pixels)
        latents.append(rearrange(z, "b c h w -> c (b h w)"))
        errors.append(10 * torch.log10(4 / error))  # the range of a pixel is 2
    return torch.cat(latents, dim=1), float(torch.stack(errors).mean())


def train_vae_command(config: TrainVAEConfig) -> int:
    """Run `train-vae` and print what it measured as JSON."""
    if not has_weights(config.options):
        raise LuminaError(
            f"modality {config.modality!r} has no autoencoder to train: its latents are a formula; "
            f"go on with: {command_line('train', f'+modality={config.modality}')}"
        )
    out = Path(config.out)
    lock = out.absolute().parent / f"{UNFINISHED}{out.name}.lock"
    with sole_process(lock, f"out={out}"):
        return _train_alone(config, out)


def _train_alone(config: TrainVAEConfig, out: Path) -> int:
    _check_out(out, overwrite=config.overwrite)
    modality = make_modality(config.modality, config.options, out)
    model = _first_autoencoder(config, modality)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    model, result = train_autoencoder(config, modality, model)
    save_autoencoder(model, out, overwrite=config.overwrite)
    terminal.show_json({"out": str(out), **result}, indent=None)
    return 0


def _first_autoencoder(config: TrainVAEConfig, modality: Any) -> Any:
    """A fresh autoencoder, or the one to start from.

    Raises:
        LuminaError: that is one of media with another number of colours.
    """
    num_colours = _draw(modality, 1, seeded(config.seed)).shape[1]
    if config.init_from is None:
        shape = AutoencoderShape(
            config.latent_channels, tuple(config.block_channels), config.layers_per_block
        )
        return build_autoencoder(shape, config.seed, num_colours=num_colours)
    model = read_autoencoder(Path(config.init_from)).to(memory_format=torch.channels_last)
    if model.config.in_channels != num_colours:
        raise LuminaError(
            f"init_from={config.init_from} is an autoencoder of "
            f"{model.config.in_channels} colours, the media of {config.modality} have "
            f"{num_colours}; give another or leave it out"
        )
    model.requires_grad_(True).train()
    if config.decoder_only:
        for part in (model.encoder, model.quant_conv):
            if part is not None:
                part.requires_grad_(False)
    return model


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a path in use; only a folder that holds nothing but an autoencoder is replaced."""
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise LuminaError(f"out={out} exists already; use overwrite=true or choose another folder")
    refuse_link(out)
    if not out.is_dir() or not {path.name for path in out.iterdir()} <= DIFFUSERS_FILES:
        raise LuminaError(f"out={out} holds more than an autoencoder; choose another folder")
