"""Steps, operations and CPU time until a small network draws what it is told: block by block.

    python benchmarks/convergence.py run FOLDER [NAME ...] [seeds=0,1,2] [minutes=15]
    python benchmarks/convergence.py table FOLDER

Pictures of one object at 32 x 32 pixels, from the image world. A plain DiT block (LayerNorm,
learned absolute positions, no norm of q and k, AdamW, uniform times) becomes that of this project
in five steps, one change each. Everything else is equal: width, depth, text encoder, conditioning
by adaLN and cross-attention, samples, batches, noise, moving average, sampling. A run ends when two
measurements in a row find at least 80 % of the prompts right by the oracle, or when its CPU time is
over. CPU time counts training alone, in one thread; measuring is left out. Results are lines of
FOLDER/results.jsonl; a run that is there is not repeated.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from lumina_core.backbone.cost import Sizes, flops
from lumina_core.backbone.rope import RopeTables
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone, Context, block_matrices
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.config.compose import compose_options
from lumina_core.data.pool import CaptionedSample, encode_sample
from lumina_core.flow.objective import sample_time, velocity_loss
from lumina_core.flow.path import interpolate, velocity
from lumina_core.flow.settings import TimeConfig
from lumina_core.modality import Modality
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import seeded
from lumina_core.text.encoder import load_text_encoder
from lumina_core.text.settings import TextEncoderConfig
from lumina_core.text.tiny import create_tiny
from lumina_core.training.muon import NUM_ITERATIONS
from lumina_core.training.optimizer import build_optimizer, update_average
from lumina_core.training.settings import OptimizerConfig

TASK, SIDE = "one_object", 32
NUM_SAMPLES = 4096
BATCH = 48
CAPTION_DROPOUT = 0.1
CLIP_NORM = 1.0
EVALUATE_EVERY = 100  # steps
NUM_PROMPTS = 100
WANTED = 0.8
NUM_STEPS, GUIDANCE = 12, 2.0  # of sampling
HELD_SEED = 10**6  # of prompts and noise that no training meets


@dataclass(frozen=True)
class Variant:
    """What distinguishes a run."""

    rms_norm: bool = False
    rope: bool = False
    qk_norm: bool = False
    muon: bool = False
    logit_normal: bool = False


VARIANTS = {
    "plain": Variant(),
    "+RMSNorm": Variant(rms_norm=True),
    "+RoPE": Variant(rms_norm=True, rope=True),
    "+QK-norm": Variant(rms_norm=True, rope=True, qk_norm=True),
    "+Muon": Variant(rms_norm=True, rope=True, qk_norm=True, muon=True),
    "ours": Variant(rms_norm=True, rope=True, qk_norm=True, muon=True, logit_normal=True),
}
"""Each has one change more than the one before; the last draws times by a logit-normal, too."""


class Compared(Backbone):
    """The backbone with LayerNorm and learned absolute positions where a variant asks for them."""

    def __init__(self, config: BackboneConfig, variant: Variant, num_positions: int) -> None:
        super().__init__(config)
        self.has_rope = variant.rope
        width = config.hidden_size
        if not variant.rope:
            self.absolute = nn.Parameter(0.02 * torch.randn(num_positions, width))
        if not variant.rms_norm:
            for block in self.blocks:
                block.attention_norm = nn.LayerNorm(width, config.norm_eps)
                block.ffn_norm = nn.LayerNorm(width, config.norm_eps)

    def prepare(self, *arguments: Any, **settings: Any) -> Context:
        """As the backbone does, without a rotation where positions are learned."""
        context = super().prepare(*arguments, **settings)
        if self.has_rope:
            return context
        unturned = RopeTables(torch.ones_like(context.run.tables.early), None, 0.0)
        return replace(context, run=replace(context.run, tables=unturned))

    def _embed(self, batch: Any) -> Tensor:
        x = super()._embed(batch)
        return x if self.has_rope else x + self.absolute[batch.sequence_index]


def made_modality(side: int = SIDE) -> Modality:
    """The image modality at the size of the comparison, with the demo's autoencoder."""
    options = replace(compose_options("image"), height=side, width=side)
    return make_modality("image", options, find_vae("image", options.vae, download=False))


def drawn(modality: Modality, number: int) -> CaptionedSample:
    """Sample `number`, the same for every run."""
    generator = seeded(7, number)
    world = modality.world
    caption = world.caption(world.splits[0], generator, TASK)
    media = world.draw(caption, modality.options, generator)
    return encode_sample("image", modality, media, modality.options, caption)


