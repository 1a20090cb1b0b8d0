"""Text of others is harmless on stdout and stderr, wherever it comes from; an error is one line."""

import json
import shutil
from dataclasses import asdict

import pytest
import torch
from PIL import Image

from harmless import is_harmless
from lumina_core.checkpoints.manifest import MANIFEST
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.files.seals import sealed
from lumina_core.plugins import host
from lumina_core.plugins.parts import make_modality
from toy_plugin import YAML

HOSTILE = "a\x1b[2J\x1b]0;x\x07\nb\rc\x9b31m\u2028\u202ed"
HALF = f"{HOSTILE}\udc9b"  # as a file name has it that is no UTF-8
IMAGE = "+modality=image"
COMMANDS = [
    *(
        ("{}",),
        ("run", "{}"),
        ("run", "+modality={}"),
        ("run", IMAGE, "{}=1"),
        ("run", "repeat={}"),
    ),
    *(("run", IMAGE, "checkpoint={}", "x"), ("run", IMAGE, "solver={}", "x")),
    *(("run", IMAGE, "prompt_file={}"), ("run", IMAGE, "modality.height={}", "x")),
    *(("run", IMAGE, "condition.image={}", "x"), ("run", IMAGE, "device={}", "x")),
    *(("infer", "{}", "solver.num_steps=0"), ("train", "+modality={}"), ("train", IMAGE, "{}")),
    *(("train", IMAGE, "init_from={}"), ("train", IMAGE, "data=folder", "data.path={}")),
    *(("train", IMAGE, "data=cache", "data.path={}"), ("cache", IMAGE, "out=c")),
    *(("cache", IMAGE, "data=folder", "data.path={}"), ("cache", IMAGE, "num_samples=1", "out={}")),
    *(("train-vae", IMAGE, "out=v", "init_from={}"), ("evaluate", IMAGE, "checkpoint={}")),
    *(("evaluate", IMAGE, "splits=[{}]"), ("evaluate", IMAGE, "compare={}", "num_prompts=1")),
    *(("plugins", "{}"), ("plugins", "--{}"), ("schema", "{}"), ("doctor", "{}")),
    *(("doctor", "image", "--contract", "modality.vae={}"), ("info", "{}"), ("gallery", "{}")),
    *(("report", "{}"), ("report", ".", "compare={}"), ("report", ".", "out={}")),
    *(("gallery", ".", "out={}"), ("new-modality", "{}"), ("new-modality", "x", "{}")),
    *(("new-modality", "x", "--shape", "{}"), ("completion", "{}"), ("version", "{}")),
    *(("complete", "--", "run", "{}"), ("complete", "--", "run", "modality={}")),
]


@pytest.fixture
def said(capfd):
    """Run words; what was printed, which is harmless, and of which an error is one line."""

    def texts(*words, codes=(0, 2)):
        capfd.readouterr()
        code = main(list(words))
        captured = capfd.readouterr()
        assert code in codes, captured.err
        assert is_harmless(captured.out + captured.err)
        if code == 2:
            *notes, error = captured.err.splitlines()
            assert error.startswith("error: ")
            assert all(line.startswith(("note: ", "warning: ")) for line in notes)
        return captured.out, captured.err

    return texts


