"""How a view's camera should reach the network: as features of its frame, or by a position.

    python benchmarks/camera.py --init CHECKPOINT --vae FOLDER [--steps 800] [--num 60]
        [--methods features,coordinate,both]

Each method is trained for as many steps from the same checkpoint on the world's own training, half
of it with uneven azimuths, and then asked for objects. `right` is the share of objects of which the
oracle says that all is right, `agreeing` the share of views that show what their camera should see.

- features: waves of the azimuth and the elevation, as features; views share their positions.
- coordinate: no features; views lie side by side on the frame axis, EXTENT the whole turn.
- both.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from lumina_core.evaluation.oracle import cases
from lumina_core.media.patches import PatchTokenizer
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.sample import sample
from lumina_core.training import start
from lumina_core.training import step as training_step
from lumina_core.training.compose import compose_train
from lumina_multiview import oracle
from lumina_multiview.multiview import EXTENT, MultiviewModality

SPLITS = ("trained", "unseen_views", "unseen_azimuths")


class Experiment(MultiviewModality):
    """The multi-view modality with the positions and features of a method."""

    method = "features"

    @property
    def tokenizer(self):
        is_counted = self.method in ("coordinate", "both")

        def step(frames, rows, columns):
            return EXTENT / frames if is_counted else 0.0, EXTENT / rows, EXTENT / columns

        return PatchTokenizer(self.vae.autoencoder.channels, (1, *self.options.patch), step)

    def features(self, options, grid):
        return super().features(options, grid) * (self.method in ("features", "both"))


def trained(method: str, words: argparse.Namespace, out: str):
    """The averaged weights after so many steps, and the last loss."""
    Experiment.method = method
    argv = ["+modality=multiview", f"init_from={words.init}", f"out={out}/run", "seed=5"]
    argv += [f"modality.vae={words.vae}", f"max_steps={words.steps}", "token_budget=1450"]
    argv += ["data.pool_size=512", "data.refresh_per_step=2", "condition_share=0", "device=cpu"]
    config = compose_train(argv)
    run = start.start(config)
    for _ in range(words.steps):
        metrics = training_step.training_step(run, config)
    return start.averaged(run)[config.modality], metrics["loss"]


def measured(model, split: str, num: int) -> dict[str, float]:
    """Shares of right objects and of agreeing views."""
    world, sampling = model.modality.world, compose_sampling("multiview")
    right, views = 0, []
    for case in cases(world, split, model.modality.options, num, seed=7):
        (item,) = sample(model, [case.request], sampling)
        options, prompt = case.request.options, case.request.prompt
        right += all(world.judge(item.media, prompt, options).values())
        views += oracle.agreement(item.media, prompt, options.angles, options.elevations)
    return {"right": right / num, "agreeing": sum(views) / len(views)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--init", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--num", type=int, default=60)
    parser.add_argument("--methods", default="features,coordinate,both")
    words = parser.parse_args()
    torch.set_num_threads(1)
    host.modality_class = lambda name: Experiment
    for method in words.methods.split(","):
        with tempfile.TemporaryDirectory() as out:
            model, loss = trained(method, words, out)
        for split in SPLITS:
            numbers = measured(model, split, words.num)
            result = {"method": method, "split": split, **numbers, "loss": loss}
            print(
                json.dumps(
                    {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
