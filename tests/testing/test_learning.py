"""`doctor NAME --learn`: on a world that its captions explain, and on one that they do not."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from new_packages import install, installed
from planting import edit

from lumina_core.cli.main import main
from lumina_core.flow.objective import sample_time
from lumina_core.plugins import host
from lumina_core.plugins.parts import make_modality
from lumina_core.testing import learning
from lumina_core.testing.subject import TINY
from lumina_core.training.compose import compose_train
from lumina_core.training.latents import FAULT, GOOD, WARNING, drawn_latents, latent_findings

MELODY = Path(__file__).parents[1] / "cases" / "lumina-melody"
NAMES = ["captions", "kurtosis", "top_energy", "token_width", "noisy_round_trips", "caption_gap"]
TOLD = """

def _told(self, caption, options, generator):
    return torch.full((options.samples,), CAPTIONS.index(caption) / 4 - 0.9)


def _untold(self, caption, options, generator):
    return torch.rand(options.samples, generator=generator) - 0.5


SproutWorld.judge = lambda self, media, caption, options: {"any": True}
SproutWorld.draw = """
WORLD = "lumina_sprout/world.py"


def world_that_draws(how):
    """A package whose signals follow from their captions alone, or not at all."""
    return lambda package: edit(package, ((WORLD, None, f"{TOLD}{how}\n"),))


@pytest.fixture
def few_steps(monkeypatch):
    """Examine with a tiny network, of so many steps."""

    def steps(count):
        def composed(words):
            more = ["data.pool_size=64", f"max_steps={count}", "optimizer.learning_rate=0.01"]
            return compose_train([*words, *TINY, *more, "token_budget=300"])

        monkeypatch.setattr(learning, "compose_train", composed)

    return steps


@pytest.mark.parametrize(
    ("how", "code", "share", "gap"),
    [("_told", 0, (0.99, 1.01), (0.5, 1e9)), ("_untold", 1, (-0.01, 0.1), (-0.1, 0.1))],
)
def test_doctor_learn_tells_whether_captions_explain_a_modality(
    how, code, share, gap, few_steps, tmp_path, monkeypatch, capsys
):
    few_steps(120)
    monkeypatch.chdir(tmp_path)
    with installed("sprout", "line", tmp_path, monkeypatch, world_that_draws(how)):
        before = sorted(tmp_path.rglob("*"))
        assert main(["doctor", "sprout", "--learn", "--json"]) == code
        found = json.loads(capsys.readouterr().out)
        assert sorted(tmp_path.rglob("*")) == before
    assert [each["name"] for each in found] == NAMES
    values = {each["name"]: each["value"] for each in found}
    assert share[0] < values["captions"] < share[1]
    assert gap[0] < values["caption_gap"] < gap[1]
    assert any(each["verdict"] == FAULT for each in found) == code


def test_doctor_learn_says_each_thing_in_a_line_with_its_remedy(
    few_steps, tmp_path, monkeypatch, capsys
):
    few_steps(1)
    with installed("sprout", "line", tmp_path, monkeypatch, world_that_draws("_untold")):
        assert main(["doctor", "sprout", "--learn"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NAMES)
    assert lines[0].startswith("fault    captions explain ")
    assert lines[0].endswith(" of the latent: draw with less freedom, or encode what captions name")
    assert lines[1] == "good     its kurtosis is 2"
    assert "the oracle finds 100% right" in lines[4]
    assert lines[5].startswith("fault    after ")
    assert " CPU seconds, 1 steps, the loss at t = 0.05 is " in lines[5]


def test_a_clear_gap_ends_the_training_early(few_steps, tmp_path, monkeypatch):
    few_steps(120)
    monkeypatch.setattr(learning, "CHECK_SECONDS", 1e-6)
    monkeypatch.setattr(learning, "TRAIN_SECONDS", 60.0)
    gaps = iter([0.0, learning.SMALL_GAP / 2, learning.SMALL_GAP])
    looked = []

    def gap_on(samples, run, config):
        looked.append(run.step)
        return next(gaps)

    monkeypatch.setattr(learning, "_gap_on", gap_on)
    with installed("sprout", "line", tmp_path, monkeypatch, world_that_draws("_told")):
        found = list(learning.learn_findings("sprout"))[-1]
    assert looked == [1, 2, 3]
    assert (found.value, found.verdict) == (learning.SMALL_GAP, GOOD)


def test_what_is_trained_is_small_and_near_noise(melody):
    config = compose_train(["+modality=melody", "data.pool_size=100", "token_budget=500"])
    modality = make_modality("melody", config.options, None)
    brief = learning.brief(config, modality)
    assert brief.data.max_tokens == 6  # of 6, 8 and 10 beats
    assert (brief.data.pool_size, brief.token_budget) == (100, 500)
    generator = torch.Generator().manual_seed(0)
    times = sample_time(200, brief.time, generator)
    assert times.min() > 0.01
    assert times.max() < 0.15
    assert (brief.caption_dropout, brief.condition_share) == (0, 0)
    assert brief.backbone == config.backbone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learn"], "doctor --learn needs the name of a modality"),
        (["image", "--learn", "--contract"], "--contract --learn are two commands"),
        (["image", "--learn", "modality.vae=x"], "modality.vae=x is no folder"),
    ],
)
def test_other_words_beside_learn_are_refused(words, message, refusal):
    assert message in refusal("doctor", *words)


def test_a_modality_without_a_world_cannot_be_examined(tmp_path, monkeypatch, refusal):
    def without(package):
        edit(
            package,
            (("lumina_sprout/sprout.py", "self.world = SproutWorld()", "self.world = None"),),
        )

    with installed("sprout", "line", tmp_path, monkeypatch, without):
        said = refusal("doctor", "sprout", "--learn")
    assert "sprout cannot be examined: this modality has no synthetic world" in said


@pytest.mark.parametrize("shape", ["line", "grid"])
def test_captions_explain_the_templates(shape, tmp_path, monkeypatch):
    with installed("sprout", shape, tmp_path, monkeypatch):
        config = compose_train(["+modality=sprout"])
        modality = make_modality("sprout", config.options, None)
        token_dim, width = modality.tokenizer.token_dim, config.backbone.hidden_size
        found = latent_findings(drawn_latents(modality), token_dim, width)
        assert [each.verdict for each in found] == [GOOD] * 4
        assert learning.noise_finding(modality).verdict == GOOD


@pytest.fixture
def melody(tmp_path, monkeypatch):
    """The package of melodies with two latents, installed."""
    package = shutil.copytree(MELODY, tmp_path / "source")
    install(package, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    host.forget()
    yield
    host.forget()
    for module in [each for each in sys.modules if each.partition(".")[0] == "lumina_melody"]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("pianoroll", [FAULT, WARNING, WARNING, WARNING, GOOD]),
        ("melody", [GOOD] * 5),
    ],
)
def test_the_latent_decides_whether_melodies_can_be_learned(name, verdicts, melody):
    config = compose_train([f"+modality={name}"])
    modality = make_modality(name, config.options, None)
    token_dim, width = modality.tokenizer.token_dim, config.backbone.hidden_size
    found = latent_findings(drawn_latents(modality), token_dim, width)
    found.append(learning.noise_finding(modality))
    assert [each.verdict for each in found] == verdicts


def test_melodies_come_back_from_both_latents_and_from_their_files(melody, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for name in ("pianoroll", "melody"):
        config = compose_train([f"+modality={name}"])
        modality = make_modality(name, config.options, None)
        for _ in range(20):
            caption = modality.world.caption("trained", generator)
            media = modality.world.draw(caption, config.options, generator)
            assert torch.equal(modality.vae.decode(modality.vae.encode(media)), media)
            assert all(modality.world.judge(media, caption, config.options).values())
        modality.decoder.write(media, tmp_path / f"{name}.mid", {"prompt": caption}, config.options)
        assert torch.equal(modality.decoder.read(tmp_path / f"{name}.mid"), media)
        assert modality.decoder.read_metadata(tmp_path / f"{name}.mid") == {"prompt": caption}
