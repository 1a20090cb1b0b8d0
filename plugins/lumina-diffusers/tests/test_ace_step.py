"""ACE-Step 1.5 turbo from a folder of diffusers makes what its own pipeline makes."""

import shutil

import pytest
import soundfile
import tiny_ace_step
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
from lumina_diffusers.ace_step import AceStepNetwork
from tiny_wan import NUM_STEPS, PROMPT

PLAIN = "guidance.scale=1"


@pytest.fixture(scope="module", params=[False, True], ids=["no mark", "mark behind texts"])
def both(request, tmp_path_factory):
    """A folder, and whether its tokenizer puts a mark behind every text."""
    place = tmp_path_factory.mktemp("models") / "music"
    tiny_ace_step.pipeline(request.param).save_pretrained(place)
    return place, request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "music"
    tiny_ace_step.pipeline().save_pretrained(place)
    return place


def asked(folder, *others):
    words = [*tiny_ace_step.SIZES, PLAIN, *others]
    return asked_of(folder, *words, modality="audio")


def theirs(pipeline, output_type="latent", **others):
    start = noise(tiny_ace_step.LATENT)[:, 0, 0].T[None]
    words = {"prompt": PROMPT, "lyrics": "[Instrumental]", "guidance_scale": 1.0}
    words |= {"audio_duration": tiny_ace_step.SECONDS, "num_inference_steps": NUM_STEPS}
    words |= {"max_text_length": 1000, "latents": start, "output_type": output_type}
    with torch.no_grad():
        (made,) = pipeline(**words | others).audios
    return made.T[:, None, None] if output_type == "latent" else made


def test_its_own_times_give_its_latent(both):
    place, adds_end = both
    config = asked(place)
    assert (config.solver.name, config.solver.shift) == ("euler", 3.0)
    pipeline = tiny_ace_step.pipeline(adds_end)
    reference = theirs(pipeline)
    assert_same_path(latent_of(config), reference)
    assert (theirs(pipeline, lyrics="") - reference).abs().max() > 1e-3


def test_the_duration_and_the_prompt_count(folder):
    pipeline = tiny_ace_step.pipeline()
    config = asked(folder, "modality.seconds=1.2", "prompt=the sun sets")
    start = noise((4, 1, 1, 30))[:, 0, 0].T[None]
    words = {"audio_duration": 1.2, "latents": start}
    reference = theirs(pipeline, prompt="the sun sets", **words)
    assert_same_path(latent_of(config), reference)
    assert (theirs(pipeline, **words) - reference).abs().max() > 1e-3


def test_a_whole_sound_is_theirs_but_for_how_loud_it_is(folder):
    config = asked(folder, "modality.sample_format=float32")
    (made,) = generate_each(load_model(config), [config])
    wanted = theirs(tiny_ace_step.pipeline(), "pt")[:, : made.media.shape[1]]
    assert made.media.shape == (2, 21_120)
    ratio = made.media.abs().max() / wanted.abs().max()
    assert (made.media - ratio * wanted).abs().max() < EXACT
    assert wanted.std() > 0.01


def test_sounds_of_a_batch_are_what_they_are_alone(folder):
    assert_each_as_alone(
        [asked(folder, *words) for words in ([], ["modality.seconds=1.2"], OTHER_TEXT[:2])]
    )


def test_run_writes_a_file_and_repeats_it(folder, tmp_path, capsys):
    words = words_for(folder, *tiny_ace_step.SIZES, PROMPT, f"seed={SEED}", modality="audio")
    first = tmp_path / "a.wav"
    assert main(["run", *words, f"out={first}"]) == 2
    assert "APG of its base models is not built; set guidance.scale=1" in capsys.readouterr().err
    assert main(["run", *words, PLAIN, f"out={first}"]) == 0
    info = soundfile.info(first)
    assert (info.channels, info.samplerate, info.frames) == (2, 48_000, 21_120)
    again = ["run", f"repeat={first}", f"checkpoint={folder}", "device=cpu"]
    assert main([*again, f"out={tmp_path / 'b.wav'}"]) == 0
    assert (tmp_path / "b.wav").read_bytes() == first.read_bytes()


def test_a_plan_counts_its_steps(folder, capsys):
    words = words_for(folder, *tiny_ace_step.SIZES, PLAIN, modality="audio")
    assert main(["plan", *words]) == 0
    said = capsys.readouterr()
    assert "4 evaluations" in said.out


def test_the_named_model_describes_a_folder_without_a_name(folder):
    source = source_of(folder)
    assert source.model == "ace_step_15_xl_turbo"
    assert source.manifest["sampling"]["guidance"]["scale"] == 1


def test_released_sizes_have_the_weights_of_diffusers():
    model = known_model("ace_step_15_xl_turbo")
    configs = {key: value for key, value in model.configs.items() if key != "vae"}
    about = {"configs": configs, "pipeline": {}}
    shapes = assert_has_the_weights(AceStepNetwork, about, model.num_parameters)
    assert AceStepNetwork.token_dim(about) == 64
    assert AceStepNetwork.options(about) == {"patch": [1, 1]}
    assert shapes["transformer.layers.31.mlp.up_proj.weight"] == (9728, 2560)


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("transformer/config.json", {"is_turbo": False}, "is a base model, which is guided by APG"),
        ("scheduler/scheduler_config.json", {"shift": 3.0}, "counts time to more than 1 or shifts"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 1000}, "counts time to more"),
        ("condition_encoder/config.json", {"text_hidden_dim": 8}, "do not belong together"),
        ("condition_encoder/config.json", {"num_attention_heads": "x"}, "do not belong together"),
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


@pytest.mark.parametrize("prompt", ["la " * 900, "<|endoftext|> a fox"])
def test_a_prompt_that_breaks_its_form_is_refused(both, prompt):
    with pytest.raises(LuminaError, match="the prompt is too long for its form, or holds <"):
        latent_of(asked(both[0], f"prompt={prompt}"))


@pytest.mark.parametrize("adapter", ["lora", "none"])
@pytest.mark.parametrize("modality", ["+modality=audio", "max_steps=1"])
def test_training_is_refused_before_anything_is_read(
    folder, tmp_path, capsys, monkeypatch, adapter, modality
):
    monkeypatch.setattr("lumina_core.training.command.start", None)
    words = [modality, f"init_from={folder}", f"adapter={adapter}", f"out={tmp_path / 'out'}"]
    assert main(["train", *words]) == 2
    said = capsys.readouterr().err
    assert f"init_from={folder} has the network AceStepNetwork, which is not trained:" in said
    assert "Begin with another model" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("modality", ["+modality=audio", "max_steps=1"])
def test_training_of_the_named_model_is_refused_before_it_is_fetched(capsys, monkeypatch, modality):
    monkeypatch.setattr("lumina_core.fetching.fetch", None)
    words = [modality, "init_from=ace_step_15_xl_turbo", "adapter=lora", "download=true"]
    assert main(["train", *words]) == 2
    said = capsys.readouterr().err
    assert "init_from=ace_step_15_xl_turbo has the network AceStepNetwork" in said
    assert said.count("\n") == 1
