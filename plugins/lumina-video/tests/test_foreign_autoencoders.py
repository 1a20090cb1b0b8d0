"""An autoencoder of clips that comes from a package of its own."""

import json
import sys

import pytest
import torch

from lumina_core.plugins import host
from lumina_video.vae import VideoVAE

MODULE = """
from einops import rearrange
from lumina_core import hookimpl
from lumina_core.autoencoder.networks import Autoencoder
from lumina_core.media.pixels import pixels_of

@hookimpl
def lumina_autoencoders():
    return {"clips": {"EveryOther": "lumina_every_other:EveryOther"}}

class EveryOther(Autoencoder):
    kind, needed, defaults, stride, frame_stride = "EveryOther", frozenset(), {}, 1, 2

    def faults(self, config):
        return iter(())

    def encode(self, clip):
        return rearrange(pixels_of(clip[::2]), "f c h w -> c f h w")

    def decode(self, latent):
        frames = rearrange(latent, "c f h w -> f c h w")
        yield frames[:1]
        yield frames[1:].repeat_interleave(2, dim=0)
"""


@pytest.fixture
def every_other(tmp_path, monkeypatch):
    """The folder of an autoencoder that an installed extension brings."""
    site, info = tmp_path / "site", tmp_path / "site" / "lumina_every_other-1.dist-info"
    info.mkdir(parents=True)
    (site / "lumina_every_other.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lumina-every-other\nVersion: 1\n")
    points = "[lumina_core.extensions]\nevery_other = lumina_every_other\n"
    (info / "entry_points.txt").write_text(points)
    config = {"_class_name": "EveryOther", "latent_channels": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.syspath_prepend(str(site))
    host.forget()
    yield tmp_path
    host.forget()
    sys.modules.pop("lumina_every_other", None)


def test_clips_go_through_an_autoencoder_that_an_extension_brings(every_other):
    vae = VideoVAE(every_other)
    clip = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8)
    clip[1::2] = clip[2::2]  # the second of each two frames tells the first
    latent = vae.encode(clip)
    assert latent.shape == vae.latent_shape(tuple(clip.shape)) == (3, 3, 4, 6)
    assert torch.equal(vae.decode(latent), clip)
