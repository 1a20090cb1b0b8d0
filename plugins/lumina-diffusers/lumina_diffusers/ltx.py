"""LTXVideoTransformer3DModel: LTX-Video, clips from text and with first frames that are given.

Places of patches are seconds and pixels, so the speed of a clip counts, and clips of several speeds
share a call. Texts are masked behind their end. Given frames are at t = 1, as in its training.

Source: diffusers 0.42, transformer_ltx.py, pipeline_ltx.py and pipeline_ltx_image2video.py.
"""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core import LuminaError
from lumina_diffusers.network import DiffusersNetwork, Group, config_of, padded

PIXELS_PER_CELL = 32  # of the autoencoder of every release
SECONDS = 1  # which of a frame's features says when it is


class LTXNetwork(DiffusersNetwork):
    """LTX-Video 0.9, one latent cell per token."""

    class_name = "LTXVideoTransformer3DModel"
    pipelines = ("LTXPipeline", "LTXImageToVideoPipeline")  # later ones place frames otherwise
    text_key = "caption_channels"
    max_text = 128

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        config, found = config_of(about, cls.class_name), super().options(about)
        patch = [config["patch_size_t"], config["patch_size"], config["patch_size"]]
        if patch != [1, 1, 1] or config["out_channels"] != config["in_channels"]:
            raise LuminaError(
                "this LTX-Video has tokens of several cells, and those of one cell are read; use a "
                "released one"
            )
        return {**found, "patch": patch}

    @classmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """As in PackagedNetwork."""
        return int(config_of(about, cls.class_name)["in_channels"])

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        dtype = self.transformer.dtype
        text, valid = padded(group.texts, self.max_text, dtype)
        return {
            "hidden_states": rearrange(group.latent, "b c f h w -> b (f h w) c").to(dtype),
            "timestep": self.sigma(group),
            "encoder_hidden_states": text,
            "encoder_attention_mask": valid.to(dtype),
            "video_coords": places(group),
        }

    def output(self, made: Tensor, group: Group) -> Tensor:
        """As in DiffusersNetwork."""
        frames, rows = group.latent.shape[2:4]
        return rearrange(made, "b (f h w) c -> b c f h w", f=frames, h=rows)


def places(group: Group) -> Float[Tensor, "sample 3 patch"]:
    """Where each patch is: seconds from the first frame, and pixels from the corner."""
    rows, columns = (
        PIXELS_PER_CELL * torch.arange(count, device=group.latent.device)
        for count in group.latent.shape[3:]
    )
    when = group.features[..., SECONDS]
    cells = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    cells = cells.flatten(1).repeat(1, group.latent.shape[2]).expand(len(when), -1, -1)
    return torch.cat([(when - when[:, :1])[:, None], cells], dim=1)
