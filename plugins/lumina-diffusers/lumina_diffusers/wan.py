"""WanTransformer3DModel: Wan 2.1 and 2.2, clips from text and with first frames that are given.

Wan 2.2 14B has two networks, one for times near noise and one for those near data; 5B takes one
time per patch, and given frames are at t = 1. Departure from WanPipeline: so they are for the
others, which know one time per clip from their training.

Source: diffusers 0.42, transformer_wan.py, pipeline_wan.py and pipeline_wan_i2v.py.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lumina_core import LuminaError
from lumina_core.autoencoder.networks import is_true
from lumina_core.flow.scheduler import SCHEDULER
from lumina_core.records import shown
from lumina_core.sequence import TokenBatch
from lumina_diffusers.network import (
    TRANSFORMER,
    Context,
    DiffusersNetwork,
    Group,
    config_of,
    padded,
)

LATE = "transformer_2"  # the network for times near data, where there are two


class WanNetwork(DiffusersNetwork):
    """Wan from text; a network that takes a picture is refused."""

    class_name = "WanTransformer3DModel"
    pipelines = ("WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline")
    text_key = "text_dim"
    max_text = 512  # zeros behind a text are read as text, as in its training
    folders = (LATE,)
    ignored = (r"\bnorm_added_q\b",)

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        config, found = config_of(about, cls.class_name), super().options(about)
        ratio = about["pipeline"].get("boundary_ratio")
        takes_picture = any(config[key] is not None for key in ("image_dim", "added_kv_proj_dim"))
        if takes_picture or config["in_channels"] != config["out_channels"]:
            raise LuminaError(
                "this Wan takes a picture beside its text, and those from text alone are read; "
                "use a text-to-video model"
            )
        if ratio is not None and not 0 < ratio < 1:
            raise LuminaError(f"boundary_ratio is {shown(ratio)}; it is between 0 and 1")
        if (LATE in about["configs"]) != (ratio is not None):
            raise LuminaError(
                f"{LATE} and boundary_ratio in model_index.json belong together, and one of them "
                "is missing; copy the whole folder again"
            )
        return {**found, "patch": list(config["patch_size"])}

    @classmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """As in PackagedNetwork."""
        config = config_of(about, cls.class_name)
        return int(config["in_channels"]) * prod(config["patch_size"])

    @classmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """As in PackagedNetwork: WanPipeline leaves the times to the scheduler."""
        solver, notes = super().solver(about, scheduler)
        is_euler = scheduler.get("_class_name") == SCHEDULER
        return {**solver, **({"schedule": "training"} if is_euler else {})}, notes

    def prepare(
        self, batch: TokenBatch, text: Tensor, text_lengths: Sequence[int], **ways: Any
    ) -> Context:
        """As in Network.

        Raises:
            LuminaError: a clip has more places along a side than the network has a table for.
        """
        longest = max(max(grid.frames, grid.rows, grid.columns) for grid in batch.grids)
        if longest > (most := self.transformer.config["rope_max_seq_len"]):
            raise LuminaError(
                f"a side of the clip is {longest} tokens long, and this network knows places for "
                f"{most}; ask for a smaller or shorter one"
            )
        return super().prepare(batch, text, text_lengths, **ways)

    def group_key(self, time: Float[Tensor, "patch"]) -> str:
        """As in DiffusersNetwork: the folder of the network for a clip at these times."""
        ratio = self.about["pipeline"].get("boundary_ratio")
        if ratio is None:
            return TRANSFORMER
        is_late = self.scale * (1 - time.min()) < self.scale * ratio
        return LATE if is_true(is_late, planned=False) else TRANSFORMER

    def velocity(self, group: Group) -> Float[Tensor, "sample channel frame row column"]:
        """As in DiffusersNetwork."""
        network = getattr(self, self.group_key(group.time[0]))
        return -network(**self.inputs(group), return_dict=False)[0]

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        dtype = self.transformer.dtype
        text, _ = padded(group.texts, self.max_text, dtype)
        return {
            "hidden_states": group.latent.to(dtype),
            "timestep": self.sigma(
                group, per_patch=bool(self.about["pipeline"].get("expand_timesteps"))
            ),
            "encoder_hidden_states": text,
        }
