"""Vocoders by name: the tiny models are random, their folders real."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumina_audio.options import FrontEnd
from lumina_audio.vocoders import open_vocoder
from lumina_core import LuminaError

FRONT_END = FrontEnd(16_000, 1024, 16, 8, 0.0, 8000.0, "slaney")
HIFIGAN = {
    "model_in_dim": 8,
    "upsample_initial_channel": 8,
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "initializer_range": 0.2,
}
UNIVNET = {
    "model_in_channels": 4,
    "model_hidden_channels": 4,
    "num_mel_bins": 8,
    "resblock_kernel_sizes": [3, 3],
    "resblock_stride_sizes": [4, 4],
    "resblock_dilation_sizes": [[1, 3], [1, 3]],
    "kernel_predictor_hidden_channels": 4,
    "initializer_range": 0.3,
}
EXTRACTOR = {"sampling_rate": 16_000, "num_mel_bins": 8, "hop_length": 16, "fmax": 8000.0}


def hifigan(folder, **changes):
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    model = SpeechT5HifiGan(SpeechT5HifiGanConfig(**{**HIFIGAN, **changes})).eval()
    model.mean += 0.5
    model.scale *= 2
    model.save_pretrained(folder)
    return model


def univnet(folder, **changes):
    from transformers import UnivNetConfig, UnivNetFeatureExtractor, UnivNetModel

    torch.manual_seed(0)
    model = UnivNetModel(UnivNetConfig(**UNIVNET)).eval()
    model.save_pretrained(folder)
    UnivNetFeatureExtractor(**{**EXTRACTOR, **changes}).save_pretrained(folder)
    return model


def some_mel(rows, seed=1):
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed)) - 4


def test_griffin_lim_is_a_name():
    made = open_vocoder("griffin_lim", FRONT_END).to(torch.device("cpu"))(some_mel(5))
    assert made.shape == (80,)


def test_speecht5_gets_decadic_logarithms_and_normalises(tmp_path):
    model, mel = hifigan(tmp_path, normalize_before=True), some_mel(20)
    made = open_vocoder(str(tmp_path), FRONT_END)(mel)
    assert torch.allclose(made, model(mel.exp().log10()).detach(), atol=1e-5)
    assert made.std() > 1e-4  # else nothing is compared


def test_audioldm_gets_natural_logarithms_as_they_are(tmp_path):
    model, mel = hifigan(tmp_path, normalize_before=False), some_mel(20)
    assert torch.allclose(open_vocoder(str(tmp_path), FRONT_END)(mel), model(mel), atol=1e-6)


@pytest.mark.parametrize("model_type", ["hifigan", "speecht5_hifigan"])
def test_both_names_of_hifigan_are_known(tmp_path, model_type):
    hifigan(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_type"] = model_type
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert open_vocoder(str(tmp_path), FRONT_END)(some_mel(3)).shape == (48,)


@pytest.mark.parametrize("make", [hifigan, univnet])
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_there_is_a_hop_of_samples_per_row(tmp_path, make, rows):
    make(tmp_path)
    made = open_vocoder(str(tmp_path), FRONT_END)(some_mel(rows))
    assert made.shape == (rows * 16,)
    assert made.dtype == torch.float32


def test_uneven_kernels_give_no_samples_more(tmp_path):
    """AudioLDM's first rate is 5 with a kernel of 16, which gives one sample more."""
    hifigan(tmp_path, upsample_rates=[5, 4], upsample_kernel_sizes=[16, 16])
    front_end = FrontEnd(16_000, 1024, 20, 8, 0.0, 8000.0, "slaney")
    assert open_vocoder(str(tmp_path), front_end)(some_mel(7)).shape == (140,)


def test_univnet_draws_the_same_noise_and_leaves_the_global_one(tmp_path):
    univnet(tmp_path)
    vocoder, mel = open_vocoder(str(tmp_path), FRONT_END), some_mel(12)
    state = torch.random.get_rng_state()
    first, second = vocoder(mel), vocoder(mel)
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.std() > 1e-4


