"""The rooms of the core have one direction, and what must be light imports nothing heavy."""

import os
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from rooms import CORE, LEAVES, ROOMS, imported, modules, upward

CONFIGURATION = "config"


def circle(core):
    """The names of a circle of imports; empty where there is none."""
    try:
        list(TopologicalSorter(imported(core)).static_order())
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture
def other_core(tmp_path):
    """A copy of the core to break."""
    skipped = shutil.ignore_patterns("templates", "__pycache__", "conf")
    return shutil.copytree(CORE, tmp_path / "lumina_core", ignore=skipped)


def test_every_module_stands_in_a_room():
    assert {name.partition(".")[0] for name in modules(CORE)} == set(ROOMS)
    assert set(LEAVES.split()) == {path.stem for path in CORE.glob("[!_]*.py")}


def test_rooms_import_only_rooms_below():
    assert upward(CORE) == []


def test_imports_run_in_no_circle():
    assert circle(CORE) == []


def test_an_upward_import_is_found(other_core):
    path = other_core / "flow" / "path.py"
    path.write_text(path.read_text() + "\n\ndef late():\n    from lumina_core.cli import main\n")
    assert upward(other_core) == ["flow.path imports cli.main"]


def test_a_circle_is_found(other_core):
    path = other_core / "flow" / "settings.py"
    path.write_text(path.read_text() + "\n\nfrom lumina_core.flow import solver\n")
    assert upward(other_core) == []
    assert set(circle(other_core)) == {"flow.settings", "flow.solver"}


def third_party(code, core=CORE):
    """What a process that runs code has imported from other packages, all modules of it known."""
    told = "import sys; before = set(sys.modules)\n{}\nprint(*sorted(set(sys.modules) - before))"
    environment = os.environ | {"PYTHONPATH": str(core.parent)}
    words = [sys.executable, "-P", "-c", told.format(code)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    return tops - sys.stdlib_module_names - {"lumina_core"}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["train", "--help"], ["plugins"], ["plugins", "--json"]],
    ids=" ".join,
)
def test_help_and_the_list_of_plugins_import_the_core_alone(words):
    assert third_party(f"from lumina_core.cli.main import main; main({words})") == set()


def import_settings(core):
    names = [name for name in modules(core) if name.endswith(".settings")]
    return names, "; ".join(f"import lumina_core.{name}" for name in names)


def test_settings_import_no_other_package():
    names, code = import_settings(CORE)
    assert {"flow.settings", "sampling.settings", "training.settings"} <= set(names)
    assert third_party(code) == set()


def test_another_package_in_settings_is_found(other_core):
    path = other_core / "flow" / "settings.py"
    path.write_text(path.read_text() + "\n\nimport packaging\n")
    assert third_party(import_settings(other_core)[1], other_core) == {"packaging"}
