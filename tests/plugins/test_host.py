import os
import subprocess
import sys
import threading
from importlib import metadata

import pytest

from lumina_core import LuminaError, ModalitySpec
from lumina_core.plugins import demos, host
from toy_plugin import MODALITIES

HOOK = """
from lumina_core import ModalitySpec, hookimpl

@hookimpl
def lumina_modality():
    {body}
"""
HOSTILE = {
    "import_error": ("import a_package_that_is_missing", "ModuleNotFoundError"),
    "syntax_error": ("def broken(:", "SyntaxError"),
    "exit": ("import sys; sys.exit(3)", "sys.exit(3)"),
    "no_hook": ("x = 1", "no lumina_modality"),
    "unmarked_hook": ("def lumina_modality(): ...", "no lumina_modality"),
    "wrong_type": (HOOK.format(body="return 'toys'"), "returned str"),
    "no_value": (HOOK.format(body="return None"), "returned None"),
    "raises": (
        HOOK.format(body="raise ZeroDivisionError('two\\nlines')"),
        "ZeroDivisionError: two",
    ),
    "misspelt": (HOOK.format(body="pass").replace("lumina_mod", "lumina_mud"), "lumina_mudality"),
    "argument": (HOOK.format(body="pass").replace("()", "(nope)"), "nope"),
    "path": (
        HOOK.format(body="return ModalitySpec('no path', 'a.b:c', (3, 0))"),
        "'module:attribute'",
    ),
    "api_type": (HOOK.format(body="return ModalitySpec('a:b', 'a:b', '1.0')"), "two integers"),
}


def _only(name):
    return next(plugin for plugin in host.discover() if plugin.name == name)


def test_discover_reads_metadata_without_importing(write_distribution):
    write_distribution("lumina-toy", "toy", "raise RuntimeError('imported')")
    plugin = _only("toy")
    assert (plugin.package, plugin.version, plugin.status) == ("lumina-toy", "0.1", "found")
    assert plugin.summary == "About lumina-toy"
    assert plugin.error is None
    assert "lumina_toy" not in sys.modules


def test_load_gives_the_spec_and_marks_the_plugin_loaded(write_distribution):
    write_distribution("lumina-toy", "toy")
    assert isinstance(host.load("toy"), ModalitySpec)
    assert host.load("toy") is host.load("toy")
    assert _only("toy").status == "loaded"
    assert host.options_class("toy").__name__ == "Options"
    assert host.modality_class("toy").__name__ == "Toy"


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_plugin_is_broken_with_its_reason(write_distribution, kind):
    source, reason = HOSTILE[kind]
    write_distribution("lumina-toy", "toy", source)
    for _ in range(2):
        with pytest.raises(LuminaError) as raised:
            host.load("toy")
        message = str(raised.value)
        assert message.startswith("Modality 'toy' (lumina-toy 0.1) is broken: ")
        assert reason in message
        assert message.endswith("See: python -m lumina_core doctor toy")
        assert "\n" not in message
    plugin = _only("toy")
    assert plugin.status == "broken"
    assert reason in plugin.error
    is_raised_there = kind in ("import_error", "syntax_error", "exit", "raises")
    assert ("lumina_toy/plugin.py" in (plugin.trace or "")) == is_raised_there


def test_a_broken_plugin_leaves_its_neighbour_working(write_distribution):
    write_distribution("lumina-bad", "bad", HOSTILE["exit"][0])
    write_distribution("lumina-worse", "worse", HOSTILE["syntax_error"][0])
    write_distribution("lumina-toy", "toy")
    for name in ("bad", "worse"):
        with pytest.raises(LuminaError):
            host.load(name)
    assert host.load("toy").modality.endswith(":Toy")
    assert host.installed() == ["toy"]


def test_a_broken_neighbour_is_not_imported(write_distribution):
    write_distribution("lumina-bad", "bad", HOSTILE["exit"][0])
    write_distribution("lumina-toy", "toy")
    host.load("toy")
    assert _only("bad").status == "found"


