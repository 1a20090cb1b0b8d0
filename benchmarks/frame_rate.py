"""How the frame rate should reach the network: as a feature of each frame, or in its positions.

    python benchmarks/frame_rate.py --init CHECKPOINT [--steps 500] [--num 48] [--methods a,b]

A circle moves to the right at SPEED sides of the clip per second, so how far it gets in a clip
follows from the number of frames and the rate, of which the caption says nothing. Each method is
trained for as many steps from the same checkpoint and then asked for clips; the error is that of
the way, in shares of the side, beside that of somebody who always answers with the mean way.

- none: positions span [-4, 4] in every clip, and nothing tells the rate.
- feature: the same positions, and the rate as a feature.
- seconds: positions along time are seconds from the middle of the clip, PER_SECOND to a second.
- seconds_feature: the positions of the first two, and as features the rate and the seconds of the
  frame from the middle of the clip.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from itertools import product
from math import sqrt
from pathlib import Path
from types import SimpleNamespace

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.drawing import BACKGROUND_PALETTE, PALETTE, paint, rgb
from lumina_core.media.worlds.finding import find_objects
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.training import start
from lumina_core.training import step as training_step
from lumina_core.training.compose import compose_train
from lumina_video.video import EXTENT, VideoModality

SPEED, START, RADIUS, SIDE = 0.3, 0.18, 0.17, 48
PER_SECOND = 4.0  # two seconds span as much as a clip does in the other methods
CAPTION = "a red circle moving to the right"
LENGTHS, RATES = (5, 7, 9, 13), (6.0, 8.0, 12.0)
UNSEEN = ((17, 12.0), (19, 12.0), (21, 12.0), (15, 8.0), (7, 10.0), (11, 10.0))


class SpeedWorld:
    """One caption; the way of its circle depends on the duration."""

    version, splits = "speed", ("trained",)

    def __init__(self, modality):
        self.modality = modality

    def tasks(self, split):
        return ("motion",)

    def caption(self, split, generator, task=None):
        return CAPTION

    def variants(self, split):
        return tuple({"frames": f, "fps": r} for f, r in product(LENGTHS, RATES))

    def draw(self, caption, options, generator):
        self.modality.media_shape(options)  # tells the rate to the tokenizer
        clip = rgb(BACKGROUND_PALETTE["black"]).expand(options.num_frames, 3, SIDE, SIDE).clone()
        shift = float(torch.rand((), generator=generator)) * 0.04 - 0.02
        for number, frame in enumerate(clip):
            column = START + shift + SPEED * (number + 0.5) / options.fps
            paint(frame, "circle", PALETTE["red"], (SIDE / 2, column * SIDE), RADIUS * SIDE)
        return clip.round().to(torch.uint8)


class Experiment(VideoModality):
    """The video modality with the positions and features of a method."""

    method = "none"

    def __init__(self, options, vae_folder):
        super().__init__(options, vae_folder)
        self.world = SpeedWorld(self)
        self._fps = options.fps

    @property
    def tokenizer(self):
        tokenizer, seconds = super().tokenizer, self.options.patch[0] / self._fps

        def step(frames, rows, columns):
            time = PER_SECOND * seconds if self.method == "seconds" else EXTENT / frames
            return time, EXTENT / rows, EXTENT / columns

        tokenizer._step = step
        return tokenizer

    def media_shape(self, options):
        self._fps = options.fps
        return super().media_shape(options)

    def features(self, options, grid):
        used = {"feature": (1, 0), "seconds_feature": (1, 1)}.get(self.method, (0, 0))
        return super().features(options, grid) * torch.tensor(used)


def measured(model, cases, sampling):
    """Root mean square error of the way, and that of the mean way."""
    errors, ways = [], []
    for number, (frames, fps) in enumerate(cases):
        options = replace(model.modality.options, frames=frames, fps=fps)
        (item,) = sample(model, [Request(CAPTION, "", number, options)], sampling)
        found = [find_objects(frame) for frame in item.media]
        wanted = SPEED * (frames - 1) / fps
        ways.append(wanted)
        seen = [objects[0].column / SIDE for objects in found if len(objects) == 1]
        errors.append(seen[-1] - seen[0] - wanted if len(seen) > 1 else wanted)
    mean = sum(ways) / len(ways)
    rms = [sqrt(sum(x * x for x in xs) / len(xs)) for xs in (errors, [w - mean for w in ways])]
    return SimpleNamespace(error=rms[0], of_the_mean=rms[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--init", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--num", type=int, default=48)
    parser.add_argument("--methods", default="none,feature,seconds,seconds_feature")
    words = parser.parse_args()
    torch.set_num_threads(1)
    if not host.find("video"):
        raise LuminaError("lumina-video is not installed")
    host.modality_class = lambda name: Experiment
    for method in words.methods.split(","):
        Experiment.method = method
        with tempfile.TemporaryDirectory() as out:
            argv = ["+modality=video", f"init_from={words.init}", f"out={out}/run", "seed=5"]
            argv += [f"max_steps={words.steps}", "token_budget=1450", "data.pool_size=256"]
            argv += ["data.refresh_per_step=1", "condition_share=0", "device=cpu"]
            config = compose_train(argv)
            run = start.start(config)
            for _ in range(words.steps):
                metrics = training_step.training_step(run, config)
        model, sampling = start.averaged(run)[config.modality], compose_sampling("video")
        trained = list(product(LENGTHS, RATES))
        cases = [trained[number % len(trained)] for number in range(words.num)]
        for name, chosen in (("trained", cases), ("unseen", UNSEEN * (words.num // len(UNSEEN)))):
            result = measured(model, chosen, sampling)
            numbers = {key: round(value, 4) for key, value in vars(result).items()}
            about = {"method": method, "durations": name, "num": len(chosen)}
            print(json.dumps({**about, **numbers, "loss": round(metrics["loss"], 4)}), flush=True)


if __name__ == "__main__":
    main()
