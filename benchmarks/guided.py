"""From a prompt to a latent by guided steps, beside the pipeline of diffusers.

    python benchmarks/guided.py [lumina_next|lumina2|z_image ...] [rounds=3] [out=FILE.json]

A pipeline with a network 512 wide is written into a temporary folder, and each side makes a latent
of 32 x 32 cells from there, in 20 steps of Euler with guidance of scale 4, the text encoder (tiny)
included. A ratio is theirs over ours; in bfloat16 network and text encoder are bfloat16.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers import DTYPES, TEXT_DIM, Case, distance, ratio, show, start, theirs_of, timed

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"
FAMILIES = {"lumina_next": "next_dit", "lumina2": "lumina_image_2", "z_image": "z_image"}
STEPS, SCALE, CELLS = 20, 4.0, 32
PROMPT = "a photo of a cat on a chair, soft light, best quality"
WORDS: dict[str, dict[str, Any]] = {
    "lumina2": {},
    "z_image": {},
    # it scales attention to the text, too, and ends its steps elsewhere, unlike the release
    "lumina_next": {
        **{"clean_caption": False, "proportional_attn": False},
        "sigmas": [1 - step / STEPS for step in range(STEPS)],
    },
}


def written(name: str, folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline, and its folder full."""
    sys.path.insert(0, str(SUPPORT))
    from tiny_pipelines import PIPELINES, TEXT, randomise

    tiny = PIPELINES[name](folder / "tiny")
    wider = dict(TEXT, hidden_size=TEXT_DIM)
    config = type(tiny.text_encoder.config)(**tiny.text_encoder.config.to_dict() | wider)
    encoder = randomise(type(tiny.text_encoder)(config), seed=2).to(dtype)
    network = theirs_of(FAMILIES[name]).to(dtype)
    made = type(tiny)(**tiny.components | {"text_encoder": encoder, "transformer": network})
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder / "wide")
    return made


@torch.no_grad()
def measure(name: str, dtype: torch.dtype, rounds: int) -> Case:
    """The figures of a pipeline."""
    import lumina_core
    from lumina_core.flow.solver import integrate

    word = str(dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = written(name, Path(folder), dtype)
        side = 8 * CELLS
        settings = {"solver.num_steps": STEPS, "guidance.scale": SCALE, "height": side}
        settings |= {"width": side, "dtype": word}
        if name == "lumina2":  # every step, as its pipeline does when it is not told
            settings["guidance.share_of_steps"] = 1.0
        if name == "lumina_next":  # as its pipeline does beyond the 64 pixels of its training
            settings |= {"rope_scaling.linear": side / 256, "proportional_attention": None}
        model = lumina_core.load(Path(folder) / "wide", **settings)

        def ours() -> list[torch.Tensor]:
            velocity = model.velocity(PROMPT)
            solved = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
            return [each[:, 0] for each in velocity.latents(solved)]

        velocity = model.velocity(PROMPT)
        noise = velocity.latents(velocity.x_0)[0][None, :, 0]
        asked = {"num_inference_steps": STEPS, "guidance_scale": SCALE, **WORDS[name]}

        def theirs() -> Any:
            return pipeline(
                PROMPT,
                **{"height": side, "width": side, "output_type": "latent"},
                latents=noise.to(torch.float32 if name == "z_image" else dtype),
                **asked,
            ).images

        apart = distance(ours(), list(theirs()))
        times = timed({"ours": ours, "theirs": theirs}, rounds)
    return {
        "family": name,
        "dtype": word,
        "ratio": ratio(times["theirs"], times["ours"]),
        "seconds": median(times["ours"]),
        "distance": apart,
    }


def cases(families: list[str], rounds: int) -> Iterator[Case]:
    """Each, as it is measured."""
    yield from (measure(family, dtype, rounds) for family in families for dtype in DTYPES)


if __name__ == "__main__":
    named, words = start()
    show(cases(named or list(FAMILIES), int(words.get("rounds", 3))), words)
