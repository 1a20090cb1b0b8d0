"""How often a checkpoint continues a clip as it began: first frames of the video world are given.

    python benchmarks/continuing.py [--checkpoint FOLDER] [--num 100] [--seed 0] [--out FOLDER]

A clip is drawn from a caption that names all, and the oracle judges what is made by that caption.
Three kinds of cases, `num` of each:

- named: a third of the frames of one moving object, and the caption.
- unnamed: the same of one object that passes another, and a caption without colours or direction:
  both stand in the given frames alone.
- one_frame: the first frame alone of either, and the whole caption.

`kept` compares the given frames with what the autoencoder alone makes of them, in grey levels.
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
from lumina_core.media.worlds.captions import pick_two
from lumina_core.media.worlds.words import COLOURS
from lumina_core.plugins import demos
from lumina_core.runtime import seeded
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.given import given_tokens
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.sampling.settings import Condition
from lumina_video import grammar
from lumina_video.options import VideoCondition
from lumina_video.scenes import Scene
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

KINDS = ("named", "unnamed", "one_frame")
GIVEN = 1 / 3  # of the frames
NUM_SHOWN = 6  # frames of a clip in the sheet


def draw_scene(kind: str, generator: torch.Generator) -> tuple[Scene, Scene]:
    """A scene that says all, and what the caption says of it."""
    tasks = {"named": ("motion",), "unnamed": ("passing",), "one_frame": ("motion", "passing")}
    task = tasks[kind][int(torch.randint(len(tasks[kind]), (), generator=generator))]
    while True:
        scene = VideoWorld().sample_scene(generator, "trained", task)
        first = scene.things[0]
        if first.motions and first.motions != ("still",):
            break
    colours = pick_two(COLOURS, generator)
    things = [
        replace(thing, colour=colour) for thing, colour in zip(scene.things, colours, strict=False)
    ]
    whole = replace(scene, things=tuple(things))
    if grammar.is_held_out(whole) or not grammar.is_drawn(whole):
        return draw_scene(kind, generator)
    if kind != "unnamed":
        return whole, whole
    nameless = [replace(thing, colour=None) for thing in things]
    return whole, replace(whole, things=(replace(nameless[0], motions=()), nameless[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("video"))
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    words_of_run = ["modality=video", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    model, sampling = load_model(compose_run(words_of_run)), compose_sampling("video")
    world, vae = model.modality.world, model.modality.vae
    variants = world.variants("trained")
    result, kept, pictures, labels = {}, [], [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "given.webp")
        for kind in KINDS:
            right = 0
            for number in range(words.num):
                generator = seeded(words.seed, KINDS.index(kind), number)
                whole, said = draw_scene(kind, generator)
                caption = grammar.caption_of(said, generator)
                options = replace(compose_options("video"), **variants[number % len(variants)])
                clip = world.draw(grammar.caption_of(whole, generator), options, generator)
                count = 1 if kind == "one_frame" else round(GIVEN * len(clip))
                VideoDecoder(options.fps).write(clip, file, {}, options)
                wanted = VideoCondition(str(file), count)
                given = given_tokens(model, Condition(1.0, wanted), options)
                request = Request(caption, "", words.seed + number, options, given)
                (made,) = sample(model, [request], sampling)
                full_caption = grammar.caption_of(whole, generator)
                verdict = world.judge(made.media, full_caption, options)
                right += all(verdict.values())
                drawn = vae.decode(vae.encode(clip[:count])).float()
                kept.append((made.media[:count].float() - drawn).abs().max().item())
                if number < 6 or not all(verdict.values()):
                    chosen = torch.linspace(0, len(clip) - 1, NUM_SHOWN).round().long()
                    pictures += list(made.media[chosen])
                    faults = [name for name, is_right in verdict.items() if not is_right]
                    labels += [f"{kind} {count}", *faults, *[""] * NUM_SHOWN][:NUM_SHOWN]
            low, high = wilson_interval(right, words.num)
            result[kind] = {"right": right / words.num, "low": low, "high": high}
            print(kind, result[kind], flush=True)
    print(json.dumps(result | {"largest_change_of_given": max(kept), "num": words.num}, indent=2))
    if words.out:
        words.out.mkdir(parents=True, exist_ok=True)
        save_contact_sheet(words.out / "continuing.png", pictures, labels, columns=2 * NUM_SHOWN)


if __name__ == "__main__":
    main()
