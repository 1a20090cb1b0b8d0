"""Processes that call `main` of a module, as forks of one that has imported that module.

A new process spends two seconds on importing torch; a fork is as clean and spends none.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SERVER = """
import importlib, json, os, sys, traceback

def use(ask):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(ask[name], os.O_WRONLY | os.O_CREAT), number)
    os.chdir(ask["folder"])
    os.environ.clear()
    os.environ.update(ask["environment"])
    sys.path[1:1] = ask["environment"].get("PYTHONPATH", "").split(":")
    importlib.invalidate_caches()
    code = 1
    try:
        module.main(*ask["words"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

module = importlib.import_module(sys.argv[1])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        use(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def _server(module: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER, module]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}  # each fork has its own
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    server = subprocess.Popen(command, text=True, env=environment, **pipes)
    atexit.register(server.communicate)
    return server


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What `first_use.start` gives for `python -m MODULE WORDS`, by a fork."""
    _, _, module, *words = command
    server = _server(module)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"words": words, "out": str(out), "err": str(err)}
        here = {"folder": os.getcwd(), "environment": dict(os.environ)}
        print(json.dumps(asked | here), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())
