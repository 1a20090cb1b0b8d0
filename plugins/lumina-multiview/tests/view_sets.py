"""Views for the tests of files, and refusals of what cannot be read."""

import json

import pytest
import torch

from lumina_core import LuminaError
from lumina_multiview.request_options import options_in
from lumina_multiview.views_files import MultiviewDecoder

DECODER = MultiviewDecoder()
EXACT = (".png", ".views")
TURNTABLES = (".mp4", ".gif")
PICTURES = (*EXACT, *TURNTABLES)


def request(count=None, height=16, width=24, *, azimuths=None, elevation=20.0, **more):
    options = {"height": height, "width": width, "views": count, "azimuths": azimuths}
    return {
        "modality": "multiview",
        "prompt": 'ünï 雪 🎨 "',
        "options": options | {"elevation": elevation},
    } | more


def write(media, path, metadata):
    """Write views as their request names them."""
    DECODER.write(media, path, metadata, options_in(metadata))


def noise(count, height=16, width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, height, width)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


def plain(count, height=16, width=24):
    """A grey level for each view, which survives every codec."""
    levels = torch.linspace(30, 220, count).to(torch.uint8)
    return levels[:, None, None, None].expand(count, 3, height, width).contiguous()


def refusal(path, read=DECODER.read):
    with pytest.raises(LuminaError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def change_cameras(folder, change):
    """Write the cameras.json of a folder anew, changed by a function."""
    file = folder / "cameras.json"
    found = json.loads(file.read_text())
    file.write_text(json.dumps(change(found) or found))


def view_matrix(azimuth, elevation, roll=0.0, scale=1.0):
    """Camera-to-world of NeRF, far from the origin, made of rotations about one axis each."""
    a, e, r = (torch.deg2rad(torch.tensor(angle)) for angle in (azimuth, elevation, roll))
    about_z = torch.tensor([[a.cos(), -a.sin(), 0], [a.sin(), a.cos(), 0], [0, 0, 1]])
    rise = torch.pi / 2 - e  # a camera without rotation looks straight down
    about_x = torch.tensor([[1, 0, 0], [0, rise.cos(), -rise.sin()], [0, rise.sin(), rise.cos()]])
    about_sight = torch.tensor([[r.cos(), -r.sin(), 0], [r.sin(), r.cos(), 0], [0, 0, 1]])
    turned = about_z @ about_x @ about_sight
    matrix = torch.eye(4)
    matrix[:3, :3] = scale * turned
    matrix[:3, 3] = 4 * turned[:, 2]
    return matrix.tolist()
