"""Autoencoders with a time axis: what they compute is what diffusers computes, in chunks."""

import json
import shutil

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from lumina_core import FramewiseAutoencoder, LuminaError
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.media.pixels import pixels_of
from lumina_core.sequence import Grid
from lumina_core.testing.fixtures import tiny_words
from lumina_video import ltx
from lumina_video.autoencoders import FrameAutoencoder
from lumina_video.options import VideoOptions
from lumina_video.vae import VideoVAE
from lumina_video.video import VideoModality
from tiny_autoencoders import (
    KINDS,
    ROUNDING,
    SHAPES,
    WEIGHTS,
    change_config,
    clip,
    open_autoencoder,
)


def reference(folder):
    kind = json.loads((folder / "config.json").read_text())["_class_name"]
    return getattr(diffusers, kind).from_pretrained(folder).eval().requires_grad_(False)


def latent_of(length, seed=0):
    return torch.randn(4, length, 4, 6, generator=torch.Generator().manual_seed(seed))


def decoded(folder, latent):
    return torch.cat(list(open_autoencoder(folder).decode(latent)))


@pytest.mark.parametrize("name", KINDS)
def test_shapes_follow_from_the_config_without_weights(name, copy):
    folder = copy(name)
    (folder / WEIGHTS).unlink()
    autoencoder = open_autoencoder(folder)
    assert (autoencoder.stride, autoencoder.frame_stride) == SHAPES[name]
    assert autoencoder.channels == 4


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("frames", [1, 5, 9, 21])
def test_a_clip_and_its_latent_have_the_promised_shapes(name, frames, folders):
    vae = VideoVAE(folders / name)
    stride, frame_stride = SHAPES[name]
    media = clip(frames)
    latent = vae.encode(media)
    assert latent.dtype == torch.float32
    assert latent.shape == (4, 1 + (frames - 1) // frame_stride, 16 // stride, 24 // stride)
    assert vae.latent_shape(media.shape) == latent.shape
    assert vae.decode(latent).shape == media.shape
    assert vae.decode(latent).dtype == torch.uint8


@pytest.mark.parametrize("name", KINDS)
def test_encoding_is_that_of_diffusers_but_for_the_statistics(name, folders):
    media = clip(17)
    model = reference(folders / name)
    wanted = model.encode(pixels_of(media).movedim(0, 1)[None]).latent_dist.mode()[0]
    autoencoder = open_autoencoder(folders / name)
    mean, std = (x[:, None, None, None] for x in autoencoder.statistics())
    found = autoencoder.encode(media) * std + mean
    torch.testing.assert_close(found, wanted, atol=ROUNDING, rtol=0)
    if not name.startswith("ltx") and name != "wan22":
        torch.testing.assert_close((wanted - mean) / std, autoencoder.encode(media), rtol=0, atol=0)


@pytest.mark.parametrize("name", KINDS)
def test_decoding_in_chunks_is_that_of_diffusers(name, folders, copy, monkeypatch):
    monkeypatch.setattr(ltx, "NUM_TOGETHER", 1)
    latent = latent_of(13)
    folder = copy(name)
    if name == "ltx_noisy":  # diffusers draws its noise from the global generator
        weights = load_file(folder / WEIGHTS)
        quiet = {k: v * ("per_channel" not in k) for k, v in weights.items()}
        save_file(quiet, folder / WEIGHTS, {"format": "pt"})
    mean, std = (x[:, None, None, None] for x in open_autoencoder(folder).statistics())
    time = torch.zeros(1) if name == "ltx_noisy" else None
    more = () if time is None else (time,)
    wanted = reference(folder).decode((latent * std + mean)[None], *more).sample[0].movedim(1, 0)
    found = decoded(folder, latent)
    if name in ("wan", "wan22"):
        wanted, found = wanted.clamp(-1, 1), found.clamp(-1, 1)  # as levels are later
    exact = 0 if name in ("wan", "wan22", "cogvideox") else ROUNDING
    torch.testing.assert_close(found, wanted, atol=exact, rtol=0)


@pytest.mark.parametrize("name", ["ltx", "ltx_noisy", "ltx095"])
@pytest.mark.parametrize("together", [1, 2, 3])
def test_chunks_of_any_length_make_one_clip(name, together, folders, monkeypatch):
    media, latent = clip(25), latent_of(13)
    monkeypatch.setattr(ltx, "NUM_TOGETHER", 100)
    whole = open_autoencoder(folders / name).encode(media), decoded(folders / name, latent)
    monkeypatch.setattr(ltx, "NUM_TOGETHER", together)
    parts = open_autoencoder(folders / name).encode(media), decoded(folders / name, latent)
    for found, wanted in zip(parts, whole, strict=True):
        torch.testing.assert_close(found, wanted, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("name", KINDS)
def test_a_longer_clip_is_never_decoded_in_longer_chunks(name, folders):
    autoencoder = open_autoencoder(folders / name)
    lengths = [max(len(x) for x in autoencoder.decode(latent_of(n))) for n in (15, 31)]
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("name", ["wan", "wan22", "ltx", "ltx095"])
def test_the_first_latent_frames_do_not_see_later_ones(name, folders):
    autoencoder = open_autoencoder(folders / name)
    media = clip(17)
    stride = autoencoder.frame_stride
    latent = autoencoder.encode(media)
    for frames in (1, 1 + stride, 9):
        own = autoencoder.encode(media[:frames])
        torch.testing.assert_close(own, latent[:, : own.shape[1]], atol=ROUNDING, rtol=0)


def test_the_first_chunk_of_cogvideox_does_not_see_later_ones(folders):
    autoencoder = open_autoencoder(folders / "cogvideox")
    media = clip(25)
    assert torch.equal(autoencoder.encode(media[:9]), autoencoder.encode(media)[:, :3])


@pytest.mark.parametrize("name", ["wan", "ltx", "cogvideox"])
def test_latents_have_mean_zero_and_variance_one(name, copy):
    """With statistics that were measured, and stand where the kind keeps them."""
    folder = copy(name)
    media = clip(33)
    raw = reference(folder).encode(pixels_of(media).movedim(0, 1)[None]).latent_dist.mode()[0]
    mean, std = raw.mean((1, 2, 3)), raw.std((1, 2, 3))
    if name == "wan":
        change_config(folder, latents_mean=mean.tolist(), latents_std=std.tolist())
    elif name == "ltx":
        weights = load_file(folder / WEIGHTS) | {"latents_mean": mean, "latents_std": std * 0.5}
        save_file(weights, folder / WEIGHTS, {"format": "pt"})  # its scaling_factor is 0.5
    else:
        change_config(folder, scaling_factor=1 / raw.std().item(), invert_scale_latents=True)
    latent = open_autoencoder(folder).encode(media)
    if name == "cogvideox":
        assert latent.std().item() == pytest.approx(1, abs=1e-3)
    else:
        assert latent.mean((1, 2, 3)).abs().max() < 1e-3
        assert (latent.std((1, 2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("name", KINDS)
def test_a_duration_is_rounded_up_by_its_last_frame(name, folders):
    vae = VideoVAE(folders / name)
    media = clip(6)
    frames = 1 + -(-5 // vae.autoencoder.frame_stride) * vae.autoencoder.frame_stride
    longer = torch.cat([media, media[-1:].expand(frames - 6, -1, -1, -1)])
    assert vae.latent_shape(media.shape) == vae.latent_shape(longer.shape)
    assert torch.equal(vae.encode(media), vae.encode(longer))


def options(**values) -> VideoOptions:
    return compose_options("video", {"height": 32, "width": 32, **values})


@pytest.mark.parametrize(("frames", "length"), [(1, 2), (5, 4), (6, 4), (9, 4), (10, 6), (14, 6)])
def test_latent_frames_fill_the_patch(frames, length, folders):
    for name in ("wan", "cogvideox"):
        wanted = options(frames=frames, patch=[2, 2, 2])
        modality = VideoModality(wanted, folders / name)
        shape = modality.vae.latent_shape(modality.media_shape(wanted))
        assert shape == (4, length, 8, 8)
        assert isinstance(modality.tokenizer.grid(shape), Grid)
        latent = modality.vae.encode(clip(frames, 32, 32))
        assert latent.shape == shape
        assert len(modality.decode(latent, wanted)) == frames


def test_a_side_that_fits_no_latent_is_refused(folders):
    modality = VideoModality(options(), folders / "ltx")
    with pytest.raises(LuminaError, match=r"modality.width=40 is not a multiple of 16 pixels; use"):
        modality.media_shape(options(width=40))
    with pytest.raises(LuminaError, match="height=12 is not a multiple of 8 pixels; use 8 or 16"):
        modality.vae.latent_shape((5, 3, 12, 16))


def test_frames_alone_are_decoded_one_at_a_time():
    folder = find_vae("video", "demo", download=False)
    autoencoder = open_autoencoder(folder)
    assert type(autoencoder) is FrameAutoencoder
    media = clip(3)
    latent = autoencoder.encode(media)
    assert torch.equal(latent, FramewiseAutoencoder(folder).encode(pixels_of(media)))
    chunks = list(autoencoder.decode(latent))
    assert [len(chunk) for chunk in chunks] == [1, 1, 1]
    assert torch.equal(torch.cat(chunks), FramewiseAutoencoder(folder).decode(latent))


@pytest.mark.parametrize("name", KINDS)
def test_reading_prints_nothing_and_waits_for_the_first_use(name, copy, capfd):
    folder = copy(name)
    autoencoder = open_autoencoder(folder)
    autoencoder.to(torch.device("cpu"))
    autoencoder.encode(clip(1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "patch"), [("wan", 2), ("ltx", 1), ("cogvideox", 2)])
def test_a_clip_has_the_frames_that_were_asked_for(name, patch, folders, tmp_path, capsys):
    shutil.copytree(folders / name, tmp_path / "vae")
    words = [f"modality.vae={tmp_path / 'vae'}", f"modality.patch=[{patch},1,1]"]
    out = f"out={tmp_path / 'run'}"
    words += ["token_budget=1300", "data.pool_size=2", "max_steps=1"]
    assert main(["train", "+modality=video", out, *tiny_words(), *words]) == 0
    shutil.rmtree(tmp_path / "vae")
    checkpoint = next((tmp_path / "run" / "checkpoints").iterdir())
    request = f"checkpoint={checkpoint} solver.num_steps=1 device=cpu json=true".split()
    size = ["modality.height=32", "modality.width=48", "modality.frames=7"]
    capsys.readouterr()
    target = f"out={tmp_path / 'a.mp4'}"
    assert main(["run", "+modality=video", *request, *size, target, "a red circle"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["path"] == str(tmp_path / "a.mp4")
    modality = VideoModality(options(patch=[patch, 1, 1]), checkpoint / "vae" / "video")
    assert modality.decoder.read(tmp_path / "a.mp4").shape == (7, 3, 32, 48)
