"""The values that --help shows are those that a command uses."""

import pytest

from lumina_core.checkpoints.manifest import sealed
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_train
from lumina_core.config.effective import CORE, DEMO, TYPED, effective_keys
from lumina_core.config.layers import merge_layers
from lumina_core.config.values import parse_value
from lumina_core.config.words import sort_overrides
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import modality_yaml
from lumina_core.records import flat
from lumina_core.training.written_settings import write_settings

WORDS = {
    "run": ["solver=heun", "guidance.scale=3", "seed=5"],
    "evaluate": ["solver.num_steps=7"],
    "train": ["data=folder", "optimizer=adamw", "time.mean=2"],
    "train-vae": ["batch_size=3"],
}


@pytest.mark.parametrize("modality", host.SHIPPED)
@pytest.mark.parametrize("command", WORDS)
def test_help_shows_what_a_command_uses(modality, command):
    for words in ([], WORDS[command]):
        sorted_words = sort_overrides([f"modality={modality}", *words], command)
        values, options = merge_layers(command, modality, sorted_words)
        used = flat({**values, "modality": options})
        shown = effective_keys(command, words, modality, modality_yaml(modality))
        texts = {each.key.name: each.key.default for each in shown}
        assert not [key for key in used if key not in texts and used[key] != {}]
        for key in texts.keys() & used.keys() - {"checkpoint"}:  # the demo, which null stands for
            assert parse_value(key, texts[key]) == used[key], key


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
        words = [*words, "solver=heun", "coarse.tokens=9", "a prompt", "nope=3"]
        found = {
            each.key.name: (each.key.default, each.origin)
            for each in effective_keys("run", words, "toy", modality_yaml("toy"))
        }
        assert found["guidance.scale"] == ("9.5", origin)
        assert found["coarse.above"] == ("null", origin)
        assert found["modality.patch_size"] == ("4", f"fixed by {origin}")
        assert found["modality.height"] == ("32", "lumina-toy")
        assert found["solver"] == found["solver.name"] == ("heun", "solver=heun")
        assert found["solver.shift"] == ("3.0", "lumina-toy")
        assert found["coarse.tokens"] == ("9", TYPED)
        assert found["seed"] == ("0", CORE)
        capsys.readouterr()
        assert main(["run", "--help", *words]) == 0
        out = capsys.readouterr().out
        assert "guidance.scale=9.5" in out
        assert "guidance.scale=4.0" not in out


def test_help_without_a_modality_names_what_stands_instead(capsys):
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert "values it sets instead: solver.num_steps=24 guidance.scale=2.0\n" in out
    assert "values its demo checkpoint sets instead: coarse.above=132 coarse.strength=0.5" in out
    assert main(["train-vae", "--help"]) == 0  # for which nothing is recommended
    assert "instead" not in capsys.readouterr().out


def test_help_of_a_training_shows_its_settings(tmp_path, capsys):
    write_settings(compose_train(["+modality=video", "seed=77", f"out={tmp_path}"]))
    assert main(["train", "--help", "resume=true", f"out={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "values with modality video" in out
    assert any(line.split()[:2] == ["seed=77", "config.json"] for line in out.splitlines())


def test_help_of_what_is_not_there_is_one_line(toy, refusal):
    assert "Did you mean 'toy'?" in refusal("run", "--help", "+modality=tyo")
