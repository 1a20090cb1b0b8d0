"""StableAudio3DiTModel: Stable Audio 3, stereo sounds of any duration from text.

The duration is one more token behind the text, and modulates every block; it comes from the
features. Places behind a text hold a vector of the network's own, and are read. The base models
step by Euler, the distilled ones draw noise at every step (ping_pong), evenly in the logarithm of
signal to noise. Departure: given sounds are refused, for the network takes one time for all.

Source: diffusers 0.42, transformer_stable_audio3.py and pipeline_stable_audio_3.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from lumina_core import LuminaError
from lumina_core.flow.scheduler import solver_of_scheduler
from lumina_diffusers.network import Group, config_of, padded
from lumina_diffusers.sounds import SoundNetwork

DURATION = "duration_embedder"
LONG_SECONDS = 32.0  # where the audio modality's feature of the duration is 1
LOG_SNR = [-6.2, 2.0]  # of the pipeline, which no scheduler holds


class StableAudio3Network(SoundNetwork):
    """Stable Audio 3, and what embeds the duration."""

    class_name = "StableAudio3DiTModel"
    pipelines = ("StableAudio3Pipeline",)
    text_key = "cond_token_dim"
    max_text = 256
    scale = 1.0
    title = "Stable Audio 3"
    classes: ClassVar[Mapping[str, str]] = {DURATION: "StableAudio3DurationEmbedder"}
    folders = tuple(classes)
    roles: ClassVar[Mapping[str, str]] = {  # to_local_embed is for given sounds, which have none
        "text": r"\.cross_attn\.|\.to_cond_embed\.|\.prompt_padding_embedding$",
        "attention": r"\.self_attn\.",
        "feed_forward": r"\.ff\.",
        "modulation": r"^duration_embedder\.|\.to_timestep|global_(cond_)?embed|_shift_gate$",
        "projections": r"^transformer\.(proj_in|proj_out|preprocess_conv|postprocess_conv)\.",
        "norms": r"_norm\.",
    }

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        found, config = super().options(about), config_of(about, cls.class_name)
        return {**found, "patch": [1, int(config["patch_size"])]}

    @classmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """As in PackagedNetwork."""
        sizes = config_of(about, cls.class_name)
        return int(sizes["io_channels"]) * int(sizes["patch_size"])

    @classmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """As in PackagedNetwork: the pipeline gives the scheduler its times, from 1 to 0."""
        if scheduler.get("num_train_timesteps", 1) != 1:
            raise LuminaError("the scheduler counts time to more than 1, and this network does not")
        solver = solver_of_scheduler({**scheduler, "num_train_timesteps": 1000})
        return {**solver, "schedule": "log_snr", "log_snr": LOG_SNR}, []

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        dtype, time = self.transformer.dtype, self.shared_sigma(group)
        duration = self.duration_embedder(LONG_SECONDS * group.features[:, 0, 0]).to(dtype)
        text, valid = padded(group.texts, self.max_text, dtype)
        return {
            "hidden_states": group.latent[:, :, 0, 0].to(dtype),
            "timestep": time,
            "encoder_hidden_states": torch.cat([text, duration[:, None]], dim=1),
            "global_hidden_states": duration,
            "encoder_attention_mask": pad(valid, (0, 1), value=True),
        }

    def output(self, made: Tensor, group: Group) -> Tensor:
        """As in DiffusersNetwork."""
        return made[:, :, None, None]
