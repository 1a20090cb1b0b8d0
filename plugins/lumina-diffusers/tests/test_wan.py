"""Wan 2.1 from a folder of diffusers makes what its own pipeline makes."""

import shutil
from dataclasses import replace

import diffusers
import numpy as np
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
    words_for,
)
from safetensors.torch import load_file, save_file

from lumina_core import LuminaError
from lumina_core.checkpoints.formats import find_source, source_of
from lumina_core.checkpoints.named import known_model
from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.sampling.generate import load_model
from lumina_diffusers.wan import WanNetwork
from tiny_wan import (
    FRAMES,
    HEIGHT,
    LATENT,
    NEGATIVE,
    NUM_STEPS,
    PROMPT,
    SCALE,
    SHIFT,
    SIZES,
    WIDTH,
    EvenTimes,
    pipeline,
    transformer,
)

UNIPC = "solver.name=unipc"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "tiny"
    pipeline().save_pretrained(place)
    return place


@pytest.fixture
def copy(folder, tmp_path):
    """A folder that a test may change."""
    return shutil.copytree(folder, tmp_path / "copy")


def words(folder, *others):
    return words_for(folder, *SIZES, *others)


def asked(folder, *others):
    return asked_of(folder, *SIZES, *others)


def theirs(scheduler, output_type):
    with torch.no_grad():
        made = pipeline(scheduler=scheduler)(
            prompt=PROMPT,
            negative_prompt=NEGATIVE,
            height=HEIGHT,
            width=WIDTH,
            num_frames=FRAMES,
            num_inference_steps=NUM_STEPS,
            guidance_scale=SCALE,
            latents=noise(LATENT)[None],
            output_type=output_type,
        )
    return made.frames[0]


def test_our_even_times_in_their_scheduler_give_our_latent(folder):
    config = asked(folder, "solver.schedule=even")
    assert_same_path(latent_of(config), theirs(EvenTimes(shift=SHIFT), "latent"))


def test_their_own_times_in_our_solver_give_their_latent(folder):
    config = asked(folder)
    assert config.solver.schedule == "training"
    assert config.solver.shift == SHIFT
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    assert_same_path(latent_of(config), theirs(scheduler, "latent"))


def test_a_whole_clip_from_prompts_is_theirs_in_every_pixel(folder):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    assert_same_clip(asked(folder), theirs(scheduler, "np"))


def test_clips_of_a_batch_are_what_they_are_alone(folder):
    other = ["modality.height=32", "modality.width=16", "modality.frames=5"]
    assert_each_as_alone([asked(folder, *words) for words in ([], other, OTHER_TEXT)])


def test_released_sizes_have_the_released_weights():
    configs = known_model("wan_t2v_1_3b").configs
    about = {"configs": {"transformer": configs["transformer"]}, "pipeline": {}}
    shapes = assert_has_the_weights(WanNetwork, about, 1_418_996_800)
    assert WanNetwork.token_dim(about) == 64
    assert WanNetwork.options(about) == {"patch": [1, 2, 2]}
    assert len(shapes) == 825
    assert shapes["transformer.patch_embedding.weight"] == (1536, 16, 1, 2, 2)
    assert shapes["transformer.blocks.29.attn2.norm_k.weight"] == (1536,)
    assert shapes["transformer.blocks.29.ffn.net.0.proj.weight"] == (8960, 1536)
    assert shapes["transformer.condition_embedder.text_embedder.linear_1.weight"] == (1536, 4096)
    assert shapes["transformer.proj_out.weight"] == (64, 1536)


def test_the_named_model_describes_a_folder_without_a_name(folder):
    source = source_of(folder)
    assert source.model.startswith("wan")
    assert source.manifest["backbone"]["kind"] == "WanTransformer3DModel"
    assert source.manifest["modalities"]["video"]["options"]["patch"] == [1, 2, 2]
    assert source.manifest["text_encoder"]["max_tokens"] == 512
    assert not source.notes


def test_half_precision_keeps_what_the_class_keeps_in_float32(folder):
    model = load_model(asked(folder, "dtype=bfloat16"))
    network = model.ready_backbone()
    kept = {k for k, v in network.named_parameters() if v.dtype == torch.float32}
    reference = diffusers.WanTransformer3DModel.from_pretrained(
        folder / "transformer", torch_dtype=torch.bfloat16
    )
    wanted = {k for k, v in reference.named_parameters() if v.dtype == torch.float32}
    assert kept == {f"transformer.{name}" for name in wanted}
    assert 0 < len(kept) < len(list(network.parameters()))
    assert network.transformer.rope.freqs_cos.dtype == reference.rope.freqs_cos.dtype
    time = torch.tensor([731.25])
    words = {"encoder_hidden_states": torch.zeros(1, 512, 16).bfloat16(), "return_dict": False}
    with torch.no_grad():
        pair = [
            each(noise(LATENT)[None].bfloat16(), time, **words)[0]
            for each in (network.transformer, reference)
        ]
    assert torch.equal(*pair)


