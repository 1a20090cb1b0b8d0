"""Packages that are sloppy or mean: each harms at most itself, and its reason is one line."""

import importlib
import json
import os
import signal
import subprocess
import sys
import warnings
from itertools import pairwise

import pytest

from lumina_core import LuminaError, host
from lumina_core.cli import main
from lumina_core.entry_points import GROUP, installed_entry_points, unreadable_packages
from toy_plugin import OPTIONS, PLUGIN, YAML

SPEC = "ModalitySpec(summary={summary}, options={options}, modality={modality}, api=(2, 0))"
RETURNS = PLUGIN.partition("    return")[0] + "    return {value}\n"
LEVELS = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{level}: &{level} [{', '.join([f'*{below}'] * 9)}]\n" for below, level in pairwise(LEVELS)
)


def spec(**fields):
    known = {"summary": "'Toys'", "options": "'lumina_bad.options:Options'",
             "modality": "'lumina_bad.toy:Toy'"}  # fmt: skip
    return RETURNS.format(value=SPEC.format(**known | fields))


def starts_with(line):
    return f"{line}\n" + PLUGIN.format(package="lumina_bad", api="(2, 0)")


def info_of(folder):
    return folder.parent / f"{folder.name}-0.1.dist-info"


@pytest.fixture
def check(write_distribution, capsys):
    """Write a bad plugin beside a good one; what `plugins --check --json` says of the bad one."""

    def record(source=None, **files):
        write_distribution("lumina-bad", "bad", source, **files)
        write_distribution("lumina-toy", "toy")
        code = main(["plugins", "--check", "--json"])
        bad, good = json.loads(capsys.readouterr().out)
        assert (good["status"], good["notes"], good["deprecations"]) == ("loaded", [], [])
        assert code == (bad["status"] != "loaded")
        return bad

    return record


@pytest.fixture
def read_again(monkeypatch):
    """Look at the whole environment, as a real process does."""
    monkeypatch.setattr(host, "installed_entry_points", installed_entry_points)
    monkeypatch.setenv("LUMINA_ONLY", "bad,toy")
    importlib.invalidate_caches()


