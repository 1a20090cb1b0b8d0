"""The video modality as a whole, on a small random autoencoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lumina_core import LuminaError, SizeLimits
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.testing.fixtures import tiny_words
from lumina_core.training.train_vae import AutoencoderShape, build_autoencoder
from lumina_video.options import DEFAULT_FRAMES, MAX_FRAMES, VideoCondition, VideoOptions
from lumina_video.vae import VideoVAE
from lumina_video.video import VideoModality

CHANNELS = 4
TRAINING = ("modality.patch=[1,2,2]", "token_budget=1300")
SMALL = "modality.height=16 modality.width=24 modality.frames=5 solver.num_steps=2 device=cpu"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    model = build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0)
    model.register_to_config(latents_mean=[0.5] * CHANNELS, latents_std=[2.0] * CHANNELS)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def modality(vae):
    return VideoModality(options(), vae)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint_of, vae):
    """A checkpoint of three steps."""
    return tiny_checkpoint_of("video", f"modality.vae={vae}", *TRAINING)


@pytest.fixture
def ask(trained, tmp_path, monkeypatch):
    """The words of a small request, in an empty folder; later words win over earlier ones."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: ["run", *at(trained), *words]


def at(folder):
    return ["+modality=video", f"checkpoint={folder}", *SMALL.split()]


def options(**values) -> VideoOptions:
    return compose_options("video", {"height": 16, "width": 24, "patch": [1, 2, 2], **values})


