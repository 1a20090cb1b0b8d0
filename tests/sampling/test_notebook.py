"""A notebook shows media with players, in bounded size, and a bar while they are made."""

import sys
from base64 import b64decode
from io import BytesIO
from types import ModuleType, SimpleNamespace

import pytest
import torch
from page_parser import Page
from PIL import Image

import lumina_core
from lumina_core import LuminaError, terminal
from lumina_core.config.compose import compose_options
from lumina_core.sampling import notebook
from lumina_core.sampling.file_request import decoders, read_request
from lumina_core.sampling.generate import Generated, Items, step_bar
from lumina_core.sampling.request import media_sha256

NASTY = "<script>alert('1')</script> & \"quoted\" \x1b[2J \u202e"
SHAPES = {
    "image": (3, 32, 40),
    "video": (6, 3, 32, 48),
    "audio": (8000,),
    "multiview": (4, 3, 32, 32),
}


@pytest.fixture
def item_of():
    def item(modality, prompt="a red circle", **more):
        small = {"multiview": {"height": 32, "width": 32, "views": 4}}.get(modality, {})
        options = compose_options(modality, small)
        generator = torch.Generator().manual_seed(0)
        media = torch.randint(0, 255, more.pop("shape", SHAPES[modality]), generator=generator)
        media = media.to(torch.int16 if modality == "audio" else torch.uint8)
        request = {"modality": modality, "prompt": prompt, "seed": 3, "options": vars(options)}
        decoder = decoders()[modality]
        return Generated(media, options, request, media_sha256(media), 4, decoder)

    return item


@pytest.fixture
def cell(monkeypatch):
    """What the cell of a notebook shows, the newest last; `kernel` makes this process one."""
    shown = []

    class Handle:
        def update(self, bundle, *, raw):
            shown.append(bundle)

    def display(bundle, *, raw, display_id):
        shown.append(bundle)
        return Handle()

    class Kernel(ModuleType):
        shell = SimpleNamespace(kernel=object())

        def get_ipython(self):
            return self.shell

    ipython, library = Kernel("IPython"), ModuleType("IPython.display")
    library.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", library)
    return SimpleNamespace(shown=shown, ipython=ipython)


def data_of(url, content_type):
    head, data = url.split(",")
    assert head == f"data:{content_type};base64"
    return b64decode(data)


@pytest.mark.parametrize(
    ("modality", "tags", "content_type"),
    [
        ("image", ["figure", "img", "figcaption", "br"], "image/png"),
        ("video", ["figure", "video", "figcaption", "br"], "video/mp4"),
        ("audio", ["figure", "img", "audio", "figcaption", "br"], "audio/wav"),
        ("multiview", ["figure", "img", "figcaption", "br"], "image/png"),
    ],
)
def test_each_medium_plays_from_the_file_that_save_writes(
    item_of, tmp_path, modality, tags, content_type
):
    item = item_of(modality)
    page = Page(item._repr_html_())
    assert [tag for tag, _ in page.tags] == tags
    (medium,) = page.all(tags[-3])
    saved = item.save(tmp_path / f"x{item.decoder.suffixes[0]}")
    assert data_of(medium["src"], content_type) == saved.read_bytes()
    assert read_request(saved)["prompt"] == "a red circle"
    assert page.texts == ["a red circle", "seed 3"]
    if modality == "video":
        assert {"loop", "autoplay", "muted", "controls"} < medium.keys()
    if modality == "audio":
        (spectrogram,) = page.all("img")
        assert Image.open(BytesIO(data_of(spectrogram["src"], "image/png"))).width > 100


def test_a_prompt_is_text_in_a_notebook(item_of):
    for modality in ("image", "video", "audio"):
        page = Page(item_of(modality, NASTY)._repr_html_())
        assert page.all("script") == []
        assert page.texts[0] == NASTY.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")


def test_what_is_too_large_in_one_kind_of_file_comes_in_another(item_of, monkeypatch, tmp_path):
    item = item_of("audio")
    sizes = {end: item.save(tmp_path / f"x{end}").stat().st_size for end in (".wav", ".ogg")}
    monkeypatch.setattr(notebook, "MAX_ITEM", sizes[".ogg"])
    assert sizes[".ogg"] < sizes[".wav"]
    (audio,) = Page(item._repr_html_()).all("audio")
    assert audio["src"].partition(";")[0] in ("data:audio/flac", "data:audio/ogg")


