import base64
import os
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from page_parser import Page
from PIL import Image

from lumina_core.evaluation import pages

NASTY = "<script>alert('1')</script> & \"quoted\" {braces} é 雪"


def gallery(**values):
    empty = {"title": "", "num_files": 1, "common": {}, "groups": []}
    return pages.render("gallery.html", **(empty | values))


def test_a_page_is_whole_accessible_and_without_network():
    figure = pages.Figure("x.png", ".png", NASTY, [NASTY])
    text = gallery(title=NASTY, common={"x": NASTY}, groups=[(NASTY, [figure])])
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) == len(page.all("h1")) == len(page.all("caption")) == 1
    assert page.all("script") == page.all("link") == []
    assert "http" not in text
    assert {attrs["scope"] for attrs in page.all("th")} == {"col", "row"}
    assert page.all("img") == [{"src": "x.png", "alt": NASTY, "loading": "lazy"}]
    assert page.texts.count(NASTY) == 6  # title, h1, h2, cell, figcaption, small


def test_pictures_come_before_settings_which_are_folded():
    figure = pages.Figure("x.png", ".png", "a bell", [f"line {number}" for number in range(6)])
    page = Page(gallery(common={"seed": 3}, groups=[("", [figure])]))
    tags = [tag for tag, _ in page.tags]
    assert tags.index("img") < tags.index("table")
    assert tags[tags.index("table") - 3 : tags.index("table")] == ["details", "summary", "div"]
    assert page.texts_of("summary") == ["3 more settings", "Settings of all files"]
    assert page.texts_of("small") == [f"line {number}" for number in range(6)]
    assert all("open" not in attrs for attrs in page.all("details"))


def test_all_pages_have_one_look_in_light_and_dark():
    css = gallery().partition("<style>")[2].partition("</style>")[0]
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    for name in ("bg", "surface", "text", "muted", "accent", "border"):
        assert f"--{name}: #" in light and f"--{name}: #" in dark and f"var(--{name})" in css
    assert "--radius: 10px" in light
    for path in (Path(pages.__file__).parent / "html").glob("*.html"):
        text = path.read_text()
        assert "#" not in text.replace("{#", "").replace("#}", "") or path.name == "page.html"
        assert path.name in ("page.html", "parts.html", "chart.html") or text.startswith(
            '{% extends "page.html" %}'
        )


@pytest.mark.parametrize(
    ("suffix", "tag"),
    [(".png", "img"), (".JPG", "img"), (".mp4", "video"), (".wav", "audio"), (".obj", "a")],
)
def test_each_kind_of_file_is_shown_as_browsers_can(suffix, tag):
    figure = pages.Figure(f"a/b{suffix}", suffix, "a bell", [])
    page = Page(gallery(groups=[("", [figure])]))
    (attrs,) = page.all(tag)
    assert f"a/b{suffix}" in (attrs.get("src"), attrs.get("href"))
    begin = page.tags.index(("figure", {}))
    assert [name for name, _ in page.tags[begin:]] == ["figure", tag, "figcaption"]


@pytest.mark.parametrize(
    "name", ["a b.png", "a#b?c.png", "50%.png", "a:b.png", '"<x>.png', "雪.png"]
)
def test_a_link_leads_to_its_file(tmp_path, name):
    link = pages.link(tmp_path / "sub" / name, tmp_path / "index.html")
    assert not set(link) & set(' #?:"<>')
    assert unquote(link) == f"sub/{name}"
    back = pages.link(tmp_path / name, tmp_path / "pages" / "index.html")
    assert unquote(back) == f"../{name}"


def test_a_name_that_is_no_utf8_breaks_no_page(tmp_path):
    path = Path(str(tmp_path), "caf\udce9.png")
    link = pages.link(path, tmp_path / "index.html")
    assert link == "caf%E9.png"
    pages.write_page(tmp_path / "a.html", gallery(title=path.name))
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h1>caf\N{REPLACEMENT CHARACTER}.png</h1>" in text


@pytest.mark.parametrize(("side", "embedded"), [(32, 32), (600, pages.MAX_PREVIEW_SIDE)])
def test_an_embedded_picture_is_a_png_of_bounded_size(side, embedded):
    preview = torch.full((3, side, side // 2), 7, dtype=torch.uint8)
    head, data = pages.data_uri(preview).split(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert image.size == (embedded // 2, embedded)
    assert image.getpixel((0, 0)) == (7, 7, 7)


def test_a_page_of_ours_is_known(tmp_path):
    own, other = tmp_path / "own.html", tmp_path / "other.html"
    pages.write_page(own, gallery(title="x" * 1000))
    other.write_text("<html>mine</html>")
    assert pages.is_own_page(own)
    assert not pages.is_own_page(other)


def test_a_pipe_is_no_page_of_ours(tmp_path):
    os.mkfifo(tmp_path / "pipe.html")
    assert not pages.is_own_page(tmp_path / "pipe.html")