def test_unipc_becomes_euler_on_its_shift_and_the_user_is_told(copy, capsys):
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    scheduler.save_pretrained(copy / "scheduler")
    config = asked(copy)
    assert (config.solver.name, config.solver.shift) == ("euler", 5.0)
    assert config.solver.schedule == "even"
    run(copy, PROMPT, f"out={copy / 'a.mp4'}")
    said = capsys.readouterr().err
    assert "note: the model names UniPC; it is sampled by Euler with its shift 5, and by" in said
    by_name = asked(copy, UNIPC).solver
    assert by_name == replace(config.solver, name="unipc")


class UniPCAtEvenTimes(diffusers.UniPCMultistepScheduler):
    """Their scheduler on our even times; it rounds them for the network, which is left out."""

    def set_timesteps(self, num_inference_steps=None, device=None, **_):
        count = num_inference_steps
        super().set_timesteps(sigmas=1 - np.arange(count) / count, device=device)
        self.timesteps = 1000 * self.sigmas[:-1]


def test_solver_unipc_makes_the_latent_of_their_scheduler(folder):
    scheduler = UniPCAtEvenTimes(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT
    )
    reference = theirs(scheduler, "latent")
    assert_same_path(latent_of(asked(folder, "solver.schedule=even", UNIPC)), reference)
    by_euler = latent_of(asked(folder, "solver.schedule=even"))
    assert (by_euler - reference).abs().max() > 0.01


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"use_flow_sigmas": False}, "UniPC with use_flow_sigmas=false; true is read"),
        ({"prediction_type": "epsilon"}, "UniPC with prediction_type='epsilon'"),
        ({"use_dynamic_shifting": True}, "UniPC with use_dynamic_shifting=true; false is read"),
        ({"num_train_timesteps": 500}, "the scheduler has num_train_timesteps=500"),
    ],
)
def test_unipc_that_is_no_flow_of_ours_is_refused(copy, values, said):
    diffusers.UniPCMultistepScheduler(
        **{"prediction_type": "flow_prediction", "use_flow_sigmas": True} | values
    ).save_pretrained(copy / "scheduler")
    with pytest.raises(LuminaError) as raised:
        source_of(copy)
    assert said in str(raised.value)


def test_times_that_unipc_stretches_are_stretched(copy):
    diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, shift_terminal=0.1
    ).save_pretrained(copy / "scheduler")
    assert source_of(copy).manifest["sampling"]["solver"]["terminal"] == 0.1


def test_a_pipeline_that_samples_otherwise_is_refused_in_one_line(copy):
    change(copy / "model_index.json", _class_name="WanDMD\x1b[2J")
    with pytest.raises(LuminaError, match="is for WanDMD\ufffd") as raised:
        source_of(copy)
    assert "\n" not in str(raised.value)


def test_a_folder_that_nobody_needs_may_be_broken(copy):
    (copy / "samples").mkdir()
    (copy / "samples" / "config.json").write_text("[1, 2")
    assert source_of(copy).beside == {}


def test_the_size_of_the_network_says_more_than_the_shift(copy, monkeypatch):
    """A small model that was trained further with another shift stays a small one."""
    small = 1_418_996_800
    monkeypatch.setattr("lumina_core.checkpoints.foreign.size_of", lambda stored: small)
    change(copy / "scheduler" / "scheduler_config.json", shift=5.0)
    assert source_of(copy).model == "wan_t2v_1_3b"


def test_a_side_that_the_network_has_no_places_for_is_refused(copy):
    change(copy / "transformer" / "config.json", rope_max_seq_len=3)
    config = asked(copy)
    with pytest.raises(LuminaError, match="a side of the clip is 4 tokens long"):
        latent_of(config)


def test_a_text_encoder_of_another_width_is_refused(copy):
    change(copy / "transformer" / "config.json", text_dim=8)
    weights = transformer(text_dim=8).state_dict()
    save_file(weights, copy / "transformer" / "diffusion_pytorch_model.safetensors")
    config = asked(copy)
    with pytest.raises(LuminaError, match=r"features of 8 elements, and this text .* gives 16"):
        load_model(config)


