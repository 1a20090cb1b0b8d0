from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch
from PIL import Image

from lumina_core.cli.main import main
from lumina_core.sampling.file_request import decoders

REQUEST = {
    "modality": "image",
    "prompt": "a red circle",
    "seed": 3,
    "options": {"height": 8, "width": 8},
    "solver": {"name": "euler", "num_steps": 2},
}


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "made"
    found.mkdir()
    return found


@pytest.fixture
def write():
    decoder = decoders()["image"]

    def file(path, **changes):
        path.parent.mkdir(exist_ok=True)
        media = torch.zeros(3, 8, 8, dtype=torch.uint8)
        decoder.write(media, path, REQUEST | changes, None)
        return path

    return file


class Figures(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.captions, self.rest, self.headings = [], [], "", []
        self._inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag):
        while self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if "figcaption" in self._inside:
            self.captions[-1] += data + "\n"
        elif "h2" in self._inside:
            self.headings.append(data)
        else:
            self.rest += data + "\n"


def test_a_gallery_shows_common_settings_once_and_others_with_each(folder, write, capsys):
    write(folder / "a.png")
    write(folder / "b <i>&.png", prompt="<b>bold</b>", solver={"name": "euler", "num_steps": 9})
    write(folder / "more" / "c.png", seed=4)
    write(folder / ".lumina-x" / "unfinished.png")
    Image.new("RGB", (8, 8)).save(folder / "a-sheet.png")
    (folder / "broken.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    assert main(["gallery", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/index.html\n"
    without, broken = captured.err.splitlines()
    assert without == "note: files without a request are not shown (1)"
    assert broken.startswith("note: files that cannot be read are not shown (1); the first: ")
    assert "broken.png cannot be read as a picture: " in broken
    page = Figures((folder / "index.html").read_text())
    assert [unquote(image["src"]) for image in page.images] == [
        *("a.png", "b <i>&.png", "more/c.png")
    ]
    assert [image["alt"] for image in page.images] == [
        "a red circle",
        "<b>bold</b>",
        "a red circle",
    ]
    assert page.headings == ["more"]
    first, second, third = page.captions
    assert "seed: 3" in first
    assert "seed: 4" in third
    assert "solver.num_steps: 2" in first
    assert "solver.num_steps: 9" in second
    assert not any("solver.name" in caption for caption in page.captions)
    assert page.rest.count("solver.name") == page.rest.count("options.height") == 1


def test_a_gallery_renews_its_own_page_only(folder, write, capsys):
    write(folder / "a.png")
    assert main(["gallery", str(folder)]) == 0
    write(folder / "b.png")
    assert main(["gallery", str(folder)]) == 0
    assert len(Figures((folder / "index.html").read_text()).images) == 2
    (folder / "index.html").write_text("mine")
    capsys.readouterr()
    assert main(["gallery", str(folder)]) == 2
    assert "is no page of ours; use out=FILE.html" in capsys.readouterr().err
    assert (folder / "index.html").read_text() == "mine"


def test_a_gallery_elsewhere_leads_back_to_the_files(folder, write, tmp_path, capsys):
    write(folder / "a.png")
    out = tmp_path / "pages" / "all.html"
    assert main(["gallery", str(folder), f"out={out}"]) == 0
    (image,) = Figures(out.read_text()).images
    assert (out.parent / image["src"]).resolve() == folder / "a.png"
    assert [path.name for path in out.parent.iterdir()] == ["all.html"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "gallery takes FOLDER [out=FILE.html], got "),
        (["a", "b"], "gallery takes FOLDER [out=FILE.html], got "),
        (["made", "out="], "gallery takes FOLDER [out=FILE.html], got "),
        (["made", "--json"], "unknown option '--json' of gallery"),
        (["nowhere"], "nowhere is no folder"),
        (["n" * 300], "is no folder"),
        (["made"], "holds no file with a request"),
        (["made", "out=x.png"], "a page ends in .html"),
        (["made", "out=folder.html"], "out=folder.html is a folder; use another name"),
        (["made", "out=file/x.html"], "which is a file"),
        (["made", f"out={'n' * 300}.html"], "no usable path"),
    ],
)
def test_a_mistake_is_one_line(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "file").write_text("mine")
    (folder.parent / "folder.html").mkdir()
    before = sorted(folder.parent.rglob("*"))
    assert main(["gallery", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert sorted(folder.parent.rglob("*")) == before


def test_help_tells_what_gallery_does(capsys):
    assert main(["gallery", "--help"]) == 0
    assert "gallery FOLDER [out=FILE.html]" in capsys.readouterr().out
