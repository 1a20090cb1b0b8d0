"""The rooms of the core have one direction, and what must be light imports nothing heavy."""

import shutil
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