RAISING = {
    "own": ("class E(BaseException): ...\nraise E('x')", "E: x"),
    "generator": ("raise GeneratorExit", "GeneratorExit"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "colours": ("raise ValueError('\\x1b[31mred\\u202e\\nx')", "ValueError: �[31mred� x"),
    "long": ("raise ValueError('x' * 10**6)", "xxx..."),
}
SPECS = {
    "dict": (RETURNS.format(value="{}"), "returned dict"),
    "list": (
        RETURNS.format(value="[" + SPEC.format(summary="''", options="''", modality="''") + "]"),
        "returned list",
    ),
    "subclass": (
        "from lumina_core import ModalitySpec, hookimpl\nclass Sub(ModalitySpec): ...\n"
        + spec().replace("return ModalitySpec", "return Sub"),
        "returned Sub, a subclass; return a ModalitySpec itself",
    ),
    "number": (spec(summary="5"), "ModalitySpec.summary is 5, not one line"),
    "long": (spec(summary="'x' * 10**6"), "ModalitySpec.summary is 'xxx"),
    "lines": (spec(summary="'a\\nb'"), "ModalitySpec.summary is 'a\\nb', not one line"),
    "colour": (spec(summary="'\\x1b[31m'"), "ModalitySpec.summary is '\\x1b[31m', not one line"),
    "path": (spec(options="5"), "ModalitySpec.options is 5, not 'module:attribute'"),
    "module": (spec(options="'nowhere.x:Y'"), "cannot load nowhere.x:Y: ModuleNotFoundError"),
    "attribute": (spec(options="'lumina_bad.options:Nope'"), "no attribute 'Nope'"),
    "function": (spec(options="'lumina_bad.options:field'"), "is of type function, no dataclass"),
    "parts": (spec(modality="'lumina_bad.nowhere:Y'"), "no module lumina_bad.nowhere"),
}


@pytest.mark.parametrize("kind", RAISING)
def test_whatever_an_import_raises_is_the_reason(check, kind):
    source, reason = RAISING[kind]
    bad = check(source)
    assert bad["status"] == "broken"
    assert reason in bad["error"]
    assert len(bad["error"]) < 400


@pytest.mark.parametrize("kind", SPECS)
def test_a_wrong_spec_is_broken_with_its_reason(check, kind):
    source, reason = SPECS[kind]
    bad = check(source)
    assert bad["status"] == "broken"
    assert reason in bad["error"]
    assert len(bad["error"]) < 400


def test_options_must_be_frozen(check):
    bad = check(options=OPTIONS.replace("frozen=True", "frozen=False"))
    assert "is not frozen; write @dataclass(frozen=True)" in bad["error"]


def test_options_that_cannot_be_made_are_found_by_a_check(check):
    assert "NameError" in check(options=OPTIONS.replace("ratio: float", "ratio: 'Nope'"))["error"]


@pytest.mark.parametrize("toy", ["", "Toy = 5", "class E(BaseException): ...\nraise E"])
def test_doctor_imports_the_parts_of_the_one_it_is_asked_for(write_distribution, capsys, toy):
    write_distribution("lumina-bad", "bad", toy=toy)
    write_distribution("lumina-mean", "mean", "import os; os._exit(7)")
    assert main(["doctor", "bad"]) == 1
    assert "lumina_bad.toy:Toy" in capsys.readouterr().out
    with pytest.raises(LuminaError, match=r"lumina_bad\.toy:Toy"):
        host.modality_class("bad")


def test_what_an_import_prints_goes_to_stderr_and_is_reported(write_distribution, capfd):
    noise = "import os, sys\nprint('loud')\nos.write(1, b'raw')\nsys.stdout.reconfigure\n"
    write_distribution("lumina-bad", "bad", starts_with(noise), toy=f"{noise}class Toy: ...")
    assert main(["plugins", "--check", "--json"]) == 0
    captured = capfd.readouterr()
    (bad,) = json.loads(captured.out)
    assert bad["notes"] == ["importing lumina_bad.plugin prints to stdout; that went to stderr"]
    for words in ("loud", "raw"):
        assert words in captured.err
    host.modality_class("bad")
    assert capfd.readouterr().out == ""


def test_stdout_survives_a_plugin_that_replaces_it(check):
    bad = check(starts_with("import sys; sys.stdout = None"))
    assert bad["status"] == "loaded"
    assert "replaces sys.stdout" in bad["notes"][0]


@pytest.mark.parametrize(
    "noise",
    [
        "import sys; sys.__stdout__.write('loud\\n')",
        "import ctypes; ctypes.CDLL(None).printf(b'loud\\n')",
        "import sys; print('loud'); sys.stdout.close()",
    ],
)
def test_nothing_of_an_import_reaches_the_output(write_distribution, noise):
    write_distribution("lumina-bad", "bad", starts_with(noise))
    command = [sys.executable, "-m", "lumina_core", "plugins", "--check", "--json"]
    environment = os.environ | {"LUMINA_ONLY": "bad"}
    environment.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    (bad,) = (each for each in json.loads(done.stdout) if each["name"] == "bad")
    assert bad["status"] == "loaded", done.stderr
    assert "loud" in done.stderr


def test_warnings_at_import_are_notes_also_where_they_are_errors(check, recwarn):
    warnings.simplefilter("error")
    bad = check(starts_with("import warnings; warnings.warn('\\x1b[31m' + 'x' * 10**5)"))
    assert bad["status"] == "loaded"
    assert bad["notes"][0].startswith("importing lumina_bad.plugin warns: UserWarning: �[31mxx")
    assert len(bad["notes"][0]) < 400
    assert not recwarn.list


def test_a_slow_import_is_reported_with_what_it_brings(check, tmp_path, monkeypatch):
    (tmp_path / "heavy_library.py").write_text("import time; time.sleep(0.6)")
    monkeypatch.syspath_prepend(str(tmp_path))
    (note,) = check(starts_with("import heavy_library"))["notes"]
    assert note.startswith("importing lumina_bad.plugin takes 0.")
    assert "brings heavy_library; " in note


def test_what_an_import_changes_is_reported_and_the_core_put_back(write_distribution, capsys):
    meddling = (
        "import os, signal, sys, warnings, torch, lumina_core.host\nfrom pathlib import Path\n"
        "os.chdir('/')\nos.environ['LUMINA_SECRET'] = 'hush'\nsys.path.append('/nowhere')\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwarnings.simplefilter('error')\n"
        "torch.set_default_dtype(torch.float64)\ntorch.set_num_threads(torch.get_num_threads() + 1)"
        "\nlumina_core.host.load = None\n"
    )
    import torch

    threads, folder, filters = torch.get_num_threads(), os.getcwd(), list(warnings.filters)
    load, handler = host.load, signal.getsignal(signal.SIGINT)
    write_distribution("lumina-bad", "bad", starts_with(meddling))
    try:
        assert main(["doctor", "bad"]) == 0
        assert host.load is load
        assert list(warnings.filters) == filters
    finally:
        os.chdir(folder)
        os.environ.pop("LUMINA_SECRET")
        sys.path.remove("/nowhere")
        signal.signal(signal.SIGINT, handler)
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
    out = capsys.readouterr().out
    for part in (
        *("working folder", "environment: LUMINA_SECRET", "sys.path", "handler of SIGINT"),
        *("dtype of torch from torch.float32 to torch.float64", "number of threads of torch"),
        *("the warnings filters", "replaces lumina_core.host.load, which was put back"),
    ):
        assert part in out
    assert "hush" not in out


def test_an_interrupted_import_names_its_plugin(write_distribution, capsys):
    write_distribution("lumina-bad", "bad", "raise KeyboardInterrupt")
    for words in (["plugins", "--check"], ["doctor"], ["run", "+modality=bad", "x"]):
        assert main(words) == 130
        assert capsys.readouterr().err == (
            "interrupted while Modality 'bad' (lumina-bad 0.1) was imported; to leave it out, set "
            "LUMINA_BLOCK=bad\n"
        )


def test_an_endless_import_can_be_interrupted(write_distribution):
    write_distribution("lumina-bad", "bad", "import sys, time\nprint('here')\ntime.sleep(99)")
    command = [sys.executable, "-m", "lumina_core", "plugins", "--check"]
    environment = os.environ | {"LUMINA_ONLY": "bad", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    assert "was imported; to leave it out, set LUMINA_BLOCK=bad" in process.stderr.read()
    assert process.wait() == 130


def test_an_import_that_ends_the_process_is_kept_away_by_the_switch(write_distribution):
    write_distribution("lumina-bad", "bad", "import os; os._exit(7)")
    write_distribution("lumina-toy", "toy")

    def code(words, **switches):
        command = [sys.executable, "-m", "lumina_core", *words]
        environment = os.environ | {"LUMINA_ONLY": "bad,toy"} | switches
        return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode

    assert code(["plugins"]) == 0
    assert code(["plugins", "--check"]) == 7
    assert code(["plugins", "--check"], LUMINA_BLOCK="bad") == 0


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
    text = f"[{GROUP}]\nbad = {value}\n"
    (info_of(folder) / "entry_points.txt").write_text(text)
    (plugin,) = host.discover()
    assert (plugin.status, plugin.trace) == ("broken", None)
    assert f"its entry point is {value!r}; a module is wanted" in plugin.error


def test_extras_of_an_entry_point_change_nothing(write_distribution):
    folder = write_distribution("lumina-bad", "bad")
    text = f"[{GROUP}]\nbad = lumina_bad.plugin [extra]\n"
    (info_of(folder) / "entry_points.txt").write_text(text)
    assert host.load("bad").summary == "Toys"
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
    entry.write_text(f"[{GROUP}]\nbad = lumina_bad.plugin\nbad = lumina_bad.other\n")
    with pytest.raises(LuminaError, match=r"lumina-bad states it twice, as .*other and .*plugin"):
        host.load("bad")
    entry.write_text(f"[{GROUP}]\nbad = lumina_bad.plugin\nbad = lumina_bad.plugin\n")
    assert host.load("bad").summary == "Toys"


def test_a_package_that_comes_after_start_is_found(write_distribution, read_again):
    assert "toy" not in host.installed()
    write_distribution("lumina-toy", "toy", "import a_library_that_comes_later\n" + PLUGIN.format(
        package="lumina_toy", api="(2, 0)"))  # fmt: skip
    with pytest.raises(LuminaError, match="a_library_that_comes_later"):
        host.load("toy")
    later = write_distribution("lumina-bad", "bad").parent / "a_library_that_comes_later.py"
    later.write_text("")
    host.forget()
    assert host.load("toy").summary == "Toys"
    assert host.load("bad").summary == "Toys"


def test_a_conf_folder_cannot_change_the_core(write_distribution, capsys):
    from lumina_core.config import compose_run
    from lumina_core.keys import command_keys

    folder = write_distribution("lumina-bad", "bad")
    before = compose_run(["+modality=bad", "prompt=x"]), command_keys("run")
    for path, text in {
        "run.yaml": "seed: 99\n", "solver/euler.yaml": "name: euler\n", "solver/mine.yaml": "a: 1",
        "modality/other.yaml": "a: 1", "vae/mine.yaml": "hub_id: a/b",
    }.items():  # fmt: skip
        (folder / "conf" / path).parent.mkdir(exist_ok=True)
        (folder / "conf" / path).write_text(text)
    assert (compose_run(["+modality=bad", "prompt=x"]), command_keys("run")) == before
    with pytest.raises(LuminaError, match="solver=mine is unknown"):
        compose_run(["+modality=bad", "prompt=x", "solver=mine"])
    assert main(["doctor", "bad"]) == 0
    idle = [line for line in capsys.readouterr().out.splitlines() if "nothing reads" in line]
    assert [line.rpartition("/conf/")[2].split()[-1] for line in idle] == [
        *("conf/modality/other.yaml", "conf/run.yaml"),
        *("conf/solver/euler.yaml", "conf/solver/mine.yaml"),
    ]


YAMLS = {
    "list": ("- a\n- b\n", "holds a list"),
    "empty": ("", "height, ratio, patch_size, vae, sizes of Options has no value here"),
    "bomb": (BOMB, "has an alias"),
    "large": (YAML + f"x: '{'a' * 10**8}'\n", "larger than 65536 bytes"),
    "latin": (YAML.encode() + b"x: \xe9\n", "cannot be read"),
    "target": (YAML + "_target_: os.system\n", "unknown key '_target_'. Known: height, "),
    "object": (YAML + "x: !!python/object/apply:os.system [ls]\n", "no constructor|constructor"),
    "decode": (YAML.replace(": 32", ': ${oc.decode:"5"}'), r"must be a whole number, got '\$\{oc"),
    "number_key": (YAML.replace("token_budget", "5"), r"has the key 5 \(int\); a key is a text"),
    "flat_advice": (YAML.partition("sampling:")[0] + "sampling: [1]\n", "a block of keys"),
    "flat_condition": (YAML + "condition: 5\n", r"condition must be a block of keys, got 5"),
    "deep": ("a: " + "[" * 2000 + "]" * 2000, "cannot be read: maximum recursion"),
    "escape": (YAML + "x: \x1b[2J\n", "special characters are not allowed"),
}


@pytest.mark.parametrize("kind", YAMLS)
def test_a_strange_yaml_is_one_line_wherever_it_is_read(
    write_distribution, commands, refusal, capsys, kind
):
    content, reason = YAMLS[kind]
    folder = write_distribution("lumina-bad", "bad")
    write_distribution("lumina-toy", "toy")
    yaml = folder / "conf/modality/bad.yaml"
    yaml.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["run", "+modality=toy", "x"]) == 0
    assert main(["run", "--help"]) == 0
    assert main(["plugins", "--check", "--json"]) == 1
    out = capsys.readouterr().out
    with pytest.raises(LuminaError, match=reason) as raised:
        raise LuminaError(refusal("run", "+modality=bad", "x"))
    bad, good = json.loads(out[out.index("[\n  {") :])
    assert (bad["status"], good["status"]) == ("broken", "loaded")
    said = str(raised.value).removeprefix("error: ").strip()
    assert said[:90] == bad["error"][:90]


def test_the_schema_of_a_plugin_is_printed_harmlessly(write_distribution, capsys):
    text = YAML.replace("demo ", '"\\e[31mred" ').replace("# [pixels]", "# \u202e" + "x" * 10**4)
    write_distribution("lumina-toy", "toy", yaml=text)
    assert main(["schema", "toy"]) == 0
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "[31mred" in out
    assert len(out) < 10**4


def test_interpolations_stay_as_written(write_distribution, monkeypatch):
    from lumina_core.config import compose_run

    monkeypatch.setenv("LUMINA_SECRET", "hush")
    text = YAML.replace("demo ", "${oc.env:LUMINA_SECRET} ")
    write_distribution("lumina-toy", "toy", yaml=text)
    options = compose_run(["+modality=toy", "prompt=x"]).options
    assert options.vae == "${oc.env:LUMINA_SECRET}"
    words = ["+modality=toy", "prompt=x", "modality.vae=${oc.env:LUMINA_SECRET}"]
    assert compose_run(words).options == options
