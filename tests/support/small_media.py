"""Small media of every kind of file that the shipped modalities write, and requests for them."""

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch

from lumina_core.config.compose import compose_options
from lumina_core.plugins import host

SMALL = {
    "image": {"height": 32, "width": 32},
    "video": {"height": 32, "width": 32, "frames": 9},
    "audio": {"seconds": 1.0},
    "multiview": {"height": 32, "width": 32},
}
KINDS = [
    *(("image", suffix) for suffix in (".png", ".webp", ".jpg")),
    *(("video", suffix) for suffix in (".mp4", ".gif", ".webp", ".frames")),
    *(("audio", suffix) for suffix in (".wav", ".flac", ".ogg")),
    *(("multiview", suffix) for suffix in (".png", ".views", ".mp4", ".gif", ".glb", ".ply")),
]


@cache
def modality_of(name):
    options = replace(compose_options(name), **SMALL[name])
    return host.modality_class(name)(options, Path())


@cache
def made(name):
    """A small medium of a world, and a request for it."""
    modality = modality_of(name)
    generator = torch.Generator().manual_seed(3)
    caption = modality.world.caption(modality.world.splits[0], generator)
    media = modality.world.draw(caption, modality.options, generator)
    solver = {"name": "heun", "num_steps": 24}
    request = {"modality": name, "prompt": caption, "seed": 5, "solver": solver}
    return media, request | {"options": asdict(modality.options)}
