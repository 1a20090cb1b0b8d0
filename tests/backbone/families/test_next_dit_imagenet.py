"""The class-conditional Next-DiT computes what its formulas say, written out once more here."""

import math

import pytest
import torch
from released import CLASSES, DEPTH, HEADS, HIDDEN, class_weights, read
from torch.nn.functional import layer_norm, scaled_dot_product_attention, silu

from lumina_core.media.patches import PatchTokenizer
from lumina_core.sequence import TokenSample, unpack

ROWS, COLUMNS = 3, 4
TOKENIZER = PatchTokenizer(4, (1, 2, 2), lambda frames, rows, columns: (1.0, 1.0, 1.0))


def rms(x, weight=1.0):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def rotated(x):
    """Pairs of channels turned by row and column in turn; x is (token, head, channel)."""
    channels = HIDDEN // HEADS
    frequency = 10_000.0 ** (-torch.arange(0, channels, 4).float() / channels)
    places = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
    angle = torch.tensor(places).float()[:, None, :] * frequency[None, :, None]  # token, slot, axis
    angle = angle.flatten(1)[:, None]
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [
        first * angle.cos() - second * angle.sin(),
        first * angle.sin() + second * angle.cos(),
    ]
    return torch.stack(turned, -1).flatten(-2)


def reference(w, latent, t, label):
    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    patches = latent.reshape(4, ROWS, 2, COLUMNS, 2).permute(1, 3, 0, 2, 4).reshape(-1, 16)
    x = linear("x_embedder", patches)
    wave = t * torch.exp(-math.log(10_000) * torch.arange(128).float() / 128)
    time = linear("t_embedder.mlp.0", torch.cat([wave.cos(), wave.sin()]))
    c = linear("t_embedder.mlp.2", silu(time)) + w["y_embedder.embedding_table.weight"][label]
    for number in range(DEPTH):
        layer = f"layers.{number}."
        scales = linear(f"{layer}adaLN_modulation.1", silu(c)).chunk(4)
        y = rms(x) * (1 + scales[0])
        q, k = (
            layer_norm(
                linear(f"{layer}attention.w{name}", y),
                (HIDDEN,),
                w[f"{layer}attention.{name}_norm.weight"],
                w[f"{layer}attention.{name}_norm.bias"],
            ).unflatten(1, (HEADS, -1))
            for name in "qk"
        )
        v = linear(f"{layer}attention.wv", y).unflatten(1, (HEADS, -1))
        heads = (z.transpose(0, 1) for z in (rotated(q), rotated(k), v))
        y = scaled_dot_product_attention(*heads).transpose(0, 1).flatten(1)
        y = linear(f"{layer}attention.wo", y)
        x = x + scales[1].tanh() * rms(y, w[f"{layer}attention_norm.weight"])
        y = rms(x) * (1 + scales[2])
        y = silu(linear(f"{layer}feed_forward.w1", y)) * linear(f"{layer}feed_forward.w3", y)
        y = linear(f"{layer}feed_forward.w2", y)
        x = x + scales[3].tanh() * rms(y, w[f"{layer}ffn_norm.weight"])
    shift, scale = linear("final_layer.adaLN_modulation.1", silu(c)).chunk(2)
    x = layer_norm(x, (HIDDEN,), eps=1e-6) * (1 + scale) + shift
    out = linear("final_layer.linear", x).reshape(ROWS, COLUMNS, 2, 2, 8)
    return out.permute(4, 0, 2, 1, 3).reshape(8, 2 * ROWS, 2 * COLUMNS)[:4]


@torch.no_grad()
def velocity(model, latent, t, label):
    grid = TOKENIZER.grid((4, 1, 2 * ROWS, 2 * COLUMNS))
    batch = model.pack([TokenSample("image", grid, TOKENIZER.tokenize(latent[:, None]))])
    context = model.prepare(batch, torch.tensor([[float(label)]]), [1])
    (tokens,) = unpack(batch.with_state(model(batch, torch.tensor([t]), context)))
    return TOKENIZER.detokenize(tokens, grid)[:, 0]


@pytest.mark.parametrize("label", [0, 7, CLASSES])
def test_velocity_is_that_of_the_formulas(label):
    w = class_weights()
    model = read("next_dit_imagenet", "released", w)
    assert model.config.num_classes == CLASSES
    latent = torch.randn(4, 2 * ROWS, 2 * COLUMNS, generator=torch.Generator().manual_seed(1))
    expected = reference(w, latent, 0.3, label)
    assert expected.std() > 0.1
    found = velocity(model, latent, 0.3, label)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_classes_differ():
    model = read("next_dit_imagenet", "released", class_weights())
    latent = torch.randn(4, 2 * ROWS, 2 * COLUMNS, generator=torch.Generator().manual_seed(1))
    assert (velocity(model, latent, 0.3, 1) - velocity(model, latent, 0.3, 2)).abs().max() > 0.01
