"""Media that are kept as a folder: here the decoder of pictures is given a suffix for one."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from lumina_core import LuminaError, atomic_folder
from lumina_core.cli.main import main
from lumina_core.data.listing import list_folder
from lumina_core.files import writing
from lumina_core.files.hashes import sha256_of
from lumina_core.files.writing import publish
from lumina_core.sampling import file_request, generate
from lumina_core.sampling.compose import compose_run


@pytest.fixture
def decoder(ask, monkeypatch):
    """The class of a decoder that writes x.parts as a folder with a picture and a text."""
    found = type(generate.load_model(compose_run(ask("prompt=x")[1:])).modality.decoder.part)
    write, read, read_metadata = found.write, found.read, found.read_metadata

    def write_folder(self, media, path, metadata, options):
        if path.suffix != ".parts":
            return write(self, media, path, metadata, options)
        with atomic_folder(path) as folder:
            write(self, media, folder / "a.png", metadata, options)
            (folder / "b").write_text("second part")

    def read_metadata_of_folder(self, path):
        if path.is_dir() and sorted(os.listdir(path)) != ["a.png", "b"]:
            raise LuminaError(f"{path} holds other things")
        return read_metadata(self, path / "a.png" if path.is_dir() else path)

    monkeypatch.setattr(found, "suffixes", (*found.suffixes, ".parts"))
    monkeypatch.setattr(found, "folder_suffixes", (".parts",), raising=False)
    monkeypatch.setattr(found, "write", write_folder)
    monkeypatch.setattr(
        found, "read", lambda self, path: read(self, path / "a.png" if path.is_dir() else path)
    )
    monkeypatch.setattr(found, "read_metadata", read_metadata_of_folder)
    return found


def test_a_suffix_may_stand_for_a_folder(decoder, make, work, capsys, tiny_checkpoint):
    (file,) = make("a star", "out=new/x.parts")["files"]
    assert file["path"] == "new/x.parts"
    assert sorted(os.listdir("new/x.parts")) == ["a.png", "b"]
    assert os.listdir("new") == ["x.parts"]
    assert file["sha256"] == sha256_of(Path("new/x.parts"))
    assert main(["info", "new/x.parts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == "a star"
    words = [f"checkpoint={tiny_checkpoint}", "json=true", "out=again.parts"]
    assert main(["run", "repeat=new/x.parts", *words]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["sha256"] == file["sha256"]


@pytest.mark.parametrize("name", ["x.parts/y.png", "x.parts/new/"])
def test_nothing_is_written_into_a_medium(name, decoder, make, clean_refusal, ask, work):
    make("a star", "out=x.parts")
    assert "lies in x.parts, which is one medium" in clean_refusal(*ask("a star", f"out={name}"))
    assert sorted(os.listdir("x.parts")) == ["a.png", "b"]


def test_a_folder_of_ours_is_replaced_only_when_told(decoder, make, clean_refusal, ask, work):
    make("a star", "out=x.parts")
    assert "out=x.parts exists already" in clean_refusal(*ask("a ring", "out=x.parts"))
    assert "out=x.parts exists already" in clean_refusal(*ask("a ring", "out=x.parts/"))
    (file,) = make("a ring", "out=x.parts/", "overwrite=true")["files"]
    assert file_request.read_request(Path("x.parts"))["prompt"] == "a ring"
    assert file["path"] == "x.parts"
    assert os.listdir(work) == ["x.parts"]


def test_a_folder_with_other_things_is_never_replaced(decoder, make, clean_refusal, ask, work):
    make("a star", "out=x.parts")
    Path("x.parts/notes.txt").write_text("mine")
    Path("empty.parts").mkdir()
    Path("file.parts").write_text("mine")
    Path("link.parts").symlink_to("x.parts")
    for name, message in {
        "x": "holds more or other things than what `run` writes",
        "empty": "holds more or other things",
        "file": "is a file; use another name",
        "link": "would have to be replaced",
    }.items():
        refused = clean_refusal(*ask("a ring", f"out={name}.parts", "overwrite=true"))
        assert message in refused


def test_several_samples_are_several_folders(decoder, make, work):
    found = make("a star", "out=x.parts", "num_samples=2")["files"]
    assert [file["path"] for file in found] == ["x-s0.parts", "x-s1.parts"]
    assert sorted(os.listdir(work)) == ["x-s0-sheet.png", "x-s0.parts", "x-s1.parts"]


def test_a_folder_of_one_medium_takes_no_prompt_file(decoder, make, clean_refusal, ask, work):
    Path("p.txt").write_text("a star\n")
    make("a star", "out=x.parts")
    line = clean_refusal(*ask("prompt_file=p.txt", "out=x.parts"))
    assert "out=x.parts is one file, prompt_file makes several" in line


def test_an_interrupt_leaves_no_folder(decoder, make, ask, work, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    make("a star", "out=x.parts")
    for owner, name in ((writing, "publish"), (decoder, "write")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            assert main(ask("a ring", "out=new.parts")) == 130
            assert main(ask("a ring", "out=x.parts", "overwrite=true")) == 130
        assert os.listdir(work) == ["x.parts"]
        assert file_request.read_request(Path("x.parts"))["prompt"] == "a star"


def test_save_writes_a_folder_or_says_its_name(decoder, ask, work, monkeypatch):
    config = compose_run(ask("prompt=x")[1:])
    (item,) = generate.generate_each(generate.load_model(config), [config])
    assert item.save("x.parts").is_dir()
    with pytest.raises(LuminaError, match=r"out=x.parts exists already"):
        item.save("x.parts")

    def refuse(self, media, path, metadata, options):
        raise LuminaError(f"{path} is too small for it")

    monkeypatch.setattr(decoder, "write", refuse)
    with pytest.raises(LuminaError, match=r"^y\.parts is too small for it$"):
        item.save("y.parts")
    assert os.listdir(work) == ["x.parts"]


def test_a_gallery_takes_a_folder_for_one_medium(decoder, make, work, capsys):
    make("a star", "out=made/x.parts")
    make("a ring", "out=made/deep/y.png")
    capsys.readouterr()
    assert main(["gallery", "made"]) == 0
    assert capsys.readouterr().err == ""
    page = Path("made/index.html").read_text()
    assert '<a href="x.parts">x.parts</a>' in page
    assert page.count("<figure>") == 2


def test_other_folders_are_no_media(decoder, refusal, work):
    Path("plain").mkdir()
    Path("plain.d").mkdir()
    Path("x.parts").mkdir()
    for name in ("plain", "plain.d"):
        assert f"{name} is no file" in refusal("run", f"repeat={name}")
        assert "lumina.json" in refusal("info", name)
    assert "x.parts holds other things" in refusal("info", "x.parts")


def test_the_hash_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path):
    for name, text in {"b": "2", "a.png": "1", ".hidden": "3"}.items():
        (tmp_path / name).write_text(text)
    words = ["sha256sum", "a.png", "b"]  # what `*` stands for
    printed = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout
    assert sha256_of(tmp_path) == hashlib.sha256(printed).hexdigest()
    assert sha256_of(tmp_path / "b") == hashlib.sha256(b"2").hexdigest()
    (tmp_path / "b").rename(tmp_path / "c")
    assert sha256_of(tmp_path) != hashlib.sha256(printed).hexdigest()


def test_the_hash_of_a_folder_knows_what_lies_deeper(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a").write_text("1")
    before = sha256_of(tmp_path)
    (tmp_path / "empty").mkdir()
    assert sha256_of(tmp_path) == before
    (tmp_path / "train" / "a").write_text("2")
    assert sha256_of(tmp_path) != before


def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        sha256_of(tmp_path)


def test_publish_gives_a_folder_its_name_but_never_that_of_another(tmp_path):
    for number in range(5):
        (tmp_path / f"new{number}").mkdir()
        (tmp_path / f"new{number}" / "part").write_text(str(number))
    publish(tmp_path / "new0", tmp_path / "x", overwrite=False)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("x", "file", "link"):
        with pytest.raises(FileExistsError):
            publish(tmp_path / "new1", tmp_path / name, overwrite=False)
    assert (tmp_path / "x" / "part").read_text() == "0"
    publish(tmp_path / "new2", tmp_path / "x", overwrite=True)
    assert (tmp_path / "x" / "part").read_text() == "2"
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "new1", "new3", "new4", "x"]


def test_a_folder_of_data_lists_a_media_folder_once(tmp_path):
    (tmp_path / "deep" / "x.parts").mkdir(parents=True)
    (tmp_path / "deep" / "x.parts" / "a.png").write_text("")
    (tmp_path / "deep" / "x.txt").write_text("a star")
    (tmp_path / "y.png").write_text("")
    (tmp_path / "y.txt").write_text("a ring")
    listing = list_folder(tmp_path, (".png", ".parts"), (".parts",))
    assert [(item.name, item.caption) for item in listing.items] == [
        *(("deep/x.parts", "a star"), ("y.png", "a ring"))
    ]
    assert not listing.skipped


def test_a_page_is_never_written_into_a_medium(decoder, make, clean_refusal, work):
    make("a star", "out=x.parts")
    for words in (["x.parts"], [".", "out=x.parts/page.html"], ["x.parts", "out=page.html"]):
        assert "x.parts is one medium, not a folder of them" in clean_refusal("gallery", *words)
