"""What shells complete, by the functions, by scripts in real shells, and typed into them."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lumina_core
from lumina_core.cli.completion import FILES, complete
from lumina_core.cli.main import main
from toy_plugin import OPTIONS

PATIENCE_SECONDS = 60.0  # of a busy machine
BACKBONES = ("5b", "600m", "7b", "lumina_image_2", "next_dit", "tiny", "z_image")
HEAVY = ("torch", "numpy", "hydra", "omegaconf", "transformers", "jaxtyping")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")


@pytest.fixture
def toys(write_conditioned, monkeypatch):
    """An installed modality of toys that may be given a picture."""
    write_conditioned()
    monkeypatch.setenv("LUMINA_ONLY", "toy")  # of what is installed where the tests run


@pytest.fixture
def shell_folder(toys, tmp_path, monkeypatch):
    """A folder with files to complete, and a `lumina` on the path."""
    folder, programs = tmp_path / "files", tmp_path / "bin"
    for name in ("apple.png", "a b.png", "below/x.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    programs.mkdir()
    (programs / "lumina").write_text(f'#!/bin/sh\nexec {sys.executable} -m lumina_core "$@"\n')
    (programs / "lumina").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    package = str(Path(lumina_core.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}:{package}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZDOTDIR", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("ru", ["run"]),
        ("comp", ["completion"]),
        ("run see", ["seed="]),
        ("run +mod", ["+modality="]),
        ("run +modality=", ["+modality=toy"]),
        ("run ++modality=t", ["++modality=toy"]),
        ("run modality=x", []),
        ("run solver=e", ["solver=euler"]),
        ("run solver.name=e", ["solver.name=euler"]),
        ("train backbone=", [f"backbone={name}" for name in BACKBONES]),
        ("run backbone", []),
        ("run modality.", []),
        ("run modality=nope modality.", []),
        ("run modality=toy modality.he", ["modality.height="]),
        ("run +modality=toy modality.pa", []),
        ("train +modality=toy modality.pa", ["modality.patch_size="]),
        ("run modality=toy condition.i", ["condition.image="]),
        ("train modality=toy condition.", []),
        ("infer modality.he", ["modality.height="]),
        ("run json=", ["json=true", "json=false"]),
        ("run seed=", []),
        ("run out=", [FILES]),
        ("run checkpoint=x", [FILES]),
        ("run modality=toy condition.image=", [FILES]),
        ("run modality=toy condition.frames=", []),
        ("train data.path=", [FILES]),
        ("run --h", ["--help"]),
        ("plugins -", ["--json", "--check", "--help"]),
        ("schema ", ["toy"]),
        ("schema toy ", []),
        ("examples ", ["toy"]),
        ("examples -", ["--json", "--help"]),
        ("doctor t", ["toy"]),
        ("doctor toy --contract ", ["modality.vae="]),
        ("doctor toy --contract modality.vae=", [FILES]),
        ("new-modality ", []),
        ("new-modality new --shape g", ["grid"]),
        ("new-modality new --shape ", ["line", "grid"]),
        ("new-modality new ", [FILES]),
        ("train modality=toy modality.vae=out", [FILES]),
        ("info ", [FILES]),
        ("gallery o", ["out=", FILES]),
        ("gallery out=", [FILES]),
        ("report ", ["compare=", "out=", FILES]),
        ("report x compare=", [FILES]),
        ("completion ", ["bash", "zsh"]),
        ("version ", []),
        ("nope ", []),
        ("run -- see", []),
    ],
)
def test_the_last_word_is_completed(toys, line, answers):
    assert complete(line.split(" ")) == answers


def test_every_command_but_the_hidden_one_is_offered(toys, capsys, refusal):
    assert set(complete([""])) >= {"run", "train", "schema", "completion"}
    assert "complete" not in complete([""])
    assert main(["--help"]) == 0
    assert "\n  complete " not in capsys.readouterr().out
    assert "complete," not in refusal("nope")


def test_a_broken_plugin_leaves_the_keys_of_the_core(write_distribution):
    write_distribution("lumina-toy", "toy", "import a_package_that_is_missing")
    assert complete(["run", "modality=toy", "see"]) == ["seed="]


def test_an_unreadable_yaml_leaves_the_keys_of_the_core(toy):
    (toy / "conf/modality/toy.yaml").write_bytes(b"height: \xe9")
    assert complete(["run", "modality=toy", "see"]) == ["seed="]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "completion takes one shell, bash or zsh, got none."),
        (["bash", "zsh"], "got bash zsh."),
        (["fish"], "no completion for 'fish'; use bash or zsh."),
        (["bsh"], "Did you mean 'bash'?"),
        (["--json"], "unknown option '--json' of completion"),
    ],
)
def test_other_shells_are_refused_in_one_line(refusal, words, said):
    assert said in refusal("completion", *words)


def test_no_plugin_is_imported_for_a_key_of_the_core(write_distribution):
    folder = write_distribution("lumina-toy", "toy")
    log = folder / "log"
    (folder / "options.py").write_text(f"open({str(log)!r}, 'w')\n{OPTIONS}")
    assert complete(["run", "modality=toy", "see"]) == ["seed="]
    assert not log.exists()
    assert complete(["run", "modality=toy", "modality.he"]) == ["modality.height="]
    assert log.exists()


def test_completing_options_imports_nothing_heavy(toys):
    source = (
        "import sys; from lumina_core.cli.main import main; "
        "main(['complete', '--', 'run', 'modality=toy', 'condition.image=']); "
        f"sys.exit([name for name in {HEAVY!r} if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{FILES}\n"), done.stderr


def broken_words(line, breaks):
    """The words of a line as bash has them: a run of break characters is a word of its own."""
    words = []
    for word in line.split(" "):
        words += re.findall(f"[{breaks}]+|[^{breaks}]+", word) or [""]
    return words


def bash_replies(line, breaks="=:", setup='eval "$(lumina completion bash)"'):
    words = broken_words(line, breaks)
    function = "_lumina_python" if words[0] == "python" else "_lumina"
    quoted = " ".join(f"'{word}'" for word in words)
    text = (
        f"{setup}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        f"{function} {words[0]} '{words[-1]}' '{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    command = ["bash", "--norc", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("lumina sch", ["schema"]),
        ("lumina run see", ["seed="]),
        ("lumina run modality=", ["toy"]),
        ("lumina run +modality=t", ["toy"]),
        ("lumina run +modality=toy modality.he", ["modality.height="]),
        ("lumina run device=cuda:1 solver=e", ["euler"]),
        ("lumina run overwrite=t", ["true"]),
        ("lumina run out=a", ["a b.png", "apple.png"]),
        ("lumina run modality=toy condition.image=bel", ["below"]),
        ("lumina info app", ["apple.png"]),
        ("lumina schema ", ["toy"]),
        ("python -m lumina_core run solver=r", ["rk4"]),
        ("python -m other run solver=r", [""]),
    ],
)
def test_bash_completes(shell_folder, line, replies):
    assert sorted(bash_replies(line)) == replies


def test_bash_completes_words_that_it_does_not_break(shell_folder):
    assert bash_replies("lumina run solver=e", breaks=":") == ["solver=euler"]
    assert bash_replies("lumina run out=app", breaks=":") == ["out=apple.png"]
    line = 'lumina run "modality=toy" modality.he'  # nor does it break what stands in quotes
    assert bash_replies(line, breaks=":") == ["modality.height="]


def test_bash_completes_python_as_before_elsewhere(shell_folder):
    setup = "_before() { COMPREPLY=(old); }; complete -F _before python; "
    setup += 'eval "$(lumina completion bash)"; eval "$(lumina completion bash)"'
    assert bash_replies("python x", setup=setup) == ["old"]
    assert bash_replies("python -m lumina_core ru", setup=setup) == ["run"]


TYPED = [
    ("lumina sch", "lumina schema "),
    ("lumina run +modality=t", "+modality=toy "),
    ("lumina run modality=toy modality.he", "modality.height="),
    ("lumina run out=app", "out=apple.png "),
    ("lumina run 'solver=r", "'solver=rk4'"),
    ("python -m lumina_core run solver=r", "solver=rk4 "),
]


def typed(command, setup, lines):
    """What a shell at a terminal shows after a tab behind each line."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "dumb", "PS1": "$ ", "HISTFILE": "/dev/null"}
        os.execvp(command[0], command)
    try:
        _shown(terminal, f"{setup}; echo RE''ADY\n", "READY")
        return [_shown(terminal, f"{line}\t", wanted) for line, wanted in lines]
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


def _shown(terminal, text, wanted):
    """Type a text and read until the wanted one is there, then clear the line."""
    os.write(terminal, text.encode())
    shown, end = "", time.monotonic() + PATIENCE_SECONDS
    while wanted not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode()
    os.write(terminal, b"\x15")
    return shown


def test_bash_completes_at_a_terminal(shell_folder):
    bash = ["bash", "--norc", "--noprofile", "-i"]
    shown = typed(bash, 'eval "$(lumina completion bash)"', TYPED)
    for text, (_, wanted) in zip(shown, TYPED, strict=True):
        assert wanted in text


@needs_zsh
def test_zsh_completes_at_a_terminal(shell_folder):
    shown = typed(["zsh", "-f", "-i"], 'eval "$(lumina completion zsh)"', TYPED)
    for text, (_, wanted) in zip(shown, TYPED, strict=True):
        assert wanted in text
