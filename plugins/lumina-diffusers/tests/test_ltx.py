"""LTX-Video from a folder of diffusers makes what its own pipelines make."""

import shutil

import diffusers
import pytest
import tiny_ltx
import torch
from einops import rearrange
from folder_runs import (
    EXACT,
    OTHER_TEXT,
    asked_of,
    assert_each_as_alone,
    assert_has_the_weights,
    assert_same_clip,
    assert_same_path,
    change,
    latent_of,
    noise,
)
from PIL import Image

from lumina_core import LuminaError
from lumina_core.checkpoints.formats import source_of
from lumina_core.runtime import seeded
from lumina_diffusers.ltx import LTXNetwork
from tiny_wan import ASKED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "ltx"
    tiny_ltx.pipeline().save_pretrained(place)
    return place


def asked(folder, *others):
    return asked_of(folder, *tiny_ltx.SIZES, *others)


def theirs(output_type, made_by=None, start=None, **others):
    start = noise(tiny_ltx.LATENT) if start is None else start
    words = {"height": tiny_ltx.HEIGHT, "width": tiny_ltx.WIDTH, "num_frames": tiny_ltx.FRAMES}
    words |= {**ASKED, "frame_rate": tiny_ltx.FPS}
    tokens = rearrange(start, "c f h w -> 1 (f h w) c")
    with torch.no_grad():
        made = (made_by or tiny_ltx.pipeline())(
            **words | others, latents=tokens, output_type=output_type
        )
    (frames,) = made.frames
    if output_type == "np":
        return frames
    _, count, rows, _ = tiny_ltx.LATENT
    return rearrange(frames, "(f h w) c -> c f h w", f=count, h=rows)


def test_times_without_stretch_give_the_latent_of_a_plain_scheduler(folder):
    plain = diffusers.FlowMatchEulerDiscreteScheduler(shift=2.0)  # at the times it is given
    config = asked(folder, "solver.terminal=null", "solver.shift=2")
    reference = theirs("latent", tiny_ltx.pipeline(scheduler=plain))
    assert_same_path(latent_of(config), reference)


def test_their_shift_by_length_and_stretch_in_our_solver_give_their_latent(folder):
    config = asked(folder)
    assert config.solver.shift == (1024, 0.95, 4096, 2.05)
    assert config.solver.terminal == 0.1
    assert_same_path(latent_of(config), theirs("latent"))


def test_a_whole_clip_from_prompts_is_theirs(folder):
    assert_same_clip(asked(folder), theirs("np"), num_ties=30)  # of 313,344; ours comes in chunks


def test_clips_of_other_speeds_in_a_batch_are_what_they_are_alone(folder):
    solver = ["solver.shift=2"]  # of one batch
    other = ["modality.fps=30", *OTHER_TEXT]
    third = ["modality.height=96", "modality.width=64", "modality.frames=9"]
    assert_each_as_alone([asked(folder, *solver, *words) for words in ([], other, third)])


def test_a_given_picture_begins_the_clip_as_in_their_pipeline(folder, tmp_path):
    size = (tiny_ltx.HEIGHT, tiny_ltx.WIDTH, 3)
    levels = torch.randint(256, size, generator=seeded(9)).to(torch.uint8)
    Image.fromarray(levels.numpy()).save(tmp_path / "first.png")
    config = asked(folder, f"condition.frames={tmp_path / 'first.png'}", "condition.num_frames=1")
    ours = latent_of(config)
    start = noise(tiny_ltx.LATENT)
    start[:, 0] = first_latent(levels)
    made_by = tiny_ltx.pipeline(of=diffusers.LTXImageToVideoPipeline)
    assert_same_path(ours, theirs("latent", made_by, start, image=torch.zeros(1, 3, 64, 96)))
    assert (ours[:, 0] - start[:, 0]).abs().max() < EXACT


def first_latent(levels):
    """Of a picture, as its autoencoder has it on average: the pipeline draws one."""
    made_by = tiny_ltx.autoencoder()
    pixels = rearrange(levels.float() / 127.5 - 1, "h w c -> 1 c 1 h w")
    with torch.no_grad():
        (latent,) = made_by.encode(pixels).latent_dist.mode()[:, :, 0]
    mean, std = (x[:, None, None] for x in (made_by.latents_mean, made_by.latents_std))
    return (latent - mean) / std


def test_the_speed_of_a_clip_counts(folder):
    slow, fast = (latent_of(asked(folder, f"modality.fps={fps}")) for fps in (12, 24))
    assert (slow - fast).abs().max() > 0.01


def test_released_sizes_have_the_released_weights():
    about = {"configs": {"transformer": {}}, "pipeline": {}}
    shapes = assert_has_the_weights(LTXNetwork, about, 1_923_385_472)
    assert (LTXNetwork.token_dim(about), LTXNetwork.options(about)) == (128, {"patch": [1, 1, 1]})
    assert len(shapes) == 715
    assert shapes["transformer.proj_in.weight"] == (2048, 128)
    assert shapes["transformer.transformer_blocks.27.attn2.norm_k.weight"] == (2048,)
    assert shapes["transformer.caption_projection.linear_1.weight"] == (2048, 4096)


def test_the_named_model_says_that_pads_are_read_and_left_out(folder):
    source = source_of(folder)
    assert source.model == "ltx_video"
    reading = source.manifest["text_encoder"]
    assert (reading["max_tokens"], reading["padded"], reading["keeps_pads"]) == (128, True, False)
    assert not source.notes


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("transformer/config.json", {"patch_size": 2}, "has tokens of several cells"),
        ("transformer/config.json", {"out_channels": 8}, "has tokens of several cells"),
        (
            "model_index.json",
            {"_class_name": "LTXConditionPipeline"},
            "is for LTXConditionPipeline",
        ),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(folder, tmp_path, file, values, said):
    copy = shutil.copytree(folder, tmp_path / "copy")
    change(copy / file, **values)
    with pytest.raises(LuminaError) as raised:
        source_of(copy)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
