"""What a run trains, as one module: from noisy tokens and texts to velocities.

Ranks that share weights gather them where a `forward` begins, so that everything that is trained is
called within this one.
"""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from lumina_core.backbone.context import shared_out
from lumina_core.backbone.network import Network
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.model import Model
from lumina_core.sequence import TokenBatch
from lumina_core.text.encoder import Features, TextEncoder
from lumina_core.text.settings import Text


def networks_of(model: Model) -> "Networks":
    """Those of a model that reads texts, to be called as in training."""
    encoder = model.text_encoder
    trained = encoder if isinstance(encoder, TextEncoder) else None
    return Networks(model.backbone, trained, model.attention)


class Networks(nn.ModuleDict):
    """A backbone and, where it learns along, its text encoder."""

    def __init__(self, backbone: Network, text_encoder: TextEncoder | None, attention: str) -> None:
        super().__init__({"backbone": backbone})
        if text_encoder is not None:
            self["text_encoder"] = text_encoder
        self.attention = attention
        self.sequence_group: Any = None
        """Ranks that share the positions of a batch; None: this one has all."""

    def forward(
        self, noisy: TokenBatch, segment_time: Tensor, texts: Sequence[Text] | Features
    ) -> Tensor:
        """Velocity of the state, as `Network.forward`.

        Args:
            noisy: from `pack`.
            segment_time: time of each segment.
            texts: one per sample; of a frozen encoder its features.
        """
        backbone = cast(Network, self["backbone"])
        context = self.prepare(noisy, texts, keeps_text=False)
        velocity = cast(Tensor, backbone(noisy, segment_time, context))
        return velocity + self._unused(noisy) if isinstance(backbone, Backbone) else velocity

    def prepare(
        self, batch: TokenBatch, texts: Sequence[Text] | Features, *, keeps_text: bool
    ) -> Any:
        """What the backbone makes of texts; arguments as in `forward` and `Network.prepare`."""
        backbone = cast(Network, self["backbone"])
        is_read = "text_encoder" not in self
        features, lengths = cast(Features, texts if is_read else self["text_encoder"](texts))
        context = backbone.prepare(
            batch, features, lengths, attention=self.attention, keeps_text=keeps_text
        )
        return context if self.sequence_group is None else shared_out(context, self.sequence_group)

    def _unused(self, noisy: TokenBatch) -> Tensor:
        """Zero, by way of the projections of modalities that a batch lacks.

        So these have gradients of zero on every rank and in every batch, whoever holds what.
        """
        backbone = cast(Backbone, self["backbone"])
        lacking = backbone.inputs.keys() - {span.modality for span in noisy.spans}
        projections = (backbone.inputs, backbone.outputs, backbone.features)
        layers = [cast(nn.Linear, p[name]) for p in projections for name in p if name in lacking]
        total = noisy.state.new_zeros(())
        for layer in layers:
            nothing = layer.weight.new_zeros(0, layer.in_features)
            total = total + layer(nothing).sum()
        return total
