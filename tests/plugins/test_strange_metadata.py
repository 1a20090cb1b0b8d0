"""Metadata of packages that is strange: it hides or harms its own package only."""

import importlib

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import installed_plugins, unreadable_packages
from toy_plugin import MODALITIES, PLUGIN, YAML


def info_of(folder):
    return folder.parent / f"{folder.name}-0.1.dist-info"


@pytest.fixture
def read_again(monkeypatch):
    """Look at the whole environment, as a real process does."""
    monkeypatch.setattr(host, "installed_plugins", installed_plugins)
    monkeypatch.setenv("LUMINA_ONLY", "bad,toy")
    importlib.invalidate_caches()


def test_metadata_is_printed_harmlessly(write_distribution, capsys):
    folder = write_distribution("lumina-bad", "bad")
    hostile = "\x1b[31mred\x07 \x9b31m \u202eabc\x08 " + "x" * 10**5
    about = f"Metadata-Version: 2.1\nName: lumina-bad\nVersion: 0.1\x1b[2J\nSummary: {hostile}\n"
    (info_of(folder) / "METADATA").write_text(about)
    (folder / "conf/modality/bad.yaml").write_text(YAML.replace("# [pixels]", "# \x1b[2J"))
    for words in (["plugins"], ["plugins", "--json"], ["doctor", "bad"], ["run", "--help"]):
        main(words)
        out = capsys.readouterr().out
        assert all(char.isprintable() or char == "\n" for char in out)
        assert "red" in out
        assert len(out) < 10**4


@pytest.mark.parametrize("about", ["", "Metadata-Version: 2.1\nSummary: x\n"])
def test_a_package_without_name_or_version_is_listed(write_distribution, about):
    folder = write_distribution("lumina-bad", "bad")
    (info_of(folder) / "METADATA").write_text(about)
    (plugin,) = host.discover()
    assert (plugin.package, plugin.version, plugin.status) == ("unknown package", "?", "found")


@pytest.mark.parametrize("value", ["os:system", "lumina_bad.plugin:lumina_modality", "?", "", ".a"])
def test_an_entry_point_that_is_no_module_is_refused_unread(write_distribution, value):
    folder = write_distribution("lumina-bad", "bad", "raise RuntimeError('imported')")
    text = f"[{MODALITIES}]\nbad = {value}\n"
    (info_of(folder) / "entry_points.txt").write_text(text)
    (plugin,) = host.discover()
    assert (plugin.status, plugin.trace) == ("broken", None)
    assert f"its entry point is {value!r}; a module is wanted" in plugin.error


def test_extras_of_an_entry_point_change_nothing(write_distribution):
    folder = write_distribution("lumina-bad", "bad")
    text = f"[{MODALITIES}]\nbad = lumina_bad.plugin [extra]\n"
    (info_of(folder) / "entry_points.txt").write_text(text)
    assert host.load("bad").modality.endswith(":Toy")
    assert host.conf_folder("bad") == folder / "conf"


@pytest.mark.parametrize("content", [b"[lumina_core.modalities]\nbad\n", b"\xff\xfe[x]\n"])
def test_unreadable_entry_points_hide_one_package(write_distribution, read_again, capsys, content):
    folder = write_distribution("lumina-bad", "bad")
    (info_of(folder) / "entry_points.txt").write_bytes(content)
    write_distribution("lumina-toy", "toy")
    assert host.installed() == ["toy"]
    assert unreadable_packages() == ["lumina-bad"]
    assert main(["doctor"]) == 0
    assert "lumina-bad: the entry points of this package cannot be read" in capsys.readouterr().out


def test_a_distribution_found_twice_is_no_duplicate(
    write_distribution, read_again, tmp_path, monkeypatch
):
    folder = write_distribution("lumina-toy", "toy")
    for place, name in (("editable", "lumina_toy"), ("other", "Lumina.Toy")):
        info = tmp_path / place / "lumina_toy-0.2.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.2\n")
        entry = (info_of(folder) / "entry_points.txt").read_text()
        info.joinpath("entry_points.txt").write_text(entry)
        monkeypatch.syspath_prepend(str(tmp_path / place))
    (plugin,) = [plugin for plugin in host.discover() if plugin.name == "toy"]
    assert (plugin.status, plugin.version) == ("found", "0.2")  # the first on sys.path


def test_a_package_that_states_a_name_twice_is_named_once(write_distribution):
    folder = write_distribution("lumina-bad", "bad")
    entry = info_of(folder) / "entry_points.txt"
    entry.write_text(f"[{MODALITIES}]\nbad = lumina_bad.plugin\nbad = lumina_bad.other\n")
    with pytest.raises(LuminaError, match=r"lumina-bad states it twice, as .*other and .*plugin"):
        host.load("bad")
    entry.write_text(f"[{MODALITIES}]\nbad = lumina_bad.plugin\nbad = lumina_bad.plugin\n")
    host.forget()
    assert host.load("bad").modality.endswith(":Toy")


def test_a_package_that_comes_after_start_is_found(write_distribution, read_again):
    assert "toy" not in host.installed()
    write_distribution("lumina-toy", "toy", "import a_library_that_comes_later\n" + PLUGIN.format(
        package="lumina_toy", api="(3, 0)"))  # fmt: skip
    with pytest.raises(LuminaError, match="a_library_that_comes_later"):
        host.load("toy")
    later = write_distribution("lumina-bad", "bad").parent / "a_library_that_comes_later.py"
    later.write_text("")
    host.forget()
    assert host.load("toy").modality.endswith(":Toy")
    assert host.load("bad").modality.endswith(":Toy")
