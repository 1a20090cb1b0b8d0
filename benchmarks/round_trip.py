"""How much of what is heard survives the way through spectrogram, autoencoder and vocoder.

    python benchmarks/round_trip.py [--vae FOLDER] [--vocoder NAME] [--num 1000] [--seed 0]

Sounds of the audio world, of every split and duration in turn, are judged as they are drawn, after
the spectrogram and the vocoder alone, and after the autoencoder between them. The difference of
the first and the last is what a checkpoint can never win back. `psnr` is of the spectrogram.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace
from math import log10
from pathlib import Path

import torch

from lumina_audio.audio import AudioModality
from lumina_audio.samples import FULL_SCALE, Sound
from lumina_core.config.compose import compose_options
from lumina_core.evaluation.oracle import wilson_interval
from lumina_core.plugins import demos
from lumina_core.runtime import seeded

STAGES = ("drawn", "vocoder", "autoencoder")


def after_vocoder(modality: AudioModality, sound: Sound) -> Sound:
    """The sound of its own spectrogram."""
    options, vae = modality.options, modality.vae
    low, high = options.mel_range
    mel = (vae.pixels(sound)[0, 0] + 1) / 2 * (high - low) + low
    samples = vae.vocoder(options.vocoder)(mel)[: len(sound)]
    return (samples / max(1.0, float(samples.abs().max())) * FULL_SCALE).round().to(torch.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae", type=Path, help="default: that of the demo")
    parser.add_argument("--vocoder", default="griffin_lim")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    options = replace(compose_options("audio"), vocoder=words.vocoder)
    modality = AudioModality(options, words.vae or demos.demo_folder("audio") / "vae/audio")
    world, vae = modality.world, modality.vae
    right, faults, error = Counter(), Counter(), 0.0
    for number in range(words.num):
        generator = seeded(words.seed, number)
        split = world.splits[number % len(world.splits)]
        variants = world.variants(split)
        sized = replace(options, **variants[number // len(world.splits) % len(variants)])
        caption = world.caption(split, generator)
        drawn = world.draw(caption, sized, generator)
        latent, pixels = vae.encode(drawn), vae.pixels(drawn)
        made = vae.autoencoder.decode(latent)[..., : pixels.shape[-2], :]
        error += float((made - pixels).square().mean())
        for stage, sound in (
            ("drawn", drawn),
            ("vocoder", after_vocoder(modality, drawn)),
            ("autoencoder", vae.decode(latent)[: len(drawn)]),
        ):
            verdict = world.judge(sound, caption, sized)
            right[stage] += all(verdict.values())
            faults.update(f"{stage}: {name}" for name, is_right in verdict.items() if not is_right)
        if number % 100 == 99:
            print(number + 1, dict(right), dict(faults), flush=True)
    shares = {}
    for stage in STAGES:
        low, high = wilson_interval(right[stage], words.num)
        shares[stage] = {"right": right[stage] / words.num, "low": low, "high": high}
    psnr = 10 * log10(4 / (error / words.num))  # of values from -1 to 1
    print(json.dumps({"num": words.num, "psnr": round(psnr, 1), **shares}, indent=2))


if __name__ == "__main__":
    main()
