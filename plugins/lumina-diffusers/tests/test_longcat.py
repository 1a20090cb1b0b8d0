"""LongCat-AudioDiT from a folder of diffusers makes what its own pipeline makes."""

import shutil

import diffusers
import pytest
import soundfile
import tiny_longcat
import torch
from folder_runs import (
    EXACT,
    OTHER_TEXT,
    SEED,
    asked_of,
    assert_each_as_alone,
    assert_has_the_weights,
    assert_same_path,
    change,
    latent_of,
    noise,
    words_for,
)

from lumina_core import LuminaError
from lumina_core.checkpoints.formats import source_of
from lumina_core.checkpoints.named import known_model
from lumina_core.cli.main import main
from lumina_core.sampling.generate import generate_each, load_model
from lumina_diffusers.longcat import LongCatNetwork
from tiny_wan import ASKED, NEGATIVE, PROMPT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "sounds"
    tiny_longcat.pipeline().save_pretrained(place)
    return place


def asked(folder, *others):
    return asked_of(folder, *tiny_longcat.SIZES, *others, modality="audio")


def theirs(output_type="latent", scheduler=None, **others):
    start = noise(tiny_longcat.LATENT)[:, 0, 0].T[None]
    words = {**ASKED, "latents": start, "output_type": output_type, **others}
    with torch.no_grad():
        (made,) = tiny_longcat.pipeline(scheduler)(**words).audios
    return made.T[:, None, None] if output_type == "latent" else made


@pytest.mark.parametrize("negative", [NEGATIVE, ""])
def test_its_own_times_give_its_latent(folder, negative):
    """Without a negative prompt it has zeros, as many as the prompt has tokens."""
    config = asked(folder, f"negative_prompt={negative}")
    assert (config.solver.name, config.solver.schedule) == ("euler", "even")
    assert_same_path(latent_of(config), theirs(negative_prompt=negative or None))


def test_a_shift_is_that_of_the_scheduler(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, invert_sigmas=True)
    scheduler.save_pretrained(copy / "scheduler")  # the pipeline itself saves none
    reference = theirs(scheduler=scheduler)
    assert_same_path(latent_of(asked(copy)), reference)
    assert (reference - theirs()).abs().max() > 0.01


def test_a_whole_sound_from_prompts_is_theirs(folder):
    config = asked(folder, "modality.sample_format=float32")
    (made,) = generate_each(load_model(config), [config])
    (wanted,) = torch.from_numpy(theirs("np"))
    assert made.media.shape == wanted.shape == (96,)
    wanted = wanted / wanted.abs().max().clamp(min=1)  # louder sounds become softer as a whole
    assert (made.media - wanted).abs().max() < EXACT
    assert wanted.std() > 0.01


def test_sounds_of_a_batch_are_what_they_are_alone(folder):
    longer, other = ["modality.seconds=0.006"], ["modality.seconds=0.006", *OTHER_TEXT]
    empty = ["negative_prompt=", "seed=5"]
    assert_each_as_alone([asked(folder, *words) for words in ([], empty, longer, other)])


def test_run_writes_a_file_and_repeats_it(folder, tmp_path):
    words = words_for(folder, *tiny_longcat.SIZES, PROMPT, f"seed={SEED}", modality="audio")
    first = tmp_path / "a.wav"
    assert main(["run", *words, "negative_prompt=", f"out={first}"]) == 0
    info = soundfile.info(first)
    assert (info.channels, info.samplerate, info.frames) == (1, 24_000, 96)
    again = ["run", f"repeat={first}", f"checkpoint={folder}", "device=cpu"]
    assert main([*again, f"out={tmp_path / 'b.wav'}"]) == 0
    assert (tmp_path / "b.wav").read_bytes() == first.read_bytes()
    given = [f"condition.sound={first}", "condition.seconds=0.002", f"out={tmp_path / 'c.wav'}"]
    assert main(["run", *words, *given]) == 2
    assert not (tmp_path / "c.wav").exists()


def test_the_named_model_describes_a_folder_without_a_name(folder):
    source = source_of(folder)
    assert source.model == "longcat_audio_dit_1b"
    assert source.manifest["modalities"]["audio"]["options"]["patch"] == [1, 1]
    assert source.manifest["text_encoder"]["empty_is_zero"] is True


def test_released_sizes_have_the_weights_of_diffusers():
    about = {"configs": {"transformer": {}}, "pipeline": {}}  # the defaults are the released ones
    count = known_model("longcat_audio_dit_1b").backbone.num_parameters
    assert_has_the_weights(LongCatNetwork, about, count)
    assert LongCatNetwork.token_dim(about) == 64


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("transformer/config.json", {"dit_text_dim": 32}, "do not belong together"),
        ("transformer/config.json", {"latent_dim": 8}, "has tokens of 8 elements"),
        ("transformer/config.json", {"dit_heads": 0}, "do not belong together"),
        ("model_index.json", {"_class_name": "Other"}, "is for Other"),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(folder, tmp_path, file, values, said):
    copy = shutil.copytree(folder, tmp_path / "copy")
    change(copy / file, **values)
    with pytest.raises(LuminaError) as raised:
        latent_of(asked(copy))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "lacks invert_sigmas=true"),
        ({"invert_sigmas": True, "num_train_timesteps": 500}, "num_train_timesteps=500"),
        ({"invert_sigmas": True, "use_karras_sigmas": True}, "use_karras_sigmas=true"),
    ],
)
def test_a_scheduler_that_steps_otherwise_is_refused(folder, tmp_path, values, said):
    copy = shutil.copytree(folder, tmp_path / "copy")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**values)
    scheduler.save_pretrained(copy / "scheduler")
    with pytest.raises(LuminaError, match=said):
        source_of(copy)
