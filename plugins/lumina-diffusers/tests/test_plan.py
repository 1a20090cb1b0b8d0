"""`plan` of the networks of diffusers: of folders, and of named models that are not on the disk."""

import json

import pytest
import tiny_ltx
import torch
from folder_runs import asked_of
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tiny_wan
from lumina_core.checkpoints.named import known_model
from lumina_core.cli.main import main
from lumina_core.sampling.generate import all_requests, load_model
from lumina_core.sampling.settings import sampling_of
from lumina_core.sampling.velocity import GuidedVelocity
from lumina_core.training.plan import GPU_GIGABYTES
from lumina_core.training.plan_report import planned
from lumina_core.training.plan_words import compose_plan, sorted_words

MADE = {"wan": (tiny_wan.pipeline, tiny_wan.SIZES), "ltx": (tiny_ltx.pipeline, tiny_ltx.SIZES)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    for name, (make, _) in MADE.items():
        make().save_pretrained(place / name)
    return place


def plan_of(*words):
    command, rest = sorted_words(["+modality=video", *words])
    return planned(compose_plan(command, rest))


@pytest.mark.parametrize("name", MADE)
def test_a_plan_counts_what_a_run_computes(folders, name):
    sizes = MADE[name][1]
    plan = plan_of(f"checkpoint={folders / name}", *sizes, "solver.num_steps=3", "dtype=bfloat16")
    config = asked_of(folders / name, *sizes)
    model = load_model(config)
    velocity = GuidedVelocity(model, all_requests(model, [config]), sampling_of(config))
    products = sdpa_kernel(SDPBackend.MATH)  # of which each is counted
    with torch.no_grad(), products, FlopCounterMode(display=False) as counter:
        velocity(0.3, velocity.x_0)  # of the pair
    assert 2 * sum(plan.evaluation.values()) == pytest.approx(counter.get_total_flops(), rel=0.05)
    weights = list(model.backbone.parameters())
    assert plan.num_parameters == sum(weight.numel() for weight in weights)
    half = load_model(asked_of(folders / name, *sizes, "dtype=bfloat16")).ready_backbone()
    assert plan.parts["weights"] == sum(weight.nbytes for weight in half.parameters())
    assert plan.num_evaluations == 6
    assert plan.parts["activations of the steps"] > velocity.x_0.nbytes
    assert plan.parts["activations of decoding"] > 3 * 4 * 9 * 16 * 32
    assert plan.parts["text encoder"] > 0


def test_a_named_model_is_planned_without_a_download():
    model = known_model("wan_t2v_1_3b")
    sizes = ["modality.height=64", "modality.width=64", "modality.frames=1"]
    plan = plan_of("checkpoint=wan_t2v_1_3b", "dtype=bfloat16", *sizes)
    assert plan.num_parameters == model.backbone.num_parameters
    assert 1 < plan.parts["weights"] / (2 * plan.num_parameters) < 1.01  # some are float32
    assert plan.parts["autoencoder"] == 4 * model.vae.num_parameters
    assert plan.parts["text encoder"] == 2 * model.text_encoder.num_parameters
    assert any("the text encoder is not here" in note for note in plan.notes)


def test_small_gpus_need_more_settings(folders, capsys):
    words = [f"checkpoint={folders / 'wan'}", *tiny_wan.SIZES]
    assert main(["plan", "+modality=video", *words, "json=true"]) == 0
    assert set(json.loads(capsys.readouterr().out)["gpus"].values()) == {"dtype=bfloat16"}
    assert main(["plan", "+modality=video", *words]) == 0
    assert "on a GPU, one at a time: 8 GB with dtype=bfloat16; 12 GB" in capsys.readouterr().out
    assert len(GPU_GIGABYTES) == 4


def test_a_training_is_not_planned_and_says_so(folders, capsys):
    words = [f"init_from={folders / 'wan'}", "adapter=lora", "data=folder", "data.path=x"]
    assert main(["plan", "train", "+modality=video", *words]) == 2
    error = capsys.readouterr().err
    assert "the training of its network is not planned; plan a run of it" in error
    assert error.count("\n") == 1
