"""A picture in four steps: ways to distil a small network, compared at equal CPU time.

    python benchmarks/few_steps.py teach FOLDER [minutes=10] [seed=0]
    python benchmarks/few_steps.py run FOLDER [METHOD ...] [minutes=5] [seeds=0]
    python benchmarks/few_steps.py table FOLDER

The task is that of convergence.py, made open: the picture of one object, 32 x 32 pixels, lies at a
random place of 48 x 48, and no caption says where. So the mean of what a caption allows is a blur,
and one step along the flow cannot do. `teach` trains the teacher. Every method starts from its
weights, learns its guided flow, so that a step costs one evaluation instead of two, and has the
same optimiser and batches. Right are prompts whose picture the oracle accepts, of the same 200
prompts and noise for all. CPU time is that of one thread; what a method asks of its teacher is in
it.

| method | what the student learns from a time t of a window from a to b | second time |
|---|---|---|
| reflow | the straight line from noise to the teacher's sample of it | no |
| piecewise | the straight line from a noisy sample at a to where the teacher takes it by b | no |
| consistency | to end at b where its average ends from the next time of the teacher's path | no |
| meanflow | the mean velocity from t to r, by the identity of MeanFlow | r - t |
| shortcut | the teacher's velocity; of twice a step, what two steps of its average do | step |

Sources: Liu et al., arXiv:2209.03003 (reflow); Yan et al., arXiv:2405.07510 (piecewise); Heek et
al., arXiv:2403.06807 (consistency in windows); Geng et al., arXiv:2505.13447 (MeanFlow); Frans et
al., arXiv:2410.12557 (shortcut).
"""

import copy
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from convergence import (
    BATCH,
    CLIP_NORM,
    HELD_SEED,
    NUM_SAMPLES,
    SIDE,
    TASK,
    VARIANTS,
    build,
    judged,
    loss_of,
    made_modality,
)
from distilling import FINE, METHODS, WITH_SPAN, Guided, Task, TwoTimes, field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lumina_core.backbone.transformer import TimeEmbedding
from lumina_core.data.pool import encode_sample
from lumina_core.data.source import CaptionedSample
from lumina_core.data.synthetic import world_of
from lumina_core.flow.settings import TimeConfig
from lumina_core.modality import Modality
from lumina_core.runtime import seeded
from lumina_core.training.optimizer import build_optimizer, update_average
from lumina_core.training.settings import OptimizerConfig

CANVAS = 48  # pixels
NUM_PROMPTS = 200
SAMPLED = (1, 2, 4, 8)
TEACHER = "teacher.safetensors"
EMA_DECAY = 0.99
TEACHER_TIMES = TimeConfig(distribution="logit_normal", mean=-0.7)


def drawn(modality: Modality, number: int) -> CaptionedSample:
    """Sample `number`, the same for every run: its picture lies somewhere on the canvas."""
    generator, world = seeded(7, number), world_of(modality)
    small = replace(modality.options, height=SIDE, width=SIDE)
    while True:
        caption = world.caption(world.splits[0], generator, TASK)
        picture = world.draw(caption, small, generator)
        top, left = torch.randint(CANVAS - SIDE + 1, (2,), generator=generator).tolist()
        media = picture[:, :1, :1].expand(-1, CANVAS, CANVAS).clone()  # the background's colour
        media[:, top : top + SIDE, left : left + SIDE] = picture
        if all(world.judge(media, caption, modality.options).values()):  # names no place, no size
            return encode_sample("image", modality, media, modality.options, caption)


def made() -> tuple[Modality, list[CaptionedSample], list[CaptionedSample]]:
    """The modality, what is trained on, and whose captions are judged."""
    modality = made_modality(CANVAS)
    numbers = range(NUM_SAMPLES), range(HELD_SEED, HELD_SEED + NUM_PROMPTS)
    samples, held = ([drawn(modality, number) for number in part] for part in numbers)
    return modality, samples, held


def sampler(num_steps: int, *, guided: bool) -> Callable[..., Tensor]:
    """Euler's even steps, as `judged` takes them."""

    def sample(networks: nn.ModuleDict, batch: Any, captions: list[str], x: Tensor) -> Tensor:
        flow: Any = (Guided if guided else field)(networks, batch, captions)
        for step in range(num_steps):
            t = torch.full((len(captions),), step / num_steps)
            v = flow(t, x) if guided else flow(t, x, 1 / num_steps)
            x = x + v / num_steps
        return x

    return sample


def networks_like(folder: Path, samples: list[CaptionedSample], modality: Any) -> nn.ModuleDict:
    """The teacher."""
    seed = json.loads((folder / "teacher.json").read_text("utf-8"))["seed"]
    networks = build(VARIANTS["ours"], modality, samples, seed)
    networks.load_state_dict(load_file(folder / TEACHER))
    return networks


