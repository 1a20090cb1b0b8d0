"""Previews beside files, where a decoder asks for them: here the one of pictures is made to."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.files import writing
from lumina_core.sampling import generate
from lumina_core.sampling.compose import compose_run


@pytest.fixture
def decoder(ask, monkeypatch):
    """The class of a decoder that wants previews."""
    found = type(generate.load_model(compose_run(ask("prompt=x")[1:])).modality.decoder)
    monkeypatch.setattr(found, "has_preview_file", True, raising=False)
    return found


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_preview_stands_beside_each_file(decoder, make, work):
    first, second = make("a star", "out=a.webp", "num_samples=2")["files"]
    assert (first["preview"], second["preview"]) == (
        "a-s0.webp-preview.png",
        "a-s1.webp-preview.png",
    )
    wanted = ["a-s0-sheet.png", "a-s0.webp", "a-s1.webp", first["preview"], second["preview"]]
    assert names(work) == sorted(wanted)
    with Image.open("a-s0.webp-preview.png") as preview, Image.open("a-s0.webp") as picture:
        assert (preview.format, picture.format) == ("PNG", "WEBP")
        assert preview.tobytes() == picture.tobytes()
    (numbered,) = make("a star")["files"]
    assert numbered["preview"] == "outputs/image-0001-s0.png-preview.png"
    assert make("a star")["files"][0]["path"] == "outputs/image-0002-s0.png"


def test_one_name_may_have_several_kinds(decoder, make, work):
    for suffix in ("webp", "png", "jpg"):
        assert make("a star", f"out=a.{suffix}")["files"][0]["preview"] == f"a.{suffix}-preview.png"


def test_standard_output_is_the_path_alone(decoder, ask, work, capfd):
    assert main(ask("a star", "out=a.png")) == 0
    assert capfd.readouterr() == ("a.png\n", "")


def test_media_that_need_no_preview_get_none(make, work):
    assert "preview" not in make("a star", "out=a.png")["files"][0]
    assert names(work) == ["a.png"]


def test_a_preview_never_replaces_a_file_unless_told(decoder, make, clean_refusal, ask, work):
    (work / "a.png-preview.png").write_text("mine")
    (work / "b-s1.png-preview.png").write_text("mine")
    (work / "c.png-preview.png").mkdir()
    line = clean_refusal(*ask("x", "out=a.png"))
    assert "a.png-preview.png exists already; use overwrite=true or another name" in line
    assert "b-s1.png-preview.png" in clean_refusal(*ask("x", "out=b.png", "num_samples=2"))
    refused = clean_refusal(*ask("x", "out=c.png", "overwrite=true"))
    assert "c.png-preview.png exists already; use another name" in refused
    make("x", "out=a.png", "overwrite=true")
    assert Image.open("a.png-preview.png").size == (32, 32)


def test_a_killed_run_leaves_no_half_a_preview(decoder, ask, work, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoder, "preview", interrupt)
    assert main(ask("x", "out=a.png")) == 130
    assert names(work) == []


def test_a_preview_that_cannot_be_written_is_one_line(decoder, ask, work, monkeypatch, capfd):
    publish = writing.publish

    def full(temporary, path, *, overwrite):
        if "preview" in path.name:
            raise OSError(28, "No space left on device")
        publish(temporary, path, overwrite=overwrite)

    monkeypatch.setattr(writing, "publish", full)
    assert main(ask("a star", "out=a.png")) == 2
    line = "error: a.png-preview.png cannot be written: No space left on device\n"
    assert capfd.readouterr().err == line
    assert names(work) == []
    monkeypatch.setattr(writing, "publish", publish)
    assert main(ask("a star", "out=a.png")) == 0


def test_save_writes_the_file_alone(decoder, ask, work):
    config = compose_run(ask("prompt=x")[1:])
    (item,) = generate.generate_each(generate.load_model(config), [config])
    item.save("a.png")
    assert names(work) == ["a.png"]


def test_a_prompt_file_gets_previews_and_completes_them(decoder, make, clean_refusal, ask, work):
    Path("p.txt").write_text("a star\na ring\n")
    words = ("prompt_file=p.txt", "out=made")
    first, _ = make(*words)["files"]
    assert first["preview"] == "made/0001-s0.png-preview.png"
    whole = {path.name: path.read_bytes() for path in Path("made").iterdir()}
    assert len(whole) == 4
    os.unlink("made/0001-s0.png-preview.png")
    os.unlink("made/0002-s0.png")
    assert "0002-s0.png-preview.png exists already" in clean_refusal(*ask(*words))
    os.unlink("made/0002-s0.png-preview.png")
    first, second = make(*words)["files"]
    assert (first["skipped"], second["skipped"]) == (True, False)
    assert first["preview"] == "made/0001-s0.png-preview.png"
    assert {path.name: path.read_bytes() for path in Path("made").iterdir()} == whole


def test_a_file_that_is_refused_is_named_and_not_its_preview(
    decoder, make, clean_refusal, ask, work
):
    Path("p.txt").write_text("a star\na ring\n")
    words = ("prompt_file=p.txt", "out=made")
    assert len(make(*words)["files"]) == 2
    error = clean_refusal(*ask(*words, "guidance.scale=3"))
    assert "made/0001-s0.png was made with another guidance (and 1 others like it)" in error


def test_a_gallery_shows_the_preview_below_the_medium(decoder, make, work, capsys):
    make("a star", "out=made/a b.webp")
    make("a star", "out=made/c.webp")
    os.unlink("made/c.webp-preview.png")
    Image.new("RGB", (8, 8)).save("made/other.png")
    capsys.readouterr()
    assert main(["gallery", "made"]) == 0
    assert capsys.readouterr().err == "note: files without a request are not shown (1)\n"
    page = Path("made/index.html").read_text()
    assert page.count("<figure>") == 2
    assert page.index('src="a%20b.webp"') < page.index('src="a%20b.webp-preview.png"')
    assert "c.webp-preview.png" not in page


def test_a_format_that_cannot_hold_the_medium_is_refused_first(
    decoder, clean_refusal, ask, monkeypatch
):
    def check(self, suffix, media_shape, options):
        if suffix == ".webp" and media_shape == (3, 32, 48):
            raise LuminaError(f"width={options.width} does not fit")

    monkeypatch.setattr(decoder, "check_format", check, raising=False)
    monkeypatch.setattr(generate, "sample_batch", None)
    assert "width=48 does not fit" in clean_refusal(*ask("x", "out=a.WebP", "modality.width=48"))
    Path("p.jsonl").write_text(json.dumps({"prompt": "x", "width": 48}) + "\n")
    monkeypatch.setattr(decoder, "suffixes", (".webp", ".png"))
    assert "p.jsonl, line 1: width=48 does" in clean_refusal(*ask("prompt_file=p.jsonl", "out=d"))
