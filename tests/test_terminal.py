"""What is printed for people, and that nothing but one module prints."""

import ast
import io
import json
import logging
import os
import pty
import subprocess
import sys
import warnings
from pathlib import Path

from harmless import is_harmless
from lumina_core import LuminaError, terminal
from lumina_core.cli.faults import report
from lumina_core.cli.main import main
from lumina_core.errors import harmless, printable

ROOT = Path(__file__).parent.parent
HOSTILE = "\x1b[2J\x1b]0;x\x07\n\r\t\x9b31m\x85\u2028\u202e\udc9b\x7f"
PRINTING = {"print", "Console", "print_exception", "print_exc", "print_tb", "print_stack", "pprint"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
EXEMPT = {
    "lumina_core/terminal.py": "the one place that prints",
    "lumina_core/testing/first_use_child.py": "marks its output for the process that reads it",
}


def printing(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in PRINTING:
                yield f"{node.lineno}: {name}"
            if name in ("write", "writelines"):
                stream = getattr(node.func.value, "attr", "")
                if stream in STREAMS:
                    yield f"{node.lineno}: {stream}.{name}"


def test_only_one_module_prints():
    files = [*ROOT.glob("lumina_core/**/*.py"), *ROOT.glob("plugins/*/lumina_*/**/*.py")]
    found = {
        str(path.relative_to(ROOT)): list(printing(ast.parse(path.read_text()))) for path in files
    }
    assert {path for path, lines in found.items() if lines} == set(EXEMPT), found
    assert len(files) > 150


def test_a_line_keeps_its_length_and_what_people_write():
    line = harmless(HOSTILE)
    assert len(line) == len(HOSTILE)
    assert is_harmless(line)
    assert "\n" not in line
    for text in (
        "ein Würfel",
        "赤い\u3000丸",
        "می\u200cخواهم",
        "👩\u200d🚀",
        "9:41\u202fAM\u00a0.png",
    ):
        assert harmless(text) == text
    assert len(printable(HOSTILE * 1000, 50)) == 50


def test_results_and_notes_are_harmless_lines(capsys):
    terminal.show(f"a{HOSTILE}b", "c")
    terminal.tell(f"note: {HOSTILE}")
    terminal.show_json({HOSTILE: HOSTILE}, indent=None)
    terminal.show_table(["split", HOSTILE], [["[bold]x[/bold]", HOSTILE]])
    captured = capsys.readouterr()
    assert is_harmless(captured.out + captured.err)
    first, second, record, *table = captured.out.splitlines()
    assert (len(first), second) == (len(HOSTILE) + 2, "c")
    assert json.loads(record) == {HOSTILE: HOSTILE}
    assert "[bold]x[/bold]" in "".join(table)
    assert captured.err.count("\n") == 1


def test_every_error_is_one_harmless_line(capsys):
    assert report(LuminaError(f"no such {HOSTILE}")) == 2
    interrupt = KeyboardInterrupt()
    interrupt.add_note(HOSTILE)
    assert report(interrupt) == 130
    assert report(IsADirectoryError(21, "Is a directory", HOSTILE)) == 2
    err = capsys.readouterr().err
    assert is_harmless(err)
    assert err.count("\n") == 3


def test_a_traceback_is_harmless(capsys):
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        assert report(error) == 1
    err = capsys.readouterr().err
    assert is_harmless(err)
    assert "in test_a_traceback_is_harmless" in err
    assert err.splitlines()[-1].startswith("internal error: ValueError: ")


def test_warnings_and_logs_of_libraries_are_harmless(capsys, monkeypatch):
    log = logging.getLogger("a_library")
    log.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)

    def command(words):
        log.warning("read %s", HOSTILE)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = (
                lambda message, category, filename, lineno, file=None, line=None: sys.stderr.write(
                    warnings.formatwarning(message, category, filename, lineno, line)
                )
            )
            warnings.warn(HOSTILE, stacklevel=1)
        return 0

    monkeypatch.setitem(main.__globals__["_COMMANDS"], "version", command)
    before = warnings.formatwarning, logging.getLogRecordFactory()
    try:
        assert main(["version"]) == 0
    finally:
        log.removeHandler(handler)
    assert (warnings.formatwarning, logging.getLogRecordFactory()) == before
    err = capsys.readouterr().err
    assert "read " in err
    assert "UserWarning" in err
    assert is_harmless(err)


def test_a_closed_stream_takes_nothing(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    terminal.show("a")
    terminal.tell("b")
    assert list(terminal.progress([1, 2], "words")) == [1, 2]
    assert main(["version"]) == 0
    assert main(["nonsense"]) == 2


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.show("Würfel 赤\x1b")
    terminal.show_json("赤", indent=None)
    assert stream.buffer.getvalue() == b'W\xfcrfel \\u8d64\\ufffd\n"\\u8d64"\n'


def test_a_bar_on_a_terminal_takes_no_result():
    """Standard error is a terminal, standard output is a pipe: results arrive in the pipe."""
    source = (
        "from lumina_core import terminal\n"
        "for item in terminal.progress(range(3), 'words'): terminal.show(f'result {item}')\n"
        "with terminal.progress_bar() as bar: terminal.tell_above(bar, 'note: a\\x1b[2Jb')\n"
    )
    master, slave = pty.openpty()
    try:
        done = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=slave)
        shown = os.read(master, 1 << 16).decode()
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 0
    assert done.stdout == b"result 0\nresult 1\nresult 2\n"
    assert "note: a\N{REPLACEMENT CHARACTER}[2Jb" in shown


def test_a_warning_while_a_sample_is_made_names_the_sample(caplog):
    with terminal.libraries_harmless():
        with terminal.about("'a loud tone', seed 7"):
            logging.getLogger("some_plugin").warning("it is made %d times softer", 2)
        logging.getLogger("some_plugin").warning("another")
    assert caplog.messages == [
        "note: 'a loud tone', seed 7: it is made 2 times softer",
        "another",
    ]


def test_sizes_are_told_for_people():
    assert [terminal.size_text(n) for n in (32_833_000_000, 150_000_000, 52_000, 1)] == [
        *("32.8 GB", "0.1 GB", "0.1 MB", "0.1 MB")
    ]


def test_durations_are_told_for_people():
    assert [terminal.duration_text(n) for n in (0.0123, 100, 150, 11_000, 200_000)] == [
        *("0.0123 s", "100 s", "2.5 min", "3.06 h", "2.31 days")
    ]


def test_operations_are_told_for_people():
    told = [terminal.flop_text(n) for n in (12, 999_499, 999_600, 76.6e9, 2e18, 3e22)]
    assert told == ["12 FLOP", "999 kFLOP", "1 MFLOP", "76.6 GFLOP", "2 EFLOP", "3e+04 EFLOP"]


def test_libraries_that_talk_at_their_import_are_not_heard_but_for_errors(caplog):
    names = [*terminal.TALKATIVE, f"{terminal.TALKATIVE[0]}.part"]
    loggers = [logging.getLogger(name) for name in names]
    with terminal.libraries_harmless():
        for logger in loggers:
            logger.warning("a part is missing")
            logger.error("it is broken")
    assert caplog.messages == ["it is broken"] * len(loggers)
    loggers[0].warning("heard again")
    assert caplog.messages[-1] == "heard again"
