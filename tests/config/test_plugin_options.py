"""Options of plugins that are strange: refused in one line, wherever they are met."""

import json

import pytest

from lumina_core import LuminaError, errors
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from toy_plugin import OPTIONS

CHECK = "    def __post_init__(self):\n"
NESTED = (
    OPTIONS.partition("@dataclass")[0]
    + "@dataclass(frozen=True)\nclass Place:\n    x: int = setting(1, 'across', unit='cells')\n"
    + "    y: float = setting(0.5, 'down', unit='cells')\n\n\n@dataclass"
    + OPTIONS.partition("@dataclass")[2].replace(
        "sizes: tuple[int, ...] | None =", "place: Place = Place() #"
    )
)


@pytest.fixture(params=["schema", "run", "train"])
def words(request):
    """A command that makes options."""
    more = {"schema": ["bad"], "run": ["+modality=bad", "x"], "train": ["+modality=bad"]}
    return [request.param, *more[request.param]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise KeyError('a')", "Options cannot be made: KeyError: 'a'"),
        ("import sys; sys.exit(9)", "Options cannot be made: it calls sys.exit(9)"),
        ("raise ValueError('a\\nb\\x1b[31m' + 'x' * 10**4)", "a b�[31mxxx"),
    ],
)
def test_whatever_making_options_raises_is_one_line(
    write_distribution, commands, refusal, capsys, words, line, reason
):
    write_distribution(
        "lumina-bad", "bad", options=OPTIONS.replace(CHECK, f"{CHECK}        {line}\n")
    )
    write_distribution("lumina-toy", "toy")
    said = refusal(*words)
    assert reason in said and len(said) < 800
    assert main(["plugins", "--check", "--json"]) == 1
    bad, good = json.loads(capsys.readouterr().out)
    assert (bad["status"], good["status"]) == ("broken", "loaded")
    assert reason in bad["error"]


def test_an_exception_that_cannot_be_shown_is_named_by_its_type(write_distribution, refusal):
    source = "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E\n"
    write_distribution("lumina-bad", "bad", source)
    assert "is broken: E: it cannot say why" in refusal("schema", "bad")
    write_distribution("lumina-odd", "odd", "class C:\n    __repr__ = None\nraise SystemExit(C())")
    assert "it calls sys.exit('C')" in refusal("schema", "odd")


@pytest.mark.parametrize(
    ("hint", "named"),
    [
        ("list[int]", "Options.sizes is of type list; use bool, int"),
        ("'Literal[1, 2]'", "annotations that cannot be read: NameError"),
        ("dict", "Options.sizes is of type dict"),
        ("tuple[list[int], ...]", "Options.sizes is of type tuple"),
        ("tuple", "Options.sizes is of type tuple"),
    ],
)
def test_types_that_nothing_is_checked_against_are_refused(
    write_distribution, refusal, hint, named
):
    options = OPTIONS.replace("tuple[int, ...] | None", hint)
    write_distribution("lumina-bad", "bad", options=options)
    assert named in refusal("schema", "bad")


def test_a_record_in_the_options_has_dotted_keys(write_distribution, commands, capsys, refusal):
    write_distribution("lumina-toy", "toy", options=NESTED)
    assert main(["schema", "toy", "--json"]) == 0
    found = {each["key"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["modality.place.y"]["type"] == "float"
    assert found["modality.place.y"]["default"] == 0.5
    assert found["modality.place.x"]["unit"] == "cells"
    assert main(["run", "+modality=toy", "x", "modality.place.x=3"]) == 0
    assert commands[0].options.place.x == 3
    said = refusal("run", "+modality=toy", "x", "modality.place.xx=3")
    assert "Did you mean 'modality.place.x'?" in said


def test_numbers_that_json_has_not_are_texts(write_distribution, capsys):
    write_distribution("lumina-toy", "toy", options=OPTIONS.replace("setting(1.0", "setting(1e999"))
    assert main(["schema", "toy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found[1]["default"] == "inf"


def test_a_module_of_options_cannot_replace_what_the_core_has(write_distribution):
    meddling = "import lumina_core.errors\nlumina_core.errors.printable = None\n"
    before = errors.printable
    write_distribution("lumina-bad", "bad", options=meddling + OPTIONS)
    compose_options("bad")
    assert errors.printable is before
    (plugin,) = host.discover()
    assert "replaces lumina_core.errors.printable, which was put back" in " ".join(plugin.notes)


@pytest.mark.parametrize(
    "word",
    [
        "modality.sizes=" + "[" * 900,
        "modality.ratio=" + "9" * 400,
        "modality.height=" + "9" * 5000,
        "modality.sizes={1:1}",
    ],
)
def test_a_value_that_nothing_can_read_is_one_line(toy, commands, refusal, word):
    key = word.partition("=")[0]
    said = refusal("run", "+modality=toy", "x", word)
    assert key in said


def test_a_number_beyond_all_in_a_yaml_is_one_line(write_distribution):
    number = "1" + "0" * 400
    write_distribution("lumina-toy", "toy", yaml=f"sampling: {{guidance: {{scale: {number}}}}}")
    with pytest.raises(LuminaError, match=r"toy\.yaml: guidance\.scale must be a number, got 1000"):
        compose_sampling("toy")


def test_options_without_settings_are_refused(write_distribution, refusal):
    write_distribution("lumina-bad", "bad", options=OPTIONS.replace("setting(1.0, ", "(1.0, "))
    assert "declare it as ratio: ... = setting(DEFAULT, MEANING)" in refusal("schema", "bad")