@pytest.mark.parametrize(
    ("api", "advice"),
    [
        ("(4, 0)", "Upgrade lumina-core"),
        ("(3, 9)", "Upgrade lumina-core"),
        ("(1, 2)", "Upgrade lumina-toy"),
    ],
)
def test_another_plugin_api_is_incompatible(write_distribution, api, advice):
    write_distribution("lumina-toy", "toy", api=api)
    with pytest.raises(LuminaError, match=advice):
        host.load("toy")
    assert _only("toy").status == "incompatible"


def test_duplicates_name_both_packages_and_the_way_out(write_distribution, monkeypatch):
    write_distribution("lumina-toy", "toy")
    write_distribution("other-toy", "toy")
    with pytest.raises(LuminaError) as raised:
        host.load("toy")
    for part in ("lumina-toy", "other-toy", "LUMINA_BLOCK=other-toy", "pip uninstall other-toy"):
        assert part in str(raised.value)
    assert [plugin.status for plugin in host.discover()] == ["duplicate", "duplicate"]
    monkeypatch.setenv("LUMINA_BLOCK", "other-toy")
    assert host.load("toy").options == "lumina_toy.options:Options"


def test_what_can_never_be_used_is_no_duplicate(write_distribution, monkeypatch):
    bad = write_distribution("lumina-bad", "toy")
    entry = bad.parent / "lumina_bad-0.1.dist-info" / "entry_points.txt"
    entry.write_text(f"[{MODALITIES}]\ntoy = lumina_bad.plugin:hook\n")
    write_distribution("lumina-toy", "toy")
    assert host.load("toy").options == "lumina_toy.options:Options"


def test_of_duplicates_the_one_with_the_usual_name_stays(write_distribution):
    write_distribution("a-toy", "toy")
    write_distribution("lumina-toy", "toy")
    with pytest.raises(LuminaError, match=r"pip uninstall a-toy, or set LUMINA_BLOCK=a-toy"):
        host.load("toy")


def test_block_takes_any_spelling_of_a_package(write_distribution, monkeypatch):
    folder = write_distribution("lumina-toy", "toy")
    about = folder.parent / "lumina_toy-0.1.dist-info" / "METADATA"
    about.write_text(about.read_text().replace("lumina-toy", "Lumina_Toy"))
    for spelling in ("lumina-toy", "lumina_toy", "Lumina.Toy"):
        monkeypatch.setenv("LUMINA_BLOCK", spelling)
        assert _only("toy").status == "blocked"


def test_block_and_only_never_import(write_distribution, monkeypatch):
    write_distribution("lumina-toy", "toy")
    write_distribution("lumina-two", "two")
    monkeypatch.setenv("LUMINA_BLOCK", "toy")
    with pytest.raises(
        LuminaError, match=r"is blocked: it stands in LUMINA_BLOCK; .*unset LUMINA_BLOCK"
    ):
        host.load("toy")
    assert host.installed() == ["two"]
    monkeypatch.setenv("LUMINA_BLOCK", "")
    monkeypatch.setenv("LUMINA_ONLY", "toy")
    assert host.installed() == ["toy"]
    monkeypatch.setenv("LUMINA_ONLY", "")
    assert host.installed() == []


def test_strict_lets_the_exception_through(write_distribution, monkeypatch):
    write_distribution("lumina-toy", "toy", HOSTILE["import_error"][0])
    monkeypatch.setenv("LUMINA_STRICT", "1")
    with pytest.raises(ModuleNotFoundError):
        host.load("toy")


