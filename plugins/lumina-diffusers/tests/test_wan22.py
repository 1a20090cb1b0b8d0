"""Wan 2.2 from folders of diffusers: one time per patch (5B), and two networks by time (14B)."""

import shutil

import diffusers
import pytest
import torch
from folder_runs import (
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
from lumina_core.sampling.generate import load_model
from lumina_diffusers.wan import WanNetwork
from tiny_wan import (
    ASKED,
    FRAMES,
    HEIGHT,
    LATENT,
    NEGATIVE,
    PROMPT,
    WIDTH,
    autoencoder,
    pipeline,
    sized,
    transformer,
)

BOUNDARY = 0.875
SMALL, LARGE = "ti2v_5b", "t2v_a14b"
SIZE = {SMALL: (32, 64, 5), LARGE: (HEIGHT, WIDTH, FRAMES)}  # height, width, frames
RESIDUAL = {"is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12}
RESIDUAL |= {"temperal_downsample": [False, True]}
RESIDUAL |= {"scale_factor_temporal": 2, "scale_factor_spatial": 8}
RELEASED = {  # transformer/config.json of the hub, what is no default
    SMALL: {"num_attention_heads": 24, "num_layers": 30, "ffn_dim": 14336}
    | {"in_channels": 48, "out_channels": 48},
    LARGE: {},
}


def pipeline_of(kind, **others):
    if kind == SMALL:
        return pipeline(vae=autoencoder(**RESIDUAL), expand_timesteps=True, **others)
    return pipeline(transformer_2=transformer(seed=2), boundary_ratio=BOUNDARY, **others)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    for kind in SIZE:
        pipeline_of(kind).save_pretrained(place / f"wan22_{kind}")
    return {kind: place / f"wan22_{kind}" for kind in SIZE}


def asked(folders, kind, *others):
    return asked_of(folders[kind], *sized(*SIZE[kind]), *others)


def theirs(made_by, kind, output_type="latent", **others):
    height, width, frames = SIZE[kind]
    words = {**ASKED, "num_frames": frames, "output_type": output_type}
    with torch.no_grad():
        start = noise(LATENT)[None]
        made = made_by(**words | others, height=height, width=width, latents=start)
    return made.frames[0]


@pytest.mark.parametrize("kind", list(SIZE))
def test_a_latent_from_text_is_theirs(folders, kind):
    assert_same_path(latent_of(asked(folders, kind)), theirs(pipeline_of(kind), kind))


@pytest.mark.parametrize("kind", list(SIZE))
def test_a_whole_clip_is_theirs(folders, kind):
    frames = theirs(pipeline_of(kind), kind, "np")
    assert_same_clip(asked(folders, kind), frames, num_ties=5)


def test_a_given_picture_begins_the_clip_as_in_their_pipeline(folders, tmp_path):
    height, width, _ = SIZE[SMALL]
    levels = torch.randint(256, (height, width, 3), generator=seeded(9)).to(torch.uint8)
    picture = Image.fromarray(levels.numpy())
    picture.save(tmp_path / "first.png")
    ours = latent_of(asked(folders, SMALL, f"condition.frames={tmp_path / 'first.png'}"))
    yes, no = pipeline_of(SMALL).encode_prompt(PROMPT, NEGATIVE, max_sequence_length=512)
    texts = {"prompt_embeds": yes, "negative_prompt_embeds": no}
    texts |= {"prompt": None, "negative_prompt": None}  # to clean them, it needs ftfy
    made_by = pipeline_of(SMALL, of=diffusers.WanImageToVideoPipeline)
    assert_same_path(ours, theirs(made_by, SMALL, image=picture, **texts))
    assert (ours[:, 0] - latent_of(asked(folders, SMALL))[:, 0]).abs().max() > 0.1


@pytest.mark.parametrize("kind", list(SIZE))
def test_clips_of_a_batch_are_what_they_are_alone(folders, kind):
    height, width, _ = SIZE[kind]
    other = [f"modality.height={width}", f"modality.width={height}"]
    assert_each_as_alone([asked(folders, kind, *words) for words in ([], other, OTHER_TEXT)])


def test_the_second_network_computes_below_the_boundary(folders):
    network = load_model(asked(folders, LARGE)).ready_backbone()
    times = torch.tensor([0.0, 1 - BOUNDARY, 0.13, 0.99])
    names = [network.group_key(torch.stack([torch.ones(()), time])) for time in times]
    assert names == ["transformer", "transformer", "transformer_2", "transformer_2"]


@pytest.mark.parametrize(
    ("kind", "count", "token_dim"), [(SMALL, 4_999_787_712, 192), (LARGE, 2 * 14_288_491_584, 64)]
)
def test_released_sizes_have_the_released_weights(kind, count, token_dim):
    folders = ["transformer", "transformer_2"][: 1 + (kind == LARGE)]
    pipeline = {"boundary_ratio": BOUNDARY} if kind == LARGE else {"expand_timesteps": True}
    about = {"configs": dict.fromkeys(folders, RELEASED[kind]), "pipeline": pipeline}
    assert_has_the_weights(WanNetwork, about, count)
    assert WanNetwork.token_dim(about) == token_dim


@pytest.mark.parametrize("kind", list(SIZE))
def test_the_named_model_describes_a_folder_of_its_name(folders, kind):
    source = source_of(folders[kind])
    assert source.model == f"wan22_{kind}"
    assert source.manifest["sampling"]["solver"]["shift"] == 3.0  # of the folder


def test_a_folder_with_one_of_two_networks_is_refused_in_one_line(folders, tmp_path):
    copy = shutil.copytree(folders[LARGE], tmp_path / "copy")
    shutil.rmtree(copy / "transformer_2")
    with pytest.raises(LuminaError, match="transformer_2 and boundary_ratio") as raised:
        source_of(copy)
    assert "\n" not in str(raised.value)


def test_two_networks_are_described_as_the_model_of_two_networks(folders, tmp_path):
    copy = shutil.copytree(folders[LARGE], tmp_path / "own")
    assert source_of(copy).model == "wan22_t2v_a14b"


@pytest.mark.parametrize("ratio", [True, 5, 0, 10**400])
def test_a_boundary_that_is_no_share_is_refused_in_one_line(folders, tmp_path, ratio):
    copy = shutil.copytree(folders[LARGE], tmp_path / "own")
    change(copy / "model_index.json", boundary_ratio=ratio)
    with pytest.raises(LuminaError, match="boundary_ratio is") as raised:
        source_of(copy)
    assert "\n" not in str(raised.value)
