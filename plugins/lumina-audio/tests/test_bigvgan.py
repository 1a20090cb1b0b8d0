"""BigVGAN's released folders: the tiny weights here are random, their names the released ones."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumina_audio.bigvgan import SmoothActivation, plain_weights
from lumina_audio.options import FrontEnd
from lumina_audio.vocoders import open_vocoder
from lumina_core import LuminaError

FRONT_END = FrontEnd(16_000, 1024, 16, 8, 0.0, 8000.0, "slaney")
CONFIG = {
    "resblock": "1",
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "upsample_initial_channel": 12,
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3], [1, 5]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "num_mels": 8,
    "n_fft": 1024,
    "hop_size": 16,
    "sampling_rate": 16_000,
    "fmin": 0,
    "fmax": None,
}


def sinc_filter():
    """Twelve taps of a low-pass at a quarter of the rate, 60 dB in a transition of 0.6 bands."""
    from scipy.signal import firwin

    attenuation = 2.285 * (6 - 1) * math.pi * 4 * 0.3 + 7.95  # Kaiser's estimate of the order
    beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return torch.from_numpy(firwin(12, 0.5, window=("kaiser", beta))).float()


def weights(config, norm=("weight_g", "weight_v")):
    """Random weights with the released names and shapes, written out independently of the code."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def draw(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    def conv(name, outside, inside, kernel, bias):
        state[f"{name}.{norm[1]}"] = draw(outside, inside, kernel)
        state[f"{name}.{norm[0]}"] = draw(outside, 1, 1).abs() + 0.2
        if bias:
            state[f"{name}.bias"] = draw(bias)

    def activation(name, width):
        state[f"{name}.act.alpha"] = draw(width)
        if config["activation"] == "snakebeta":
            state[f"{name}.act.beta"] = draw(width)
        state[f"{name}.upsample.filter"] = sinc_filter()[None, None].clone()
        state[f"{name}.downsample.lowpass.filter"] = sinc_filter()[None, None].clone()

    width = config["upsample_initial_channel"]
    conv("conv_pre", width, config["num_mels"], 7, width)
    block = 0
    for step, size in enumerate(config["upsample_kernel_sizes"]):
        conv(f"ups.{step}.0", width, width // 2, size, width // 2)
        width //= 2
        for kernel, dilations in zip(
            config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True
        ):
            lists = ("convs1", "convs2") if config["resblock"] == "1" else ("convs",)
            for index in range(len(dilations)):
                for name in lists:
                    conv(f"resblocks.{block}.{name}.{index}", width, width, kernel, width)
            for index in range(len(lists) * len(dilations)):
                activation(f"resblocks.{block}.activations.{index}", width)
            block += 1
    activation("activation_post", width)
    conv("conv_post", 1, width, 7, 1 if config.get("use_bias_at_final", True) else 0)
    return state


def released(folder, norm=("weight_g", "weight_v"), **changes):
    config = {**CONFIG, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    state = weights(config, norm)
    torch.save({"generator": state}, folder / "bigvgan_generator.pt")
    return state


def some_mel(rows):
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(1)) - 2


def smooth(signal, alpha, beta):
    """The activation at twice the rate, channel by channel, by scipy."""
    from scipy.signal import upfirdn

    taps = sinc_filter().double().numpy()
    rows = []
    for x, a, b in zip(signal, alpha, beta, strict=True):
        held = np.pad(x, 20, "edge")
        up = upfirdn(2 * taps, held, up=2)[5:]  # zero phase but for half a sample
        up = up[40 : 40 + 2 * len(x)]
        bent = up + np.sin(a * up) ** 2 / b
        rows.append(upfirdn(taps, np.pad(bent, 20, "edge"), down=1)[26::2][: len(x)])
    return np.stack(rows)


def test_the_activation_equals_one_by_scipy():
    module = SmoothActivation(3, CONFIG)
    generator = torch.Generator().manual_seed(2)
    alpha, beta = (torch.randn(3, generator=generator) * 0.5 for _ in range(2))
    module.act.alpha.data, module.act.beta.data = alpha, beta
    module.upsample.filter[:] = module.downsample.lowpass.filter[:] = sinc_filter()
    x = torch.randn(1, 3, 50, generator=generator)
    expected = smooth(x[0].numpy(), alpha.exp().numpy(), beta.exp().numpy())
    assert np.allclose(module(x)[0].detach().numpy(), expected, atol=1e-5)


def test_the_filter_does_not_change_what_stands_still():
    assert float(sinc_filter().sum()) == pytest.approx(1, abs=1e-6)


def by_hand(state, config, mel):
    """The generator in double precision, written out from the paper."""
    from torch.nn.functional import conv1d, conv_transpose1d

    def folded(name):
        g, v = state[f"{name}.weight_g"].double(), state[f"{name}.weight_v"].double()
        return g * v / v.pow(2).sum((1, 2), keepdim=True).sqrt()

    def conv(name, x, dilation=1):
        weight, bias = folded(name), state.get(f"{name}.bias")
        pad = (weight.shape[2] - 1) * dilation // 2
        bias = None if bias is None else bias.double()
        return conv1d(x, weight, bias, padding=pad, dilation=dilation)

    def act(name, x):
        alpha = state[f"{name}.act.alpha"].double()
        beta = state.get(f"{name}.act.beta", alpha).double()
        if config["snake_logscale"]:
            alpha, beta = alpha.exp(), beta.exp()
        return torch.from_numpy(smooth(x[0].numpy(), alpha.numpy(), beta.numpy()))[None]

    x = conv("conv_pre", mel.T[None].double())
    blocks = len(config["resblock_kernel_sizes"])
    for step, (rate, size) in enumerate(
        zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True)
    ):
        name = f"ups.{step}.0"
        bias = state[f"{name}.bias"].double()
        x = conv_transpose1d(x, folded(name), bias, stride=rate, padding=(size - rate) // 2)
        outputs = []
        for number, dilations in enumerate(config["resblock_dilation_sizes"]):
            name, y = f"resblocks.{step * blocks + number}", x
            for index, dilation in enumerate(dilations):
                if config["resblock"] == "1":
                    inner = act(f"{name}.activations.{2 * index}", y)
                    inner = conv(f"{name}.convs1.{index}", inner, dilation)
                    inner = act(f"{name}.activations.{2 * index + 1}", inner)
                    y = y + conv(f"{name}.convs2.{index}", inner)
                else:
                    inner = act(f"{name}.activations.{index}", y)
                    y = y + conv(f"{name}.convs.{index}", inner, dilation)
            outputs.append(y)
        x = torch.stack(outputs).mean(0)
    x = conv("conv_post", act("activation_post", x))[0, 0]
    return x.tanh() if config.get("use_tanh_at_final", True) else x.clamp(-1, 1)


KINDS = {
    "first release": {},
    "one convolution": {"resblock": "2"},
    "snake": {"activation": "snake", "snake_logscale": False},
    "second release": {"use_tanh_at_final": False, "use_bias_at_final": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_released_folder_gives_the_samples_of_the_paper(tmp_path, kind):
    state, mel = released(tmp_path, **KINDS[kind]), some_mel(9)
    made = open_vocoder(str(tmp_path), FRONT_END)(mel)
    expected = by_hand(state, {**CONFIG, **KINDS[kind]}, mel)
    assert made.dtype == torch.float32
    assert made.shape == (9 * 16,)
    assert made.std() > 1e-3
    assert torch.allclose(made.double(), expected, atol=1e-5)


def test_weight_norm_of_newer_torch_is_the_same(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    released(old)
    prefix = "parametrizations.weight.original"
    released(new, norm=(f"{prefix}0", f"{prefix}1"))
    mel = some_mel(5)
    made = [open_vocoder(str(folder), FRONT_END)(mel) for folder in (old, new)]
    assert torch.equal(*made)


def test_plain_weights_are_those_of_torch():
    layer = torch.nn.ConvTranspose1d(4, 2, 8)
    expected = layer.weight.detach().clone()
    torch.nn.utils.parametrizations.weight_norm(layer)
    state = {f"up.{key}": value.detach() for key, value in layer.state_dict().items()}
    found = plain_weights(state)
    assert set(found) == {"up.weight", "up.bias"}
    assert torch.allclose(found["up.weight"], expected, atol=1e-6)


def test_safetensors_are_read_before_a_pickle(tmp_path):
    state = released(tmp_path)
    expected = open_vocoder(str(tmp_path), FRONT_END)(some_mel(4))
    save_file(state, tmp_path / "bigvgan_generator.safetensors")
    (tmp_path / "bigvgan_generator.pt").write_bytes(b"nonsense")
    assert torch.equal(open_vocoder(str(tmp_path), FRONT_END)(some_mel(4)), expected)


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_runs_nothing(tmp_path, capsys):
    released(tmp_path)
    torch.save({"generator": Malicious()}, tmp_path / "bigvgan_generator.pt")
    with pytest.raises(LuminaError, match=r"bigvgan_generator\.pt") as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)
    assert "executed" not in capsys.readouterr().out


def test_other_spectrograms_are_refused(tmp_path):
    released(tmp_path, sampling_rate=22_050, fmax=8000)
    with pytest.raises(LuminaError, match=r"sample_rate=22050, and modality.sample_rate is 16000"):
        open_vocoder(str(tmp_path), FRONT_END)
    released(tmp_path, fmax=7000)
    with pytest.raises(LuminaError, match=r"fmax=7000, and modality.fmax is 8000"):
        open_vocoder(str(tmp_path), FRONT_END)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_mels", 0),
        ("upsample_rates", [4]),
        ("upsample_rates", [16, 4]),
        ("upsample_kernel_sizes", "8"),
        ("upsample_initial_channel", 3),
        ("resblock_kernel_sizes", [4, 7]),
        ("resblock_dilation_sizes", [[1, 3]]),
        ("resblock_dilation_sizes", [[1, 3], 5]),
        ("resblock", "3"),
        ("activation", "relu"),
        ("snake_logscale", None),
        ("use_tanh_at_final", "no"),
    ],
)
def test_settings_that_describe_no_network_are_one_line(tmp_path, key, value):
    released(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, key: value}))
    with pytest.raises(LuminaError, match=key) as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"upsample_initial_channel": 2**19},
        {"resblock_dilation_sizes": [[1] * 10, [1] * 10], "upsample_initial_channel": 2**10},
    ],
    ids=str,
)
def test_a_network_larger_than_its_weights_is_not_built(tmp_path, changes):
    released(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    with pytest.raises(LuminaError, match="its config asks for more weights than") as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)