def test_interrupt_passes_through_and_is_not_remembered(write_distribution):
    write_distribution("lumina-toy", "toy", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        host.load("toy")
    assert _only("toy").status == "found"


def test_unknown_names_say_what_to_do(write_distribution):
    with pytest.raises(LuminaError, match=r"no modality is.*Install one: .*/plugins/lumina-image"):
        host.load("toy")
    write_distribution("lumina-toy", "toy")
    for name in host.SHIPPED:
        with pytest.raises(LuminaError, match=rf"installed: toy\)\. Install it: .*/lumina-{name} "):
            host.load(name)
    with pytest.raises(LuminaError, match=r"Did you mean 'toy'\?$"):
        host.load("tyo")
    with pytest.raises(LuminaError, match=r"Did you mean 'image'\? Install it: .*lumina-image"):
        host.load("imgae")


def test_a_name_that_no_override_can_address_is_broken(write_distribution):
    write_distribution("lumina-toy", "to-y")
    assert _only("to-y").status == "broken"


def test_a_distribution_without_metadata_is_listed(write_distribution):
    folder = write_distribution("lumina-toy", "toy")
    (folder.parent / "lumina_toy-0.1.dist-info" / "METADATA").unlink()
    plugin = _only("toy")
    assert (plugin.package, plugin.version, plugin.summary) == ("unknown package", "?", "")
    assert host.load("toy").modality.endswith(":Toy")


@pytest.mark.parametrize("content", [b"Name: t\xff\n", b"\x00\xfe\xff" * 99])
def test_unreadable_metadata_breaks_only_its_plugin(write_distribution, content):
    folder = write_distribution("lumina-bad", "bad")
    (folder.parent / "lumina_bad-0.1.dist-info" / "METADATA").write_bytes(content)
    write_distribution("lumina-toy", "toy")
    assert _only("bad").status == "broken"
    assert "metadata of its package cannot be read (UnicodeDecodeError" in _only("bad").error
    with pytest.raises(LuminaError, match="is broken: the metadata"):
        host.load("bad")
    assert host.installed() == ["toy"]
    assert host.load("toy").modality.endswith(":Toy")


def test_missing_parts_are_named(write_distribution):
    write_distribution("lumina-toy", "toy", toy="import a_package_that_is_missing\n", options="")
    with pytest.raises(LuminaError, match=r"cannot load lumina_toy\.toy:Toy: ModuleNotFoundError"):
        host.modality_class("toy")
    with pytest.raises(LuminaError, match=r"cannot load lumina_toy\.options:Options"):
        host.options_class("toy")


def test_folders_are_found_without_import(write_distribution):
    folder = write_distribution("lumina-toy", "toy", HOSTILE["exit"][0])
    assert host.conf_folder("toy") == folder / "conf"
    assert demos.demo_folder("toy") is None
    (folder / "demo").mkdir()
    assert demos.demo_folder("toy") == folder / "demo"
    assert "lumina_toy" not in sys.modules


def test_threads_import_a_plugin_once(write_distribution):
    folder = write_distribution("lumina-toy", "toy")
    plugin = folder / "plugin.py"
    log = folder / "log"
    plugin.write_text(f"import time\nopen({str(log)!r}, 'a').write('x')\ntime.sleep(.1)\n"
                      + plugin.read_text())  # fmt: skip
    specs = []
    threads = [threading.Thread(target=lambda: specs.append(host.load("toy"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(specs) == 4
    assert log.read_text() == "x"


def test_plugins_are_found_by_a_real_process(write_distribution):
    write_distribution("lumina-bad", "bad", HOSTILE["exit"][0])
    write_distribution("lumina-toy", "toy")
    environment = os.environ | {"LUMINA_ONLY": "toy,bad"}
    command = [sys.executable, "-m", "lumina_core", "plugins", "--check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert done.returncode == 1
    assert "loaded" in rows["toy"]
    assert "broken" in rows["bad"]
    assert "sys.exit(3)" in rows["bad"]


def test_metadata_is_read_once_until_it_is_forgotten(monkeypatch):
    read, reads = metadata.PathDistribution.read_text, []

    def read_text(self, name):
        reads.append(name)
        return read(self, name)

    monkeypatch.setattr(metadata.PathDistribution, "read_text", read_text)
    for _ in range(2):
        host.forget()
        host.discover()
        known = len(reads)
        assert "METADATA" in reads
        host.options_class("image")
        host.discover()
        assert len(reads) == known
        reads.clear()