def build(
    variant: Variant, modality: Modality, samples: list[CaptionedSample], seed: int
) -> nn.ModuleDict:
    """Backbone and text encoder, untrained."""
    settings = TextEncoderConfig()
    with tempfile.TemporaryDirectory() as folder:
        create_tiny(Path(folder), {sample.caption for sample in samples}, settings, seed)
        encoder = load_text_encoder(Path(folder), settings.reading)
    token_dims = {"image": modality.tokenizer.token_dim}
    config = BackboneConfig(token_dims, text_dim=encoder.text_dim, qk_norm=variant.qk_norm)
    num_positions = samples[0].tokens.grid.num_positions(config.separators)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Compared(config, variant, num_positions)
    return nn.ModuleDict({"backbone": backbone, "text_encoder": encoder})


def loss_of(
    networks: nn.ModuleDict, part: list[CaptionedSample], time_: TimeConfig, seed: int, step: int
) -> Tensor:
    """Mean error of the velocity over a batch."""
    generator = seeded(seed, 1, step)
    backbone: Any = networks["backbone"]
    batch = backbone.pack([sample.tokens for sample in part])
    t = sample_time(len(part), time_, generator)
    x_0 = torch.randn(batch.state.numel(), generator=generator)
    kept = (torch.rand(len(part), generator=generator) >= CAPTION_DROPOUT).tolist()
    texts = [sample.caption if keep else "" for sample, keep in zip(part, kept, strict=True)]
    features, lengths = networks["text_encoder"](texts)
    noisy = batch.with_state(
        interpolate(x_0, batch.state, t.repeat_interleave(batch.element_counts))
    )
    context = backbone.prepare(noisy, features, lengths)
    predicted = backbone(noisy, batch.segment_time(t), context)
    target = velocity(x_0, batch.state)
    return velocity_loss(predicted, target, noisy.element_counts, weight=None).mean()


Sampler = Callable[[nn.ModuleDict, Any, list[str], Tensor], Tensor]
"""(networks, packed batch, captions, noise) -> samples, end to end."""


def guided_steps(networks: nn.ModuleDict, batch: Any, captions: list[str], x: Tensor) -> Tensor:
    """NUM_STEPS of Euler's method with guidance."""
    backbone: Any = networks["backbone"]
    contexts = []
    for texts in (captions, [""] * len(captions)):
        features, lengths = networks["text_encoder"](texts)
        contexts.append(backbone.prepare(batch, features, lengths))
    for step in range(NUM_STEPS):
        t = batch.segment_time(torch.full((len(captions),), step / NUM_STEPS))
        told, untold = (backbone(batch.with_state(x), t, context) for context in contexts)
        x = x + (untold + GUIDANCE * (told - untold)) / NUM_STEPS
    return x


@torch.no_grad()
def judged(
    networks: nn.ModuleDict,
    modality: Modality,
    held: list[CaptionedSample],
    sampler: Sampler = guided_steps,
) -> int:
    """For how many held-out captions the oracle finds the picture right; noise never changes."""
    backbone: Any = networks["backbone"]
    batch = backbone.pack([sample.tokens for sample in held])
    x = torch.randn(batch.state.numel(), generator=seeded(HELD_SEED))
    x = sampler(networks, batch, [sample.caption for sample in held], x)
    right = 0
    for sample, tokens in zip(held, x.split(batch.element_counts.tolist()), strict=True):
        grid = sample.tokens.grid
        latent = modality.tokenizer.detokenize(tokens.view(grid.num_patches, -1), grid)
        media = modality.decode(latent, modality.options)
        verdict = modality.world.judge(media, sample.caption, modality.options)
        right += all(verdict.values())
    return right