def clip(frames=5, height=16, width=24, seed=0):
    """Smooth clips, which an MP4 keeps; every frame another grey."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(40, 216, (frames, 3, 1, 1), dtype=torch.uint8, generator=generator)
    return levels.expand(-1, -1, height, width).clone()


def write(path, media, fps=8.0):
    from lumina_video.video_files import VideoDecoder

    VideoDecoder(fps).write(media, Path(path), {}, VideoOptions(fps=fps))
    return str(path)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, DEFAULT_FRAMES),
        ({"frames": 7}, 7),
        ({"seconds": 2.5}, 20),
        ({"seconds": 2.5, "fps": 24.0}, 60),
        ({"seconds": 0.01}, 1),
    ],
)
def test_a_length_is_frames_or_seconds_at_a_rate(modality, values, wanted):
    assert modality.media_shape(options(**values)) == (wanted, 3, 16, 24)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 0}, f"modality.frames is 0; set a whole number from 1 to {MAX_FRAMES}"),
        ({"seconds": -1.0}, "modality.seconds is -1.0"),
        ({"frames": 8, "seconds": 1.0}, "both say how long the clip is; leave one out"),
        ({"fps": 0.0}, "modality.fps is 0.0; set a number from 0.1 to 240"),
        ({"patch": [0, 2, 2]}, "set whole numbers from 1 to"),
        ({"height": 8192, "width": 8192, "frames": 5}, "make the clip smaller or shorter"),
        ({"width": 17_000}, "modality.width is 17000"),
    ],
)
def test_options_that_describe_no_clip_are_refused(values, message):
    with pytest.raises(LuminaError, match=message):
        options(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 20}, "modality.height=20 is not a multiple of 8 pixels; use 16 or 24"),
        ({"width": 4}, "modality.width=4 is not a multiple of 8 pixels; use 8"),
    ],
)
def test_a_side_that_fits_no_token_is_refused(modality, values, message):
    with pytest.raises(LuminaError, match=message):
        modality.media_shape(options(**values))


@pytest.mark.parametrize(
    ("patch", "frames", "tokens"),
    [
        ([1, 2, 2], 1, 1),
        ([1, 2, 2], 5, 5),
        ([2, 2, 2], 1, 1),
        ([2, 2, 2], 4, 3),
        ([2, 2, 2], 5, 3),
        ([2, 2, 2], 6, 4),
        ([3, 1, 2], 4, 2),
        ([3, 1, 2], 5, 3),
        ([2, 1, 1], 2, 2),
    ],
)
def test_tokens_are_the_clip_at_every_patch(vae, patch, frames, tokens):
    wanted = options(patch=patch, frames=frames)
    modality = VideoModality(wanted, vae)
    media = clip(frames)
    latent = modality.vae.encode(media)
    grid = modality.tokenizer.grid(modality.vae.latent_shape(media.shape))
    assert (grid.frames, grid.rows, grid.columns) == (tokens, 4 // patch[1], 6 // patch[2])
    assert torch.equal(
        modality.tokenizer.detokenize(modality.tokenizer.tokenize(latent), grid), latent
    )
    decoded = modality.decode(latent, wanted)
    alone = VideoVAE(vae)
    assert torch.equal(decoded, alone.decode(alone.encode(media)))


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_the_first_frame_has_tokens_of_its_own(vae, patch):
    made = VideoVAE(vae, patch)
    first, all_of_it = made.encode(clip(1)), made.encode(clip(7))
    assert torch.equal(all_of_it[:, :patch], first)


def test_every_clip_spans_the_same_interval_on_each_axis(modality):
    for shape in [(5, 3, 16, 24), (24, 3, 64, 16)]:
        grid = modality.tokenizer.grid(modality.vae.latent_shape(shape))
        frames, rows, columns = grid.step[:3]
        spans = (grid.frames * frames, grid.rows * rows, grid.columns * columns)
        assert spans == pytest.approx((8.0, 8.0, 8.0))


def test_rate_and_seconds_are_features_of_each_frame(modality):
    grid = modality.tokenizer.grid((CHANNELS, 5, 4, 6))
    for fps, octaves in ((8.0, 0.0), (16.0, 1.0), (4.0, -1.0)):
        features = modality.features(options(fps=fps, frames=5), grid)
        seconds = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) / fps
        assert torch.equal(features, torch.stack([torch.full((5,), octaves), seconds], dim=1))


def test_the_rate_reaches_the_network(trained):
    cpu = torch.device("cpu")
    model = checkpoint_model.load(trained, "video", options(), device=cpu, dtype=torch.float32)
    settings = compose_sampling("video")
    settings = replace(settings, solver=replace(settings.solver, num_steps=2))
    weight = model.backbone.features["video"].weight

    def made(fps):
        request = Request("a red circle", "", 0, options(frames=3, fps=fps))
        return sample(model, [request], settings)[0].media

    for value, is_alike in ((0.0, True), (1.0, False)):
        torch.nn.init.constant_(weight, value)
        assert torch.equal(made(4.0), made(16.0)) == is_alike


def test_files_are_fitted_to_whole_tokens_of_all_their_frames(modality):
    fitted = modality.fit(clip(4, 60, 90), SizeLimits(4, 4 * 24, 4.0))
    assert fitted.shape == (4, 3, 32, 48)
    with pytest.raises(
        LuminaError, match="9 frames of 24 x 16 pixels hold 54 tokens, fewer than min"
    ):
        modality.fit(clip(9), SizeLimits(100, 1000, 4.0))
    with pytest.raises(LuminaError, match="its 9 frames are more tokens than max_tokens=8"):
        modality.fit(clip(9), SizeLimits(1, 8, 4.0))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp", ".frames"])
def test_a_run_writes_a_clip_that_repeats(suffix, make, tmp_path, capsys):
    (file,) = make("a red circle moving to the right", f"out=a{suffix}", "seed=3")["files"]
    assert (tmp_path / f"a{suffix}-preview.png").is_file()
    assert main(["info", f"a{suffix}", "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    assert request["prompt"] == "a red circle moving to the right"
    assert request["options"]["frames"] == 5
    again = make(f"repeat=a{suffix}", f"out=again{suffix}")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]
    assert again["sha256"] == file["sha256"]


def test_a_sample_has_the_size_the_length_and_the_rate_that_were_asked_for(make):
    import av

    words = ["modality.seconds=1.5", "modality.frames=null", "modality.fps=6", "out=a.mp4"]
    make("a star", "modality.height=32", *words)
    with av.open("a.mp4") as container:
        (stream,) = container.streams
        assert (stream.width, stream.height) == (24, 32)
        assert stream.average_rate == 6
        assert sum(1 for _ in container.decode(stream)) == 9
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


def test_given_frames_come_back_as_the_autoencoder_has_them(make, trained, vae):
    given = clip(2, seed=4)
    write("given.webp", given)
    make("a red circle", "condition.frames=given.webp", "out=a.webp")
    modality = VideoModality(options(), vae)
    made = modality.decoder.read(Path("a.webp"))
    assert len(made) == 5
    assert torch.equal(made[:2], modality.vae.decode(modality.vae.encode(given)))
    assert not torch.equal(made[2:4], made[:2])
    make("a red circle", "condition.frames=given.webp", "condition.num_frames=1", "out=b.webp")
    fewer = modality.decoder.read(Path("b.webp"))
    assert torch.equal(fewer[:1], made[:1])
    assert not torch.equal(fewer[1], made[1])


def test_a_picture_is_a_first_frame(make, vae):
    Image.new("RGB", (24, 16), (200, 40, 40)).save("first.png")
    (file,) = make("a red circle", "condition.frames=first.png", "out=a.webp")["files"]
    modality = VideoModality(options(), vae)
    first = torch.tensor([200, 40, 40], dtype=torch.uint8)[None, :, None, None]
    wanted = modality.vae.decode(modality.vae.encode(first.expand(1, 3, 16, 24)))
    assert torch.equal(modality.decoder.read(Path("a.webp"))[:1], wanted)
    again = make("repeat=a.webp", "condition.frames=first.png", "out=b.webp")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]


def test_a_clip_is_given_at_the_rate_of_the_clip_to_make(make, vae):
    write("given.webp", clip(6), fps=24.0)
    make("a red circle", "condition.frames=given.webp", "out=a.webp")
    modality = VideoModality(options(), vae)
    wanted = modality.vae.decode(modality.vae.encode(clip(6)[1::3]))
    assert torch.equal(modality.decoder.read(Path("a.webp"))[:2], wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["condition.frames=none.mp4"], "none.mp4"),
        (["condition.frames=text.mp4"], "text.mp4"),
        (["condition.frames=wide.webp"], "32 x 16 pixels, the clip to make 24 x 16"),
        (["condition.frames=long.webp"], "more than the 5 frames of the clip to make"),
        (["condition.frames=whole.webp"], "everything is given"),
        (["condition.frames=two.webp", "condition.num_frames=3"], "two.webp has 2 frames at 8.0"),
        (["condition.frames=long.webp", "condition.num_frames=6"], "num_frames=6 is more than the"),
        (["condition.frames=two.webp", "condition.num_frames=0"], "condition.num_frames is 0; set"),
        (["condition.num_frames=1"], "give it: condition.frames=FILE"),
        (["out=a.avi"], "a.avi"),
        (["out=a.gif", "modality.fps=60"], "60"),
        (["out=a.mp4", "modality.height=20"], "multiple of 8 pixels"),
        (["modality.frames=abc"], "modality.frames"),
        (["modality.frame=4"], "modality.frame"),
    ],
)
def test_wrong_requests_are_one_line(words, message, refused, tmp_path):
    write(tmp_path / "wide.webp", clip(2, 16, 32))
    write(tmp_path / "long.webp", clip(9))
    write(tmp_path / "whole.webp", clip(5))
    write(tmp_path / "two.webp", clip(2))
    (tmp_path / "text.mp4").write_text("no film")
    assert message in refused("a red circle moving to the right", *words)


def test_given_frames_that_end_within_a_token_are_refused(vae, tmp_path):
    modality = VideoModality(options(patch=[2, 2, 2]), vae)
    file = write(tmp_path / "a.webp", clip(4))
    with pytest.raises(LuminaError, match=r"within a token; set condition\.num_frames=3$"):
        modality.condition(VideoCondition(file, None), options(frames=7))
    with pytest.raises(LuminaError, match=r"set condition\.num_frames=1$"):
        modality.condition(VideoCondition(file, 2), options(frames=7))
    for count, tokens in ((1, 1), (3, 2)):
        given = modality.condition(VideoCondition(file, count), options(frames=7))
        known = [True] * 2 * tokens + [False] * 2 * (4 - tokens)
        assert given.known.flatten(1).all(1).tolist() == known
        held = clip(4)[count - 1 : count].expand(7 - count, -1, -1, -1)
        assert torch.equal(given.media, torch.cat([clip(4)[:count], held]))


def test_a_folder_of_clips_and_pictures_trains_a_checkpoint_that_runs(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    for number, suffix in enumerate((".mp4", ".gif", ".webp", ".frames", ".png", ".jpg")):
        name = tmp_path / "set" / f"{number}{suffix}"
        if suffix in (".png", ".jpg"):
            Image.new("RGB", (40, 24), (200, 40, 40)).save(name)
        else:
            write(name, clip(3 + number, 24, 32))
        name.with_suffix(".txt").write_text("a red circle")
    (tmp_path / "set" / "broken.mp4").write_bytes((tmp_path / "set" / "0.mp4").read_bytes()[:200])
    (tmp_path / "set" / "broken.txt").write_text("a red circle")
    words = ["data=folder", "data.path=set", "data.min_tokens=1", "data.max_tokens=48"]
    words += ["modality.frames=4", "data.max_quarantined=0.5", "data.pool_size=8"]
    out = tmp_path / "run"
    where = ["+modality=video", f"modality.vae={vae}", f"out={out}"]
    fixed = [*where, *tiny_words(), *TRAINING]
    assert main(["train", *fixed, *words]) == 0
    skipped = (out / "quarantine.jsonl").read_text()
    assert "broken.mp4" in skipped
    assert skipped.count("\n") == 1
    made = out / "checkpoints" / "step-0000003"
    assert main(["run", *at(made), "out=a.mp4", "a red circle"]) == 0
    assert (tmp_path / "a.mp4").is_file()


def test_a_checkpoint_carries_the_weights_of_the_features(trained):
    manifest = checkpoints_manifest.read_manifest(trained)
    assert manifest["modalities"]["video"]["feature_dim"] == 2