def command_teach(folder: Path, given: dict[str, str]) -> None:
    """Train the teacher by the loss of training."""
    minutes, seed = float(given.get("minutes", 10)), int(given.get("seed", 0))
    modality, samples, held = made()
    networks = build(VARIANTS["ours"], modality, samples, seed)
    average = copy.deepcopy(networks).requires_grad_(False).eval()

    def loss(step: int) -> Tensor:
        picks = torch.randint(len(samples), (BATCH,), generator=seeded(seed, 0, step)).tolist()
        return loss_of(networks, [samples[pick] for pick in picks], TEACHER_TIMES, seed, step)

    steps, spent = optimise(networks, average, loss, minutes)
    found = {
        f"{'guided ' if guided else ''}{count}": judged(
            average, modality, held, sampler(count, guided=guided)
        )
        for guided, counts in ((True, (4, 8, 12, FINE)), (False, SAMPLED))
        for count in counts
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in average.state_dict().items()}, folder / TEACHER)
    told = {"seed": seed, "steps": steps, "cpu_seconds": spent, "right": found}
    (folder / "teacher.json").write_text(json.dumps(told), "utf-8")
    print(json.dumps(told))


def optimise(
    networks: nn.ModuleDict,
    average: nn.ModuleDict,
    loss: Callable[[int], Tensor],
    minutes: float,
    rate_share: float = 1.0,
) -> tuple[int, float]:
    """Train for so many CPU minutes, the rate falling over the last third; steps and seconds."""
    settings = OptimizerConfig(
        name="muon", learning_rate=0.002, decay_share=0.0, ema_decay=EMA_DECAY
    )
    optimizer = build_optimizer(networks, settings)
    started, step, spent = time.process_time(), 0, 0.0
    while spent < 60 * minutes:
        loss(step).backward()
        nn.utils.clip_grad_norm_(networks.parameters(), CLIP_NORM)
        falling = min(1.0, 3 * (1 - spent / (60 * minutes)))
        optimizer.set_rate(rate_share * falling * settings.rate_at(step, sys.maxsize))
        optimizer.step()
        optimizer.zero_grad()
        update_average(average, networks, step, settings.ema_decay)
        step, spent = step + 1, time.process_time() - started
    return step, round(spent, 1)


def command_run(folder: Path, names: list[str], given: dict[str, str]) -> None:
    """Distil by each method that is not there yet."""
    minutes, share = float(given.get("minutes", 5)), float(given.get("rate", 0.5))
    path = folder / "results.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    done = {(each["method"], each["seed"]) for each in map(json.loads, lines)}
    modality, samples, held = made()
    for seed in map(int, given.get("seeds", "0").split(",")):
        for name in names or METHODS:
            if (name, seed) in done:
                continue
            teacher = networks_like(folder, samples, modality).requires_grad_(False).eval()
            student = networks_like(folder, samples, modality)
            if name in WITH_SPAN:
                backbone: Any = student["backbone"]
                second = TimeEmbedding(backbone.config)
                backbone.time_embedding = TwoTimes(backbone.time_embedding, second)
            average = copy.deepcopy(student).requires_grad_(False).eval()
            task = Task(student, average, teacher, samples, seed)
            loss = partial(METHODS[name](task), task)
            steps, spent = optimise(student, average, loss, minutes, share)
            right = {
                str(count): judged(average, modality, held, sampler(count, guided=False))
                for count in SAMPLED
            }
            told = {
                **{"method": name, "seed": seed, "steps": steps, "cpu_seconds": spent},
                "right": right,
            }
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
            print(json.dumps(told), flush=True)


def command_table(folder: Path) -> None:
    """A row per method; right of NUM_PROMPTS, medians over the seeds."""
    teacher = json.loads((folder / "teacher.json").read_text("utf-8"))
    print(f"teacher, {teacher['cpu_seconds']:.0f} CPU seconds: {teacher['right']}")
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    print("| method | seeds | steps | " + " | ".join(f"{n} steps" for n in SAMPLED) + " |")
    print("|---|---|---|" + "---|" * len(SAMPLED))
    for name in METHODS:
        if own := [each for each in found if each["method"] == name]:
            steps = median(each["steps"] for each in own)
            right = [median(each["right"][str(n)] for each in own) for n in SAMPLED]
            told = " | ".join(f"{value:g}" for value in right)
            print(f"| {name} | {len(own)} | {steps:g} | {told} |")


def main() -> None:
    """See the module."""
    torch.set_num_threads(1)
    command, folder, *words = sys.argv[1:]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    named = [word for word in words if "=" not in word]
    if command == "teach":
        command_teach(Path(folder), given)
    elif command == "run":
        command_run(Path(folder), named, given)
    else:
        command_table(Path(folder))


if __name__ == "__main__":
    main()