@pytest.mark.parametrize("do_normalize", [False, True])
def test_univnet_is_fed_as_its_feature_extractor_says(tmp_path, do_normalize):
    model = univnet(tmp_path, do_normalize=do_normalize, normalize_min=-12.0, normalize_max=3.0)
    mel = some_mel(12)
    longer = torch.cat([mel, torch.full((10, 8), math.log(1e-5))])
    given = (longer + 12) / 15 * 2 - 1 if do_normalize else longer
    noise = torch.randn(22, 4, generator=torch.Generator().manual_seed(0))
    expected = model(given, noise_sequence=noise).waveforms[0, : 12 * 16]
    assert torch.allclose(open_vocoder(str(tmp_path), FRONT_END)(mel), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "front_end", "words"),
    [
        (hifigan, (22_050, 1024, 16, 8, 0.0, 8000.0), ("sample_rate=16000", "is 22050")),
        (hifigan, (16_000, 1024, 256, 8, 0.0, 8000.0), ("hop_length=16", "is 256")),
        (hifigan, (16_000, 1024, 16, 80, 0.0, 8000.0), ("num_mels=8", "is 80")),
        (univnet, (22_050, 1024, 16, 8, 0.0, 8000.0), ("sample_rate=16000", "is 22050")),
        (univnet, (16_000, 512, 16, 8, 0.0, 8000.0), ("n_fft=1024", "is 512")),
        (univnet, (16_000, 1024, 16, 8, 0.0, 7000.0), ("fmax=8000.0", "is 7000.0")),
    ],
)
def test_other_spectrograms_are_refused(tmp_path, make, front_end, words):
    make(tmp_path)
    with pytest.raises(LuminaError) as caught:
        open_vocoder(str(tmp_path), FrontEnd(*front_end, "slaney"))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in ("modality.vocoder", "griffin_lim", *words))


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(LuminaError, match=r"hf download.*Did you mean 'griffin_lim'"):
        open_vocoder("grifin_lim", FRONT_END)


def test_a_model_that_is_not_there_says_how_to_get_it():
    with pytest.raises(LuminaError, match=r"vocoder=nobody/no-such-vocoder .*hf download ID"):
        open_vocoder("nobody/no-such-vocoder", FRONT_END)


def without_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("conv_post.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def with_a_weight_too_many(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "more": torch.ones(1)}, folder / "model.safetensors", {"format": "pt"})


DAMAGE = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "no JSON": lambda folder: (folder / "config.json").write_text("{"),
    "no keys": lambda folder: (folder / "config.json").write_text("[]"),
    "another model": lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
    "odd value": lambda folder: (folder / "config.json").write_text(
        '{"model_type": "hifigan", "upsample_rates": "no"}'
    ),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "broken weights": lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 64),
    "a weight less": without_a_weight,
    "a weight more": with_a_weight_too_many,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_folders_are_one_line(tmp_path, damage):
    hifigan(tmp_path)
    DAMAGE[damage](tmp_path)
    with pytest.raises(LuminaError, match=r"modality\.vocoder") as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)


TOO_LARGE = [
    (hifigan, {"upsample_initial_channel": 2**24}),
    (hifigan, {"resblock_dilation_sizes": [[1] * 20_000]}),
    (univnet, {"model_hidden_channels": 2**24}),
    (univnet, {"kernel_predictor_num_blocks": 10**8}),
    (univnet, {"kernel_predictor_hidden_channels": 10**12}),
]


@pytest.mark.parametrize(
    ("make", "changes"),
    TOO_LARGE,
    ids=lambda value: getattr(value, "__name__", None) or next(iter(value)),
)
def test_a_vocoder_larger_than_its_weights_is_not_built(tmp_path, make, changes):
    make(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(LuminaError, match=r"modality\.vocoder=.* cannot be read") as caught:
        open_vocoder(str(tmp_path), FRONT_END)
    assert "\n" not in str(caught.value)


def test_univnet_needs_its_feature_extractor(tmp_path):
    univnet(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(LuminaError, match=r"preprocessor_config\.json"):
        open_vocoder(str(tmp_path), FRONT_END)
