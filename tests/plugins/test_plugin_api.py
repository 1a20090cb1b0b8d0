"""The policy of docs/authors/plugin_api.md: versions that load, deprecations as one line."""

import json
import re
import warnings
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.modality import PLUGIN_API
from lumina_core.plugins import hookspecs, host, loading, spec_check
from lumina_core.testing.package import PUBLIC_MODULES
from toy_plugin import PLUGIN

DOCS = Path(__file__).parents[2] / "docs" / "authors" / "plugin_api.md"
OTHER_HOOK = """
@hookimpl
def lumina_other(old, new):
    ...
"""
OLD_HOOK = "lumina_modality() goes with plugin API 9.0; implement lumina_modalities()"
OLD_ARGUMENT = "the argument old goes with plugin API 9.0; use new"
LINE = "Modality 'toy' (lumina-toy 0.1) is outdated: {}. Upgrade lumina-toy, or tell its author"


@pytest.fixture
def deprecated(monkeypatch):
    """Hookspecs of a coming version, in which a hook and an argument of another are deprecated."""
    mark = pluggy.HookspecMarker(hookspecs.PROJECT)
    coming = ModuleType("coming_hookspecs")
    coming.PROJECT = hookspecs.PROJECT

    @mark(warn_on_impl=DeprecationWarning(OLD_HOOK))
    def lumina_modality(): ...

    @mark(warn_on_impl_args={"old": DeprecationWarning(OLD_ARGUMENT)})
    def lumina_other(old, new): ...

    coming.lumina_modality, coming.lumina_other = lumina_modality, lumina_other
    coming.lumina_autoencoders = hookspecs.lumina_autoencoders
    coming.lumina_networks = hookspecs.lumina_networks
    host.forget()
    monkeypatch.setattr(loading, "hookspecs", coming)


@pytest.mark.parametrize(
    ("api", "way_out"),
    [
        ((2, 2), "lumina-toy, or change what docs/authors/plugin_api.md lists for 3.0"),
        ((3, 4), "lumina-core"),
        ((4, 0), "lumina-core"),
    ],
)
def test_an_incompatible_plugin_says_in_one_sentence_what_to_upgrade(
    write_distribution, refusal, monkeypatch, api, way_out
):
    monkeypatch.setattr(spec_check, "PLUGIN_API", (3, 3))
    write_distribution("lumina-toy", "toy", api=str(api))
    line = refusal("run", "+modality=toy", "x")
    assert line == (
        "error: Modality 'toy' (lumina-toy 0.1) is incompatible: it was written for plugin API "
        f"{api[0]}.{api[1]}, this lumina-core has 3.3. Upgrade {way_out}.\n"
    )


NEWER = {
    "a hook": PLUGIN.format(package="lumina_toy", api="(3, 99)")
    + "\n@hookimpl\ndef lumina_preview(): ...\n",
    "a field": PLUGIN.format(package="lumina_toy", api="(3, 99), preview=1"),
    "a name": "from lumina_core import a_new_name\n",
}


@pytest.mark.parametrize("kind", NEWER)
@pytest.mark.parametrize(
    ("wanted", "older"), [(">=9.1,<9.2", "lumina-core"), ("<0.1", "lumina-toy")]
)
def test_what_another_core_has_is_no_reason_for_a_traceback(
    write_distribution, refusal, kind, wanted, older
):
    folder = write_distribution("lumina-toy", "toy", NEWER[kind])
    about = folder.parent / "lumina_toy-0.1.dist-info" / "METADATA"
    about.write_text(f"{about.read_text()}Requires-Dist: lumina-core{wanted}\n")
    line = refusal("run", "+modality=toy", "x")
    assert "Modality 'toy' (lumina-toy 0.1) is incompatible: " in line
    if kind == "a hook":
        assert "was written for plugin API 3.99" in line
    else:
        assert f"it requires lumina-core{wanted}, this is 0." in line.replace("<9.2,>=9.1", wanted)
        assert f"Upgrade {older}." in line


