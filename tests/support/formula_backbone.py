"""A backbone that is a formula, for what is done with velocities: it acts on each element alone.

So tokens and latents mean the same, and a pipeline of diffusers can have the same network.
"""

from dataclasses import replace

import torch

from lumina_core.backbone.transformer import Backbone, Context
from lumina_core.text.settings import Negative

TEXTS = {"a ring": 0.7, "a star": -0.3, "": -0.5}
"""What the formula knows of a text."""


def formula(x, t, text):
    """A velocity in which the state, the time and the text matter."""
    return torch.sin(x + text) * (1 + torch.cos(t)) - text * x


class Formula(Backbone):
    """A backbone that is the formula, with no weight of its own."""

    def __init__(self, config):
        torch.nn.Module.__init__(self)
        self.config = config
        self.num_texts = []
        self.times = []
        self.asked = {}

    def prepare(self, batch, text, text_lengths, **asked):
        self.asked = asked
        self.num_texts.append(len(text_lengths))
        context = object.__new__(Context)  # knows nothing but the text
        object.__setattr__(context, "text", text)
        return context

    def forward(self, batch, segment_time, context):
        self.times.append(segment_time[0].item())
        (span,) = batch.spans
        of_patch = segment_time[batch.segment_index[batch.content_index]] * self.config.time_scale
        time = of_patch.repeat_interleave(span.token_dim)
        text = context.text.repeat_interleave(batch.element_counts)
        return formula(batch.state, time, text)


def with_formula(model, monkeypatch, device="cpu", **switches):
    """A model whose backbone is the formula, and that says it is on a device."""
    formula_of = Formula(replace(model.backbone.config, **switches))
    found = replace(model, backbone=formula_of, placed=None)
    monkeypatch.setattr(type(found), "device", torch.device(device))

    def text_features(self, texts):
        known = [TEXTS[text.text if isinstance(text, Negative) else text] for text in texts]
        return torch.tensor(known), [1] * len(texts)

    monkeypatch.setattr(type(found), "text_features", text_features)
    return found
