import errno
import json
import os
import resource
import subprocess
import sys

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.files.seals import sealed

HEAVY = ("torch", "numpy", "hydra", "omegaconf", "transformers", "jaxtyping", "pluggy")
CPU_BUDGET_SECONDS = 0.15  # DESIGN 10, above the bare interpreter
LOAD_FACTOR = 3  # on a busy machine the same start costs up to three times the CPU time

READER = """
from lumina_core import Decoder, Modality

class Reader(Decoder):
    suffixes = (".png",)
    write = read = preview = None

    def read_metadata(self, path):
        return {request}

class Toy(Modality):
    decoder, media_shape = Reader(), None
"""


def _error(capsys, words):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat",
        "a cat, asleep (on a mat)",
        'it\'s a "quoted" {braced} ${x} [listed] cat',
        "two\nlines\tand a tab",
        "müller — ünï 雪だるま ☃",
        "e=mc2",
        "a=b",
        "x + y = z",
        "50% off! a; b | c & d \\",
        "null",
        "- a dash and more",
        "seeds=many of them, drawn",
        "  spaces kept  ",
        "a/b.c@d",
        "cat",
        "help",
    ],
)
def test_a_bare_prompt_arrives_bit_identical(toy, commands, prompt):
    assert main(["run", "+modality=toy", prompt, "seed=3"]) == 0
    assert commands[0].prompt == prompt
    assert commands[0].seed == 3


@pytest.mark.parametrize("prompt", ["seed=3", "--help", "-x", "sedd=3", "--", "+modality=toy"])
def test_after_two_dashes_anything_is_the_prompt(toy, commands, prompt):
    assert main(["run", "+modality=toy", "--", prompt]) == 0
    assert commands[0].prompt == prompt


