"""Packages that are sloppy or mean: each harms at most itself, and its reason is one line."""

import json
import os
import signal
import subprocess
import sys
import warnings

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.plugins import host
from toy_plugin import OPTIONS, PLUGIN

SPEC = "ModalitySpec(options={options}, modality={modality}, api=(3, 0))"
RETURNS = PLUGIN.partition("    return")[0] + "    return {value}\n"


def spec(**fields):
    known = {"options": "'lumina_bad.options:Options'",
             "modality": "'lumina_bad.toy:Toy'"}  # fmt: skip
    return RETURNS.format(value=SPEC.format(**known | fields))


def starts_with(line):
    return f"{line}\n" + PLUGIN.format(package="lumina_bad", api="(3, 0)")


@pytest.fixture
def check(write_distribution, capsys):
    """Write a bad plugin beside a good one; what `plugins --check --json` says of the bad one."""

    def record(source=None, **files):
        write_distribution("lumina-bad", "bad", source, **files)
        write_distribution("lumina-toy", "toy")
        code = main(["plugins", "--check", "--json"])
        bad, good = json.loads(capsys.readouterr().out)
        notes = [note for note in good["notes"] if " takes " not in note]  # on a busy machine
        assert (good["status"], notes, good["deprecations"]) == ("loaded", [], [])
        assert code == (bad["status"] != "loaded")
        return bad

    return record


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
        RETURNS.format(value="[" + SPEC.format(options="''", modality="''") + "]"),
        "returned list",
    ),
    "subclass": (
        "from lumina_core import ModalitySpec, hookimpl\nclass Sub(ModalitySpec): ...\n"
        + spec().replace("return ModalitySpec", "return Sub"),
        "returned Sub, a subclass; return a ModalitySpec itself",
    ),
    "path": (spec(options="5"), "ModalitySpec.options is 5, not 'module:attribute'"),
    "module": (spec(options="'nowhere.x:Y'"), "cannot load nowhere.x:Y: ModuleNotFoundError"),
    "attribute": (spec(options="'lumina_bad.options:Nope'"), "no attribute 'Nope'"),
    "function": (spec(options="'lumina_bad.options:setting'"), "is of type function, no dataclass"),
    "parts": (
        spec(modality="'lumina_bad.nowhere:Y'"),
        "cannot load lumina_bad.nowhere:Y: ModuleNotFoundError",
    ),
    "kind": (spec(modality="'lumina_bad.options:setting'"), "is of type function, no class"),
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


@pytest.mark.parametrize(
    "toy", ["", "Toy = 5", "import nowhere", "class E(BaseException): ...\nraise E"]
)
def test_a_class_that_cannot_be_imported_is_found_by_a_check(check, toy):
    bad = check(toy=toy)
    assert bad["status"] == "broken"
    assert "lumina_bad.toy:Toy" in bad["error"]


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
    assert bad["notes"] == [
        f"importing lumina_bad.{module} prints to stdout; that went to stderr"
        for module in ("plugin", "toy")
    ]
    for words in ("loud", "raw"):
        assert words in captured.err


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
        "import os, signal, sys, warnings, torch, lumina_core.plugins.host\n"
        "from pathlib import Path\n"
        "os.chdir('/')\nos.environ['LUMINA_SECRET'] = 'hush'\nsys.path.append('/nowhere')\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwarnings.simplefilter('error')\n"
        "torch.set_default_dtype(torch.float64)\ntorch.set_num_threads(torch.get_num_threads() + 1)"
        "\nlumina_core.plugins.host.load = None\n"
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
        *("the warnings filters", "replaces lumina_core.plugins.host.load, which was put back"),
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
