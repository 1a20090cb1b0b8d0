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
from types import SimpleNamespace

import torch
from torch.nn import functional

from lumina_core import host
from lumina_core.backbone.rope import RopeScaling
from lumina_core.conditioning import GivenTokens
from lumina_core.config import compose_options, compose_sampling
from lumina_core.contact_sheet import save_contact_sheet
from lumina_core.evaluate import Case, cases, wilson_interval
from lumina_core.run import load_model
from lumina_core.sampling import Request, sample

NUM_SHOWN = 24
TRAINED_POSITIONS = 80  # of a picture of 64 x 64 and its separators, near the middle of training
SMALL_SIDE = 64  # the shorter side at which low resolution comes first
MAX_SMALL = 112  # the longest side trained on


def methods(sampling):
    """Name -> settings; `low_first_*` are handled by their name."""

    def scaled(linear=1.0, ntk=1.0, watershed=None):
        return replace(sampling, rope_scaling=RopeScaling(linear, ntk, watershed))

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
        "low_first_0.5": sampling,
        "low_first_0.7": sampling,
        "low_first_0.85": sampling,
    }


def smaller(options, unit):
    """A size with about the same aspect ratio inside the range of training."""
    factor = min(SMALL_SIDE / min(options.height, options.width), 1.0)
    factor = min(factor, MAX_SMALL / max(options.height, options.width))
    sides = (round(side * factor / unit) * unit for side in (options.height, options.width))
    height, width = sides
    return replace(options, height=height, width=width)


def continued(model, request: Request, sampling, strength: float) -> Request:
    """The request, begun at low resolution: its picture enlarged and partly noised."""
    small = smaller(request.options, 8)
    (first,) = sample(model, [replace(request, options=small)], sampling)
    size = (request.options.height, request.options.width)
    pixels = functional.interpolate(first.media[None].float(), size, mode="bicubic")
    picture = pixels[0].round().clamp(0, 255).to(torch.uint8)
    tokens = model.modality.tokenizer.tokenize(model.modality.vae.encode(picture))
    known = torch.zeros(len(tokens), dtype=torch.bool)
    return replace(request, given=GivenTokens(tokens, known, 1 - strength, {}))


def judged(model, case: Case, name: str, sampling):
    request = case.request
    if name.startswith("low_first"):
        request = continued(model, request, sampling, float(name.rpartition("_")[2]))
    (made,) = sample(model, [request], sampling)
    found = model.modality.world.judge(made.media, request.prompt)
    return made.media, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=host.demo_folder("image"))
    parser.add_argument("--num", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--splits", default="unseen_sizes,unseen_aspects")
    parser.add_argument("--methods", default="")
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    config = SimpleNamespace(
        checkpoint=words.checkpoint, modality="image", device="cpu", dtype="float32"
    )
    model, options = load_model(config), compose_options("image")
    known = methods(compose_sampling("image"))
    for name in words.methods.split(",") if words.methods else known:
        for split in words.splits.split(","):
            found = cases(model.modality.world, split, options, words.num, words.seed)
            made = [judged(model, case, name, known[name]) for case in found]
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