@pytest.mark.parametrize("word", ["+modality=toy", "modality=toy", "++modality=toy"])
def test_the_plus_of_modality_may_be_left_out(toy, commands, word):
    assert main(["run", word, "prompt=a, b", "negative_prompt=c=d"]) == 0
    assert (commands[0].prompt, commands[0].negative_prompt) == ("a, b", "c=d")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a cat", "a dog"], "2 prompts: 'a cat' and 'a dog'"),
        (["a cat", "prompt=a dog"], "2 prompts"),
        (["a cat", "--", "a dog"], "2 prompts"),
        (["a cat", "seed"], "'seed' is a key without a value. Write seed=VALUE."),
        (["a cat", "--", "seed=3"], "'seed=3' stands after --, where everything is prompt"),
        (["a cat", "resume=true"], "unknown key 'resume' in 'resume=true'"),
        (["a", "red", "ring"], "3 prompts: 'a', 'red' and 'ring'. Put quotes"),
        (list("abcdef"), "6 prompts: 'a', 'b', 'c', 'd' and 2 more"),
        (["sedd=3"], "unknown key 'sedd' in 'sedd=3'. Did you mean 'seed'?"),
        (["promt=a cat on a mat"], "Did you mean 'prompt'?"),
        (["x", "steps=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "height=3"], "Did you mean 'modality.height'?"),
        (["x", "solvr.num_steps=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "solver.num_stepz=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "max_steps=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "sizee=3"], "Did you mean 'modality.sizes'?"),
        (["x", "step=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "start=3"], "unknown key 'start' in 'start=3'. A prompt"),
        (["x", "+nope=3"], "unknown key 'nope'"),
        (["modality.sizes[0]=3"], "sets part of a list. Write all of it: modality.sizes=[a,b]"),
        (["x", "--steps=3"], "unknown option '--steps=3'"),
        ([""], "the prompt is empty"),
        ([], "no prompt"),
        (["x", "seed=3 cats"], "seed must be a whole number"),
        (["seed=3 cats"], "'seed=3 cats' was read as the setting seed"),
    ],
)
def test_mistakes_in_arguments_are_one_line(toy, commands, capsys, words, message):
    assert message in _error(capsys, ["run", "+modality=toy", *words])
    assert not commands


def test_a_hint_names_what_the_command_takes(write_conditioned, refusal):
    write_conditioned()
    assert "Did you mean 'time.shift'?" in refusal("train", "+modality=toy", "solver.shift=3")
    assert "condition.image" not in refusal("train", "+modality=toy", "image=x.png")
    assert "Did you mean 'condition.image'?" in refusal("run", "+modality=toy", "x", "image=x.png")
    said = refusal("run", "+modality=toy", "x", "condition.sound=5")
    assert "Known: condition.strength, condition.label, condition.image, condition.frames" in said
    assert "'training.max_steps'" in refusal("run", "+modality=toy", "x", "training.max_steps=5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum"], "Did you mean 'run'?"),
        (["+modality=video"], "Did you mean: run +modality=video ?"),
        (["a red circle"], 'Did you mean: infer "a red circle" ?'),
        (["--nope"], "Commands: run, infer"),
        (["run", "x"], "no modality chosen. Add +modality=NAME; installed: toy"),
        (["run", "+modality=multiview", "x"], "Install it: python -m pip"),
        (["train", "+modality=toy", "a cat"], "unexpected argument 'a cat'"),
        (["plugins", "--jsn"], "Did you mean '--json'?"),
        (["version", "x"], "unknown option 'x'"),
        (["doctor", "tyo"], "Did you mean 'toy'?"),
        (["doctor", "a", "b"], "one modality"),
        (["info"], "info takes FILE [--json] [--sheet FILE.png], got nothing"),
        (["info", "x", "--sheet"], "got x --sheet"),
        (["info", "nowhere.png"], "nowhere.png does not exist; name a file that `run` made"),
    ],
)
def test_mistakes_name_the_way_out(toy, commands, capsys, words, message):
    assert message in _error(capsys, words)


@pytest.mark.parametrize("program", ["lumina", "python -m lumina_core"])
def test_a_message_names_the_command_that_was_typed(toy, refusal, monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{program}.py".replace("lumina.py", "lumina")])
    said = {
        ("infer",): f'{program} infer "..."',
        ("infer", "+modality=toy"): f'{program} infer +modality=toy "..."',
        ("run", "+modality=toy"): f'{program} run +modality=toy "..."',
        ("infer", "x", "modality.patch_size=4"): f"{program} train +modality=toy modality.patch",
        ("run", "x", "backbone.depth=3"): f"{program} train backbone.depth=3",
    }
    for words, command in said.items():
        assert command in refusal(*words)


def test_infer_takes_the_only_modality_or_image(toy, commands, write_distribution, capsys):
    assert main(["infer", "a cat"]) == 0
    assert commands[-1].modality == "toy"
    write_distribution("lumina-two", "two")
    assert "Install it: python -m pip install ./plugins/lumina-image" in _error(
        capsys, ["infer", "a cat"]
    )
    write_distribution("lumina-image", "image")
    assert main(["infer", "a cat", "seed=1"]) == 0
    assert commands[-1].modality == "image"
    assert main(["infer", "a cat", "+modality=two"]) == 0
    assert commands[-1].modality == "two"


def test_nothing_installed_says_how_to_install(write_distribution, commands, capsys):
    for words in (["run", "x"], ["infer", "x"], ["train"]):
        assert "pip install ./plugins/lumina-image" in _error(capsys, words)
    assert main(["plugins"]) == 0
    assert "pip install ./plugins/lumina-image" in capsys.readouterr().out


def test_every_command_gets_its_configuration(toy, commands):
    for command in ("train", "train-vae", "cache", "evaluate"):
        assert main([command, "+modality=toy", "seed=4"]) == 0
    names = [type(config).__name__ for config in commands]
    assert names == ["TrainConfig", "TrainVAEConfig", "CacheConfig", "EvaluateConfig"]
    assert [config.seed for config in commands] == [4, 4, 4, 4]


def test_repeat_needs_neither_modality_nor_prompt(toy, commands):
    assert main(["run", "repeat=a file.png"]) == 0
    assert (commands[0].prompt, commands[0].seed) == ("a dög", 5)
    assert commands[0].repeat == "a file.png"


def test_plugins_json_is_the_documented_list(toy, write_distribution, capsys):
    write_distribution("lumina-bad", "bad", "import a_package_that_is_missing")
    assert main(["plugins", "--json"]) == 0
    bad, good = json.loads(capsys.readouterr().out)
    assert list(good) == ["name", "package", "version", "status", "summary", "error", "kind"]
    assert (bad["status"], good["status"], good["error"]) == ("found", "found", None)
    assert good["summary"] == "About lumina-toy"
    assert main(["plugins", "--json", "--check"]) == 1
    bad, good = json.loads(capsys.readouterr().out)
    assert (bad["status"], good["status"]) == ("broken", "loaded")
    assert "a_package_that_is_missing" in bad["error"]


def test_check_finds_missing_options_and_yaml(write_distribution, capsys):
    write_distribution("lumina-toy", "toy", options="import a_package_that_is_missing")
    write_distribution("lumina-two", "two", yaml="training: {out: x}")
    assert main(["plugins", "--check"]) == 1
    toy, two = capsys.readouterr().out.splitlines()
    assert "cannot load lumina_toy.options:Options" in toy
    assert "conf/modality/two.yaml: unknown key 'training.out'" in two


def test_doctor_shows_the_traceback_of_a_named_plugin(toy, write_distribution, capsys):
    write_distribution("lumina-bad", "bad", "import a_package_that_is_missing")
    assert main(["doctor", "bad"]) == 1
    out = capsys.readouterr().out
    assert "Traceback (most recent call last)" in out
    assert "a_package_that_is_missing" in out
    assert main(["doctor", "toy"]) == 0
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"python {sys.version.split()[0]}" in out
    assert "outputs/ can be written" in out


def test_info_shows_requests_and_checkpoints(toy, commands, tmp_path, capsys):
    file = tmp_path / "a file.png"
    file.write_bytes(b"")
    assert main(["info", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == "a dög"
    assert main(["info", str(file)]) == 0
    assert "solver.num_steps: 3" in capsys.readouterr().out
    content = {key: {} for key in ("backbone", "sampling", "training", "files")} | {
        "format": 1, "lumina_core": "0.1.0", "text_encoder": {"max_tokens": 8},
        "modalities": {"toy": {"options": {}, "token_dim": 16}},
    }  # fmt: skip
    (tmp_path / "lumina.json").write_text(sealed(content))
    assert main(["info", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "modalities.toy.token_dim: 16\n" in out
    assert "sha256" not in out


BROKEN_PARTS = {
    "init": {"toy": "class Toy:\n    def __init__(self, *_): raise ZeroDivisionError"},
    "exit": {"toy": "class Toy:\n    def __init__(self, *_): raise SystemExit"},
    "decoder": {"toy": READER.replace("Reader()", "None").format(request={})},
    "options": {"options": "x = 1"},
}


@pytest.mark.parametrize("kind", BROKEN_PARTS)
def test_a_broken_plugin_does_not_keep_others_from_reading(write_distribution, tmp_path, kind):
    from lumina_core.sampling.file_request import read_request

    path = tmp_path / "a.png"
    path.write_bytes(b"")
    write_distribution("lumina-bad", "bad", **BROKEN_PARTS[kind])
    with pytest.raises(LuminaError, match=r"carries no request .*; bad could not look: .*doctor"):
        read_request(path)
    write_distribution("lumina-toy", "toy", toy=READER.format(request={"modality": "toy"}))
    assert read_request(path) == {"modality": "toy"}


@pytest.mark.parametrize(
    "request_", ["{}", "{'modality': 5}", "{'modality': 'toy', 'options': [1]}",
                 "{'modality': 'toy', 'x': " + "[" * 50 + "]" * 50 + "}"],
)  # fmt: skip
def test_a_broken_request_is_refused(write_distribution, tmp_path, request_):
    from lumina_core.sampling.file_request import read_request

    path = tmp_path / "a.png"
    path.write_bytes(b"")
    write_distribution("lumina-toy", "toy", toy=READER.format(request=request_))
    with pytest.raises(LuminaError, match=r"a\.png carries a broken request"):
        read_request(path)


@pytest.mark.parametrize("request_", ["[]", "5"])
def test_a_request_that_is_none_is_the_fault_of_its_plugin(write_distribution, tmp_path, request_):
    from lumina_core.sampling.file_request import read_request

    path = tmp_path / "a.png"
    path.write_bytes(b"")
    write_distribution("lumina-toy", "toy", toy=READER.format(request=request_))
    with pytest.raises(LuminaError, match=r"a\.png carries no request .*; toy could not look: "):
        read_request(path)


def test_a_yaml_that_is_not_utf8_harms_only_its_plugin(toy, write_distribution, commands, capsys):
    folder = write_distribution("lumina-bad", "bad")
    (folder / "conf/modality/bad.yaml").write_bytes(b"height: 1  # \xff\n")
    assert main(["run", "+modality=toy", "a cat"]) == 0
    assert main(["plugins", "--check"]) == 1
    assert "bad.yaml cannot be read" in capsys.readouterr().out
    assert "bad.yaml cannot be read" in _error(capsys, ["run", "+modality=bad", "a cat"])


def test_help_of_run_lists_keys_units_and_modalities(toy, write_distribution, capsys):
    write_distribution("lumina-bad", "bad", "import a_package_that_is_missing")
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert "solver=euler" in out
    assert "ab2, dopri5, dpmpp_2m, euler, heun, midpoint, ping_pong, rk4, unipc" in out
    assert "solver.num_steps=30" in out
    assert "solver.shift=1.0" in out
    assert "modality toy (lumina-toy 0.1): About lumina-toy" in out
    assert "modality bad (lumina-bad 0.1): About lumina-bad" in out
    for words in (["help", "run"], ["--help", "run"], ["-h", "run"]):
        assert main(words) == 0
        assert capsys.readouterr().out == out
    for command in (
        "infer",
        "train",
        "train-vae",
        "cache",
        "evaluate",
        "plugins",
        "doctor",
        "info",
    ):
        assert main([command, "--help"]) == 0
        assert command in capsys.readouterr().out


def test_exit_codes_tell_whose_fault_it_is(toy, commands, monkeypatch, capsys):
    def fails_with(error):
        def command(config):
            raise error

        monkeypatch.setattr(sys.modules["lumina_core.sampling.run"], "run_command", command)
        return main(["run", "+modality=toy", "x"])

    assert fails_with(LuminaError("no such thing")) == 2
    assert capsys.readouterr().err == "error: no such thing\n"
    assert fails_with(KeyboardInterrupt()) == 130
    capsys.readouterr()
    assert fails_with(ZeroDivisionError("two\nlines")) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("internal error: ZeroDivisionError: two lines\n")
    assert fails_with(BrokenPipeError("of a child process")) == 1


@pytest.mark.parametrize("name", ["EACCES", "EPERM", "EROFS", "EISDIR", "ENOTDIR", "ELOOP"])
def test_a_path_that_the_system_refuses_is_one_line(toy, commands, monkeypatch, refusal, name):
    number = getattr(errno, name)

    def command(config, *place):
        raise OSError(number, os.strerror(number), *place)

    words = ["run", "+modality=toy", "x"]
    module = sys.modules["lumina_core.sampling.run"]
    monkeypatch.setattr(module, "run_command", lambda config: command(config, "locked"))
    assert f"error: locked: {os.strerror(number)}; " in refusal(*words)
    monkeypatch.setattr(module, "run_command", command)
    assert main(words) == 1  # without a path it is nothing that the user named


def test_a_locked_folder_is_one_line(monkeypatch, refusal):
    whole = os.stat

    def stat(path, **more):
        if str(path) == "locked/a.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    assert "error: locked/a.png: Permission denied; " in refusal("info", "locked/a.png")


def _python(*words, **environment):
    command = [sys.executable, *words]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "words",
    [["plugins"], ["--help"], ["run", "--help"], ["run", "--help", "+modality=toy"], ["version"],
     ["completion", "bash"],
     ["complete", "--", "run", "+modality="], ["complete", "--", "train", ""]],
)  # fmt: skip
def test_light_commands_import_nothing_heavy_and_are_cheap(toy, words):
    heavy = HEAVY[:-1] if "+modality=toy" in words else HEAVY  # loading a plugin takes pluggy
    source = (
        f"import sys; from lumina_core.cli.main import main; code = main({words!r}); "
        f"heavy = [name for name in {heavy!r} if name in sys.modules]; "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = _python("-c", source, LUMINA_ONLY="toy")
    assert done.returncode == 0, done.stderr

    def cpu_seconds(*command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _python(*command, LUMINA_ONLY="toy")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cpu_seconds("-c", "pass") for _ in range(3))
    cost = min(cpu_seconds("-m", "lumina_core", *words) for _ in range(3))
    assert cost - bare < CPU_BUDGET_SECONDS * LOAD_FACTOR


INTERRUPTED = """
import runpy, signal, sys

class AtImport:
    def find_spec(name, *_):
        if name == "lumina_core.cli.main":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
sys.meta_path.insert(0, AtImport)
runpy.run_module("lumina_core", run_name="__main__")
"""


def test_an_interruption_before_the_command_line_is_there_ends_without_a_word():
    done = _python("-c", INTERRUPTED)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_loading_a_plugin_imports_nothing_heavy(toy):
    source = (
        "import sys; from lumina_core.plugins import host; host.options_class('toy'); "
        f"sys.exit([name for name in {HEAVY[:-1]!r} if name in sys.modules] or 0)"
    )
    assert _python("-c", source, LUMINA_ONLY="toy").returncode == 0


def test_a_reader_that_leaves_is_no_fault(toy):
    command = f"{sys.executable} -m lumina_core run --help | true; exit ${{PIPESTATUS[0]}}"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_output_without_space_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lumina_core", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"
