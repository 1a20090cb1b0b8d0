"""Stable Audio 3 from a folder of diffusers makes what its own pipeline makes."""

import shutil
from dataclasses import replace

import diffusers
import pytest
import soundfile
import tiny_sounds
import torch
from diffusers.pipelines.stable_audio_3.pipeline_stable_audio_3 import logsnr_sigma_schedule
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
from lumina_core.flow.settings import SolverConfig
from lumina_core.flow.solver import times_of
from lumina_core.runtime import seeded
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.generate import all_requests, generate_each, load_model
from lumina_core.sampling.sample import sample_latents
from lumina_core.sampling.settings import sampling_of
from lumina_diffusers.stable_audio_3 import StableAudio3Network
from tiny_wan import ASKED, NUM_STEPS, PROMPT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "sounds"
    tiny_sounds.pipeline().save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "distilled"
    tiny_sounds.pipeline(drawing()).save_pretrained(place)
    return place


def drawing():
    """The scheduler of the distilled models."""
    return diffusers.FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1, stochastic_sampling=True
    )


def asked(folder, *others):
    return asked_of(folder, *tiny_sounds.SIZES, *others, modality="audio")


def theirs(output_type, made_by=None, **others):
    words = {**ASKED, "duration": tiny_sounds.SECONDS, "output_type": output_type, **others}
    words["generator"] = seeded(SEED)  # gives the first noise, and that of the steps
    with torch.no_grad():
        (made,) = (made_by or tiny_sounds.pipeline())(**words).audios
    return made[:, None, None] if output_type == "latent" else made


class GivenTimes(diffusers.FlowMatchEulerDiscreteScheduler):
    """Their scheduler on our even times, whatever the pipeline says."""

    def set_timesteps(self, sigmas=None, device=None, **_):
        count = len(sigmas)
        super().set_timesteps(sigmas=[1 - n / count for n in range(count)], device=device)


def test_our_even_times_in_their_scheduler_give_our_latent(folder):
    made_by = tiny_sounds.pipeline(GivenTimes(num_train_timesteps=1))
    config = asked(folder, "solver.schedule=even")
    assert_same_path(latent_of(config), theirs("latent", made_by))


def test_their_own_times_in_our_solver_give_their_latent(folder):
    sigmas = logsnr_sigma_schedule(NUM_STEPS, -6.2, 2.0)
    solver = SolverConfig(schedule="listed", times=(*(1 - sigma for sigma in sigmas), 1.0))
    assert_same_path(latent_of(replace(asked(folder), solver=solver)), theirs("latent"))


def test_the_schedule_of_the_folder_is_theirs_but_for_the_last_bits_of_a_time(folder):
    config = asked(folder)
    assert (config.solver.schedule, config.solver.log_snr) == ("log_snr", (-6.2, 2.0))
    sigmas = torch.tensor(logsnr_sigma_schedule(NUM_STEPS, -6.2, 2.0))
    assert (torch.tensor(times_of(config.solver)[:-1]) - (1 - sigmas)).abs().max() < 1e-7
    ours, reference = latent_of(config), theirs("latent")
    moved = (reference - noise(reference.shape)).abs().max()
    assert (ours - reference).abs().max() < EXACT * moved  # time has waves of 10,000 turns
    even = latent_of(asked(folder, "solver.schedule=even"))
    assert (even - reference).abs().max() > 0.01


def test_a_whole_sound_from_prompts_is_theirs(folder):
    config = asked(folder, "modality.sample_format=float32")
    (made,) = generate_each(load_model(config), [config])
    wanted = torch.from_numpy(theirs("np"))
    assert made.media.shape == wanted.shape == (2, 441)
    assert wanted.abs().max() < 1  # else theirs would be cut off, and ours softer
    assert (made.media - wanted).abs().max() < EXACT
    assert wanted.std() > 0.01


def test_sounds_of_a_batch_are_what_they_are_alone(folder):
    longer, other = ["modality.seconds=0.02"], ["modality.seconds=0.0101", *OTHER_TEXT]
    assert_each_as_alone([asked(folder, *words) for words in ([], longer, OTHER_TEXT, other)])


def test_the_duration_counts(folder):
    short, long = (latent_of(asked(folder, f"modality.seconds={s}")) for s in (0.01, 0.0101))
    assert short.shape == long.shape and (short - long).abs().max() > 1e-4


