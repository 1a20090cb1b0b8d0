"""The values that --help shows are those that a command uses."""

import pytest

from lumina_core.cli.commands import CONFIGURED
from lumina_core.cli.key_help import effective
from lumina_core.cli.main import main
from lumina_core.config.compose import composed
from lumina_core.config.layers import CORE, TYPED
from lumina_core.files.seals import sealed
from lumina_core.plugins import host
from lumina_core.records import as_text, flat
from lumina_core.sampling.compose import DEMO, RUN
from lumina_core.training.compose import compose_train
from lumina_core.training.written_settings import write_settings

WORDS = {
    "run": ["solver=heun", "guidance.scale=3", "seed=5"],
    "evaluate": ["solver.num_steps=7"],
    "train": ["data=folder", "optimizer=adamw", "time.mean=2"],
    "train-vae": ["batch_size=3"],
    "cache": ["data=folder", "text_encoder=t5"],
}


@pytest.mark.parametrize("modality", host.SHIPPED)
@pytest.mark.parametrize("command", WORDS)
def test_help_shows_what_a_command_uses(modality, command):
    for words in ([], WORDS[command]):
        about = CONFIGURED[command].command
        used = flat(composed(about, [f"modality={modality}", *words]).values)
        shown = {key.name: value for key, value, _ in effective(about, words, modality)}
        assert shown.keys() - about.groups.keys() == used.keys()
        assert {key: shown[key] for key in used} == used


def test_help_says_where_each_value_comes_from(toy, tmp_path, capsys):
    content = {key: {} for key in ("backbone", "training", "files")} | {
        "format": 1, "lumina_core": "0.1.0", "text_encoder": {"max_tokens": 8},
        "sampling": {"guidance": {"scale": 9.5}, "coarse": {"above": None}},
        "modalities": {"toy": {"options": {"patch_size": 4}, "token_dim": 16}},
    }  # fmt: skip
    for folder in (toy / "demo", tmp_path / "mine"):
        folder.mkdir()
        (folder / "lumina.json").write_text(sealed(content))
    mine = str(tmp_path / "mine")
    for words, origin in ((["+modality=toy"], DEMO), ([f"checkpoint={mine}"], mine)):
        words = [*words, "solver=heun", "guidance.channels=9", "a prompt", "nope=3"]
        found = {
            key.name: (as_text(value), origin)
            for key, value, origin in effective(RUN, words, "toy")
        }
        assert found["guidance.scale"] == ("9.5", origin)
        assert found["coarse.above"] == ("null", origin)
        assert found["modality.patch_size"] == ("4", f"fixed by {origin}")
        assert found["modality.height"] == ("32", "lumina-toy")
        assert found["solver"] == found["solver.name"] == ("heun", "solver=heun")
        assert found["solver.shift"] == ("3.0", "lumina-toy")
        assert found["guidance.channels"] == ("9", TYPED)
        assert found["seed"] == ("0", CORE)
        capsys.readouterr()
        assert main(["run", "--help", *words]) == 0
        out = capsys.readouterr().out
        assert "guidance.scale=9.5" in out
        assert "guidance.scale=4.0" not in out


def test_help_without_a_modality_names_those_that_are_there(capsys):
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert "modality image (lumina-image 0.1.0): Text to image" in out
    assert "run --help +modality=NAME shows its keys and the values in use." in out


def test_help_of_a_training_shows_its_settings(tmp_path, capsys):
    write_settings(compose_train(["+modality=video", "seed=77", f"out={tmp_path}"]))
    assert main(["train", "--help", "resume=true", f"out={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "values with modality video" in out
    assert any(line.split()[:2] == ["seed=77", "config.json"] for line in out.splitlines())


def test_help_of_what_is_not_there_is_one_line(toy, refusal):
    assert "Did you mean 'toy'?" in refusal("run", "--help", "+modality=tyo")
