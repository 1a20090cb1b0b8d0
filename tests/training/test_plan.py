"""`plan`: what it says, against the run or training that it is about."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.backbone.cost import muon_bytes
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.trace import TensorBytes
from lumina_core.backbone.transformer import Backbone, block_matrices
from lumina_core.cli.completion import complete
from lumina_core.cli.main import main
from lumina_core.plugins import demos, host
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.generate import generate_each, load_model
from lumina_core.training import plan as planning
from lumina_core.training.compose import compose_train
from lumina_core.training.muon import Muon
from lumina_core.training.plan_report import advice, lines_of, planned
from lumina_core.training.plan_words import compose_plan, sorted_words

IMAGE = "+modality=image"
NEAR = 0.15  # of the measured peak, above a process that has imported torch alone
_HIGHEST = (
    "lines = open('/proc/self/status').readlines()\n"
    "print('HIGHEST', next(line for line in lines if line.startswith('VmHWM')).split()[1])"
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="the highest memory stands in /proc"
)


def plan_of(*words):
    command, rest = sorted_words(list(words))
    return planned(compose_plan(command, rest))


def shown(capsys, *words):
    capsys.readouterr()
    assert main(["plan", *words]) == 0
    return capsys.readouterr().out


def highest(code, *words):
    """The highest memory of a new process, in bytes."""
    script = [sys.executable, "-c", f"{code}\n{_HIGHEST}", *words]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    last = next(line for line in done.stdout.splitlines() if line.startswith("HIGHEST"))
    return 1024 * int(last.split()[1])


@pytest.mark.parametrize(
    "words",
    [
        "solver.num_steps=3",
        "solver=heun solver.num_steps=2 guidance.interval=[0,0.5]",
        "guidance.scale=1 solver.num_steps=2",
        "solver.num_steps=4 guidance.share_of_steps=0.5 guidance.interval=[0,1]",
        "solver.num_steps=3 coarse.above=60 coarse.tokens=40",
        "solver.num_steps=8 speed=fast",
    ],
)
def test_evaluations_are_those_of_the_run(words):
    found = plan_of(IMAGE, *words.split())
    config = compose_run([IMAGE, "prompt=a red circle", *words.split()])
    (made,) = generate_each(load_model(config), [config])
    assert found.num_evaluations == made.network_evaluations


def test_a_stream_keeps_no_pool_in_memory():
    words = ("train", IMAGE, "data.path=x", "data.max_tokens=64", "token_budget=640")
    pool, stream = (plan_of(*words, f"data={name}").parts for name in ("folder", "shards"))
    assert 0 < stream["latents"] < pool["latents"] / 10
    differing = {part for part in pool if stream[part] != pool[part]}
    assert differing <= {"latents", "program"}  # what this process has by now


@needs_proc
@pytest.mark.demos
@pytest.mark.parametrize(
    "words",
    [
        ("run", IMAGE, "out=a.png"),
        ("train", IMAGE, "out=a", "max_steps=2", "data.pool_start=48"),
    ],
    ids=["run", "train"],
)
def test_highest_memory_of_the_demo_is_within_15_percent(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = "import sys\nfrom lumina_core.cli.main import main\nassert main(sys.argv[1:]) == 0"
    prompt = ["a red circle"] * (words[0] == "run")
    base = highest("import torch")
    measured = highest(start, *words, *prompt)
    done = subprocess.run(
        [sys.executable, "-m", "lumina_core", "plan", *words, "--json"],
        capture_output=True,
        check=True,
    )
    peak = json.loads(done.stdout)["memory"]["peak"]
    assert peak - base == pytest.approx(measured - base, rel=NEAR)


def test_no_weight_is_read(tmp_path, capsys):
    folder = tmp_path / "model"
    demo = demos.demo_folder("image")
    for path in demo.rglob("*"):
        target = folder / path.relative_to(demo)
        if path.is_dir():
            target.mkdir(parents=True)
    for path in demo.rglob("*.*"):
        target = folder / path.relative_to(demo)
        if path.is_file() and path.suffix != ".safetensors":
            target.write_bytes(path.read_bytes())
        elif path.is_file() and path.parent != demo:
            target.write_bytes(path.read_bytes())  # of the encoder the header is looked at
    (folder / "backbone.safetensors").touch()
    text = shown(capsys, IMAGE, f"checkpoint={folder}")
    assert "backbone: 1,930,696 parameters" in text


@pytest.mark.parametrize("family", ["lumina2", "z_image", "lumina_next"])
def test_folders_of_diffusers_are_planned_as_they_are_loaded(family, tiny_pipeline):
    folder, pipeline = tiny_pipeline(family)
    size = ("modality.height=64", "modality.width=96", "solver.num_steps=2")
    found = plan_of(IMAGE, f"checkpoint={folder}", *size)
    model = load_model(compose_run([IMAGE, "prompt=a", f"checkpoint={folder}", *size]))
    assert found.num_parameters == sum(w.numel() for w in model.backbone.parameters())
    encoder = sum(weight.nbytes for weight in pipeline.text_encoder.parameters())
    assert found.parts["text encoder"] == encoder
    autoencoder = sum(weight.nbytes for weight in pipeline.vae.parameters())
    assert found.parts["autoencoder"] == autoencoder
    assert not found.notes


def test_a_network_that_is_not_trained_is_planned_by_its_settings(capsys):
    text = shown(capsys, IMAGE, "backbone=600m", "tokens=300", "dtype=bfloat16")
    assert "300 positions (299 tokens)" in text
    assert "no text encoder is counted" in text
    small = plan_of(IMAGE, "backbone=600m", "tokens=300", "dtype=bfloat16")
    whole = plan_of(IMAGE, "backbone=600m", "tokens=300")
    assert small.parts["weights"] == whole.parts["weights"] / 2
    assert small.num_parameters == whole.num_parameters


def test_an_autoencoder_that_is_not_here_is_known_by_its_description():
    for name, count in (("sdxl", 83_653_863), ("flux", 83_819_683)):
        words = (f"modality.vae={name}", "modality.height=256", "modality.width=256")
        found = plan_of(IMAGE, "backbone=tiny", *words)
        assert found.parts["autoencoder"] == 4 * count
        assert found.sizes.patches == 256
    assert found.beside["decoding"] > 10**11


def test_weights_of_8_bits_are_half_as_large_as_in_bfloat16():
    words = (IMAGE, "backbone=600m", "tokens=64", "dtype=bfloat16")
    whole, half = plan_of(*words), plan_of(*words, "quantise=int8")
    assert 0.5 < half.parts["weights"] / whole.parts["weights"] < 0.52


def test_half_a_million_tokens_of_7b_are_printed(capsys):
    text = shown(capsys, "+modality=video", "backbone=7b", "tokens=524288", "dtype=bfloat16")
    assert "524,288 positions" in text
    assert "it does not fit; lower:" in text


def test_a_training_has_states_and_a_batch(capsys):
    record = json.loads(shown(capsys, "train", IMAGE, "--json"))
    parts, weights = record["memory"]["parts"], 4 * record["num_parameters"]
    assert parts["weights"] == parts["gradients"] == parts["average"] == weights
    assert record["samples_at_once"] * record["positions"] <= 2900
    adamw = plan_of("train", IMAGE, "optimizer=adamw")
    assert adamw.parts["moments"] == 2 * weights > parts["moments"]
    assert adamw.parts["products of Muon"] == 0


def test_every_modality_has_a_plan():
    for name in host.SHIPPED:
        found = plan_of(f"+modality={name}")
        assert found.fits
        assert found.parts["autoencoder"] > 0
        assert found.parts["activations of decoding"] > 0
        assert not found.notes


def test_what_does_not_fit_is_told_what_to_lower(monkeypatch):
    words = (IMAGE, "modality.height=512", "modality.width=512")
    whole = plan_of(*words)
    few = whole.parts["program"] + whole.parts["weights"] + 40_000_000
    monkeypatch.setattr(planning, "available_bytes", lambda device: few)
    command, rest = sorted_words(list(words))
    config = compose_plan(command, rest)
    plan = planned(config)
    assert not plan.fits
    lower = advice(config, plan)
    assert [text.partition("=")[0] for text, _ in lower] == ["dtype", "tokens"]
    assert lower[-1][1] <= few
    shorter = plan_of(IMAGE, lower[-1][0], "dtype=bfloat16")
    assert shorter.bytes_of("the steps") <= few
    assert "it does not fit; lower:" in lines_of(plan, lower)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([IMAGE, "prompt_file=a.txt"], "leave out prompt_file"),
        ([IMAGE, "checkpoint=x", "backbone=7b"], "belongs to the architecture"),
        ([IMAGE, "tokens=1"], "tokens is 1"),
        ([IMAGE, "tokens=99999999999"], "set a whole number from 2 to 4194304, or null"),
        ([IMAGE, "backbone=8b"], "choose one of"),
        (["train"], "no modality chosen"),
        ([IMAGE, "modality.height=63"], "63"),
        ([IMAGE, "backbone=600m", "modality.vae=nothing"], "modality.vae"),
        ([IMAGE, "max_steps=3"], "max_steps"),
        ([IMAGE, "offload=blocks"], "use offload=none"),
        (["train", IMAGE, "token_budget=99999999999"], "a plan counts; use at most 4194304"),
        (["train", IMAGE, "parallel=tensor"], "tensor 2, and the run has 1 rank"),
    ],
)
def test_mistakes_are_refused_in_one_line(words, told, capsys):
    assert main(["plan", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_words_before_keys_are_completed():
    assert complete(["plan", "inf"]) == ["infer"]
    assert "backbone=7b" in complete(["plan", IMAGE, "backbone=7"])
    assert "tokens=" in complete(["plan", "train", "tok"])
    assert complete(["plan", "checkpoint=x", "backbone"]) == []
    assert complete(["plan", "--j"]) == ["--json"]


@pytest.mark.parametrize("change", [{}, {"text_dim": 64, "ffn_dim_multiplier": 3.0}])
def test_muon_needs_what_is_planned_for_it(change):
    config = BackboneConfig(token_dims={"image": 16}, depth=4, **change)
    matrices = list(block_matrices(Backbone(config)))
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    optimizer = Muon(matrices, 0.02, 0.0)
    optimizer.step()
    with TensorBytes() as tensors:
        optimizer.step()
    assert tensors.peak == pytest.approx(muon_bytes(config), rel=NEAR)


def test_a_folder_that_is_no_checkpoint_is_refused():
    with pytest.raises(LuminaError, match="no checkpoint in"):
        plan_of(IMAGE, "checkpoint=nowhere")


def test_an_adapter_has_states_of_its_own_weights_alone():
    plain = plan_of("train", "+modality=image", "init_from=demo")
    planned = plan_of(
        "train", "+modality=image", "init_from=demo", "adapter=dora", "adapter.rank=2"
    )
    config = compose_train(["+modality=image", "init_from=demo"]).backbone
    layer = 2 * (config.hidden_size + config.hidden_size) + config.hidden_size
    kv_layer = 2 * (config.hidden_size + config.kv_dim) + config.kv_dim
    num_trained = 2 * config.depth * (layer + kv_layer)
    assert planned.parts["gradients"] == pytest.approx(4 * num_trained, abs=1)
    assert planned.parts["average"] == planned.parts["gradients"]
    assert planned.parts["weights"] == plain.parts["weights"]
    assert planned.parts["activations"] == plain.parts["activations"]


def test_a_teacher_is_held_and_asked_with_the_text_and_without():
    words = ("train", "+modality=image", "init_from=demo")
    plain = plan_of(*words)
    planned = plan_of(*words, "objective=few_steps", "objective.teacher_steps=5")
    evaluation = sum(plain.evaluation.values())
    assert planned.step - plain.step == 2 * 5 * plain.batch * evaluation
    teacher = planned.parts["weights"] + planned.parts["text encoder"] / 4
    assert planned.parts["teacher"] == teacher
    assert all("teacher" in stage for stage in planned.stages.values())
