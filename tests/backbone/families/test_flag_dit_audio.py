"""The Flag-DiT of sounds computes what its formulas say, written out once more here."""

import math

import pytest
import torch
from released import read
from torch.nn.functional import layer_norm, scaled_dot_product_attention, silu

from lumina_core.backbone.families.layouts import recognised
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.checkpoints.stored import open_weights, without_prefix
from lumina_core.errors import LuminaError
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sequence import TokenSample, unpack

DEPTH, HEADS, FFN, HIDDEN, TEXT, CHANNELS = 2, 4, 40, 32, 24, 20
FRAMES, WORDS = 9, 6
PREFIX = "model.diffusion_model."
TOKENIZER = PatchTokenizer(CHANNELS, (1, 1, 1), lambda frames, rows, columns: (1.0, 1.0, 1.0))


def weights():
    shapes = {
        "proj_in.weight": (HIDDEN, CHANNELS),
        "proj_in.bias": (HIDDEN,),
        "t_embedder.mlp.0.weight": (HIDDEN, 256),
        "t_embedder.mlp.0.bias": (HIDDEN,),
        "t_embedder.mlp.2.weight": (HIDDEN, HIDDEN),
        "t_embedder.mlp.2.bias": (HIDDEN,),
        "cap_embedder.0.weight": (TEXT,),
        "cap_embedder.0.bias": (TEXT,),
        "cap_embedder.1.weight": (HIDDEN, TEXT),
        "cap_embedder.1.bias": (HIDDEN,),
        "final_layer.linear.weight": (CHANNELS, HIDDEN),
        "final_layer.linear.bias": (CHANNELS,),
        "final_layer.adaLN_modulation.1.weight": (2 * HIDDEN, HIDDEN),
        "final_layer.adaLN_modulation.1.bias": (2 * HIDDEN,),
    }
    for number in range(DEPTH):
        block = f"blocks.{number}."
        square = ("wq", "wk", "wv", "wo")
        shapes |= {f"{block}attention.{name}.weight": (HIDDEN, HIDDEN) for name in square}
        shapes |= {f"{block}attention.{name}.weight": (HIDDEN, TEXT) for name in ("wk_y", "wv_y")}
        shapes |= {f"{block}feed_forward.{name}.weight": (FFN, HIDDEN) for name in ("w1", "w3")}
        shapes |= {
            f"{block}attention.gate": (HEADS,),
            f"{block}feed_forward.w2.weight": (HIDDEN, FFN),
            f"{block}attention_norm.weight": (HIDDEN,),
            f"{block}ffn_norm.weight": (HIDDEN,),
            f"{block}attention_y_norm.weight": (TEXT,),
            f"{block}adaLN_modulation.1.weight": (6 * HIDDEN, HIDDEN),
            f"{block}adaLN_modulation.1.bias": (6 * HIDDEN,),
        }
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def rms(x, weight):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def rotated(x):
    """Pairs of channels turned by the number of the frame; x is (frame, head, channel)."""
    channels = HIDDEN // HEADS
    frequency = 10_000.0 ** (-torch.arange(0, channels, 2).float() / channels)
    angle = torch.outer(torch.arange(len(x)).float(), frequency)[:, None]
    first, second = x[..., 0::2], x[..., 1::2]
    turned = (
        first * angle.cos() - second * angle.sin(),
        first * angle.sin() + second * angle.cos(),
    )
    return torch.stack(turned, -1).flatten(-2)


def attended(*heads):
    heads = (x.transpose(0, 1) for x in heads)
    return scaled_dot_product_attention(*heads).transpose(0, 1)