def test_an_unknown_hook_is_taken_for_a_misspelt_one(write_distribution, refusal):
    source = PLUGIN.format(package="lumina_toy", api="(3, 0)").replace("_modality()", "_modalty()")
    write_distribution("lumina-toy", "toy", source)
    line = refusal("run", "+modality=toy", "x")
    assert "an unknown hook 'lumina_modalty'. Did you mean 'lumina_modality'?" in line


@pytest.mark.parametrize("minor", [0, 2, 3])
def test_a_plugin_written_for_an_older_minor_loads(write_distribution, monkeypatch, minor):
    monkeypatch.setattr(spec_check, "PLUGIN_API", (3, 3))
    write_distribution("lumina-toy", "toy", api=f"(3, {minor})")
    assert host.load("toy").api == (3, minor)


@pytest.mark.parametrize("api", ["[2, 0]", "(2,)", "(2, 0, 0)", "(2.0, 0)", "(True, 0)", "None"])
def test_a_version_that_is_none_is_refused(write_distribution, api):
    write_distribution("lumina-toy", "toy", api=api)
    with pytest.raises(LuminaError, match=r"ModalitySpec\.api is .*, not two integers"):
        host.load("toy")


def test_docs_tell_the_history_up_to_this_version():
    rows = re.findall(r"^\| (\d+)\.(\d+) \|", DOCS.read_text(), flags=re.MULTILINE)
    versions = [(int(major), int(minor)) for major, minor in rows]
    assert versions == sorted(versions)
    assert versions[-1] == PLUGIN_API


def test_docs_tell_where_public_modules_moved():
    moved = re.findall(r"^\| `lumina_core\.\w+` \| `(.+)` \|", DOCS.read_text(), re.MULTILINE)
    assert len(moved) == 10
    assert set(moved) <= set(PUBLIC_MODULES)


def test_a_deprecation_is_one_line_on_stderr_of_commands_that_use_the_plugin(
    write_distribution, deprecated, commands, capsys, recwarn
):
    source = PLUGIN.format(package="lumina_toy", api="(3, 0)") + OTHER_HOOK
    write_distribution("lumina-toy", "toy", source)
    warnings.simplefilter("error")
    for words in (["run", "+modality=toy", "x"], ["infer", "x"], ["train"], ["evaluate"]):
        words += ["+modality=toy"] * (len(words) == 1)
        assert main(words) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == f"{LINE.format(OLD_HOOK)}\n{LINE.format(OLD_ARGUMENT)}\n"
    assert not recwarn.list


def test_a_deprecation_is_listed_by_check_and_doctor_and_is_no_fault(
    write_distribution, deprecated, capsys
):
    write_distribution("lumina-toy", "toy")
    assert main(["plugins", "--check"]) == 0
    assert f"  note: {LINE.format(OLD_HOOK)}\n" in capsys.readouterr().out
    assert main(["plugins", "--check", "--json"]) == 0
    (toy,) = json.loads(capsys.readouterr().out)
    assert (toy["deprecations"], toy["notes"]) == ([LINE.format(OLD_HOOK)], [])
    assert main(["doctor", "toy"]) == 0
    captured = capsys.readouterr()
    assert LINE.format(OLD_HOOK) in captured.out
    assert captured.err == ""


def test_an_unknown_hook_is_refused_unless_it_is_optional(write_distribution):
    for package, mark in (
        ("lumina-toy", "@hookimpl"),
        ("lumina-new", "@hookimpl(optionalhook=True)"),
    ):
        module = package.replace("-", "_")
        source = PLUGIN.format(package=module, api="(3, 0)")
        later = f"\n{mark}\ndef lumina_later(): ...\n"
        write_distribution(package, package.removeprefix("lumina-"), source + later)
    with pytest.raises(LuminaError, match="lumina_later"):
        host.load("toy")
    assert host.load("new").modality.endswith(":Toy")
