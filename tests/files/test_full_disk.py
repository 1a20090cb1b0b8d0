"""On a full disk what belongs to one result is there together or not at all, and is made again."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from small_media import KINDS, made, modality_of

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.media import previews
from lumina_core.media.names import preview_path
from lumina_core.media.seal import state_of
from lumina_core.sampling.generate import Generated
from lumina_core.sampling.request import media_sha256
from lumina_core.sampling.saving import save_with_preview
from lumina_core.testing.mishaps import largest_file


@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_a_medium_and_its_preview_are_both_there_or_neither(tmp_path, name, suffix):
    media, request = made(name)
    decoder = modality_of(name).decoder
    options = modality_of(name).options
    item = Generated(media, options, request, media_sha256(media), 0, decoder)
    path = tmp_path / "whole" / f"a{suffix}"
    preview = save_with_preview(item, path, overwrite=False)
    assert preview == preview_path(path, decoder)
    parts = [part for part in path.parent.rglob("*") if part.is_file()]
    largest = max(part.stat().st_size for part in parts)
    limits = {1, largest // 2, largest - 1} | {part.stat().st_size - 1 for part in parts}
    target = tmp_path / "full" / f"a{suffix}"
    for limit in limits:
        with pytest.raises(LuminaError, match=r"cannot be written"), largest_file(limit):
            save_with_preview(item, target, overwrite=False)
        assert list(target.parent.iterdir()) == []
    save_with_preview(item, target, overwrite=False)
    assert state_of(target) is None
    assert len(list(target.parent.iterdir())) == 1 + (preview is not None)


def test_a_preview_whose_name_is_taken_meanwhile_takes_the_medium_away(tmp_path, monkeypatch):
    media, request = made("audio")
    audio = modality_of("audio")
    item = Generated(media, audio.options, request, media_sha256(media), 0, audio.decoder)
    path = tmp_path / "a.wav"
    save = Generated.save

    def save_late(self, path, **more):
        save(self, path, **more)
        path.with_name(f"{path.name}-preview.png").write_text("another program's")

    monkeypatch.setattr(Generated, "save", save_late)
    with pytest.raises(LuminaError, match=r"a\.wav-preview\.png exists already"):
        save_with_preview(item, path, overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav-preview.png"]


@pytest.fixture
def full(monkeypatch):
    """The disk is full when a contact sheet is written."""
    save = previews.save_contact_sheet

    def save_on_full_disk(*words, **more):
        with largest_file(100):
            save(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(previews, "save_contact_sheet", save_on_full_disk)
        yield patch


def test_a_sheet_without_room_says_what_is_there_and_the_next_run_makes_it(ask, work, capsys, full):
    words = ask("a star", "num_samples=2", "out=a.png", "json=true")
    assert main(words) == 2
    captured = capsys.readouterr()
    files = json.loads(captured.out)["files"]
    assert [file["path"] for file in files] == ["a-s0.png", "a-s1.png"]
    assert re.fullmatch(
        r"error: a-s0-sheet\.png cannot be written: .*; the 2 files of this run are whole and "
        r"stay, their contact sheet is missing; make room and give the same command with "
        r"overwrite=true, or look at them with: gallery \.\n",
        captured.err,
    )
    assert sorted(path.name for path in work.iterdir()) == ["a-s0.png", "a-s1.png"]
    full.undo()
    assert main([*words, "overwrite=true"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == files
    assert Image.open("a-s0-sheet.png").width > 32
    assert main(["gallery", "."]) == 0


def test_a_sheet_of_numbered_samples_without_room_is_made_by_the_same_command(
    ask, work, capsys, full
):
    words = ask("a star", "num_samples=2")
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == "outputs/image-0001-s0.png\noutputs/image-0002-s1.png\n"
    assert "give the same command, or look at them with: gallery outputs" in captured.err
    full.undo()
    assert main(words) == 0
    names = sorted(path.name for path in Path("outputs").iterdir())
    assert names == [
        *("image-0001-s0.png", "image-0002-s1.png"),
        *("image-0003-s0-sheet.png", "image-0003-s0.png", "image-0004-s1.png"),
    ]


def test_a_prompt_file_on_a_full_disk_goes_on_where_it_ended(ask, make, work, capsys, monkeypatch):
    decoder = type(modality_of("image").decoder)
    monkeypatch.setattr(decoder, "has_preview_file", True, raising=False)
    Path("p.txt").write_text("a star\na ring\na cross\n")
    words = ("prompt_file=p.txt", "out=made")
    saved = []

    def save(item, path, *, overwrite):
        saved.append(path)
        with largest_file(100 if len(saved) == 2 else 1 << 30):
            return save_with_preview(item, path, overwrite=overwrite)

    with monkeypatch.context() as patch:
        patch.setattr("lumina_core.sampling.prompt_run.save_with_preview", save)
        assert main(ask(*words)) == 2
    captured = capsys.readouterr()
    assert captured.out == "made/0001-s0.png\n"
    assert "cannot be written" in captured.err
    assert sorted(path.name for path in Path("made").iterdir()) == [
        *("0001-s0.png", "0001-s0.png-preview.png")
    ]
    files = make(*words)["files"]
    assert [file["skipped"] for file in files] == [True, False, False]
    assert len(list(Path("made").iterdir())) == 6


def test_a_gallery_on_a_full_disk_keeps_the_page_before(make, work, capsys):
    make("a star", "out=made/a.png")
    assert main(["gallery", "made"]) == 0
    page = Path("made/index.html").read_bytes()
    make("a ring", "out=made/b.png")
    capsys.readouterr()
    with largest_file(100):
        assert main(["gallery", "made"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert Path("made/index.html").read_bytes() == page
    assert main(["gallery", "made"]) == 0


@pytest.mark.parametrize("out", ["report.html", "kept"])
def test_a_measurement_whose_report_has_no_room_is_still_told(
    at_checkpoint, work, capsys, monkeypatch, out
):
    from lumina_core.evaluation import evaluate, pages

    words = ["num_prompts=1", "splits=[trained]", "solver.num_steps=1", "guidance.scale=1"]
    words = ["evaluate", *at_checkpoint, *words, "json=true", f"out={out}"]
    write = pages.write_page

    def write_on_full_disk(path, text):
        with largest_file(100):
            write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "write_page", write_on_full_disk)
        assert main(words) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["splits"]["trained"]["num_prompts"] == 1
    assert captured.err.count("\n") == 1
    assert "cannot be written" in captured.err
    assert list(work.iterdir()) == []
    assert main(words) == 0
    assert Path(out).exists()