def run(
    name: str,
    seed: int,
    minutes: float,
    modality: Modality,
    samples: list[CaptionedSample],
    rate: float | None,
) -> Iterator[dict[str, Any]]:
    """Train one variant; yields each measurement, the last one with how the run ended."""
    variant = VARIANTS[name]
    networks = build(variant, modality, samples, seed)
    average = build(variant, modality, samples, seed).requires_grad_(False).eval()
    average.load_state_dict(networks.state_dict())
    rates = {} if rate is None else {"learning_rate": rate}
    if variant.muon:
        rates = {"learning_rate": 0.002}  # of what is no matrix; Muon's own is its default
    settings = OptimizerConfig(
        name="muon" if variant.muon else "adamw", decay_share=0.0, ema_decay=0.99, **rates
    )
    optimizer = build_optimizer(networks, settings)
    times = TimeConfig(
        distribution="logit_normal" if variant.logit_normal else "uniform",
        **({"mean": -0.7} if variant.logit_normal else {}),
    )
    held = [drawn(modality, HELD_SEED + number) for number in range(NUM_PROMPTS)]
    spent, step, hits = 0.0, 0, 0
    while True:
        started = time.process_time()
        for _ in range(EVALUATE_EVERY):
            picks = torch.randint(len(samples), (BATCH,), generator=seeded(seed, 0, step))
            loss = loss_of(networks, [samples[i] for i in picks.tolist()], times, seed, step)
            loss.backward()
            nn.utils.clip_grad_norm_(networks.parameters(), CLIP_NORM)
            optimizer.set_rate(settings.rate_at(step, sys.maxsize))
            optimizer.step()
            optimizer.zero_grad()
            update_average(average, networks, step, settings.ema_decay)
            step += 1
        spent += time.process_time() - started
        right = judged(average, modality, held)
        hits = hits + 1 if right >= WANTED * NUM_PROMPTS else 0
        found = {
            "name": name,
            "seed": seed,
            "step": step,
            "right": right,
            "loss": loss.item(),
            "cpu_seconds": round(spent, 1),
        }
        is_over = hits == 2 or spent > 60 * minutes
        yield found | ({"arrived": hits == 2} if is_over else {})
        if is_over:
            return


def operations(
    name: str, step: int, samples: list[CaptionedSample], width: BackboneConfig
) -> float:
    """Floating-point operations of the matrix products of a run, those of Muon included."""
    grid = samples[0].tokens.grid
    text = median(len(sample.caption.split()) + 2 for sample in samples)  # and two marks
    sizes = Sizes(grid.num_patches, grid.num_positions(width.separators), int(text))
    total = float(step * BATCH * flops(width, "image", sizes).training)
    if VARIANTS[name].muon:
        backbone = Backbone(width)
        for matrix in block_matrices(backbone):
            short, long = sorted(matrix.shape)
            total += step * NUM_ITERATIONS * (4 * short**2 * long + 2 * short**3)
    return total


def command_run(folder: Path, words: list[str]) -> None:
    """Run what is not there yet, all names by turns, seed after seed."""
    torch.set_num_threads(1)
    named = [word for word in words if "=" not in word]
    given = dict(word.split("=") for word in words if "=" in word)
    seeds = [int(seed) for seed in given.get("seeds", "0,1,2").split(",")]
    minutes = float(given.get("minutes", 15))
    rate = float(given["rate"]) if "rate" in given else None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.jsonl"
    done = {(found["name"], found["seed"]) for found in ended(path)}
    modality = made_modality()
    samples = [drawn(modality, number) for number in range(NUM_SAMPLES)]
    for seed in seeds:
        for name in named or VARIANTS:
            if (name, seed) in done:
                continue
            for found in run(name, seed, minutes, modality, samples, rate):
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")


def ended(path: Path) -> list[dict[str, Any]]:
    """The last line of each run that is over."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [found for found in map(json.loads, lines) if "arrived" in found]


def command_table(folder: Path) -> None:
    """Print a row per variant: medians over the seeds, and each seed's own."""
    modality = made_modality()
    samples = [drawn(modality, number) for number in range(8)]
    found = ended(folder / "results.jsonl")
    print("| block | arrived | steps | operations | CPU seconds |")
    print("|---|---|---|---|---|")
    for name in VARIANTS:
        own = [each for each in found if each["name"] == name]
        arrived = [each for each in own if each["arrived"]]
        cells = [f"{len(arrived)} of {len(own)}"]
        config = BackboneConfig({"image": modality.tokenizer.token_dim})
        for key in ("step", "operations", "cpu_seconds"):
            values = [
                operations(name, each["step"], samples, config)
                if key == "operations"
                else each[key]
                for each in arrived
            ]
            told = ", ".join(f"{value:.3g}" if value > 1e6 else f"{value:.0f}" for value in values)
            cells.append(told or "-")
        if late := [each for each in own if not each["arrived"]]:
            cells[1] += "; " + ", ".join(f"{e['right']} right at {e['step']}" for e in late)
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """See the module."""
    command, folder, *words = sys.argv[1:]
    if command == "run":
        command_run(Path(folder), words)
    else:
        command_table(Path(folder))


if __name__ == "__main__":
    main()
