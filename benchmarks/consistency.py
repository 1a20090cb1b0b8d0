"""How many views of a checkpoint's objects show what their camera should see.

    python benchmarks/consistency.py [--checkpoint FOLDER] [--num 120] [--seed 1] [--splits a,b]

Prints for each split, and each task in it, the share of views in which outline and colours are
those of the view's azimuth, and the share of objects of which everything is right. An object that
is red at the top, or red all over, looks alike from everywhere: `turning` leaves these tasks out.
"""

import argparse
import json
from pathlib import Path

from lumina_core.evaluation.oracle import cases, wilson_interval
from lumina_core.plugins import demos
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.sample import sample
from lumina_multiview import oracle
from lumina_multiview.world import MultiviewWorld

STILL = ("top_bottom", "one_colour")


def shares(found: list[tuple[list[bool], bool]]) -> dict[str, float]:
    """Of views and of objects."""
    views = [good for agreeing, _ in found for good in agreeing]
    low, high = wilson_interval(sum(views), len(views))
    right = sum(is_right for _, is_right in found) / len(found)
    numbers = {"agreeing": sum(views) / len(views), "low": low, "high": high, "right": right}
    return {name: round(value, 4) for name, value in numbers.items()} | {"views": len(views)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("multiview"))
    parser.add_argument("--num", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--splits", default=",".join(MultiviewWorld.splits))
    words = parser.parse_args()
    asked = ["modality=multiview", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    config = compose_run(asked)
    model = load_model(config)
    world = model.modality.world
    for split in words.splits.split(","):
        found: dict[str, list[tuple[list[bool], bool]]] = {}
        for case in cases(world, split, model.modality.options, words.num, words.seed):
            (item,) = sample(model, [case.request], config)
            options, prompt = case.request.options, case.request.prompt
            agreeing = oracle.agreement(item.media, prompt, options.angles, options.elevations)
            is_right = all(world.judge(item.media, prompt, options).values())
            found.setdefault(case.task, []).append((agreeing, is_right))
        result = {task: shares(each) for task, each in found.items()}
        turning = [one for task in found if task not in STILL for one in found[task]]
        result["turning"] = shares(turning)
        result["all"] = shares([one for each in found.values() for one in each])
        print(json.dumps({split: result}), flush=True)


if __name__ == "__main__":
    main()
