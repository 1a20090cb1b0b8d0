"""A backbone that is a formula, for what is done with velocities: it acts on each element alone.

So tokens and latents mean the same, and a pipeline of diffusers can have the same network.
"""

from dataclasses import replace

import torch

from lumina_core.backbone.transformer import Backbone, Context

TEXTS = {"a ring": 0.7, "a star": -0.3, "": -0.5}
"""What the formula knows of a text."""


def formula(x, t, text):
    """A velocity in which the state, the time and the text matter."""
    return torch.sin(x + text) * (1 + torch.cos(t)) - text * x


class Formula(torch.nn.Module):
    """A backbone that is the formula."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.num_texts = []
        self.times = []

    def pack(self, samples):
        return Backbone.pack(self, samples)

    def prepare(self, batch, text, text_lengths, **_):
        self.num_texts.append(len(text_lengths))
        context = object.__new__(Context)  # knows nothing but the text
        object.__setattr__(context, "text", text)
        return context

    def forward(self, batch, segment_time, context):
        self.times.append(segment_time[0].item())
        counts = batch.element_counts
        time = segment_time * self.config.time_scale
        time, text = (x.repeat_interleave(counts) for x in (time, context.text))
        return formula(batch.state, time, text)


def with_formula(model, monkeypatch, device="cpu", **switches):
    """A model whose backbone is the formula, and that says it is on a device."""
    found = replace(model, backbone=Formula(replace(model.backbone.config, **switches)))
    monkeypatch.setattr(type(found), "device", torch.device(device))
    monkeypatch.setattr(
        type(found),
        "text_features",
        lambda self, texts: (torch.tensor([TEXTS[t] for t in texts]), [1] * len(texts)),
    )
    return found
