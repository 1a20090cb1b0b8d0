"""What `run` says of a prompt that the checkpoint never saw anything like."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from lumina_core.checkpoints import folder as checkpoint_folder
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.checkpoints.manifest import data_seen, manifest_sha256, read_manifest
from lumina_core.cli.main import main
from lumina_core.plugins import demos, host
from lumina_core.sampling import prompt_notes
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.file_request import read_request
from lumina_core.sampling.prompt_file import read_prompts
from lumina_core.sampling.prompt_notes import MAX_SHOWN_LINES, file_notes, text_notes
from lumina_core.text.settings import Negative

STRANGE = "three white stars above a ring"
NOTE = (
    f"the checkpoint never saw anything like {STRANGE!r}; "
    "the nearest that it knows: 'a white star above a ring'"
)


@pytest.fixture
def notes(tiny_model):
    model = replace(tiny_model, is_of_world=True)
    return lambda prompt, negative="": list(text_notes(model, prompt, negative))


@pytest.fixture
def notes_of_file(tiny_model, tiny_checkpoint, tmp_path):
    model = replace(tiny_model, is_of_world=True)

    def found(text):
        path = tmp_path / "a.txt"
        path.write_text(text)
        words = ["modality=image", f"checkpoint={tiny_checkpoint}", f"prompt_file={path}"]
        lines = read_prompts(path, compose_run(words))
        return [note.replace(str(path), "a.txt") for note in file_notes(path, model, lines)]

    return found


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        (STRANGE, NOTE),
        ("a red circle", None),
        ("A Red  circle.", None),
        ("", None),
        (
            "a pink circle",
            "the checkpoint never saw anything like 'a pink circle' (new to it: 'pink'); "
            "the nearest that it knows: 'a red circle'",
        ),
    ],
)
def test_a_prompt_outside_is_named_in_one_line_with_the_nearest_caption(notes, prompt, note):
    assert notes(prompt) == ([] if note is None else [f"note: {note}"])


READ_ONLY, PLAINEST = "An enormous red circle", "a large red circle"
READS = f"note: the checkpoint has never seen 'enormous'; it reads {PLAINEST!r} instead"


def test_a_word_that_no_caption_has_is_read_as_the_plainest_caption(notes, tiny_model):
    assert notes(READ_ONLY) == [READS]
    assert notes(PLAINEST) == []
    model = replace(tiny_model, is_of_world=True)
    asked, others = [READ_ONLY, PLAINEST], [Negative(READ_ONLY), Negative(PLAINEST)]
    (first, second), (raw, plain) = (features(model, texts) for texts in (asked, others))
    assert torch.equal(first, second)
    assert not torch.equal(raw, plain)
    assert not torch.equal(*features(replace(model, is_of_world=False), asked))


def features(model, texts):
    found, lengths = model.text_features(texts)
    return found.split(list(lengths))


def test_a_file_keeps_what_was_typed(ask, work, capfd):
    assert main(ask(READ_ONLY, "out=a.png")) == 0
    assert READS in capfd.readouterr().err
    assert read_request(work / "a.png")["prompt"] == READ_ONLY


def test_a_negative_prompt_need_be_no_caption(notes):
    assert notes("a red circle", "circle") == []
    assert notes(STRANGE, "blurry") == [
        f"note: {NOTE}",
        "note: the checkpoint has never seen 'blurry'",
    ]


def test_a_long_prompt_of_escapes_is_shortened_and_harmless(notes):
    note, cut = notes("\x1b[2J\nred " * 10**4)
    assert len(note) < 500
    assert note.isprintable()
    assert "its end is ignored" in cut


def test_of_a_checkpoint_that_knows_more_than_a_world_only_new_words_are_named(tiny_model):
    model = replace(tiny_model, is_of_world=False)
    assert list(text_notes(model, STRANGE, "")) == []
    assert list(text_notes(model, "a pink circle", "")) == [
        "note: the checkpoint has never seen 'pink'"
    ]


def test_notes_of_a_file_name_its_lines(notes_of_file):
    assert notes_of_file(f"a star\n\n{STRANGE}\n{STRANGE}\na red circle\n") == [
        f"note: a.txt, line 3: {NOTE}"
    ]
    first, *others, last = notes_of_file("\n".join(f"{number} stars" for number in range(5, 33)))
    assert first.startswith("note: a.txt, line 1: the checkpoint never saw anything like '5 stars'")
    assert len(others) == MAX_SHOWN_LINES - 1
    assert last == "note: a.txt: 20 other prompts are unlike what the checkpoint saw"
    assert notes_of_file(f"a star\n{READ_ONLY}\n") == [
        READS.replace(" the", " a.txt, line 2: the", 1)
    ]


def test_run_says_it_of_a_checkpoint_that_a_world_trained(ask, work, capfd):
    assert main(ask(STRANGE)) == 0
    assert capfd.readouterr().err == f"note: {NOTE}\n"


def test_a_file_that_is_made_again_with_other_weights_says_which_are_missing(
    ask, tiny_checkpoint, work, capsys, monkeypatch
):
    assert main(ask("a star", "out=a.png")) == 0
    other = work / "other"
    checkpoint_folder.export(tiny_checkpoint, other, checkpoint_folder.torch.bfloat16)
    made_with = manifest_sha256(tiny_checkpoint)[:12]

    def told():
        capsys.readouterr()
        again = ["repeat=a.png", f"checkpoint={other}", "device=cpu", "out=b.png", "overwrite=true"]
        assert main(["run", *again]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert told() == (
        f"note: a.png was made with another checkpoint ({made_with}); the result will differ. Give "
        "checkpoint=FOLDER"
    )
    monkeypatch.setattr(prompt_notes, "FORMER_DEMOS", (made_with,))
    assert told() == (
        f"note: a.png was made with a demo that another one has replaced ({made_with}); the result "
        "will differ. For the same file give checkpoint=FOLDER with that demo, from an earlier "
        "version of the project"
    )
    monkeypatch.setattr(demos, "demo_folder", lambda name: tiny_checkpoint)  # it is here
    assert "made with another checkpoint" in told()


@pytest.mark.parametrize("name", host.SHIPPED)
def test_the_demos_know_their_worlds_and_no_more(name):
    manifest = read_manifest(demos.demo_folder(name))
    assert set(data_seen(manifest)) == {"synthetic"}


def test_a_checkpoint_of_files_is_of_no_world_nor_what_begins_with_it(
    tiny_training, tiny_checkpoint, tiny_vae, work
):
    files = work / "files"
    files.mkdir()
    for number in range(6):
        Image.new("RGB", (32, 32), (40 * number, 0, 0)).save(files / f"{number}.png")
        (files / f"{number}.txt").write_text("a dog")

    def trained(out, *words):
        assert main(["train", *tiny_training(work / out, *words)]) == 0
        return next((work / out / "checkpoints").iterdir())

    folder = ("data=folder", f"data.path={files}", f"init_from={tiny_checkpoint}")
    tuned = trained("tuned", *folder, "token_budget=600", "data.max_tokens=150")
    again = trained("again", f"init_from={tuned}")
    assert data_seen(read_manifest(tiny_checkpoint)) == ["synthetic"]
    assert data_seen(read_manifest(tuned)) == ["synthetic", "folder"]
    assert data_seen(read_manifest(again)) == ["synthetic", "folder", "synthetic"]
    cpu, options = (
        checkpoint_folder.torch.device("cpu"),
        compose_run(["modality=image", f"checkpoint={again}", "prompt=x"]).options,
    )
    loaded = [
        checkpoint_model.load(
            each, "image", options, device=cpu, dtype=checkpoint_folder.torch.float32
        )
        for each in (tiny_checkpoint, tuned, again)
    ]
    assert [model.is_of_world for model in loaded] == [True, False, False]


@pytest.mark.parametrize("data", [None, 1, [], {}, {"name": ["synthetic"]}, "synthetic"])
def test_a_foreign_summary_of_a_training_is_no_world(data):
    assert "synthetic" not in data_seen({"training": {"data": data, "data_before": data}})[1:]


def test_a_wording_that_no_caption_has_is_read_as_the_plainest_caption(tiny_model, monkeypatch):
    model = replace(tiny_model, is_of_world=True)
    monkeypatch.setattr(
        model.modality.world, "writes", lambda text: text == PLAINEST, raising=False
    )
    asked = "large red circle"
    assert model.read_as(asked) == PLAINEST
    assert list(text_notes(model, asked, "")) == [
        f"note: the checkpoint has never seen words in this order; it reads {PLAINEST!r} instead"
    ]
    assert model.read_as(PLAINEST) == PLAINEST
