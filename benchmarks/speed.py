"""What `speed=balanced` and `speed=fast` cost: accuracy, CPU time, distance to the exact sample.

    python benchmarks/speed.py +modality=image [checkpoint=FOLDER] [num_prompts=200] [KEY=VALUE ...]

The prompts are those of `old_captions.py`, so the splits of 200 prompts each are taken until there
are `num_prompts`. Each prompt is made at every speed, one after the other, with the same noise, and
judged by the oracle. Prints for each speed the share that is right, its difference to `exact` in
points with the interval of the paired difference (95 %), CPU time of one thread as a share of that
of `exact` (median over the prompts), and the distance: the mean of |z - z_fine| / |z_fine| over the
first 20 latents, where z_fine has 4 times the steps of `exact`.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import sqrt
from statistics import mean, median, stdev

import torch
from old_captions import FOLDER, old_cases

from lumina_core.errors import LuminaError
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.files.reading import read_json
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.sample import sample_latents
from lumina_core.sampling.settings import EXACT, SPEEDS, sampling_of
from lumina_core.terminal import progress, show_json

FINER, NUM_FINE = 4, 20  # times the steps, and of how many samples distances are measured


def compared(
    config: EvaluateConfig, ways: Sequence[str], speed_of: Callable[[str], str]
) -> dict[str, dict[str, float]]:
    """The figures of ways to sample.

    Args:
        config: model, prompts and sampling.
        ways: by name; the first is `exact`.
        speed_of: called before each sample; lets it be made in a way, and gives the `speed`.
    """
    old = read_json(FOLDER / f"{config.modality}.json")
    model, sampling = load_model(config), sampling_of(config)
    cases = [case for split in old["splits"] for case in old_cases(old, split, config)]
    cases = cases[: config.num_prompts]
    solver = sampling.solver
    finer = replace(sampling, solver=replace(solver, num_steps=FINER * solver.num_steps))
    right: dict[str, list[bool]] = {way: [] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    distance: dict[str, list[float]] = {way: [] for way in ways}
    world, decode = model.modality.world, model.modality.decode
    for number in progress(range(len(cases)), config.modality):
        case = cases[number]
        speed_of(EXACT)
        fine = sample_latents(model, [case.request], finer) if number < NUM_FINE else []
        for way in ways:
            sampled = replace(sampling, speed=speed_of(way))
            started = time.thread_time()
            (latent,) = sample_latents(model, [case.request], sampled)
            seconds[way].append(time.thread_time() - started)
            verdict = world.judge(
                decode(latent, case.request.options), case.request.prompt, case.request.options
            )
            right[way].append(all(verdict.values()))
            distance[way] += [float((latent - z).norm() / z.norm()) for z in fine]
    return {
        way: {
            "right": 100 * mean(right[way]),
            **_difference(right[way], right[EXACT]),
            "time": median(
                one / exact for one, exact in zip(seconds[way], seconds[EXACT], strict=True)
            ),
            "distance": mean(distance[way]),
        }
        for way in ways
    }


def _difference(right: list[bool], exact: list[bool]) -> dict[str, float]:
    """Points by which a speed differs from `exact`, and the half width of its interval."""
    apart = [100.0 * (one - other) for one, other in zip(right, exact, strict=True)]
    return {"difference": mean(apart), "interval": 1.96 * stdev(apart) / sqrt(len(apart))}


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        config = compose_evaluate(["num_prompts=200", *sys.argv[1:]])
        show_json(compared(config, list(SPEEDS), str))
    except LuminaError as error:
        sys.exit(f"error: {error}")
