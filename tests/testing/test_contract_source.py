"""What the contract reads in the source of a plugin."""

from types import SimpleNamespace

import pytest

from lumina_core.testing.package import (
    PUBLIC_MODULES,
    api_is_a_literal,
    only_public_names_are_imported,
)
from lumina_core.testing.source import imports_below, parsed
from lumina_core.testing.verdicts import BrokenRuleError

SPEC = 'from lumina_core import ModalitySpec\n\nSPEC = ModalitySpec("b", "c", {api}\n)\n'


def subject_with(folder, text):
    (folder / "plugin.py").write_bytes(text.encode("latin-1"))
    return SimpleNamespace(source=folder, top_package="lumina_sprout", name="image")


@pytest.mark.parametrize(
    "text",
    [
        SPEC.format(api="api=(2, 1)  # not PLUGIN_API, which fits any core"),
        SPEC.format(api="(2, 1)"),
        "API = (2, 1)\n" + SPEC.format(api="api=API"),
        "# coding: latin-1\nNAME = 'Sprößling'\n" + SPEC.format(api="api=(2, 1)"),
    ],
)
def test_an_api_of_two_numbers_is_found(text, tmp_path):
    api_is_a_literal(subject_with(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        SPEC.format(api="api=PLUGIN_API"),
        SPEC.format(api="api=(PLUGIN_API[0], 1)"),
        SPEC.format(api='**{"api": PLUGIN_API}'),
    ],
)
def test_an_api_of_the_core_is_refused(text, tmp_path):
    with pytest.raises(BrokenRuleError, match="write api="):
        api_is_a_literal(subject_with(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "import lumina_core\n\nNAME = lumina_core.LuminaError.__name__\n",
        "import lumina_core.media.pixels\n\nMAKE = lumina_core.media.pixels.levels_of\n",
        "# coding: latin-1\nNAME = 'Sprößling'\n",
    ],
)
def test_public_names_may_be_taken(text, tmp_path):
    only_public_names_are_imported(subject_with(tmp_path, text))


def test_imports_and_attributes_are_found(tmp_path):
    (tmp_path / "a.py").write_text(
        "import lumina_core.media.pixels as frames\n"
        "from lumina_core.plugins import host as other\n"
        "frames._hidden()\n"
    )
    assert list(imports_below(tmp_path, PUBLIC_MODULES)) == [
        ("a.py", "lumina_core.media.pixels", []),
        ("a.py", "lumina_core.plugins", ["host"]),
        ("a.py", "lumina_core.media.pixels", ["_hidden"]),
    ]


def test_what_is_no_python_is_told_with_its_file(tmp_path):
    (tmp_path / "a.py").write_text("\ndef (:\n")
    with pytest.raises(BrokenRuleError, match=r"^a\.py, line 2: invalid syntax"):
        parsed(tmp_path / "a.py")
