"""The sessions of tests: what one leaves out another one runs, and CI runs them all."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text())
SESSIONS = {each.name: ast.unparse(each) for each in NOXFILE.body if hasattr(each, "name")}
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]


def usual_sessions():
    """What `nox` runs when no session is named."""
    (given,) = [
        each.value
        for each in NOXFILE.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "nox.options.sessions"
    ]
    return [each.value for each in ast.walk(given) if isinstance(each, ast.Constant)]


def test_what_the_usual_run_leaves_out_has_a_session():
    marks = [line.partition(":")[0] for line in OPTIONS["markers"]]
    marks.remove("gpu")
    words = shlex.split(OPTIONS["addopts"])
    assert words[words.index("-m") + 1] == f"not ({' or '.join(marks)})"
    for mark in marks:
        assert f"'-m', '{mark}'" in SESSIONS[mark]


def test_ci_runs_every_usual_session_after_the_tests():
    lines = re.findall(r"-m nox.* -s ([a-z ]+)", (ROOT / ".ci" / "run").read_text())
    run = [word for line in lines for word in line.split()]
    assert run == usual_sessions()
    assert run[0] == "tests"
