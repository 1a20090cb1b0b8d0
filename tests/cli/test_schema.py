"""The options of a modality as `schema` shows them."""

import json
import re
import subprocess
import sys

import pytest

from lumina_core.cli.main import main
from lumina_core.cli.schema import modality_schema, type_name
from lumina_core.plugins import host

INSTALLED = [plugin.name for plugin in host.discover()]
NUMBER = re.compile(r"\b(int|float)\b")


def test_json_holds_what_the_fields_say(toy, capsys):
    assert main(["schema", "toy", "--json"]) == 0
    options = json.loads(capsys.readouterr().out)
    assert options[0] == {
        "key": "modality.height",
        "type": "int",
        "unit": "pixels",
        "default": 32,
        "meaning": "of the toy",
        "is_fixed_by_checkpoint": False,
    }
    assert [(each["type"], each["default"]) for each in options[1:]] == [
        ("float", 1.0),
        ("int", 2),
        ("str", "demo"),
        ("[int, ...] | null", None),
    ]
    fixed = [each["key"] for each in options if each["is_fixed_by_checkpoint"]]
    assert fixed == ["modality.patch_size"]


def test_what_may_be_given_stands_behind_the_options(write_conditioned, capsys):
    write_conditioned()
    assert main(["schema", "toy", "--json"]) == 0
    image, frames = json.loads(capsys.readouterr().out)[-2:]
    assert (image["key"], image["type"], image["unit"]) == ("condition.image", "file | null", None)
    assert (frames["type"], frames["unit"], frames["meaning"]) == (
        "int | null", "frames", "how many of it"
    )  # fmt: skip
    assert image["default"] is frames["default"] is None


def test_the_table_has_one_line_per_option(toy, capsys):
    assert main(["schema", "toy"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["key", "type", "unit", "default", "meaning"]
    assert len(lines) == 5
    assert lines[2].split()[:4] == ["modality.patch_size", "int", "cells", "2"]
    assert lines[2].endswith("of a token (fixed by a checkpoint)")


@pytest.mark.parametrize("name", INSTALLED)
def test_every_shipped_option_has_a_meaning_and_every_number_a_unit(name):
    for option in modality_schema(name):
        assert option.meaning, option.key
        assert (option.unit is not None) == bool(NUMBER.search(option.type)), option.key


@pytest.mark.parametrize(
    ("hint", "is_file", "name"),
    [
        (bool, False, "bool"),
        (str | None, True, "file | null"),
        (float | tuple[float, ...], False, "float | [float, ...]"),
        (tuple[int, str] | None, False, "[int, str] | null"),
    ],
)
def test_types_are_named_as_one_writes_values(hint, is_file, name):
    assert type_name(hint, is_file) == name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["schema"], "schema takes one modality, got none; installed: toy"),
        (["schema", "toy", "toy"], "got toy toy; installed: toy"),
        (["schema", "tyo"], "Modality 'tyo' is not installed (installed: toy). Did you mean 'toy'"),
        (["schema", "bad"], "Modality 'bad' (lumina-bad 0.1) is broken: ModuleNotFoundError"),
        (["schema", "toy", "--jsn"], "Did you mean '--json'?"),
    ],
)
def test_a_schema_that_cannot_be_shown_is_one_line(toy, write_distribution, refusal, words, said):
    if "bad" in words:
        write_distribution("lumina-bad", "bad", "import a_package_that_is_missing")
    assert said in refusal(*words)


def test_schema_without_a_modality_says_how_to_install_one(write_distribution, refusal):
    assert "pip install ./plugins/lumina-image" in refusal("schema")


@pytest.mark.parametrize("name", INSTALLED)
def test_schema_does_not_import_torch(name):
    source = (
        f"import sys; from lumina_core.cli.main import main; code = main(['schema', {name!r}]); "
        "sys.exit(code or [name for name in ('torch', 'numpy') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
