"""How often a checkpoint completes an object of which one view is given.

    python benchmarks/given_views.py [--checkpoint FOLDER] [--num 100] [--seed 0] [--out FOLDER]

An object is drawn, one of its views is given, and the oracle judges all the views that are made.
Two kinds of cases, `num` of each:

- named: the view, and the caption of the object.
- unnamed: the view alone, one that shows all its colours to the oracle; the prompt is empty.

`agreeing` is the share of the other views that show what their camera should see of the object that
was drawn; `kept` the mean difference of the given view from the drawn one as the autoencoder has
it, in grey levels.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

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
from lumina_multiview import grammar, oracle
from lumina_multiview.options import MultiviewCondition

KINDS = ("named", "unnamed")
MIN_SHOWN = 0.15  # of the given view is each colour, where the prompt is empty


def given_view(kind: str, drawn: torch.Tensor, caption: str, generator: torch.Generator) -> int:
    """Any view that tells enough."""
    named = grammar.parse(caption).colours
    wanted = [grammar.COLOURS.index(colour) for colour in named if colour]
    views = []
    for number, view in enumerate(drawn.numpy()):
        words = oracle.read_view(view)
        shares = [(words[words != oracle.NOTHING] == colour).mean() for colour in wanted]
        if kind == "named" or all(share >= MIN_SHOWN for share in shares):
            views.append(number)
    return views[int(torch.randint(len(views), (), generator=generator))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=demos.demo_folder("multiview"))
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    run = compose_run(
        ["modality=multiview", f"checkpoint={words.checkpoint}", "device=cpu", "prompt=x"]
    )
    model = load_model(run)
    world, vae = model.modality.world, model.modality.vae
    result, pictures, labels = {}, [], []
    for kind in KINDS:
        right, agreeing, kept = 0, [], []
        for number in range(words.num):
            generator = seeded(words.seed, KINDS.index(kind), number)
            caption = world.caption("trained", generator)
            variants = world.variants("trained")
            options = replace(model.modality.options, **variants[7 * number % len(variants)])
            drawn = world.draw(caption, options, generator)
            place = given_view(kind, drawn, caption, generator)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "given.png")
                Image.fromarray(drawn[place].permute(1, 2, 0).numpy()).save(file)
                wanted = MultiviewCondition(str(file), options.angles[place])
                given = given_tokens(model, Condition(1.0, wanted), options)
            prompt = caption if kind == "named" else ""
            (made,) = sample(model, [Request(prompt, "", words.seed + number, options, given)], run)
            verdict = world.judge(made.media, caption, options)
            right += all(verdict.values())
            seen = oracle.agreement(made.media, caption, options.angles, options.elevations)
            agreeing += [good for other, good in enumerate(seen) if other != place]
            coded = vae.decode(vae.encode(drawn[place : place + 1]))[0]
            kept.append((made.media[place].float() - coded.float()).abs().mean().item())
            if number < 4 or not all(verdict.values()):
                pictures.append(model.modality.decoder.preview(made.media, options))
                faults = " ".join(name for name, is_right in verdict.items() if not is_right)
                labels.append(f"{kind} {options.angles[place]:.0f} {caption}: {faults}")
        low, high = wilson_interval(right, words.num)
        share = sum(agreeing) / len(agreeing)
        numbers = {"right": right / words.num, "low": low, "high": high, "agreeing": share}
        result[kind] = numbers | {"kept": sum(kept) / len(kept)}
        print(kind, result[kind], flush=True)
    print(json.dumps(result | {"num": words.num}, indent=2))
    if words.out:
        words.out.mkdir(parents=True, exist_ok=True)
        save_contact_sheet(words.out / "given_views.png", pictures, labels, columns=3)


if __name__ == "__main__":
    main()
