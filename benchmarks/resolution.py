"""What helps at sizes never trained on: one checkpoint, many ways to sample it, one oracle.

    python benchmarks/resolution.py --out FOLDER [--checkpoint FOLDER] [--num 60] [--seed 7]
                                    [--splits unseen_sizes,unseen_aspects] [--methods a,b]

Prints one line of JSON per method and split and writes a contact sheet of its first pictures, the
wrong ones marked. Every method sees the same prompts and the same noise.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from lumina_core.backbone.settings import RopeScaling
from lumina_core.config.compose import compose_options
from lumina_core.evaluation.oracle import cases, wilson_interval
from lumina_core.media.previews import save_contact_sheet
from lumina_core.plugins import demos
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.sample import sample
from lumina_core.sampling.settings import CoarseConfig

NUM_SHOWN = 24
TRAINED_POSITIONS = 80  # of a picture of 64 x 64 and its separators, near the middle of training
BEGUN_SMALL_ABOVE = 132  # positions, of a picture of 88 x 88: longer ones are rare in training
LONGEST_SIDE = 24.0  # of a picture of 32 x 96, whose short side spans 8


def methods(sampling):
    """Name -> settings."""

    def scaled(linear=1.0, ntk=1.0, watershed=None):
        return replace(sampling, rope_scaling=RopeScaling(linear, ntk, watershed))

    def begun_small(strength):
        return replace(
            sampling, coarse=CoarseConfig(BEGUN_SMALL_ABOVE, TRAINED_POSITIONS, strength)
        )

    def shifted(shift):
        return replace(sampling, solver=replace(sampling.solver, shift=shift))

    return {
        "plain": sampling,
        "proportional": replace(sampling, proportional_attention=TRAINED_POSITIONS),
        "linear_1.2": scaled(linear=1.2),
        "ntk_1.5": scaled(ntk=1.5),
        "time_aware_1.5": scaled(linear=1.5, ntk=1.5, watershed=0.3),
        "shift_1.5": shifted(1.5),
        "shift_2.5": shifted(2.5),
        "shift_0.6": shifted(0.6),
        "longest_side": replace(sampling, longest_side=LONGEST_SIDE),
        "coarse_0.5": begun_small(0.5),
        "coarse_0.6": begun_small(0.6),
        "coarse_0.7": begun_small(0.7),
        "coarse_0.85": begun_small(0.85),
        "coarse_0.7_proportional": replace(
            begun_small(0.7), proportional_attention=TRAINED_POSITIONS
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("image"))
    parser.add_argument("--num", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--splits", default="unseen_sizes,unseen_aspects")
    parser.add_argument("--methods", default="")
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    words_of_run = ["modality=image", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    config = compose_run(words_of_run)
    model, options = load_model(config), compose_options("image")
    known = methods(compose_sampling("image"))
    for name in words.methods.split(",") if words.methods else known:
        for split in words.splits.split(","):
            found = cases(model.modality.world, split, options, words.num, words.seed)
            media = [
                item.media for case in found for item in sample(model, [case.request], known[name])
            ]
            judge = model.modality.world.judge
            made = [
                (m, judge(m, case.request.prompt)) for m, case in zip(media, found, strict=True)
            ]
            right = [all(verdict.values()) for _, verdict in made]
            place = [all(v for k, v in verdict.items() if "shape" not in k) for _, verdict in made]
            low, high = wilson_interval(sum(right), len(right))
            shares = {"right": sum(right) / len(right), "low": low, "high": high}
            shares["right_but_for_shapes"] = sum(place) / len(place)
            print(json.dumps({"method": name, "split": split, "num": len(right), **shares}))
            save_contact_sheet(
                words.out / f"{name}-{split}.png",
                [media for media, _ in made[:NUM_SHOWN]],
                ["right" if ok else "WRONG" for ok in right[:NUM_SHOWN]],
                columns=8,
            )


if __name__ == "__main__":
    main()