def reference(w, latent, count, text):
    """The velocity of a latent (channel, frame) at a time that is counted to 1000."""

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def heads(name, x):
        return linear(name, x).unflatten(1, (HEADS, -1))

    x = linear("proj_in", latent.T)
    wave = count * torch.exp(-math.log(10_000) * torch.arange(128).float() / 128)
    c = linear("t_embedder.mlp.0", torch.cat([wave.cos(), wave.sin()]))
    pooled = layer_norm(text.mean(0), (TEXT,), w["cap_embedder.0.weight"], w["cap_embedder.0.bias"])
    c = silu(linear("t_embedder.mlp.2", silu(c)) + linear("cap_embedder.1", pooled))
    for number in range(DEPTH):
        name = f"blocks.{number}."
        parts = linear(f"{name}adaLN_modulation.1", c).chunk(6)
        y = rms(x, w[f"{name}attention_norm.weight"]) * (1 + parts[1]) + parts[0]
        q, k = (rotated(heads(f"{name}attention.w{each}", y)) for each in "qk")
        own = attended(q, k, heads(f"{name}attention.wv", y))
        words = rms(text, w[f"{name}attention_y_norm.weight"])
        keys, values = (heads(f"{name}attention.w{each}_y", words) for each in "kv")
        gate = w[f"{name}attention.gate"].tanh()[:, None]
        y = linear(f"{name}attention.wo", (own + gate * attended(q, keys, values)).flatten(1))
        x = x + parts[2] * y
        y = rms(x, w[f"{name}ffn_norm.weight"]) * (1 + parts[4]) + parts[3]
        y = silu(linear(f"{name}feed_forward.w1", y)) * linear(f"{name}feed_forward.w3", y)
        x = x + parts[5] * linear(f"{name}feed_forward.w2", y)
    shift, scale = linear("final_layer.adaLN_modulation.1", c).chunk(2)
    x = layer_norm(x, (HIDDEN,), eps=1e-6) * (1 + scale) + shift
    return linear("final_layer.linear", x).T


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def velocity(model, latent, count, text):
    grid = TOKENIZER.grid((CHANNELS, 1, FRAMES, 1))
    tokens = TOKENIZER.tokenize(latent[:, None, :, None])
    batch = model.pack([TokenSample("audio", grid, tokens)])
    context = model.prepare(batch, text, [len(text)])
    (found,) = unpack(batch.with_state(model(batch, torch.tensor([count / 1000]), context)))
    return TOKENIZER.detokenize(found, grid)[:, 0, :, 0]


@pytest.mark.parametrize("count", [0, 40, 999])
def test_velocity_is_that_of_the_formulas(count):
    w, latent, text = weights(), drawn(CHANNELS, FRAMES), drawn(WORDS, TEXT)
    model = read("flag_dit_audio", "released", w, modality="audio")
    expected = reference(w, latent, count, text)
    assert expected.std() > 0.1
    found = velocity(model, latent, count, text)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "change",
    [{"time_scale": 1.0}, {"rope_theta": 100.0}, {"modulation_silu": False}, {"separators": True}],
)
def test_each_switch_matters(change):
    w, latent, text = weights(), drawn(CHANNELS, FRAMES), drawn(WORDS, TEXT)
    expected = reference(w, latent, 40, text)
    try:
        model = read("flag_dit_audio", "released", w, modality="audio", **change)
    except LuminaError:  # separators have no weights in the file
        assert "separators" in change
        return
    assert (velocity(model, latent, 40, text) - expected).abs().max() > 1e-3


def test_released_size_follows_from_the_shapes():
    model = read("flag_dit_audio", "released", weights(), modality="audio")
    config = model.config
    assert (config.hidden_size, config.depth, config.num_heads) == (HIDDEN, DEPTH, HEADS)
    assert (config.condition_dim, config.text_dim, config.ffn_dim) == (HIDDEN, TEXT, FFN)
    assert config.token_dims == {"audio": CHANNELS}


def test_a_file_of_lightning_is_read_without_its_other_parts(tmp_path):
    own = weights()
    others = {
        "first_stage_model.encoder.conv_in.weight": torch.ones(2, 2, 1),
        "cond_stage_model.transformer.shared.weight": torch.ones(3, 2),
        "betas": torch.ones(1000),
        "scale_factor": torch.tensor(0.7),
    }
    path = tmp_path / "last.ckpt"
    state = {f"{PREFIX}{name}": weight for name, weight in own.items()} | others
    torch.save({"state_dict": state, "global_step": 7}, path)
    found = without_prefix(open_weights(path))
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    assert recognised(FAMILIES.values(), shapes) == (FAMILIES["flag_dit_audio"], "released")
    stored = {name: found.read(name) for name in found.tensors}
    model = read("flag_dit_audio", "released", stored, modality="audio")
    assert torch.equal(model.inputs["audio"].weight, own["proj_in.weight"])


def test_what_a_file_lacks_is_named():
    some = weights()
    del some["blocks.1.attention.gate"]
    with pytest.raises(LuminaError, match=r"lacks tensors: blocks\.1\.attention\.gate"):
        read("flag_dit_audio", "released", some, modality="audio")
