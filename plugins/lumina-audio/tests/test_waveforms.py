"""Autoencoders of waveforms are those of diffusers, and sounds go through them like any others."""

import json
from pathlib import Path

import pytest
import torch
from tiny_waveforms import longcat, oobleck, same

from lumina_audio import waveform_autoencoders
from lumina_audio.audio import AudioModality
from lumina_audio.options import AudioCondition
from lumina_audio.samples import FULL_SCALE, floats, sound_of
from lumina_core import LuminaError, SizeLimits
from lumina_core.config.compose import compose_options
from sounds import open_autoencoder

MADE = {"oobleck": (oobleck, 8), "same": (same, 16), "longcat": (longcat, 8)}
"""Makers, and samples per column."""
RATE, CLOSE = 8000, 1e-5


@pytest.fixture(scope="module", params=MADE)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    place = tmp_path_factory.mktemp("vae") / kind
    model = MADE[kind][0]()
    model.save_pretrained(place)
    config = json.loads((place / "config.json").read_text())
    config |= {"latents_mean": [0.5, 0.0, -0.5, 0.1], "latents_std": [2.0, 1.0, 0.5, 1.5]}
    (place / "config.json").write_text(json.dumps(config))
    return place


def options(**values):
    usual = {"sample_rate": RATE, "channels": 2, "patch": [1, 1], "fmax": 4000.0, "seconds": 0.1}
    return compose_options("audio", usual | values)


@pytest.fixture(scope="module")
def modality(folder):
    return AudioModality(options(), folder)


def noise(shape, loudness=0.5):
    generator = torch.Generator().manual_seed(0)
    return loudness * (torch.rand(shape, generator=generator) * 2 - 1)


def normalised(latent):
    mean, std = (torch.tensor(x) for x in ([0.5, 0.0, -0.5, 0.1], [2.0, 1.0, 0.5, 1.5]))
    return (latent - mean[:, None]) / std[:, None]


@torch.no_grad()
def test_latents_and_samples_are_those_of_diffusers(kind, modality):
    made_by, stride = MADE[kind][0](), MADE[kind][1]
    media = sound_of(noise((2, 800)), "int16")
    latent = modality.vae.encode(media)
    how = {"sample_posterior": False} if kind == "longcat" else {}
    found = made_by.encode(floats(media)[None], **how)
    (wanted,) = found.latent_dist.mode() if kind == "oobleck" else found.latents
    assert latent.shape == (4, 1, 1, 800 // stride)
    assert latent.shape == modality.vae.latent_shape((2, 800))
    assert (latent[:, 0, 0] - normalised(wanted)).abs().max() < CLOSE
    (samples,) = made_by.decode(wanted[None]).sample
    assert samples.abs().max() > 1e-3
    back = floats(modality.decode(latent, options(sample_format="float32")))
    assert (back - samples / max(samples.abs().max(), 1)).abs().max() < CLOSE


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3, 8])
def test_pieces_of_a_long_sound_are_those_of_the_whole(folder, monkeypatch, size):
    autoencoder = open_autoencoder(folder)
    samples = noise((2, 60 * autoencoder.stride))
    latent = autoencoder.encode(samples)
    decoded = autoencoder.decode(latent)
    monkeypatch.setattr(waveform_autoencoders, "PIECE", size)
    assert 2 * autoencoder.reach + size < 60  # else no piece would be cut
    assert (autoencoder.encode(samples) - latent).abs().max() < CLOSE
    assert (autoencoder.decode(latent) - decoded).abs().max() < CLOSE


@torch.no_grad()
def test_no_place_sees_farther_than_is_said(folder):
    autoencoder = open_autoencoder(folder)
    count, stride = 60, autoencoder.stride
    latent = noise((4, 1, 1, count))
    changed = latent.clone()
    changed[..., 30] += 1
    moved = (autoencoder.decode(changed) - autoencoder.decode(latent)).abs().amax(0)
    columns = moved.reshape(count, stride).amax(1).nonzero().flatten()
    assert 30 - autoencoder.reach <= columns.min() <= 30 <= columns.max() <= 30 + autoencoder.reach
    samples = noise((2, count * stride))
    other = samples.clone()
    other[:, 30 * stride : 31 * stride] *= -1
    moved = (autoencoder.encode(other) - autoencoder.encode(samples)).abs().amax((0, 1, 2))
    columns = moved.nonzero().flatten()
    assert 30 - autoencoder.reach <= columns.min() <= 30 <= columns.max() <= 30 + autoencoder.reach