@pytest.mark.parametrize("modality", SHAPES)
def test_a_large_medium_is_a_preview_with_one_sentence(item_of, monkeypatch, modality):
    monkeypatch.setattr(notebook, "MAX_ITEM", 100)
    monkeypatch.setattr(notebook, "MAX_STILL_SIDE", 16)
    item = item_of(modality)
    page = Page(item._repr_html_())
    (image,) = page.all("img")
    assert max(Image.open(BytesIO(data_of(image["src"], "image/png"))).size) == 16
    assert page.all("video") == page.all("audio") == []
    assert page.texts[-1].startswith("A preview: its file has 0.")
    assert Image.open(BytesIO(item._repr_png_())).width <= 16


def test_what_no_file_holds_is_a_preview_that_says_why(item_of, monkeypatch):
    item = item_of("image")

    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(item.decoder), "write", full)
    page = Page(item._repr_html_())
    assert len(page.all("img")) == 1
    assert page.texts[-1] == "A preview: No space left on device"


def test_a_list_shows_each_item_within_the_size_of_a_cell(item_of, monkeypatch):
    items = Items([item_of("image", f"prompt {number}") for number in range(5)])
    (size,) = {len(data_of(each["src"], "image/png")) for each in _images(items[:1])}
    monkeypatch.setattr(notebook, "MAX_CELL", 3 * size + 100)
    monkeypatch.setattr(notebook, "MAX_SHOWN", 4)
    page = Page(items._repr_html_())
    assert len(page.all("figure")) == 4
    assert [text for text in page.texts if text.startswith("prompt")] == [
        f"prompt {number}" for number in range(4)
    ]
    assert sum(text.startswith("A preview: ") for text in page.texts) == 1
    assert page.texts[-1] == "1 more are not shown."


def _images(items):
    return Page(notebook.items_html(items)).all("img")


def test_generate_gives_a_list_that_shows_itself(tiny_checkpoint, cell):
    settings = {"height": 32, "width": 32, "num_steps": 2, "device": "cpu"}
    model = lumina_core.load(tiny_checkpoint, **settings)
    steps = []
    items = list(model.stream("a star", num_samples=2, on_step=lambda *step: steps.append(step)))
    assert len(items) == 2 and steps == [(1, 2), (2, 2)] * 2
    told = [bundle["text/plain"] for bundle in cell.shown]
    assert told == ["generating 0 %", *(f"generating {n} %" for n in (25, 50, 75, 100)), ""]
    assert 'value="75"' in cell.shown[3]["text/html"]
    cell.shown.clear()
    cell.ipython.shell = SimpleNamespace()  # IPython in a terminal
    items = model.generate("a star", num_samples=2)
    assert cell.shown == []
    assert len(Page(items._repr_html_()).all("img")) == 2
    assert isinstance(items, list)


def test_a_bar_of_a_notebook_goes_however_its_block_ends(cell):
    with pytest.raises(KeyboardInterrupt), step_bar(2) as on_step:
        on_step(1, 2)
        raise KeyboardInterrupt
    assert [bundle["text/plain"] for bundle in cell.shown] == [
        "generating 0 %",
        "generating 25 %",
        "",
    ]
    with pytest.raises(LuminaError), terminal.notebook_bar("<b>"):
        raise LuminaError("no")
    assert "&lt;b&gt; 0 %" in cell.shown[-2]["text/html"]


def test_a_loop_in_a_notebook_has_a_bar_of_few_messages(cell, capsys):
    assert list(terminal.progress(range(1000), "encoding")) == list(range(1000))
    assert len(cell.shown) == 102
    cell.shown.clear()
    assert list(terminal.progress(iter("ab"), "encoding")) == ["a", "b"]
    assert list(terminal.announced(range(40), "encoding", "encoding 40")) == list(range(40))
    assert capsys.readouterr().err == ""
