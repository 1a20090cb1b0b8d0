"""The documentation: every block of code runs, and no name of the contract is missing."""

import dataclasses
import inspect
import re

import pytest
from doc_pages import (
    DOCS,
    ROOT,
    Page,
    blocks_of,
    generated_pages,
    num_code_lines,
    shortened,
)

import lumina_core
from lumina_core import modality
from lumina_core.cli.commands import CONFIGURED
from lumina_core.cli.help import USAGES
from lumina_core.modality import VAE, Decoder, Modality, Tokenizer, World, members
from lumina_core.plugins import hookspecs
from lumina_core.testing import fixtures
from lumina_core.testing.package import PUBLIC_MODULES
from rooms import CORE, modules

PAGES = sorted(
    path for path in [ROOT / "README.md", *DOCS.rglob("*.md")] if "```" in path.read_text()
)
LONG_PAGES = ("authoring", "cli")
"""Their code takes longer than that of all others; the nox session `docs` runs it."""
MAX_AUTHORED = 250  # lines of code in the page about a modality from nothing


def page(name):
    return (DOCS / name).read_text()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.docs if path.stem in LONG_PAGES else ())
        for path in PAGES
    ],
)
def test_every_block_of_a_page_runs(path, work, tmp_path, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    opened = Page(path, site, monkeypatch)
    try:
        for block in blocks_of(path.read_text()):
            opened.run(block)
    finally:
        opened.forget()


def test_every_fence_of_a_page_is_a_block():
    for path in PAGES:
        text = path.read_text()
        assert len(re.findall(r"^\s*```", text, re.MULTILINE)) == 2 * len(blocks_of(text)), path


@pytest.mark.parametrize("path", generated_pages(), ids=lambda path: path.stem)
def test_generated_parts_are_up_to_date(path):
    assert path.read_text() == generated_pages()[path], "run: python -m nox -s docs -- write"


def test_commands_are_shortened_as_documented():
    assert shortened(["train", "max_steps=9"]) == [
        *("train", "max_steps=9", "max_steps=3", "data.pool_size=32")
    ]
    assert shortened(["train", "--help"]) == ["train", "--help"]
    assert shortened(["evaluate", "a=b"]) == ["evaluate", "a=b", "num_prompts=2"]
    assert shortened(["run", "checkpoint=a/step-0001500"]) == ["run", "checkpoint=a/step-0000003"]


def test_a_modality_from_nothing_is_short():
    files = {block.file: block for block in blocks_of(page("authors/authoring.md")) if block.file}
    assert len(files) == 6
    lengths = (
        num_code_lines(block.body)
        if block.word == "python"
        else sum(not re.match(r"\s*(#|$)", line) for line in block.body.splitlines())
        for block in files.values()
    )
    assert sum(lengths) <= MAX_AUTHORED


def test_hooks_page_names_the_whole_contract():
    text = page("authors/hooks.md")
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "lumina_spec")]
    assert sorted(hooks) == ["lumina_autoencoders", "lumina_modality", "lumina_networks"]
    names = hooks + [field.name for field in dataclasses.fields(modality.ModalitySpec)]
    for base in (Decoder, Modality, Tokenizer, VAE, World):
        names += [base.__name__, *members(base)]
    assert not [name for name in names if not re.search(rf"`{name}[`(]", text)]


def test_cli_page_names_every_command_and_key():
    text = page("use/cli.md")
    assert not [command for command in USAGES if not re.search(rf"[`>]{command}[` ]", text)]
    for each in CONFIGURED.values():
        keys = {key.name.partition(".")[0] for key in each.command.keys}
        assert not [key for key in keys if not re.search(rf"`{key}[`.]", text)]


def test_cli_page_has_an_example_of_every_command():
    lines = [line for block in blocks_of(page("use/cli.md")) for line in block.body.splitlines()]
    shown = {re.sub("^(python -m lumina_core|lumina) ", "", line).split()[0] for line in lines}
    assert set(USAGES) <= shown


def test_python_page_names_everything_public():
    text = page("use/python_api.md")
    assert not [name for name in lumina_core.__all__ if f"`{name}`" not in text]
    assert not [name for name in PUBLIC_MODULES if f"`{name}`" not in text]
    shared = re.findall(r"^def ([a-z]\w+)", inspect.getsource(fixtures), re.MULTILINE)
    assert not [name for name in shared if not re.search(rf"`{name}[`(]", text)]


def test_architecture_page_has_every_module_once():
    rows = re.findall(r"^\| `([\w/]+\.py)` \|", page("inside/architecture.md"), re.MULTILINE)
    there = [path for path in modules(CORE).values() if path.name != "__init__.py"]
    assert sorted(rows) == sorted(path.relative_to(CORE).as_posix() for path in there)


def test_architecture_page_names_files_that_are_there():
    text = page("inside/architecture.md")
    drawn = "".join(block.body for block in blocks_of(text))
    files = re.findall(r"(?<=[ ,])([a-z_]+/[a-z_]+)(?=,|$)", drawn, re.MULTILINE)
    assert len(files) > 20
    files += re.findall(r"`(?!tests/)([a-z_/]+)\.py`", text)
    assert not [path for path in files if not (CORE / f"{path}.py").is_file()]


def test_links_of_pages_lead_somewhere():
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_page_stands_in_the_menu():
    menu = ROOT.joinpath("mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert not [page for page in pages if not re.search(rf"[ ]{re.escape(page)}$", menu, re.M)]
