"""WanTransformer3DModel: Wan 2.1, clips from text.

Departure from WanPipeline: where first frames are given, their patches are at t = 1, one time per
patch, as Wan 2.2 5B was trained; Wan 2.1 knows one time per clip from its training.

Source: diffusers 0.42, transformer_wan.py and pipeline_wan.py.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from lumina_core import LuminaError
from lumina_core.flow.scheduler import SCHEDULER
from lumina_diffusers.network import DiffusersNetwork, Group, config_of, padded


class WanNetwork(DiffusersNetwork):
    """Wan from text; a network that takes a picture is refused."""

    class_name = "WanTransformer3DModel"
    max_text = 512  # zeros behind a text are read as text, as in its training
    ignored = (r"\bnorm_added_q\b",)

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        config = config_of(about, cls.class_name)
        if config["image_dim"] is not None or config["in_channels"] != config["out_channels"]:
            raise LuminaError(
                "this Wan takes a picture beside its text, and those from text alone are read; "
                "use a text-to-video model"
            )
        return {"patch": list(config["patch_size"])}

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

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        dtype = self.transformer.dtype
        text, _ = padded(group.texts, self.max_text, dtype)
        return {
            "hidden_states": group.latent.to(dtype),
            "timestep": self.sigma(group),
            "encoder_hidden_states": text,
        }
