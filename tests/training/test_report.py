"""The page of a run: of any age, of one that goes on, of a damaged one, of two at once."""

import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from page_parser import Page

from lumina_core.cli.main import main
from lumina_core.media.previews import save_contact_sheet
from lumina_core.training.compose import compose_train
from lumina_core.training.folder import clear

OLD = Path(__file__).parents[1] / "made_before" / "training"
NASTY = "<script>alert('1')</script> & \"{{ x }}\" é\u202e"


@pytest.fixture
def run(tmp_path):
    """The folder of a run, with everything that a page can show."""
    folder = tmp_path / "first"
    (folder / "samples").mkdir(parents=True)
    lines = [
        {
            "step": step,
            "loss": 2 - step / 200,
            "gradient_norm": 1.0,
            "loss_at": {"0": 2.0, "0.1": 1.0},
            "loss_of": {"image": 1.0},  # alone it is the loss
            "token_share": {"image": 1.0},
            "num_skipped": 0,
            "peak": {"measured": 4.5e10},
            "loss_sized": {"0": 1.0, "64": 2.0},
        }
        for step in range(10, 310, 10)
    ]
    lines += [
        {
            "step": step,
            "validation_loss": {"0.1": 2 - step / 200, "0.9": 1.0},
            "caption_gap": {"0.1": step / 200, "0.9": 0.0},
            "start_validation_loss": {"0.1": 1.0},
        }
        for step in range(50, 301, 50)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"max_steps": 300, "seed": 0, "data": {"path": NASTY}}
    (folder / "config.json").write_text(json.dumps(settings))
    for step in range(20, 301, 20):
        previews = [torch.zeros(3, 8, 8 * n, dtype=torch.uint8) for n in (1, 2)]
        save_contact_sheet(folder / "samples" / f"step-{step:07d}.png", previews, ["a ring", NASTY])
    return folder


def page_of(out):
    return Page(out.read_text(encoding="utf-8"))


def test_a_page_shows_samples_then_curves_then_settings(run, capsys):
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"{run}/report.html\n"
    page = page_of(run / "report.html")
    assert page.texts_of("h2") == ["Samples, the newest first", "Verdict", "Curves"]
    assert page.texts_of("p")[:2] == [
        "step 300 of 300, loss 0.5; the matmul peak is 45 GFLOP/s, measured",
        "No over-fitting: the validation loss fell by 25% over the second half of the run and "
        "still falls.",
    ]
    assert page.texts_of("summary") == ["Settings"]
    tags = [tag for tag, _ in page.tags]
    assert tags.index("svg") < tags.index("p") < tags.index("details") < tags.index("table")
    titles = [attrs["aria-label"].partition(".")[0] for attrs in page.all("svg")][16:]
    assert titles == [
        "Training loss",
        "Validation loss at each t",
        "Caption gap at each t in %: how much larger the loss is with captions of others",
        "Validation loss on the data of its start",
        "Training loss from each t on",
        "Training loss from so many tokens on",
        "Norm of the gradient",
    ]


def test_a_page_has_no_script_and_asks_no_host_and_shows_text_of_others_as_it_is(run):
    assert main(["report", str(run)]) == 0
    text = (run / "report.html").read_text()
    page = Page(text)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert "http" not in text and "@import" not in text
    places = [attrs["href"] for tag in ("a", "image") for attrs in page.all(tag)]
    assert all((run / unquote(place)).is_file() for place in places)
    shown = NASTY.replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    assert shown in page.texts_of("h3")
    assert shown in page.texts_of("td")
    assert "color-scheme: light dark" in text and "width=device-width" in text


def test_a_prompt_has_a_strip_of_few_steps_cut_out_of_the_sheets(run):
    assert main(["report", str(run)]) == 0
    page = page_of(run / "report.html")
    cut = [attrs for attrs in page.all("svg") if "aria-label" in attrs][:16]
    assert [attrs["aria-label"] for attrs in cut[:3]] == [
        "a ring, step 300",
        "a ring, step 260",
        "a ring, step 220",
    ]
    assert cut[7]["aria-label"] == "a ring, step 20"
    assert cut[0]["viewbox"] == "6 6 64 64"
    assert cut[8]["viewbox"] == "6 100 128 64"


def test_a_run_of_an_older_version_has_a_page(tmp_path):
    old = shutil.copytree(OLD, tmp_path / "old")
    assert main(["report", str(old)]) == 0
    page = page_of(old / "report.html")
    assert "No verdict on over-fitting: the log has 3 lines" in page.texts_of("p")[1]
    (old / "config.json").unlink()
    assert main(["report", str(old)]) == 0


def test_a_sheet_that_does_not_say_where_its_pictures_are_is_shown_whole(run):
    from PIL import Image

    shutil.rmtree(run / "samples")
    (run / "samples").mkdir()
    Image.new("RGB", (60, 40)).save(run / "samples" / "step-0000010.png")
    (run / "samples" / "step-0000020.png").write_bytes(b"\x89PNG cut off")
    assert main(["report", str(run)]) == 0
    first = page_of(run / "report.html").all("svg")[0]
    assert (first["viewbox"], first["aria-label"]) == ("0 0 60 40", "all samples, step 10")