def run(folder, *others):
    assert main(["run", *words(folder, *others)]) == 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("rope_scaling.ntk=2", "rope_scaling is for the networks of this project"),
        ("proportional_attention=100", "proportional_attention is for the networks"),
        ("longest_side=4", "longest_side is for the networks"),
        ("attention=sdpa", "attention is for the networks"),
        ("quantise=int8", "quantise=int8 is not there for a WanNetwork"),
        ("regions=[1,1]", "regions=[1, 1] needs a model that reads its prompt by cross-attention"),
    ],
)
def test_what_the_network_does_not_have_is_refused_in_one_line(
    folder, tmp_path, capsys, setting, said
):
    code = main(["run", *words(folder, PROMPT, setting, f"out={tmp_path / 'a.mp4'}")])
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "{}", "out", "--to", "lumina"],
    ],
)
def test_what_is_not_there_for_networks_of_packages_says_so(folder, tmp_path, capsys, command):
    asked = [str(tmp_path / "out") if word == "out" else word.format(folder) for word in command]
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert "is a WanTransformer3DModel of another package, which `run`, `serve` and" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"in_channels": 36}, "this Wan takes a picture beside its text"),
        ({"image_dim": 1280}, "this Wan takes a picture beside its text"),
        ({"num_layers": 10**5}, "its config asks for more weights"),
        ({"num_layers": 3}, "it lacks transformer.blocks.2."),
        ({"num_layers": 1}, "it holds transformer.blocks.1."),
        ({"ffn_dim": 16}, "net.0.proj.bias is (32,) of torch.float32, not (16,)"),
        ({"patch_size": "\x1b[2J"}, "patch_size must be a list"),
        ({"num_attention_heads": "two"}, "num_attention_heads must be a whole number"),
        ({"_class_name": "Other\x1b[2J"}, "holds a Other\ufffd[2J of diffusers"),
        ({"added_kv_proj_dim": 1280}, "this Wan takes a picture beside its text"),
        ({"attention_head_dim": 13}, "do not belong together"),
        ({"eps": "1e-6"}, "eps must be a number, got '1e-6'"),
        ({"eps": 10**400}, "eps must be a number"),
        ({"rope_max_seq_len": 10**9}, "rope_max_seq_len is 1000000000"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_in_one_line(copy, values, said):
    change(copy / "transformer" / "config.json", **values)
    with pytest.raises(LuminaError) as raised:
        load_model(asked(copy))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_a_checkpoint_of_ours_may_hold_the_network(folder, tmp_path):
    from lumina_core.checkpoints.folder import write_manifest

    source = source_of(folder)
    weights = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    target = tmp_path / "own"
    target.mkdir()
    save_file({f"transformer.{k}": v for k, v in weights.items()}, target / "backbone.safetensors")
    shutil.copytree(folder / "text_encoder", target / "text_encoder")
    for path in (folder / "tokenizer").iterdir():
        shutil.copy(path, target / "text_encoder" / path.name)
    shutil.copytree(folder / "vae", target / "vae" / "video")
    write_manifest(target, {**source.manifest, "family": ""})
    config = asked(folder)
    own = asked(target)
    assert torch.equal(latent_of(own), latent_of(config))


@pytest.fixture
def without_package(monkeypatch):
    monkeypatch.setenv("LUMINA_BLOCK", "diffusers")
    host.forget()
    yield
    monkeypatch.undo()
    host.forget()


def test_without_the_package_run_and_models_say_what_to_do(folder, without_package, capsys):
    assert main(["run", *words(folder, PROMPT)]) == 2
    error = capsys.readouterr().err
    assert "needs a network that the package lumina-diffusers has" in error
    assert error.count("\n") == 1
    assert main(["run", "+modality=video", "checkpoint=wan_t2v_1_3b", PROMPT]) == 2
    assert "wan_t2v_1_3b needs a network that the package" in capsys.readouterr().err
    assert main(["models"]) == 0
    assert "wan_t2v_1_3b needs a network that the package" in capsys.readouterr().out


def test_a_package_that_is_not_installed_is_named_with_its_command():
    assert host.way_to_install("lumina-diffusers") is None
    assert "pip install ./plugins/lumina-nothing" in host.way_to_install("lumina-nothing")
    assert host.way_to_install("other-package").endswith("python -m pip install other-package")


def test_a_named_model_that_is_not_here_says_what_it_takes():
    with pytest.raises(LuminaError, match=r"wan_t2v_1_3b is not on this disk: .*Apache-2\.0"):
        find_source("wan_t2v_1_3b", download=False)


def test_two_networks_of_one_architecture_have_two_names(folder, copy):
    transformer(seed=5).save_pretrained(copy / "transformer")
    assert source_of(copy).sha256 != source_of(folder).sha256
