"""LongCatAudioDiTTransformer: LongCat-AudioDiT, mono sounds of up to 30 seconds from text.

A text is the sum of its first and its last layer, each normed. An empty negative prompt is zeros,
as many as the prompt has tokens. Time and velocity are ours, for its sigmas are inverted.
Departures: prompts are not written small as its pipeline does, and a duration is rounded up to a
whole column and trimmed, where it is rounded down there. Given sounds are refused.

Source: diffusers 0.42, transformer_longcat_audio_dit.py and pipeline_longcat_audio_dit.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch.nn.functional import layer_norm

from lumina_core import LuminaError
from lumina_core.flow.scheduler import solver_of_scheduler
from lumina_diffusers.network import Group, config_of
from lumina_diffusers.sounds import SoundNetwork

INVERTED = "invert_sigmas"
EPS = 1e-6  # of the norms of the two layers


class LongCatNetwork(SoundNetwork):
    """LongCat-AudioDiT; its features of a token are those of the first layer, then of the last."""

    class_name = "LongCatAudioDiTTransformer"
    pipelines = ("LongCatAudioDiTPipeline",)
    batches_texts = False  # convolutions over a text would see what fills it
    scale = 1.0
    sign = 1.0
    title = "LongCat-AudioDiT"
    roles: ClassVar[Mapping[str, str]] = {
        "text": r"\.cross_attn\.|\.text_",
        "attention": r"\.self_attn\.",
        "feed_forward": r"\.ffn\.",
        "modulation": r"\.time_embed\.|\.adaln_|norm_out\.linear",
        "projections": r"\.(input|latent)_embed\.|\.latent_cond_embedder\.|proj_out\.",
    }

    @property
    def text_dim(self) -> int:
        """As in Network."""
        return 2 * int(self.transformer.config["dit_text_dim"])

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        return {**super().options(about), "patch": [1, 1]}

    @classmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """As in PackagedNetwork."""
        return int(config_of(about, cls.class_name)["latent_dim"])

    @classmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """As in PackagedNetwork."""
        if scheduler.get(INVERTED) is not True:
            raise LuminaError(
                f"the scheduler lacks {INVERTED}=true, and this network counts time from 0 at noise"
            )
        return solver_of_scheduler({**scheduler, INVERTED: False}), []

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        cells, texts = self.columns(group), torch.stack(list(group.texts))
        first, last = (
            layer_norm(half.float(), half.shape[-1:], eps=EPS) for half in texts.chunk(2, dim=-1)
        )
        return {
            "hidden_states": cells,
            "timestep": 1 - self.shared_sigma(group),
            "encoder_hidden_states": (last + first).to(cells.dtype),
            "encoder_attention_mask": torch.ones_like(texts[..., 0], dtype=torch.bool),
            "attention_mask": torch.ones_like(cells[..., 0], dtype=torch.bool),
            "latent_cond": torch.zeros_like(cells),
        }