@pytest.mark.parametrize("settings", ["{", "[1]", '{"max_steps": {"a": 1}}', '{"a": "\\ud800"}'])
def test_a_page_is_made_of_what_is_whole(run, settings):
    (run / "config.json").write_text(settings)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\n{"step": 400, "loss": "x"}\n{"step": 310, "lo')
    assert main(["report", str(run)]) == 0
    assert page_of(run / "report.html").texts_of("p")[0].startswith("step 400")


def test_each_of_several_modalities_has_charts_a_verdict_and_samples(run):
    lines = [
        {
            "step": step,
            "loss": 1.0,
            "loss_of": {"audio": 1.0, "image": 2 - step / 400},
            "validation_loss": {"audio": {"0.1": 1.0}, "image": {"0.1": 2 - step / 400}},
            "evaluation": {
                "audio": {"accuracy": 0.5, "tasks": {"pitch": {"accuracy": 0.2}}},
                "image": {"accuracy": 0.1},
            },
        }
        for step in range(10, 310, 10)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "samples" / "step-0000300.png").rename(run / "samples" / "step-0000300-audio.png")
    assert main(["report", str(run)]) == 0
    page = page_of(run / "report.html")
    titles = [attrs["aria-label"].partition(".")[0] for attrs in page.all("svg")]
    assert titles[-6:] == [
        *("Training loss", "Validation loss at each t, audio", "Validation loss at each t, image"),
        *("Training loss of each modality", "Accuracy, audio", "Accuracy, image"),
    ]
    charts = {attrs["aria-label"].partition(".")[0]: attrs for attrs in page.all("svg")}
    assert "pitch: 0.2 at step 10" in charts["Accuracy, audio"]["aria-label"]
    first, second = page.texts_of("p")[1:3]
    assert first.startswith("audio: No over-fitting: the validation loss has levelled off")
    assert second.startswith("image: No over-fitting: the validation loss fell by")
    assert any(label == "a ring, step 300" for label in charts)


def test_two_runs_are_compared_on_one_page(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "second")
    (other / "config.json").write_text(json.dumps({"max_steps": 300, "seed": 7}))
    out = tmp_path / "pages" / "both.html"
    assert main(["report", str(run), f"compare={other}", f"out={out}"]) == 0
    page = page_of(out)
    assert page.texts_of("h1") == ["first and second"]
    assert page.texts_of("h2")[:2] == [
        "Samples of first, the newest first",
        "Samples of second, the newest first",
    ]
    assert "1 settings are alike." in page.texts_of("p")
    assert page.texts_of("td")[:2] == ["0", "7"]  # of the seed
    dashed = [attrs for attrs in page.all("path") if "dashed" in attrs.get("class", "")]
    assert len(dashed) * 2 == len([a for a in page.all("path") if a.get("class") != "noise"])
    links = [out.parent / unquote(attrs["href"]) for attrs in page.all("image")]
    assert {link.resolve().parents[1] for link in links} == {run, other}


def test_runs_of_one_name_are_told_apart_by_their_paths(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "more" / "first")
    assert main(["report", "first", "compare=more/first"]) == 0
    assert page_of(run / "report.html").texts_of("h1") == ["first and more/first"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "report takes FOLDER [compare=FOLDER] [out=FILE.html], got nothing"),
        (["first", "compare="], "report takes FOLDER"),
        (["first", "x"], "report takes FOLDER"),
        (["first", "--json"], "unknown option '--json' of report"),
        (["nowhere"], "nowhere holds no training; name the folder that `train out=FOLDER` wrote"),
        (["first", "compare=nowhere"], "nowhere holds no training"),
        (["first", "out=x.png"], "a page ends in .html"),
        (["first", "out=mine.html"], "is no page of ours"),
    ],
)
def test_a_mistake_is_one_line(run, monkeypatch, refusal, words, message):
    monkeypatch.chdir(run.parent)
    Path("mine.html").write_text("mine")
    assert message in refusal("report", *words)
    assert not (run / "report.html").exists()
    assert Path("mine.html").read_text() == "mine"


def test_a_log_that_is_no_file_is_refused(run, refusal):
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    assert "metrics.jsonl cannot be read" in refusal("report", str(run))


def test_a_page_of_others_stays_where_a_run_would_write_its_own(tiny_training, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("mine")
    words = tiny_training(out, "max_steps=1", "sample_every=0", "overwrite=true")
    assert main(["train", *words]) == 0
    note = capsys.readouterr().err.splitlines()[-1]
    assert note.startswith("note: the page of the run is not written: ")
    assert note.endswith("report.html exists already and is no page of ours; use out=FILE.html")
    assert (out / "report.html").read_text() == "mine"


def test_a_run_that_is_replaced_loses_its_page(run, tiny_training):
    assert main(["report", str(run)]) == 0
    clear(run, compose_train(tiny_training(run, "overwrite=true")))
    assert not (run / "report.html").exists()
