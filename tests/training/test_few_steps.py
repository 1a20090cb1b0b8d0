"""Teaching a network to take few steps: what it is asked for, and what a run makes of it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from states import STATE_FILE

from lumina_core.checkpoints.manifest import read_manifest, recommended
from lumina_core.cli.main import main
from lumina_core.data.source import CaptionedSample
from lumina_core.flow.settings import GuidanceConfig
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.testing.fixtures import tiny_words
from lumina_core.text.settings import Negative
from lumina_core.training.few_steps import Teacher
from lumina_core.training.loss import Drawn, drawn_loss
from lumina_core.training.networks import networks_of
from lumina_core.training.settings import ObjectiveConfig

SCALE = 3.0
CAPTIONS = ("a red circle", "a blue square")
NOTHING = [Negative("")] * 2


@pytest.fixture
def model(tiny_model):
    """A model that answers something: a fresh one answers 0."""
    with torch.no_grad():
        for number, weight in enumerate(tiny_model.backbone.parameters()):
            weight += 0.02 * torch.randn(weight.shape, generator=seeded(number))
    return tiny_model


@pytest.fixture
def drawn(model):
    dim = model.modality.tokenizer.token_dim
    grid = Grid(1, 4, 6, (0.0, 2.0, 8 / 6))
    known = torch.zeros(24, dtype=torch.bool)
    known[:5] = True
    samples = [
        CaptionedSample(
            TokenSample("image", grid, torch.randn(24, dim, generator=seeded(n)), known=given), text
        )
        for n, (text, given) in enumerate(zip(CAPTIONS, (None, known), strict=True))
    ]
    noise = torch.randn(2 * 24 * dim, generator=seeded(9))
    return Drawn(samples, torch.tensor([0.3, 0.9]), noise)


def lesson(model, drawn, **settings):
    guidance = {"image": GuidanceConfig(scale=SCALE, **settings)}
    objective = ObjectiveConfig("few_steps", num_steps=2, teacher_steps=1)
    teacher = Teacher(networks_of(model), guidance, objective, "float32")
    batch = model.backbone.pack([sample.tokens for sample in drawn.samples])
    return batch, teacher.lesson(batch, drawn.x_0, drawn.t, *read(model))


def read(model):
    return model.text_reader(CAPTIONS), model.text_reader(NOTHING)


def begun(batch, drawn):
    """Where the windows of 0.3 and of 0.9 begin: at 0, and at 0.5."""
    a = batch.element_time(torch.tensor([0.0, 0.5]))
    return (1 - a) * drawn.x_0 + a * batch.state


@torch.no_grad()
def test_a_lesson_is_the_line_to_where_a_guided_step_leads(model, drawn):
    batch, (at, mean) = lesson(model, drawn)
    begin, times = begun(batch, drawn), batch.segment_time(torch.tensor([0.0, 0.5]))
    networks = networks_of(model)
    told, untold = (networks(batch.with_state(begin), times, texts) for texts in read(model))
    guided = (untold + SCALE * (told - untold)) * batch.unknown
    assert guided.abs().max() > 0.01
    assert torch.allclose(mean, guided, atol=1e-5)
    passed = torch.tensor([0.3, 0.4]).repeat_interleave(batch.element_counts)
    assert torch.allclose(at.state, begin + passed * guided, atol=1e-5)
    assert torch.equal(at.state[~batch.unknown], batch.state[~batch.unknown])


def test_guidance_acts_where_the_window_begins_within_its_interval(model, drawn):
    _, (_, both) = lesson(model, drawn)
    batch, (_, early) = lesson(model, drawn, interval=(0.0, 0.4))
    first, second = (part.clone() for part in both.split(batch.element_counts.tolist()))
    one, other = early.split(batch.element_counts.tolist())
    assert torch.equal(first, one)
    assert not torch.allclose(second, other, atol=1e-4)


def test_the_loss_is_that_of_the_lesson(model, drawn):
    batch, (at, mean) = lesson(model, drawn)
    guidance = {"image": GuidanceConfig(scale=SCALE)}
    objective = ObjectiveConfig("few_steps", num_steps=2, teacher_steps=1)
    teacher = Teacher(networks_of(model), guidance, objective, "float32")
    losses = drawn_loss(model, drawn, teacher=teacher)
    predicted = networks_of(model)(at, batch.segment_time(drawn.t), read(model)[0])
    squared = (predicted - mean).square()[batch.unknown]
    first = int(batch.element_counts[0])
    assert losses[0].item() == pytest.approx(squared[:first].mean().item(), rel=1e-4)
    assert losses[1].item() == pytest.approx(squared[first:].mean().item(), rel=1e-4)


@pytest.fixture(scope="module")
def start_and_words(tiny_checkpoint_of, tiny_vae):
    start = tiny_checkpoint_of("image", f"modality.vae={tiny_vae}")
    words = ["+modality=image", f"modality.vae={tiny_vae}", f"init_from={start}", *tiny_words()]
    more = ["objective=few_steps", "objective.teacher_steps=2", "max_steps=4", "save_every=2"]
    return start, [*words, *more, "optimizer.warmup_steps=0"]


@pytest.fixture(scope="module")
def student(start_and_words, tmp_path_factory):
    out = tmp_path_factory.mktemp("few") / "run"
    assert main(["train", f"out={out}", *start_and_words[1]]) == 0
    return out


def test_a_student_recommends_few_steps_without_guidance(student, tmp_path, capsys):
    sampling = recommended(read_manifest(student / "checkpoints/step-0000004"), "image")
    assert sampling["solver"]["num_steps"] == 4
    assert sampling["guidance"] == {"scale": 1.0}
    capsys.readouterr()
    words = ["modality.height=32", "modality.width=32", f"out={tmp_path}/", "json=true"]
    assert main(["run", "+modality=image", "a circle", f"checkpoint={student}", *words]) == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert main(["info", file["path"], "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    assert request["solver"]["num_steps"] == 4
    assert request["guidance"]["scale"] == 1


def test_a_student_learns_from_the_weights_that_it_began_with(
    student, start_and_words, tmp_path, capsys
):
    start, _ = start_and_words
    out = shutil.copytree(student, tmp_path / "run")
    shutil.rmtree(out / "checkpoints/step-0000004")
    assert main(["train", "resume=true", f"out={out}"]) == 0
    state = f"checkpoints/step-0000004/{STATE_FILE}"
    assert (out / state).read_bytes() == (student / state).read_bytes()
    weights = load_file(student / "checkpoints/step-0000004/backbone.safetensors")
    before = load_file(start / "backbone.safetensors")
    assert any(not torch.equal(weights[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "objective=few_steps teaches all weights of a trained model"),
        (("init_from=demo", "adapter=lora"), "leave adapter out"),
        (("init_from=demo", "objective.num_steps=0"), "objective.num_steps"),
    ],
)
def test_what_cannot_be_taught_is_refused(tmp_path, words, message, refusal):
    asked = ["train", "+modality=image", "objective=few_steps", f"out={tmp_path / 'run'}"]
    assert message in refusal(*asked, *words)
    assert not (tmp_path / "run").exists()