@pytest.mark.parametrize("count", [1, 7, 8, 801])
@pytest.mark.parametrize("sample_format", ["int16", "float32"])
def test_a_duration_is_rounded_up_and_trimmed(kind, folder, count, sample_format):
    wanted = options(seconds=count / RATE, sample_format=sample_format, patch=[1, 2])
    modality = AudioModality(wanted, folder)
    assert modality.media_shape(wanted) == (2, count)
    media = sound_of(noise((2, count)), sample_format)
    latent = modality.vae.encode(media)
    tokens = -(-count // (2 * MADE[kind][1]))
    grid = modality.tokenizer.grid(tuple(latent.shape))
    assert (grid.frames, grid.rows, grid.columns) == (1, 1, tokens)
    made = modality.decode(latent, wanted)
    assert made.shape == media.shape and made.dtype == media.dtype


def test_a_user_sees_no_warnings_of_libraries(folder, recwarn):
    open_autoencoder(folder).model()
    assert not recwarn.list


def test_silence_is_a_sound(modality):
    media = torch.zeros(2, 800, dtype=torch.int16)
    latent = modality.vae.encode(media)
    assert latent.isfinite().all()
    assert modality.decode(latent, options()).shape == (2, 800)


def test_what_would_be_cut_off_is_made_softer(tmp_path, caplog):
    oobleck().save_pretrained(tmp_path)
    modality, latent = AudioModality(options(), tmp_path), 60 * noise((4, 1, 1, 20))
    made = modality.decode(latent, options(seconds=0.01))
    assert made.int().abs().max() == FULL_SCALE
    assert "times softer" in caplog.text
    assert made.shape == (2, 80)


def test_a_mono_autoencoder_of_96_khz_makes_mono_sounds(tmp_path):
    oobleck(audio_channels=1, sampling_rate=96_000).save_pretrained(tmp_path)
    wanted = options(sample_rate=96_000, channels=1)
    modality = AudioModality(wanted, tmp_path)
    media = sound_of(noise(9600), "int16")
    assert modality.media_shape(wanted) == media.shape
    assert modality.decode(modality.vae.encode(media), wanted).shape == media.shape
    modality.decoder.write(media, tmp_path / "a.wav", {}, wanted)
    assert torch.equal(modality.read(tmp_path / "a.wav", wanted), media)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sample_rate": 16_000, "fmax": 8000.0}, r"set modality\.sample_rate=8000"),
        ({"channels": 1}, r"set modality\.channels=2"),
        ({"patch": [2, 5]}, r"set modality\.patch=\[1,5\]"),
        ({"num_mels": 64}, r"modality\.num_mels is for spectrograms.*leave it out"),
        ({"vocoder": "x"}, r"modality\.vocoder is for spectrograms"),
    ],
)
def test_options_that_it_does_not_have_are_refused(folder, values, said):
    modality = AudioModality(options(**values), folder)
    with pytest.raises(LuminaError, match=said):
        modality.media_shape(options(**values))
    with pytest.raises(LuminaError, match=said):
        modality.vae.latent_shape((2, 800))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sampling_rate": "fast"}, "sampling_rate is 'fast', not a whole number from 1000"),
        ({"audio_channels": 3}, "audio_channels is '3', not 1 or 2"),
        ({"downsampling_ratios": [2, 3]}, "not a list of 1 to 10 even numbers"),
        ({"channel_multiples": [1]}, "not a list of 2 whole numbers"),
        ({"encoder_hidden_size": 16}, "not twice the 4 latent channels"),
        ({"latents_mean": [0.0]}, "latents_mean"),
    ],
)
def test_a_config_that_describes_none_is_refused(tmp_path, values, said):
    oobleck().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | values))
    with pytest.raises(LuminaError, match=said):
        open_autoencoder(tmp_path).stride  # noqa: B018, it reads the config


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"strides": [2, 3]}, "strides is .* not a list of even numbers"),
        ({"strides": 2}, "strides is '2', not a list of 1 to 10 whole numbers"),
        ({"downsampling_ratio": 4}, "downsampling_ratio is '4', not 8, the product"),
        ({"encoder_latent_dim": 4}, "not twice the 4 latent channels"),
    ],
)
def test_a_config_of_longcat_that_describes_none_is_refused(tmp_path, values, said):
    longcat().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | values))
    with pytest.raises(LuminaError, match=said):
        open_autoencoder(tmp_path).stride  # noqa: B018, it reads the config


def test_strides_that_longcat_leaves_out_are_those_of_diffusers(tmp_path):
    made_by = longcat(c_mults=[1, 1, 2], strides=[4], downsampling_ratio=64)
    made_by.save_pretrained(tmp_path)
    assert open_autoencoder(tmp_path).stride == 64
    with torch.no_grad():
        assert made_by.decode(noise((1, 4, 5))).sample.shape == (1, 2, 320)


def test_the_duration_is_a_feature(modality):
    grid = modality.tokenizer.grid((4, 1, 1, 9))
    assert modality.feature_dim == 1
    assert modality.features(options(seconds=10.0), grid).tolist() == [[10 / 32]]
    media = torch.zeros(2, 400, dtype=torch.int16)
    assert modality.described(Path("a.wav"), media, options()).seconds == 0.05


def test_a_long_sound_is_cut_after_the_last_whole_token_that_fits(kind, modality):
    media = torch.zeros(2, 801, dtype=torch.int16)
    assert modality.fit(media, SizeLimits(1, 10, 4.0)).shape == (2, 10 * MADE[kind][1])
    with pytest.raises(LuminaError, match="too short"):
        modality.fit(media[:, :9], SizeLimits(3, 10, 4.0))


def test_a_given_beginning_fixes_its_columns(kind, modality, tmp_path):
    media, stride = sound_of(noise((2, 400)), "int16"), MADE[kind][1]
    modality.decoder.write(media, tmp_path / "a.wav", {}, options())
    wanted = AudioCondition(sound=str(tmp_path / "a.wav"), seconds=0.05)
    given = modality.condition(wanted, options())
    assert torch.equal(given.media[:, :400], media) and not given.media[:, 400:].any()
    assert given.known.shape == (1, 1, 800 // stride)
    assert given.known[0, 0].tolist() == [n < 400 // stride for n in range(800 // stride)]


def test_a_column_has_the_same_place_in_a_sound_of_any_length(modality):
    from lumina_core.sequence import layout

    short, long = (
        layout(modality.tokenizer.grid((4, 1, 1, count)), False).coordinates for count in (5, 9)
    )
    assert torch.equal(short, long[:5])
    assert short[:, :2].abs().max() == 0
    seconds = short[:, 2].diff() / 8  # eight units a second
    assert (seconds - modality.vae.samples_per_cell / RATE).abs().max() < 1e-6