def test_run_writes_a_stereo_file_and_repeats_it(folder, tmp_path):
    words = words_for(folder, *tiny_sounds.SIZES, PROMPT, modality="audio")
    assert main(["run", *words, f"out={tmp_path / 'a.wav'}"]) == 0
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.channels, info.samplerate, info.frames) == (2, 44_100, 441)
    again = ["run", f"repeat={tmp_path / 'a.wav'}", f"checkpoint={folder}", "device=cpu"]
    assert main([*again, f"out={tmp_path / 'b.wav'}"]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    given = f"condition.sound={tmp_path / 'a.wav'}"
    assert main(["run", *words, given, "condition.seconds=0.005", f"out={tmp_path / 'c.wav'}"]) == 2
    assert not (tmp_path / "c.wav").exists()


def test_released_sizes_have_the_weights_of_diffusers():
    about = {"configs": {"transformer": {}, "duration_embedder": {}}, "pipeline": {}}
    # the defaults are those of the medium one
    count = known_model("stable_audio_3_medium").num_parameters
    shapes = assert_has_the_weights(StableAudio3Network, about, count)
    assert shapes["duration_embedder.linear.weight"] == (768, 256)
    assert StableAudio3Network.token_dim(about) == 256
    assert StableAudio3Network.options(about) == {"patch": [1, 1]}


def test_the_named_model_describes_a_folder_without_a_name(folder):
    source = source_of(folder)
    assert source.model == "stable_audio_3_small"
    options = source.manifest["modalities"]["audio"]["options"]
    assert options == {"sample_rate": 44_100, "channels": 2, "patch": [1, 1]}
    assert not source.notes


def test_a_distilled_model_makes_with_a_seed_what_its_pipeline_makes(distilled):
    made_by = tiny_sounds.pipeline(drawing())
    config = asked(distilled)
    sigmas = logsnr_sigma_schedule(NUM_STEPS, -6.2, 2.0)
    listed = SolverConfig("ping_pong", schedule="listed", times=(*(1 - s for s in sigmas), 1.0))
    reference = theirs("latent", made_by)
    assert_same_path(latent_of(replace(config, solver=listed)), reference)
    moved = (reference - noise(reference.shape)).abs().max()
    assert (latent_of(config) - reference).abs().max() < EXACT * moved  # as above, for the base
    assert (latent_of(asked(distilled, "solver.name=euler")) - reference).abs().max() > 0.1


def test_a_distilled_folder_is_sampled_as_such_whatever_its_name(distilled, folder, tmp_path):
    words = [f"checkpoint={distilled}", "prompt=x", "modality=audio", *tiny_sounds.SIZES]
    config = compose_run(words)
    assert (config.solver.name, config.solver.num_steps) == ("ping_pong", 8)
    assert config.solver.schedule == "log_snr"
    assert config.guidance.scale == 1
    assert source_of(distilled).model == "stable_audio_3_small_distilled"
    called = shutil.copytree(distilled, tmp_path / "stable-audio-3-small")
    assert source_of(called).model == "stable_audio_3_small_distilled"
    base = shutil.copytree(folder, tmp_path / "stable-audio-3-medium")
    assert source_of(base).model == "stable_audio_3_small"


def test_noise_of_the_steps_does_not_depend_on_the_batch(distilled):
    configs = [asked(distilled, *words) for words in ([], ["modality.seconds=0.02"], OTHER_TEXT)]
    model = load_model(configs[0])
    requests = all_requests(model, configs)
    together = sample_latents(model, requests, sampling_of(configs[0]))
    for config, latent in zip(configs, together, strict=True):
        assert (latent - latent_of(config)).abs().max() < EXACT * latent.abs().max()


def test_a_distilled_model_repeats_its_file(distilled, tmp_path):
    words = words_for(distilled, *tiny_sounds.SIZES, PROMPT, modality="audio")
    assert main(["run", *words, "num_samples=2", f"out={tmp_path / 'both'}"]) == 0
    first, second = sorted((tmp_path / "both").glob("*.wav"))
    again = ["run", f"repeat={second}", f"checkpoint={distilled}", "device=cpu"]
    assert main([*again, f"out={tmp_path / 'again.wav'}"]) == 0
    assert (tmp_path / "again.wav").read_bytes() == second.read_bytes() != first.read_bytes()
    alone = [*words, "seed=1", f"out={tmp_path / 'alone.wav'}"]
    assert main(["run", *alone]) == 0
    assert soundfile.read(tmp_path / "alone.wav")[0].tolist() == soundfile.read(second)[0].tolist()


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("scheduler/scheduler_config.json", {"stochastic_sampling": 2}, "stochastic_sampling=2"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 1000}, "counts time to more"),
        ("scheduler/scheduler_config.json", {"_class_name": "PingPongScheduler"}, "PingPong"),
        ("duration_embedder/config.json", {"_class_name": None}, "duration_embedder is missing"),
        ("vae/config.json", {"sampling_rate": 48_000}, "modality.sample_rate=44100, and the"),
    ],
)
def test_what_is_not_read_is_refused_in_one_line(folder, tmp_path, file, values, said):
    copy = shutil.copytree(folder, tmp_path / "copy")
    change(copy / file, **values)
    with pytest.raises(LuminaError) as raised:
        latent_of(asked(copy))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
