"""A demo that several modalities share, in a package of its own: found, used, told when lacking."""

import json
from pathlib import Path

import pytest
import shared_demo
import torch
from new_packages import declare
from safetensors.torch import load_file
from shared_demo import ADVICE

import lumina_core
from lumina_core.checkpoints.manifest import read_manifest, recommended
from lumina_core.cli.main import main
from lumina_core.plugins import demos, host
from lumina_core.testing.fixtures import tiny_words
from lumina_core.training import start
from lumina_core.training.compose import compose_train

SMALL = ("modality.height=32", "modality.width=32", "solver.num_steps=1", "device=cpu")
PROMPT = "a red circle"


@pytest.fixture(scope="module")
def joint(tmp_path_factory, small_vocabulary):
    return shared_demo.train_joint(tmp_path_factory.mktemp("joint"))


@pytest.fixture
def install(joint, write_distribution, tmp_path, monkeypatch, work):
    """Install the shared demo and the plugins of some modalities; gives the checkpoint."""
    return lambda *names: shared_demo.install(joint, tmp_path / "site", names, monkeypatch)


def test_one_plugin_alone_uses_the_shared_demo(install, capsys):
    folder = install("image")
    assert host.installed() == ["image"]
    assert demos.demo_folder("image") == folder
    assert main(["run", "+modality=image", PROMPT, *SMALL, "out=a.png"]) == 0
    assert main(["infer", PROMPT, *SMALL, "out=b.png"]) == 0
    assert main(["run", f"checkpoint={folder}", PROMPT, *SMALL, "seed=0", "out=c.png"]) == 0
    assert Path("a.png").read_bytes() == Path("c.png").read_bytes()
    assert main(["evaluate", "+modality=image", "num_prompts=1", *SMALL[2:], "out=e"]) == 0
    capsys.readouterr()
    assert main(["info", "a.png", "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    model = lumina_core.load("image", device="cpu")
    assert request["checkpoint_sha256"] == model.checkpoint.checkpoint_sha256
    assert main(["info", str(folder)]) == 0
    assert "modalities.audio.sampling.position_limit: 3.0" in capsys.readouterr().out
    assert main(["doctor", "demo"]) == 0
    assert "demo of image, video, multiview, audio" in capsys.readouterr().out


def test_a_training_begins_with_a_shared_demo_as_it_is_built(install, capsys):
    install("image")
    words = ["+modality=image", "init_from=demo", *tiny_words()[5:], "token_budget=300"]
    words = [word for word in words if not word.startswith(("backbone.", "text_encoder."))]
    assert compose_train([*words, "out=c"]).backbone.rope_dims == (4, 4, 4, 2, 2)
    assert main(["train", *words, "max_steps=1", "out=run"]) == 0
    assert "warning" not in capsys.readouterr().err
    made = read_manifest(next(Path("run/checkpoints").iterdir()))
    assert made["modalities"].keys() == {"image"}
    assert recommended(made, "image") == ADVICE["image"]
    assert main(["train", *words, "adapter=lora", "max_steps=1", "out=lora"]) == 0
    assert main(["run", "+modality=image", "adapters=lora", PROMPT, *SMALL, "out=d.png"]) == 0


def test_a_demo_of_several_begins_a_training_of_these_and_of_others(install):
    folder = install("image", "audio")
    both = ["+modality=[image,audio]", "init_from=demo", "device=cpu"]
    config = compose_train([*both, "out=run"])
    assert config.backbone.rope_dims == (4, 4, 4, 2, 2)
    run = start.start(config)
    assert run.sampling == ADVICE
    stored = load_file(folder / "backbone.safetensors")
    own = run.model.backbone.state_dict()
    assert {key for key in stored if ".video." in key or ".multiview." in key} == {
        key for key in stored if key not in own
    }
    assert all(torch.equal(own[key], stored[key].float()) for key in own)


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["run", "+modality=image", PROMPT], "give checkpoint=FOLDER"),
        (["evaluate", "+modality=image"], "give checkpoint=FOLDER"),
        (["train", "+modality=image"], "give modality.vae=FOLDER"),
        (["train", "+modality=image", "init_from=demo"], "give modality.vae=FOLDER"),
        (["plan", "run", "+modality=image"], "give checkpoint=FOLDER, or backbone=NAME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_without_a_demo_it_is_told_what_to_install(
    write_distribution, tmp_path, monkeypatch, clean_refusal, words, instead
):
    declare(shared_demo.ROOT / "plugins" / "lumina-image", tmp_path / "site")
    shared_demo.hide_own_demos(monkeypatch)
    line = clean_refusal(*words)
    assert line.startswith(
        "error: modality 'image' ships no demo checkpoint; install the demo of the project: "
        "python -m pip install ./plugins/lumina-demo (in a checkout of the project), or "
    )
    assert instead in line


def test_a_demo_that_a_switch_keeps_away_is_told_so(install, monkeypatch, refusal):
    install("image")
    monkeypatch.setenv("LUMINA_ONLY", "image")
    line = refusal("run", "+modality=image", PROMPT)
    assert "Extension 'demo' (lumina-demo 0.1.0) is blocked: LUMINA_ONLY is set" in line
    assert line.endswith(" Or give checkpoint=FOLDER\n")


def test_a_shared_demo_that_is_damaged_is_told_so(install, capsys, refusal):
    folder = install("image")
    manifest = folder / "lumina.json"
    manifest.write_text(manifest.read_text()[:-9])
    assert "is damaged" in refusal("run", "+modality=image", PROMPT)
    assert main(["plugins", "--check"]) == 1
    assert "is damaged" in capsys.readouterr().out


def test_lists_and_help_read_no_demo(install, monkeypatch):
    install("image")
    monkeypatch.setattr(demos, "read_json", None)
    for words in (["--help"], ["run", "--help"], ["plugins"], ["models"], ["examples", "image"]):
        assert main(words) == 0