def damaged(folder, state):
    torch.save({"generator": state}, folder / "bigvgan_generator.pt")


DAMAGE = {
    "no weights": lambda folder, state: (folder / "bigvgan_generator.pt").unlink(),
    "broken weights": lambda folder, state: (folder / "bigvgan_generator.pt").write_bytes(b"x"),
    "half a file": lambda folder, state: (folder / "bigvgan_generator.pt").write_bytes(
        (folder / "bigvgan_generator.pt").read_bytes()[:5000]
    ),
    "no generator": lambda folder, state: torch.save(state, folder / "bigvgan_generator.pt"),
    "no tensors": lambda folder, state: damaged(folder, {"conv_pre.bias": 3}),
    "a weight less": lambda folder, state: damaged(
        folder, {key: value for key, value in state.items() if key != "conv_post.weight_v"}
    ),
    "a weight more": lambda folder, state: damaged(folder, {**state, "more": torch.ones(1)}),
    "another shape": lambda folder, state: damaged(
        folder, {**state, "conv_pre.bias": torch.ones(5)}
    ),
    "no number": lambda folder, state: damaged(
        folder, {**state, "conv_pre.weight_g": torch.ones(3, 3, 3)}
    ),
    "whole numbers": lambda folder, state: damaged(
        folder, {key: value.long() for key, value in state.items()}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_folders_are_one_line(tmp_path, damage):
    state = released(tmp_path)
    DAMAGE[damage](tmp_path, state)
    with pytest.raises(LuminaError, match=r"modality\.vocoder") as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