@pytest.mark.parametrize("text", [HOSTILE, HALF], ids=["text", "half"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_words_of_a_command_line(said, work, words, text):
    said(*(word.format(text) for word in words))


def test_names_of_files_and_prompts(said, ask, work):
    out, err = said(*ask(f"out={HALF}.png", "--", HOSTILE), codes=(0,))
    assert out.count("\n") == 1 and len(out) == len(f"{HALF}.png\n")
    assert err.startswith("note: ") and err.count("\n") == 1
    for words in (["info"], ["info", "--json"], ["gallery"]):
        out, _ = said(*words, "." if words == ["gallery"] else f"{HALF}.png", codes=(0,))
        if "--json" in words:
            assert json.loads(out)["prompt"] == HOSTILE
    assert is_harmless((work / "index.html").read_text())
    out, _ = said(*ask(f"out={HALF}2.png", "json=true", "--", HOSTILE), codes=(0,))
    (record,) = json.loads(out)["files"]
    assert (record["path"], record["prompt"]) == (f"{HALF}2.png", HOSTILE)
    said(*ask(f"repeat={HALF}.png", f"out={HALF}.png"), codes=(2,))


@pytest.mark.parametrize("name", host.SHIPPED)
def test_requests_inside_files(said, work, name):
    options = compose_options(name)
    modality = make_modality(name, options, work)
    world, generator = modality.world, torch.Generator().manual_seed(0)
    media = world.draw(world.caption(world.splits[0], generator), options, generator)
    suffix = modality.decoder.suffixes[0]
    made = {"modality": name, "options": json.loads(json.dumps(asdict(options)))}
    for number, request in enumerate(
        (
            made | {"prompt": HOSTILE, "seed": 1, "checkpoint_sha256": HOSTILE},
            made | {"prompt": "x", "seed": 1, HOSTILE: HOSTILE},
            made | {"prompt": "x", "seed": HOSTILE},
            made | {"prompt": "x", "modality": HOSTILE},
        )
    ):
        path = work / f"{number}{suffix}"
        modality.decoder.write(media, path, request, options)
        said("info", str(path))
        said("info", str(path), "--json")
        said("run", f"repeat={path}", "checkpoint=nowhere")
    said("gallery", ".")


@pytest.mark.parametrize(
    "place", ["training", "modalities", "text_encoder", "recommended", "files"]
)
def test_manifests_of_checkpoints(said, work, checkpoint_copy, place):
    path = checkpoint_copy / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    if place == "modalities":
        manifest[place][HOSTILE] = manifest[place].pop("image")
    else:
        manifest.setdefault(place, {})[HOSTILE] = HOSTILE
    path.write_text(sealed(manifest))
    said("info", str(checkpoint_copy))
    said("info", str(checkpoint_copy), "--json")
    said("run", IMAGE, f"checkpoint={checkpoint_copy}", "device=cpu", "solver.num_steps=0", "x")
    path.write_text(f'{{"format": {json.dumps(HOSTILE)}}}')
    said("info", str(checkpoint_copy), codes=(2,))


@pytest.mark.parametrize("suffix", [".txt", ".jsonl"])
def test_files_of_prompts(said, ask, work, suffix):
    good = f"a {HOSTILE}".replace("\n", " ").replace("\r", " ").replace("\u2028", " ")
    bad = {"prompt": HOSTILE, HOSTILE: 1}
    lines = [json.dumps({"prompt": HOSTILE}), json.dumps(bad)] if suffix == ".jsonl" else [good]
    path = work / f"prompts{HOSTILE}{suffix}"
    path.write_text("\n".join(lines) + "\n", newline="")
    said(*ask(f"prompt_file={path}", "out=made"))
    path.write_text(lines[0] + "\n", newline="")
    _, err = said(*ask(f"prompt_file={path}", "out=made"), codes=(0,))
    assert err.startswith("note: ")
    path.write_bytes(b"\xff\x9b\n")
    said(*ask(f"prompt_file={path}", "out=made"), codes=(2,))


def test_data_folders_their_captions_and_quarantine(said, tiny_training, work):
    data = work / f"set{HOSTILE}"
    data.mkdir()
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(data / f"{number}{HALF}.png")
        (data / f"{number}{HALF}.txt").write_text(f"a red {HOSTILE}".replace("\n", " "))
    (data / f"bad{HALF}.png").write_bytes(b"\x1b[2J")
    (data / f"bad{HALF}.txt").write_text(HOSTILE)
    (data / f"alone{HALF}.txt").write_text(HOSTILE)
    words = ["data=folder", f"data.path={data}", "data.max_tokens=64", "max_steps=1"]
    words += ["data.pool_size=8", "data.max_quarantined=0.9"]
    _, err = said("train", *tiny_training(work / "run", *words), codes=(0,))
    assert "left out" in err
    lines = (work / "run" / "quarantine.jsonl").read_text()
    assert is_harmless(lines) and any(
        "bad" in json.loads(line)["path"] for line in lines.splitlines()
    )
    shutil.rmtree(data)
    data.mkdir()
    for text in (f'{{"file_name": {json.dumps(HOSTILE)}, "text": 5}}\n', f"{HOSTILE}\n"):
        (data / "metadata.jsonl").write_text(text)
        said("train", *tiny_training(work / "other", *words), codes=(2,))


def test_plugins_and_their_yaml(said, write_distribution):
    folder = write_distribution("lumina-toy", "toy")
    about = (
        f"Metadata-Version: 2.1\nName: lumina-toy\nVersion: 0.1\x1b[2J\nSummary: {HOSTILE[:9]}\n"
    )
    (folder.parent / "lumina_toy-0.1.dist-info" / "METADATA").write_text(about)
    yaml = folder / "conf" / "modality" / "toy.yaml"
    every = [
        *(["plugins"], ["plugins", "--json"], ["doctor", "toy"], ["doctor"], ["schema", "toy"]),
        *(["run", "--help"], ["train", "+modality=toy", "x"], ["plugins", "--check"]),
    ]
    for text in (
        YAML + f"{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)}\n",
        f"{HOSTILE}: [",
    ):
        yaml.write_text(text)
        host.forget()
        for words in every:
            said(*words, codes=(0, 1, 2))
