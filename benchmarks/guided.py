"""From a prompt to a latent by guided steps, beside the pipeline of diffusers.

    python benchmarks/guided.py [lumina_next|lumina2|z_image ...] [rounds=3] [out=FILE.json]

A pipeline with a network 512 wide is written into a temporary folder, and each side makes a latent
of 32 x 32 cells from there, in 20 steps of Euler with guidance of scale 4, the text encoder (tiny)
included. A ratio is theirs over ours; in bfloat16 network and text encoder are bfloat16.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers import (
    CHANNELS,
    DTYPES,
    TEXT_DIM,
    Case,
    clock_of,
    distance,
    ratio,
    show,
    start,
    theirs_of,
    timed,
)

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"
FAMILIES = {"lumina_next": "next_dit", "lumina2": "lumina_image_2", "z_image": "z_image"}
STEPS, SCALE, CELLS = 20, 4.0, 32
PROMPT = "a photo of a cat on a chair, soft light, best quality"
WORDS: dict[str, dict[str, Any]] = {
    "lumina2": {},
    "z_image": {},
    # it scales attention to the text, too, unlike the release
    "lumina_next": {"clean_caption": False, "proportional_attn": False},
}


RELEASED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "lumina_next": ("cross_attention_dim", 2048, {}),
    "lumina2": ("cap_feat_dim", 2304, {"axes_lens": (300, 512, 512)}),
    "z_image": ("cap_feat_dim", 2560, {"axes_lens": [1024, 512, 512]}),
}
"""Of each released network the key and the width of its text, and what else its class does not
have as its default; latents have the channels of the tiny autoencoder."""


@dataclass(frozen=True)
class Scale:
    """How large a comparison is, and where it runs."""

    network: str = "wide"
    """Of 512 channels; released: of the released shapes; tiny: that of the tests."""
    cells: int = CELLS
    steps: int = STEPS
    device: str = "cpu"


def written(name: str, folder: Path, dtype: torch.dtype, scale: Scale) -> Any:
    """The pipeline, and its folder full."""
    sys.path.insert(0, str(SUPPORT))
    from tiny_pipelines import PIPELINES, TEXT, randomise

    made = PIPELINES[name](folder / "tiny")
    if scale.network != "tiny":
        key, width, others = RELEASED[name]
        width = TEXT_DIM if scale.network == "wide" else width
        of_network = {key: width, "in_channels": CHANNELS, **others}
        settings = None if scale.network == "wide" else of_network
        wider = dict(TEXT, hidden_size=width)
        config = type(made.text_encoder.config)(**made.text_encoder.config.to_dict() | wider)
        encoder = randomise(type(made.text_encoder)(config), seed=2)
        network = theirs_of(FAMILIES[name], settings, scale.device)
        made = type(made)(**made.components | {"text_encoder": encoder, "transformer": network})
    made.text_encoder.to(dtype)
    made.transformer.to(dtype)
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder / "wide")
    return made.to(scale.device)


SMALL = Scale()


@torch.no_grad()
def measure(name: str, dtype: torch.dtype, rounds: int, scale: Scale = SMALL) -> Case:
    """The figures of a pipeline."""
    import lumina_core
    from lumina_core.flow.solver import integrate

    word = str(dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = written(name, Path(folder), dtype, scale)
        side = 8 * scale.cells
        settings = {"solver.num_steps": scale.steps, "guidance.scale": SCALE, "height": side}
        settings |= {"width": side, "dtype": word, "device": scale.device}
        if name == "lumina2":  # every step, as its pipeline does when it is not told
            settings["guidance.share_of_steps"] = 1.0
        if name == "lumina_next":  # as its pipeline does beyond the size of its training
            trained = pipeline.default_image_size
            settings |= {"rope_scaling.linear": side / trained, "proportional_attention": None}
        model = lumina_core.load(Path(folder) / "wide", **settings)

        def ours() -> list[torch.Tensor]:
            velocity = model.velocity(PROMPT)
            solved = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
            return [each[:, 0] for each in velocity.latents(solved)]

        velocity = model.velocity(PROMPT)
        noise = velocity.latents(velocity.x_0)[0][None, :, 0]
        asked = {"num_inference_steps": scale.steps, "guidance_scale": SCALE, **WORDS[name]}
        if name == "lumina_next":  # it ends its steps elsewhere, unlike the release
            asked["sigmas"] = [1 - step / scale.steps for step in range(scale.steps)]

        def theirs() -> Any:
            return pipeline(
                PROMPT,
                **{"height": side, "width": side, "output_type": "latent"},
                latents=noise.to(torch.float32 if name == "z_image" else dtype),
                **asked,
            ).images

        apart = distance(ours(), list(theirs()))
        times = timed({"ours": ours, "theirs": theirs}, rounds, clock_of(scale.device))
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
