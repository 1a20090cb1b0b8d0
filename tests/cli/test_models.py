"""What `models` says of the models that packages describe, without network and without waiting."""

import json
import os
import subprocess
import sys

import pytest
from huggingface_hub import constants

from lumina_core.cli.completion import FILES, complete
from lumina_core.cli.main import main

MODEL = """
meaning: toys of all kinds
prompt: a red toy
modality: toy
family: flag_dit
layout: released
hub_id: owner/toys
licence: {name: MIT, note: no commercial use}
backbone: {num_parameters: 6_154_908_736, num_bytes: 24_619_634_944}
text_encoder: {folder: text, num_parameters: 4_022_468_096, num_bytes: 8_044_936_192, gated: true}
vae: {folder: vae, num_parameters: 7, num_bytes: 10}
options: {patch_size: 2}
trained:
  - {height: 64}
sampling:
  solver: {num_steps: 8}
"""
COMMIT = "c0ffee" + "0" * 34


@pytest.fixture
def shop(write_extension, tmp_path, monkeypatch):
    """A package with one model, and an empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    write_extension("shop", files={"conf/model/big_toy.yaml": MODEL})
    return tmp_path


def put_on_disk(cache):
    repository = cache / "models--owner--toys"
    for name in ("a", "text/a", "vae/a"):
        path = repository / "snapshots" / COMMIT / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)


def said(capsys, *words):
    assert main(["models", *words]) == 0
    return capsys.readouterr().out


def test_models_are_listed_with_what_they_need(shop, capsys):
    lines = said(capsys).splitlines()
    assert lines[0].split("  ")[0] == "name"
    row = lines[1].split()
    assert row == [
        "big_toy",
        "toy",
        "6.2B",
        "32.7",
        "GB",
        "12.3",
        "GB",
        "8.0",
        "GB",
        "MIT",
        "*",
        "no",
    ]
    assert any("checkpoint=NAME download=true" in line for line in lines)
    assert any(line.startswith("* there is something to know") for line in lines)
    put_on_disk(shop / "hub")
    assert said(capsys).splitlines()[1].endswith("yes")


def test_one_model_is_shown_in_full(shop, capsys):
    lines = dict(line.split(": ", 1) for line in said(capsys, "big_toy").splitlines())
    assert lines["licence.note"] == "no commercial use"
    assert lines["download"] == "32.7 GB"
    assert lines["trained"] == '[{"height": 64}]'
    assert lines["command"].endswith("infer checkpoint=big_toy download=true 'a red toy'")
    assert said(capsys, "checkpoint=big_toy").splitlines()[0] == "name: big_toy"


def test_machines_get_numbers(shop, capsys):
    put_on_disk(shop / "hub")
    (record,) = json.loads(said(capsys, "--json"))
    assert record["parameters"] == 6_154_908_736
    assert record["download_bytes"] == 32_664_571_146
    assert (record["memory_bytes"], record["text_memory_bytes"]) == (12_309_817_472, 8_044_936_192)
    assert (record["on_disk"], record["gated"]) == (True, ["owner/toys"])
    assert json.loads(said(capsys, "big_toy", "--json")) == record


def test_a_broken_description_is_a_note(shop, write_extension, capsys):
    write_extension("bad", files={"conf/model/odd.yaml": "meaning: [\x1b\n"})
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert "big_toy" in out
    assert err.startswith("note: ")
    assert err.count("\n") == 1
    assert main(["models", "odd"]) == 2
    assert "odd.yaml cannot be read" in capsys.readouterr().err


def test_a_package_without_models_is_told(write_distribution, capsys):
    write_distribution("lumina-toy", "toy")
    assert said(capsys) == "no installed package describes a model\n"
    assert json.loads(said(capsys, "--json")) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["big_tiy"], "Did you mean 'big_toy'"),
        (["a", "b"], "models takes one name, got 2: a, b"),
        (["--jsn"], "unknown option '--jsn' of models; it takes --json. Did you mean '--json'"),
    ],
)
def test_a_wrong_word_is_one_line(shop, capsys, words, reason):
    assert main(["models", *words]) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1


def test_shells_complete_the_names_of_models(shop):
    assert complete(["models", ""]) == ["big_toy"]
    assert complete(["run", "checkpoint="]) == [FILES, "checkpoint=big_toy"]
    assert complete(["run", "checkpoint=bi"]) == [FILES, "checkpoint=big_toy"]
    assert complete(["run", "checkpoint=x"]) == [FILES]
    assert complete(["train", "init_from=b"]) == [FILES, "init_from=big_toy"]
    assert complete(["run", "repeat="]) == [FILES]


def test_doctor_checks_descriptions_and_knows_that_they_are_read(shop, write_distribution, capsys):
    folder = write_distribution("lumina-toy", "toy")
    (folder / "conf/model").mkdir()
    (folder / "conf/model/small.yaml").write_text(MODEL)
    assert main(["doctor", "toy"]) == 0
    assert "nothing reads" not in capsys.readouterr().out
    (folder / "conf/model/small.yaml").write_text(MODEL.replace("patch_size", "patch"))
    assert main(["doctor", "toy"]) == 1
    assert "small.yaml: unknown key 'options.patch'" in capsys.readouterr().out


def test_models_are_listed_without_heavy_imports(shop):
    code = (
        "import sys; from lumina_core.cli.main import main; main(['models'])\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=True)
    assert "big_toy" in done.stdout
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    heavy = {"torch", "numpy", "hydra", "omegaconf", "transformers", "httpx2", "rich", "PIL"}
    assert not loaded & heavy
