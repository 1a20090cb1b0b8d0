"""How often a checkpoint paints the missing one of two objects: masked pictures of the image world.

    python benchmarks/filling.py [--checkpoint FOLDER] [--num 100] [--seed 0] [--out FOLDER]

A picture of two objects is drawn, the half with one of them is masked, and the picture is filled
from its caption. Right is what the oracle says of the whole picture. `kept` compares the known half
with what the autoencoder alone makes of it, in grey levels.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from lumina_core.config.compose import compose_options
from lumina_core.evaluation.oracle import wilson_interval
from lumina_core.media.previews import save_contact_sheet
from lumina_core.plugins import demos
from lumina_core.runtime import seeded
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.given import given_tokens
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.sampling.settings import Condition
from lumina_image import grammar
from lumina_image.options import ImageCondition

TASKS = ("two_objects", "position", "colour_attribution")
EDGE = 8  # columns beside the mask that the decoder mixes with what is filled


def masked_half(caption: str, height: int, width: int, hide_first: bool) -> torch.Tensor:
    """The half of the canvas in which the first or the second object stands."""
    scene = grammar.parse(caption)
    is_beside = width >= height if scene.relation is None else scene.relation in ("left", "right")
    first_is_early = scene.relation not in ("right", "below")
    is_early = first_is_early == hide_first
    place = torch.arange(width if is_beside else height)
    half = (place < len(place) / 2) == is_early
    return (half[None] if is_beside else half[:, None]).expand(height, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("image"))
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    words_of_run = ["modality=image", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    config = compose_run(words_of_run)
    model, sampling = load_model(config), compose_sampling("image")
    world, vae, decoder = model.modality.world, model.modality.vae, model.modality.decoder
    variants = world.variants("trained")
    pictures, verdicts, errors = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(words.num):
            generator = seeded(words.seed, number)
            task = TASKS[number % len(TASKS)]
            caption = world.caption("trained", generator, task)
            size = variants[number // len(TASKS) % len(variants)]
            options = replace(compose_options("image"), **size)
            picture = world.draw(caption, options, generator)
            mask = masked_half(caption, options.height, options.width, bool(number % 2))
            image_file, mask_file = Path(folder, "image.png"), Path(folder, "mask.png")
            decoder.write(picture, image_file, {}, options)
            white = (mask * 255).to(torch.uint8).expand(3, -1, -1).clone()
            decoder.write(white, mask_file, {}, options)
            wanted = ImageCondition(str(image_file), str(mask_file), None)
            given = given_tokens(model, Condition(1.0, wanted), options)
            request = Request(caption, "", words.seed + number, options, given)
            (made,) = sample(model, [request], sampling)
            verdicts.append((task, all(world.judge(made.media, caption, options).values())))
            shown = torch.where(mask, torch.tensor(128, dtype=torch.uint8), picture)
            pictures += [shown, made.media]
            near = torch.nn.functional.max_pool2d(mask[None].float(), 2 * EDGE + 1, 1, EDGE)[0] > 0
            drawn = vae.decode(vae.encode(picture)).float()
            errors.append((made.media.float() - drawn).abs()[:, ~near].mean().item())
    right = sum(ok for _, ok in verdicts)
    low, high = wilson_interval(right, len(verdicts))
    tasks = {t: [ok for name, ok in verdicts if name == t] for t in TASKS}
    per_task = {task: sum(found) / len(found) for task, found in tasks.items()}
    result = {"right": right / len(verdicts), "low": low, "high": high, "tasks": per_task}
    print(json.dumps(result | {"kept": sum(errors) / len(errors), "num": len(verdicts)}, indent=2))
    if words.out:
        words.out.mkdir(parents=True, exist_ok=True)
        labels = [text for task, ok in verdicts for text in (task, "right" if ok else "wrong")]
        save_contact_sheet(words.out / "filling.png", pictures, labels, columns=8)


if __name__ == "__main__":
    main()
