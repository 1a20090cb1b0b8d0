"""How often a checkpoint completes a sound of which one of two events is given.

    python benchmarks/given_sounds.py [--checkpoint FOLDER] [--num 100] [--seed 0] [--out FOLDER]

A sound of two events is drawn from a caption, and the oracle judges what is made by that caption.
Two kinds of cases, `num` of each:

- continued: the first event is given, up to the middle of the pause behind it.
- gap: the second event and all that follows is given; from the beginning to the middle of the
  pause nothing is.

`change` compares the spectrogram of the given part, two windows away from its end, with what
autoencoder and vocoder make of the drawn sound: the mean difference in dB where either is louder
than -60 dB of full scale.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import pad

from lumina_audio import grammar, oracle
from lumina_audio.audio_files import AudioDecoder
from lumina_audio.mel import log_mel
from lumina_audio.options import AudioCondition
from lumina_audio.samples import FULL_SCALE, Sound
from lumina_audio.vae import AudioVAE
from lumina_core.evaluation.oracle import wilson_interval
from lumina_core.media.previews import save_contact_sheet
from lumina_core.plugins import demos
from lumina_core.runtime import seeded
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.given import given_tokens
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.sampling.settings import Condition

KINDS = ("continued", "gap")
MARGIN = 0.128  # seconds; two windows of the spectrogram
AUDIBLE = -6.9  # ln of an amplitude of 0.001
DB = 8.686  # per unit of a natural logarithm


def middle_of_pause(sound: Sound, rate: int, caption: str) -> float:
    """Seconds; between the first event and the second."""
    count = grammar.parse(caption).events[0].count
    before, after = oracle.find_spans(sound, rate)[count - 1 : count + 1]
    return (before.start + before.seconds + after.start) / 2


def change(made: Sound, whole: Sound, vae: AudioVAE, front_end, start: float, end: float) -> float:
    """Mean difference of two sounds between two moments, in dB."""
    whole = vae.decode(vae.encode(whole))[: len(whole)]
    rows = slice(*(round(moment * front_end.sample_rate / front_end.hop_length)
                   for moment in (start, end)))  # fmt: skip
    missing = -len(made) % front_end.hop_length
    padded = [pad(item.float() / FULL_SCALE, (0, missing)) for item in (made, whole)]
    mels = [log_mel(item, front_end) for item in padded]
    pair = torch.stack([mel[rows].clamp(min=AUDIBLE) for mel in mels])
    is_audible = (pair > AUDIBLE).any(dim=0)
    return float((pair[0] - pair[1]).abs()[is_audible].mean()) * DB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("audio"))
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    run = compose_run(
        ["modality=audio", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    )
    model = load_model(run)
    world, vae, rate = model.modality.world, model.modality.vae, model.modality.options.sample_rate
    variants, decoder = world.variants("trained"), AudioDecoder(rate)
    result, pictures, labels = {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "given.wav")
        for kind in KINDS:
            right, changes = 0, []
            for number in range(words.num):
                generator = seeded(words.seed, KINDS.index(kind), number)
                caption = world.caption("trained", generator, "order")
                options = replace(model.modality.options, **variants[number % len(variants)])
                drawn = world.draw(caption, options, generator)
                decoder.write(drawn, file, {}, options)
                middle = middle_of_pause(drawn, rate, caption)
                known = {"seconds": middle} if kind == "continued" else {"gap": (0.0, middle)}
                wanted = AudioCondition(str(file), **{"seconds": None, "gap": None, **known})
                given = given_tokens(model, Condition(1.0, wanted), options)
                request = Request(caption, "", words.seed + number, options, given)
                (made,) = sample(model, [request], run)
                verdict = world.judge(made.media, caption, options)
                right += all(verdict.values())
                ends = (0.0, middle - MARGIN) if kind == "continued" else (
                    middle + MARGIN, options.seconds
                )  # fmt: skip
                front_end = options.front_end
                changes.append(change(made.media, drawn, vae, front_end, *ends))
                if number < 4 or not all(verdict.values()):
                    pictures.append(decoder.preview(made.media, options))
                    faults = " ".join(name for name, is_right in verdict.items() if not is_right)
                    labels.append(f"{kind} {middle:.2f} {caption}: {faults}")
            low, high = wilson_interval(right, words.num)
            result[kind] = {
                **{"right": right / words.num, "low": low, "high": high},
                "change_db": round(sum(changes) / len(changes), 2),
            }
            print(kind, result[kind], flush=True)
    print(json.dumps(result | {"num": words.num}, indent=2))
    if words.out:
        words.out.mkdir(parents=True, exist_ok=True)
        save_contact_sheet(words.out / "given_sounds.png", pictures, labels, columns=3)


if __name__ == "__main__":
    main()
